"""The surface of a volume, before anything is made of it."""

import torch

from dreamlift.convert.finish import Finish
from dreamlift.convert.sdf_to_mesh import cut_distances
from dreamlift.geometry.isosurface import Isosurface
from dreamlift.geometry.levels import outlined
from dreamlift.geometry.volume import Distances, Volume, sampled


@torch.no_grad()
def cut(volume: Volume, finish: Finish) -> Isosurface:
    """The surface of a volume: what has its silhouettes (geometry/levels.py).

    Of a field of distances, its zero level. Raises DegenerateError where there is no object.
    """
    if isinstance(volume, Distances):
        return cut_distances(volume, finish)
    density, reach = sampled(volume.density, volume.bounds, finish.resolution)
    return outlined(density, reach, smooth=finish.smooth)
