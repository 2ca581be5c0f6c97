"""Which of our adapters reads a folder in the diffusers layout: its model_index.json says it."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch

from dreamlift.prior import Prior
from dreamlift.priors.parts import settings, variant

INDEX = "model_index.json"
NETWORKS: Mapping[str, tuple[str, ...]] = {
    "StableDiffusionPipeline": ("unet", "vae", "text_encoder"),
    "StableDiffusionXLPipeline": ("unet", "vae", "text_encoder", "text_encoder_2"),
    "IFPipeline": ("unet", "text_encoder"),
}
"""The kinds of pipelines that are known, and the parts of each that have weights."""


def is_pipeline(folder: Path) -> bool:
    """Whether a folder holds other people's model, which reads any words."""
    return (folder / INDEX).is_file()


def kind(folder: Path) -> str:
    """What kind of pipeline a folder holds. Raises ValueError for one that is not known or whole.

    Nothing heavy is imported or read.
    """
    name = settings(folder, INDEX).get("_class_name")
    if name not in NETWORKS:
        raise ValueError(
            f"{folder} holds a {name}, which is not known here; known are {', '.join(NETWORKS)}."
        )
    for part in ("scheduler", *NETWORKS[name]):
        settings(folder, f"{part}/{'scheduler_config' if part == 'scheduler' else 'config'}.json")
    for part in NETWORKS[name]:
        variant(folder / part)
    return name


def weights(folder: Path) -> tuple[int, int]:
    """How many numbers a pipeline's networks have, and their bytes on the disk.

    From the headers of the files that would be loaded. Raises ValueError as `kind`.
    """
    numbers = size = 0
    for part in NETWORKS[kind(folder)]:
        chosen = variant(folder / part) or ""
        for file in (folder / part).glob("*.safetensors"):
            if file.name.removesuffix(".safetensors").split("-0")[0].partition(".")[2] != chosen:
                continue
            size += file.stat().st_size
            with file.open("rb") as content:
                header = json.loads(content.read(int.from_bytes(content.read(8), "little")))
            header.pop("__metadata__", None)
            numbers += sum(math.prod(tensor["shape"]) for tensor in header.values())
    return numbers, size


def load(folder: Path, *, device: torch.device | str, dtype: torch.dtype) -> Prior:
    """The prior in a folder. Raises ValueError, OSError where it cannot be."""
    match kind(folder):
        case "StableDiffusionPipeline":
            from dreamlift.priors.latent import stable_diffusion

            return stable_diffusion(folder, device=device, dtype=dtype)
        case "StableDiffusionXLPipeline":
            from dreamlift.priors.sdxl import sdxl

            return sdxl(folder, device=device, dtype=dtype)
        case _:
            from dreamlift.priors.deepfloyd import deepfloyd

            return deepfloyd(folder, device=device, dtype=dtype)
