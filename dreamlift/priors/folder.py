"""Pixel-space models of others, from a local folder in the diffusers layout."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from dreamlift.diffusion import Cosine, Schedule
from dreamlift.priors.pixel import Pixel, TextEncoder, best_dtype
from dreamlift.schedules import Table, scaled_linear


def schedule_from_config(config: Mapping[str, Any]) -> Schedule:
    """The schedule of a diffusers `scheduler_config.json`, or {"_class_name": "Cosine"}, ours."""
    if config.get("_class_name") == "Cosine":
        return Cosine()
    name = config.get("beta_schedule")
    n = int(config.get("num_train_timesteps", 1000))
    start, end = float(config.get("beta_start", 1e-4)), float(config.get("beta_end", 0.02))
    if name == "scaled_linear":
        return scaled_linear(start, end, n)
    if name == "linear":
        betas = torch.linspace(start, end, n, dtype=torch.float64)
        return Table((1 - betas).cumprod(0).float())
    if name == "squaredcos_cap_v2":
        at = torch.arange(n + 1, dtype=torch.float64) / n
        bar = ((at + 0.008) / 1.008 * math.pi / 2).cos() ** 2
        betas = (1 - bar[1:] / bar[:-1]).clamp(max=0.999)
        return Table((1 - betas).cumprod(0).float())
    raise ValueError(
        f"The scheduler's beta_schedule is {name!r}; known are 'linear', 'scaled_linear' and "
        "'squaredcos_cap_v2'."
    )


def from_folder(
    folder: Path | str,
    text: TextEncoder,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    cameras: Literal["always", "named", "never"] = "named",
) -> Pixel:
    """From a local folder in the diffusers layout; `dtype` None is the device's best."""
    folder = Path(folder)
    scheduler = folder / "scheduler" / "scheduler_config.json"
    for needed in (folder / "unet" / "config.json", scheduler):
        if not needed.is_file():
            raise ValueError(
                f"{folder} is no pixel-space diffusion model: {needed.relative_to(folder)} is "
                "missing. Give a folder in the diffusers layout, with unet/ and scheduler/."
            )
    config = json.loads(scheduler.read_text())
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise ValueError(
            f"{scheduler} says prediction_type {prediction!r}; known are 'epsilon' and "
            "'v_prediction'."
        )
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(
        folder, subfolder="unet", local_files_only=True, use_safetensors=True
    )
    nn.Module.to(unet, device)
    return Pixel(
        unet,
        text,
        schedule_from_config(config),
        prediction,
        dtype=best_dtype(device) if dtype is None else dtype,
        clock=float(config.get("num_train_timesteps", 1000) - 1),
        cameras=cameras,
    )
