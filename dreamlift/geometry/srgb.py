"""Colours as they are stored, sRGB, and as light, to which they are proportional."""

import torch
from jaxtyping import Float
from torch import Tensor


def to_linear(srgb: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Light from sRGB values in [0, 1] (IEC 61966-2-1)."""
    low = srgb / 12.92
    return torch.where(srgb <= 0.04045, low, ((srgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """sRGB values from light in [0, 1]: the inverse of to_linear."""
    high = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, high)
