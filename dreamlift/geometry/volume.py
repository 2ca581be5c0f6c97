"""Volumes: density and colour at every point of a box."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.geometry.isosurface import grid_points

CHUNK = 1 << 18
"""Points that a volume is asked about at once."""


@runtime_checkable
class Volume(Protocol):
    """Density and colour at every point of a box."""

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        """Two corners of a box around everything, in world units, on the volume's device."""
        ...

    def density(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Per world unit: a ray that crosses a length l of it is 1 - exp(-density l) opaque."""
        ...

    def albedo(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """sRGB in [0, 1]."""
        ...


@runtime_checkable
class Distances(Volume, Protocol):
    """A volume that knows how far its surface is."""

    @property
    def reach(self) -> float:
        """How far a ray goes into it until half of it is stopped, world units."""
        ...

    def distance(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """World units, negative inside."""
        ...


def sampled(
    of: Callable[[Float[Tensor, "p 3"]], Float[Tensor, " p"]],
    bounds: Float[Tensor, "2 3"],
    side: int,
) -> tuple[Float[Tensor, "n n n"], float]:
    """What `of` says of the samples of the smallest cube around the origin that holds a volume's
    `bounds`, `side` along each side, on the CPU; and half of the cube's side, world units."""
    reach = float(bounds.abs().max())
    points = grid_points(side, reach).split(CHUNK)
    values = torch.cat([of(p.to(bounds)).cpu().float() for p in points])
    return values.reshape(side, side, side), reach
