"""Where rays first meet triangles. Not differentiable: visibility is a matter of yes and no.

Gradients flow to what is looked up at a hit (colours), not to where the triangles are; that needs
soft coverage at silhouettes, which a rasteriser of its own will provide.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.render.twins import has_warp

LOST = "Ray casting tests every triangle for every ray, a thousand times slower"
"""Without Warp."""
PAIRS = 1 << 21
"""Rays x triangles that the reference tests at once; bounds its memory."""


@dataclass(frozen=True)
class Hits:
    """For each ray, the nearest triangle in front of its origin; both sides count."""

    face: Int[Tensor, " n"]  # -1: none
    barycentric: Float[Tensor, "n 3"]  # weights of the face's corners; 0 where there is none
    distance: Float[Tensor, " n"]  # along the ray, world units; infinite where there is none


@dataclass(frozen=True)
class Fragments:
    """What a mesh tells of each of its b x (h s) x (w s) samples, s by s to a pixel."""

    face: Int[Tensor, "b y x"]  # -1: background
    part: Int[Tensor, "b y x"]  # -1: background
    barycentric: Float[Tensor, "b y x 3"]  # 0: background


def raycast(
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
) -> Hits:
    """Nearest hits, by the fast twin where it can (single precision), else by the reference."""
    ours = origins.dtype == torch.float32 and origins.device.type in ("cpu", "cuda")
    if ours and has_warp(LOST):
        from dreamlift.render.raycast_warp import raycast_warp

        return raycast_warp(origins, directions, vertices, faces)
    return raycast_torch(origins, directions, vertices, faces)


@torch.no_grad()
def raycast_torch(
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
) -> Hits:
    """Every ray against every triangle: Moller & Trumbore, "Fast, minimum storage ray/triangle
    intersection". The specification; for a few hundred triangles."""
    n = len(origins)
    face = torch.full((n,), -1, dtype=torch.long, device=origins.device)
    barycentric = origins.new_zeros(n, 3)
    distance = origins.new_full((n,), torch.inf)
    if len(faces) == 0:
        return Hits(face, barycentric, distance)
    a, b, c = vertices[faces].unbind(1)
    ab, ac = b - a, c - a
    chunk = max(1, PAIRS // len(faces))
    for start in range(0, n, chunk):
        o, d = origins[start : start + chunk, None], directions[start : start + chunk, None]
        p = torch.cross(d.expand(-1, len(faces), -1), ac.expand(len(d), -1, -1), dim=-1)
        scale = (ab * p).sum(-1)  # 0: the ray lies in the triangle's plane
        s = o - a
        u = (s * p).sum(-1) / scale
        q = torch.cross(s, ab.expand_as(s), dim=-1)
        v = (d * q).sum(-1) / scale
        t = (ac * q).sum(-1) / scale
        inside = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (scale != 0)
        nearest, which = torch.where(inside, t, torch.inf).min(-1)
        hit = nearest < torch.inf
        rows = torch.arange(len(d), device=d.device)
        u, v = u[rows, which], v[rows, which]
        here = slice(start, start + chunk)
        face[here] = torch.where(hit, which, -1)
        weights = torch.stack([1 - u - v, u, v], -1)
        barycentric[here] = torch.where(hit[:, None], weights, 0.0)
        distance[here] = nearest
    return Hits(face, barycentric, distance)
