"""Pixel-space models of others, from a local folder in the diffusers layout; their schedules."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from dreamlift.diffusion import Cosine, Schedule
from dreamlift.prior import Condition
from dreamlift.priors.parts import network, placed, settings
from dreamlift.priors.pixel import Pixel, TextEncoder, best_dtype
from dreamlift.priors.prediction import Prediction
from dreamlift.scene import Shot
from dreamlift.schedules import Table, scaled_linear

SCHEDULER = "scheduler/scheduler_config.json"


def schedule_from_config(config: Mapping[str, Any]) -> Schedule:
    """The schedule of a diffusers `scheduler_config.json`, or {"_class_name": "Cosine"}, ours."""
    if config.get("_class_name") == "Cosine":
        return Cosine()
    for name in ("trained_betas", "rescale_betas_zero_snr"):
        if config.get(name):
            raise ValueError(f"The scheduler has {name}, which is not known here.")
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


def prediction_from_config(config: Mapping[str, Any]) -> Prediction:
    """What the network says, of a `scheduler_config.json`."""
    match config.get("prediction_type", "epsilon"):
        case "epsilon":
            return "epsilon"
        case "v_prediction":
            return "v_prediction"
        case other:
            raise ValueError(
                f"The scheduler says prediction_type {other!r}; known are 'epsilon' and "
                "'v_prediction'."
            )


def load_schedule(folder: Path) -> tuple[Table, Prediction]:
    """The table of variances of a pipeline, and what its network predicts. Raises ValueError."""
    config = settings(folder, SCHEDULER)
    schedule = schedule_from_config(config)
    if not isinstance(schedule, Table):
        raise ValueError(f"{folder / SCHEDULER} has no table of variances.")
    return schedule, prediction_from_config(config)


def from_folder(
    folder: Path | str,
    text: TextEncoder,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    cameras: Literal["always", "named", "never"] = "named",
    sight: Callable[[Shot], Condition] | None = None,
) -> Pixel:
    """From a local folder in the diffusers layout; `dtype` None is the device's best.

    `cameras` and `sight` are as for `Pixel`. Raises ValueError, OSError.
    """
    folder = Path(folder)
    for needed in ("unet/config.json", SCHEDULER):
        if not (folder / needed).is_file():
            raise ValueError(
                f"{folder} is no pixel-space diffusion model: {needed} is "
                "missing. Give a folder in the diffusers layout, with unet/ and scheduler/."
            )
    config = settings(folder, SCHEDULER)
    schedule, prediction = schedule_from_config(config), prediction_from_config(config)
    dtype = best_dtype(device) if dtype is None else dtype
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet, _ = network(UNet2DConditionModel.from_pretrained, folder, "unet", dtype=dtype)
    placed(unet, device)
    return Pixel(
        unet,
        text,
        schedule,
        prediction,
        dtype=dtype,
        clock=float(config.get("num_train_timesteps", 1000) - 1),
        cameras=cameras,
        sight=sight,
    )
