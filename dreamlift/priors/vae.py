"""Pictures to latents and back: the autoencoder of latent diffusion (arXiv:2112.10752, Sec. 3.1).

It runs in float32: score distillation needs its Jacobian, and half precision overflows in some.
"""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.geometry.squares import resize
from dreamlift.priors.parts import network, placed

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL


class VAE:
    """z = scale (E(2x - 1) - shift), so that latents have about unit variance."""

    def __init__(self, autoencoder: "AutoencoderKL", device: torch.device | str = "cpu") -> None:
        config = autoencoder.config
        if config.get("latents_mean") is not None:
            raise ValueError(
                "This autoencoder moves every channel by a mean of its own (latents_mean), which "
                "is not known here. Use one with a scaling_factor alone."
            )
        self.network = cast("AutoencoderKL", placed(autoencoder, device, torch.float32))
        self.scale = float(config["scaling_factor"])
        self.shift = float(config.get("shift_factor") or 0.0)
        self.factor: int = 2 ** (len(config["block_out_channels"]) - 1)
        self.channels: int = config["latent_channels"]

    def picture(
        self, x: Float[Tensor, "b h w 3"], size: int, rng: torch.Generator | None = None
    ) -> Float[Tensor, "b c y x"]:
        """Latents of pictures (sRGB in [0, 1]) at a side of `size` pixels, without scale and shift.

        On the autoencoder's device, wherever the pictures are. A sample of the posterior with noise
        from `rng`, or its mode; differentiable.
        """
        x = x.permute(0, 3, 1, 2).to(next(self.network.parameters()).device, torch.float32)
        posterior = self.network.encode(2 * resize(x, size) - 1, return_dict=False)[0]
        if rng is None:
            return posterior.mode()
        noise = torch.randn(posterior.mean.shape, generator=rng, device=rng.device)
        return posterior.mean + posterior.std * noise.to(posterior.mean)

    def encode(
        self, x: Float[Tensor, "b h w 3"], size: int, rng: torch.Generator | None = None
    ) -> Float[Tensor, "b c y x"]:
        """`picture`, scaled and shifted as the denoiser wants it."""
        return (self.picture(x, size, rng) - self.shift) * self.scale

    def decode(self, z: Float[Tensor, "b c y x"]) -> Float[Tensor, "b h w 3"]:
        """Scaled latents to pictures, which may leave [0, 1] a little."""
        raw = cast("torch.FloatTensor", z.float() / self.scale + self.shift)
        x = self.network.decode(raw, return_dict=False)[0]
        return (x.permute(0, 2, 3, 1) + 1) / 2


def load_vae(folder: Path, device: torch.device | str) -> VAE:
    """The autoencoder of a pipeline. Raises ValueError, OSError."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    autoencoder, _ = network(AutoencoderKL.from_pretrained, folder, "vae", dtype=torch.float32)
    return VAE(autoencoder, device)
