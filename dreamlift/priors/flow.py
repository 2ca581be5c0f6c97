"""Rectified flow on latents: Stable Diffusion 3 and 3.5 (arXiv:2403.03206), and FLUX.1.

Their networks say the velocity eps - z of the straight way from a picture to noise. Folders in the
diffusers layout, with transformer/ in place of unet/, two CLIPs (FLUX one) and T5.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamlift.prior import Condition
from dreamlift.priors.flow_words import load_clip_and_t5, load_three_towers
from dreamlift.priors.latent import Latent
from dreamlift.priors.parts import network, placed
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.told import Sentences
from dreamlift.priors.vae import load_vae
from dreamlift.schedules import Flow


def packed(z: Float[Tensor, "b c y x"]) -> Float[Tensor, "b n d"]:
    """2x2 cells as one token, row by row; FLUX's network sees latents so."""
    return F.pixel_unshuffle(z, 2).flatten(2).transpose(1, 2)


def unpacked(tokens: Float[Tensor, "b n d"], rows: int) -> Float[Tensor, "b c y x"]:
    """The inverse of `packed`."""
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (rows, -1)), 2)


def ask_sd3(network: Any, z: Tensor, time: Tensor, told: Condition) -> Tensor:
    """SD3's transformer, whose clock runs to 1000."""
    return network(
        z,
        timestep=1000 * time,
        encoder_hidden_states=told["tokens"].to(z),
        pooled_projections=told["pooled"].to(z),
        return_dict=False,
    )[0]


@dataclass(frozen=True)
class AskFlux:
    """FLUX's transformer, which is told where each token is, and a guidance."""

    guidance: float | None
    """The scale that a network distilled from guided ones is told; None where it takes none."""

    def __call__(self, network: Any, z: Tensor, time: Tensor, told: Condition) -> Tensor:
        rows, columns = z.shape[2] // 2, z.shape[3] // 2
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        places = torch.stack([torch.zeros_like(y), y, x], -1).flatten(0, 1).to(z)
        guidance = None if self.guidance is None else z.new_full((len(z),), self.guidance)
        out = network(
            packed(z),
            timestep=time.to(z),
            guidance=guidance,
            img_ids=places,
            txt_ids=places.new_zeros(told["tokens"].shape[1], 3),
            encoder_hidden_states=told["tokens"].to(z),
            pooled_projections=told["pooled"].to(z),
            return_dict=False,
        )[0]
        return unpacked(out, rows)


def stable_diffusion_3(
    folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> Latent:
    """Stable Diffusion 3 or 3.5 from a folder. Raises ValueError, OSError."""
    from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel

    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    made, config = network(
        SD3Transformer2DModel.from_pretrained, folder, "transformer", dtype=dtype
    )
    vae = load_vae(folder, device)
    tells = Sentences(load_three_towers(folder, dtype))
    size = int(config["sample_size"]) * vae.factor
    return Latent(placed(made, device), ask_sd3, vae, tells, Flow(), "flow", size=size)


def flux(
    folder: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    size: int = 1024,
    guidance: float = 1.0,
) -> Latent:
    """FLUX.1 from a folder, at a side of `size` pixels. Raises ValueError, OSError.

    `guidance` 1 asks a distilled network for what it would say unguided.
    """
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    made, config = network(
        FluxTransformer2DModel.from_pretrained, folder, "transformer", dtype=dtype
    )
    ask = AskFlux(guidance if config["guidance_embeds"] else None)
    vae, tells = load_vae(folder, device), Sentences(load_clip_and_t5(folder, dtype))
    return Latent(placed(made, device), ask, vae, tells, Flow(), "flow", size=size)
