"""How far points are from triangles, and whether they are inside: signed distances of a mesh.

A distance is negative inside: where the generalised winding number (Jacobson et al., "Robust
inside-outside segmentation using generalized winding numbers") is above a half. So parts may go
into one another, and a mesh with holes has the inside that it nearly encloses. Distances are to
the nearest triangle, also one that lies inside of another part. Not differentiable.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.render.twins import has_warp

LOST = "Distances test every triangle for every point, a thousand times slower"
"""Without Warp."""
PAIRS = 1 << 19
"""Points x triangles that the reference tests at once; bounds its memory."""


def signed_distance(
    points: Float[Tensor, "n 3"], vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]
) -> Float[Tensor, " n"]:
    """World units, by the fast twin where it can (single precision), else by the reference."""
    ours = points.dtype == torch.float32 and points.device.type in ("cpu", "cuda")
    if ours and has_warp(LOST):
        from dreamlift.render.distance_warp import signed_distance_warp

        return signed_distance_warp(points, vertices, faces)
    return signed_distance_torch(points, vertices, faces)


@torch.no_grad()
def signed_distance_torch(
    points: Float[Tensor, "n 3"], vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]
) -> Float[Tensor, " n"]:
    """Every triangle for every point. The specification."""
    if len(faces) == 0:
        return points.new_full((len(points),), torch.inf)
    corners = vertices[faces]
    found: list[Tensor] = []
    for p in points.split(max(1, PAIRS // len(faces))):
        away = squared_distances(p, corners).amin(1).sqrt()
        found.append(torch.where(winding(p, corners) > 0.5, -away, away))
    return torch.cat(found) if found else points.new_zeros(0)


def winding(points: Float[Tensor, "n 3"], corners: Float[Tensor, "f 3 3"]) -> Float[Tensor, " n"]:
    """How often a mesh goes round each point: its solid angles (Van Oosterom & Strackee) / 4 pi."""
    a, b, c = (corners[None] - points[:, None, None]).unbind(2)
    la, lb, lc = (x.norm(dim=-1) for x in (a, b, c))
    volume = (a * torch.cross(b, c, dim=-1)).sum(-1)
    flat = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return torch.atan2(volume, flat).sum(1) / (2 * math.pi)


def squared_distances(
    points: Float[Tensor, "n 3"], corners: Float[Tensor, "f 3 3"]
) -> Float[Tensor, "n f"]:
    """From each point to each triangle: to its plane where the foot is inside, else to an edge."""
    p = points[:, None]
    a, b, c = corners.unbind(1)
    normal = torch.cross(b - a, c - a, dim=-1)
    square = normal.square().sum(-1)
    inside = torch.ones(len(points), len(corners), dtype=torch.bool, device=points.device)
    nearest = points.new_full((len(points), len(corners)), torch.inf)
    for start, end in ((a, b), (b, c), (c, a)):
        edge, away = end - start, p - start
        inside &= (torch.cross(edge.expand_as(away), away, dim=-1) * normal).sum(-1) >= 0
        along = (away * edge).sum(-1) / edge.square().sum(-1).clamp_min(1e-30)
        gap = away - along.clamp(0, 1)[..., None] * edge
        nearest = torch.minimum(nearest, gap.square().sum(-1))
    plane = ((p - a) * normal).sum(-1).square() / square.clamp_min(1e-30)
    return torch.where(inside & (square > 0), torch.minimum(plane, nearest), nearest)
