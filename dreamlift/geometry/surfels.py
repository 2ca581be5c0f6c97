"""Gaussians that lie flat on a surface."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.geometry.clouds import from_points
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.points import scatter


def from_mesh(
    parts: Sequence[Surface], n: int, rng: torch.Generator, *, degree: int = 0, opacity: float = 0.9
) -> Gaussians:
    """n flat Gaussians on a mesh's triangles, in its colours, a tenth as thick as wide."""
    points = scatter(parts, n, rng)
    gaussians = from_points(points.position, points.color, degree=degree, opacity=opacity)
    thin = gaussians.log_scales.new_tensor([0.0, 0.0, -2.3])
    return Gaussians(
        gaussians.means,
        _from_z(points.normal),
        gaussians.log_scales + thin,
        gaussians.opacity_logits,
        gaussians.harmonics,
    )


def _from_z(normal: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
    """A quaternion that turns +z to each unit vector, by the shortest way."""
    x, y, z = normal.unbind(-1)
    down = z < -1 + 1e-6  # any half turn about a level axis
    w = torch.where(down, 0.0, 1 + z)
    q = torch.stack([w, torch.where(down, 1.0, -y), torch.where(down, 0.0, x), torch.zeros_like(w)])
    return torch.nn.functional.normalize(q.T, dim=-1)
