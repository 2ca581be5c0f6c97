"""How an object is looked at when it is judged. Frozen: a change here is a change of the metric.

Twelve azimuths (15, 45, ..., 345 degrees) from elevations 15 and 45, 64x64 pixels of four samples,
cameras at distance 4; a point light above each camera's left shoulder, half ambient and half
diffuse; plain grey behind. All of it lies within what the judge was trained on (learn.rough), and
none of it was chosen by looking at a generated object.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamlift.cameras import Cameras, orbit
from dreamlift.lights import Light
from dreamlift.scene import Scene, Shot

AZIMUTHS = tuple(15.0 + 30.0 * i for i in range(12))
"""Degrees: never squarely from a side, where an object is easiest."""
ELEVATIONS = (15.0, 45.0)
"""Degrees."""
VIEWS = len(AZIMUTHS) * len(ELEVATIONS)
SIZE = 64
"""Pixels a side."""
BACKGROUND = 0.4
"""Grey (sRGB): darker than anything lit and white, lighter than black."""
AMBIENT = 0.5
"""The light that comes from everywhere; the point light gives the rest."""
AT_ONCE = 8
"""Pictures that are rendered together."""


def cameras() -> Cameras:
    """The 24 cameras, all azimuths from the lower elevation first."""
    azimuth = torch.tensor(AZIMUTHS).repeat(len(ELEVATIONS))
    elevation = torch.tensor(ELEVATIONS).repeat_interleave(len(AZIMUTHS))
    return orbit(azimuth, elevation, size=SIZE)


def behind() -> Bool[Tensor, " v"]:
    """Which of the cameras are beyond 90 degrees of azimuth: none of them sees the front."""
    return cameras().azimuth.abs() > 90


def light(at: Cameras, *, textureless: bool) -> Light:
    """A point light 1.5 world units left of each camera and 2 above it."""
    right, down = at.world_to_camera[:, 0, :3], at.world_to_camera[:, 1, :3]
    ambient = torch.full((len(at),), AMBIENT)
    blank = torch.full((len(at),), textureless)
    return Light(at.position - 1.5 * right - 2.0 * down, ambient, 1 - ambient, blank)


@torch.no_grad()
def pictures(scene: Scene[Any], *, textureless: bool) -> Float[Tensor, "v h w 3"]:
    """The 24 pictures of a scene, as its colours show, or white all over."""
    grey = torch.full((1, 1, 1, 3), BACKGROUND)
    every = cameras()
    seen: list[Tensor] = []
    for start in range(0, VIEWS, AT_ONCE):
        at = every[slice(start, start + AT_ONCE)]
        view = scene.render(Shot(at, light(at, textureless=textureless)))
        seen.append(view.over(grey).clamp(0, 1))
    return torch.cat(seen)
