"""Latent diffusion: Stable Diffusion 1.x and 2.x, noise or v prediction (arXiv:2112.10752).

A folder in the diffusers layout: unet/, vae/, scheduler/, tokenizer/ and text_encoder/.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import Schedule, eps_from_v
from dreamlift.prior import Condition, Embedding, Prompt
from dreamlift.priors.encoders import load_clip_words
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.parts import network, placed
from dreamlift.priors.pixel import Prediction, TextEncoder, best_dtype
from dreamlift.priors.vae import VAE, load_vae
from dreamlift.scene import Shot
from dreamlift.schedules import Table

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


def weighted(
    mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], key: str
) -> Float[Tensor, "b *d"]:
    """What embeddings say under a name, interpolated with weights for each camera."""
    first = mix[0][0][key]
    shape = [-1, *[1] * first.ndim]
    return torch.stack([w.to(first).reshape(shape) * said[key] for said, w in mix]).sum(0)


def together(conditions: Sequence[Condition]) -> Condition:
    """Conditions of a batch each as one long batch."""
    return {key: torch.cat([told[key] for told in conditions]) for key in conditions[0]}


def noises(
    schedule: Schedule,
    prediction: Prediction,
    z_t: Float[Tensor, "b c y x"],
    t: Float[Tensor, " b"],
    out: Float[Tensor, "nb c y x"],
) -> tuple[Float[Tensor, "b c y x"], ...]:
    """The network's long batch as a noise prediction for each condition."""
    said = [part.to(z_t) for part in out.chunk(len(out) // len(z_t))]
    if prediction == "epsilon":
        return tuple(said)
    return tuple(eps_from_v(schedule, z_t, t, v) for v in said)


class Latent:
    """eps(z_t; y, t) of a UNet over a VAE's latents."""

    views = 1

    def __init__(
        self,
        unet: "UNet2DConditionModel",
        vae: VAE,
        text: TextEncoder,
        schedule: Table,
        prediction: Prediction,
    ) -> None:
        """The network is used as it lies: frozen, in its own dtype, on its own device."""
        self.network = unet
        self.vae = vae
        self.text = text
        self.schedule = schedule
        self.prediction: Prediction = prediction
        self.factor = vae.factor
        self.size: int = unet.config["sample_size"] * vae.factor
        refuse_channels(unet, vae.channels)

    def encode(
        self, x: Float[Tensor, "b h w 3"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "b c y x"]:
        """Pictures in [0, 1], of any square size, to latents, through the VAE's Jacobian."""
        return self.vae.encode(x, self.size, rng)

    def decode(self, z: Float[Tensor, "b c y x"]) -> Float[Tensor, "b h w 3"]:
        """Latents to pictures."""
        return self.vae.decode(z)

    def embed(self, prompt: Prompt) -> Embedding:
        """The text tower's tokens. Raises BadInput for more of them than it reads."""
        with torch.no_grad():
            said = self.text(prompt.text)
        return {key: value.to(self.network.device) for key, value in said.items()}

    def condition(
        self, mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], shot: Shot
    ) -> Condition:
        """Tokens interpolated; the cameras are told by words alone."""
        return {"tokens": weighted(mix, "tokens")}

    def eps(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b c y x"], ...]:
        """The network's noise predictions, all conditions in one batch, in z_t's dtype."""
        n, told = len(conditions), together(conditions)
        out = self.network(
            z_t.to(self.network.dtype).repeat(n, 1, 1, 1),
            self.schedule.index(t).repeat(n),
            told["tokens"].to(self.network.dtype),
            return_dict=False,
        )[0]
        return noises(self.schedule, self.prediction, z_t, t, out)


def refuse_channels(unet: "UNet2DConditionModel", channels: int) -> None:
    """ValueError for a network that wants to see more than noisy latents."""
    wanted = unet.config["in_channels"]
    if wanted != channels:
        raise ValueError(
            f"This network takes {wanted} channels and the autoencoder has {channels}: it was made "
            "for inpainting, for depth or for edits. Use a plain text-to-image model."
        )


def load_unet(
    folder: Path, device: torch.device | str, dtype: torch.dtype
) -> "UNet2DConditionModel":
    """unet/ of a pipeline. Raises ValueError, OSError."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet, _ = network(UNet2DConditionModel.from_pretrained, folder, "unet", dtype=dtype)
    return cast("UNet2DConditionModel", placed(unet, device))


def stable_diffusion(
    folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> Latent:
    """Stable Diffusion 1.x or 2.x from a folder; `dtype` None is the device's best.

    Raises ValueError, OSError where the folder is not whole.
    """
    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    schedule, prediction = load_schedule(folder)
    return Latent(
        load_unet(folder, device, dtype),
        load_vae(folder, device),
        load_clip_words(folder, dtype),
        schedule,
        prediction,
    )
