"""How far points are from a volume's surface."""

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.convert.cut import cut
from dreamlift.convert.finish import Finish
from dreamlift.geometry.volume import Volume
from dreamlift.render.distance import signed_distance


@torch.no_grad()
def volume_distances(
    volume: Volume, points: Float[Tensor, "n 3"], finish: Finish
) -> Float[Tensor, " n"]:
    """Signed distances of points to a volume's surface: a start for meshes that are to be made."""
    found = cut(volume, finish)
    return signed_distance(points, found.vertices.to(points), found.faces.to(points.device))
