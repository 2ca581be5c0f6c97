"""Tiny pipelines of the rarer families, as tests/tiny_pipelines.py has those of the common ones."""

from pathlib import Path
from typing import Any

import torch
from tiny_pipelines import (
    PLAIN,
    UNET,
    autoencoder,
    clip_text,
    clip_tokenizer,
    saved,
    widened,
)

UNCHECKED: dict[str, Any] = {
    "safety_checker": None,
    "feature_extractor": None,
    "requires_safety_checker": False,
}


def unet(**config: Any) -> Any:
    """A UNet over latents of 4 channels."""
    from diffusers import UNet2DConditionModel

    return widened(UNet2DConditionModel(**{**UNET, "in_channels": 4, "out_channels": 4, **config}))


def words() -> dict[str, Any]:
    """CLIP's tokenizer and text encoder."""
    return {"text_encoder": clip_text(), "tokenizer": clip_tokenizer(pad="!")}


def lcm(folder: Path) -> Any:
    """A latent consistency model, saved; the pipeline."""
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler

    torch.manual_seed(6)
    scheduler = LCMScheduler(**PLAIN)
    network = unet(time_cond_proj_dim=15)
    made = LatentConsistencyModelPipeline(
        vae=autoencoder(), unet=network, scheduler=scheduler, **words(), **UNCHECKED
    )
    return saved(made, folder)


def turbo(folder: Path) -> Any:
    """SD-Turbo, saved; the pipeline."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

    torch.manual_seed(7)
    named = {key: PLAIN[key] for key in ("beta_schedule", "beta_start", "beta_end")}
    scheduler = EulerDiscreteScheduler(**named, timestep_spacing="trailing", steps_offset=1)
    made = StableDiffusionPipeline(
        vae=autoencoder(), unet=unet(), scheduler=scheduler, **words(), **UNCHECKED
    )
    return saved(made, folder)


def pix2pix(folder: Path) -> Any:
    """InstructPix2Pix, saved; the pipeline."""
    from diffusers import DDIMScheduler, StableDiffusionInstructPix2PixPipeline

    torch.manual_seed(8)
    network, scheduler = unet(in_channels=8), DDIMScheduler(**PLAIN)
    made = StableDiffusionInstructPix2PixPipeline(
        vae=autoencoder(), unet=network, scheduler=scheduler, **words(), **UNCHECKED
    )
    return saved(made, folder)
