"""How far points are from a mesh of several parts."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.geometry.mesh import Surface
from dreamlift.render.distance import signed_distance


def distances(parts: Sequence[Surface], points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Signed distances of points to a mesh's parts together: inside of one is inside."""
    first = [sum(len(p.vertices) for p in parts[:i]) for i in range(len(parts))]
    vertices = torch.cat([part.vertices for part in parts]).to(points)
    faces = torch.cat([part.faces + start for part, start in zip(parts, first, strict=True)])
    return signed_distance(points, vertices, faces.to(points.device))
