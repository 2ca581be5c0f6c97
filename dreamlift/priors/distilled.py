"""Students of a few steps: latent consistency models (arXiv:2310.04378) and SD-Turbo's kind.

They are asked as their teachers are. One that was distilled from guided teachers reads the guidance
scale beside the time, so guide it no further: `--scale 1`.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.prior import Condition

SCALE = 8.5
"""The guidance scale that latent consistency models are asked with where none is named."""


def embedded_scale(scale: float, width: int) -> Float[Tensor, " width"]:
    """A guidance scale (1 is none) as `width` sines and cosines of 1000 (scale - 1)."""
    half = width // 2
    rates = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half))
    angles = 1000 * (scale - 1) * rates
    return torch.cat([angles.sin(), angles.cos(), angles.new_zeros(width % 2)])


def beside_time(network: Any, z: Tensor, told: Condition, scale: float) -> Tensor | None:
    """What a UNet is told beside the time: a guidance scale, where it was distilled with one.

    A student of VSD (priors.lora) is told the camera after it.
    """
    width = network.config.get("time_cond_proj_dim")
    if width is None:
        return told.get("pose")
    said = embedded_scale(scale, width).to(z).expand(len(z), -1)
    return torch.cat([said.to(told["pose"]), told["pose"]], -1) if "pose" in told else said
