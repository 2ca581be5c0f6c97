"""The surface of signed distances: of those on a grid, and of a field of them."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.convert.finish import Finish
from dreamlift.geometry.isosurface import Isosurface, isosurface, smoothed
from dreamlift.geometry.volume import Distances, sampled


def zero_level(
    sdf: Float[Tensor, "n n n"], reach: float
) -> tuple[Float[Tensor, "v 3"], Int[Tensor, "f 3"]]:
    """The mesh of the distances on `grid_points(n, reach)`: every piece of it, hollows filled."""
    found = isosurface(-sdf, reach, level=0.0, least=0.0)
    return found.vertices, found.faces


@torch.no_grad()
def cut_distances(volume: Distances, finish: Finish) -> Isosurface:
    """The zero level of a field of distances. Raises DegenerateError where there is no object."""
    side = finish.resolution
    distance, reach = sampled(volume.distance, volume.bounds, side)
    depth = smoothed(-distance, finish.smooth / (2 * reach / (side - 1)))
    found = isosurface(depth, reach, level=0.0)
    return replace(found, reach=volume.reach)
