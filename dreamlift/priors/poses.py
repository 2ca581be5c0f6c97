"""What Zero-1-to-3 is told: how CLIP sees the picture, and the turn (arXiv:2303.11328, Sec. 3)."""

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras

Fourth: TypeAlias = Literal["distance", "elevation"]
"""The pose's last number: by how much the camera moves away, or the picture's own polar angle."""
LENS = 16 / 35
"""Tangent of half the field of view of the training pictures: 35 mm on a sensor of 32 mm."""
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the colours that CLIP was trained on."""


def clip_pixels(x: Float[Tensor, "b h w 3"], size: int) -> Float[Tensor, "b 3 size size"]:
    """Pictures (sRGB in [0, 1]) as the original encoder prepares them for CLIP."""
    y = F.interpolate(
        x.permute(0, 3, 1, 2), (size, size), mode="bicubic", align_corners=True, antialias=False
    )
    return (y - y.new_tensor(MEAN)[:, None, None]) / y.new_tensor(STD)[:, None, None]


def places(cameras: Cameras) -> Float[Tensor, "b 3"]:
    """Polar angle from +z and azimuth, in radians; the distance from which the training lens, with
    its field of view of 49.1 degrees, would see as much."""
    polar = torch.deg2rad(90 - cameras.elevation)
    half = cameras.height / (2 * cameras.K[:, 1, 1])
    return torch.stack(
        [polar, torch.deg2rad(cameras.azimuth), cameras.distance * half / LENS], dim=-1
    )


def pose(
    reference: Float[Tensor, " 3"], to: Float[Tensor, "b 3"], fourth: Fourth
) -> Float[Tensor, "b 4"]:
    """T = [d polar, sin d azimuth, cos d azimuth, d distance] between `places`.

    Stable Zero123 is told the picture's own polar angle instead of the last.
    """
    polar, azimuth, distance = (to - reference).unbind(-1)
    last = distance if fourth == "distance" else reference[0].expand_as(distance)
    return torch.stack([polar, azimuth.sin(), azimuth.cos(), last], -1)
