"""The surface of a volume, before anything is made of it."""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.convert.finish import Finish
from dreamlift.geometry.isosurface import Isosurface, grid_points, isosurface, smoothed
from dreamlift.geometry.volume import CHUNK, Distances, Volume


@torch.no_grad()
def cut(volume: Volume, finish: Finish) -> Isosurface:
    """The surface of a volume: what has its silhouettes (isosurface.py).

    Of a field of distances, its zero level. Raises DegenerateError where there is no object.
    """
    reach = float(volume.bounds.abs().max())
    side = finish.resolution

    def sampled(
        of: Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]],
    ) -> Float[Tensor, "n n n"]:
        points = grid_points(side, reach).split(CHUNK)
        values = torch.cat([of(p.to(volume.bounds)).cpu().float() for p in points])
        return values.reshape(side, side, side)

    if not isinstance(volume, Distances):
        return isosurface(sampled(volume.density), reach, smooth=finish.smooth)
    depth = smoothed(-sampled(volume.distance), finish.smooth / (2 * reach / (side - 1)))
    found = isosurface(depth, reach, level=0.0)
    return replace(found, reach=volume.reach)
