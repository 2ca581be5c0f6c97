"""Which way a texture lies on a mesh."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.geometry.mesh import area


def tangents(
    vertices: Float[Tensor, "n 3"],
    faces: Int[Tensor, "f 3"],
    normals: Float[Tensor, "n 3"],
    uv: Float[Tensor, "n 2"],
) -> Float[Tensor, "n 4"]:
    """The way that u grows along the surface, unit, and on which side v grows: +1 or -1.

    A normal map's frame is (t, w n x t, n), as in glTF. Means of the faces', weighted by area.
    """
    (a, b, c), (p, q, r) = vertices[faces].unbind(1), uv[faces].unbind(1)
    (du, dv), (eu, ev) = (q - p).unbind(-1), (r - p).unbind(-1)
    sign = (du * ev - eu * dv).sign()[:, None]
    along_u = sign * ((b - a) * ev[:, None] - (c - a) * dv[:, None])
    along_v = sign * ((c - a) * du[:, None] - (b - a) * eu[:, None])
    size = area(vertices, faces)[:, None]
    both = torch.cat([F.normalize(x, dim=-1, eps=1e-20) * size for x in (along_u, along_v)], -1)
    total = vertices.new_zeros(len(vertices), 6)
    for corner in range(3):
        total = total.index_add(0, faces[:, corner], both)
    t, v = total.split(3, -1)
    t = t - (t * normals).sum(-1, keepdim=True) * normals
    # Where u grows nowhere, any direction along the surface will do.
    least = F.one_hot(normals.abs().argmin(-1), 3).to(normals)
    aside = torch.cross(normals, least, dim=-1)
    t = torch.where(t.norm(dim=-1, keepdim=True) > 1e-20, t, aside)
    t = F.normalize(t, dim=-1, eps=1e-20)
    hand = (torch.cross(normals, t, dim=-1) * v).sum(-1, keepdim=True)
    return torch.cat([t, torch.where(hand < 0, -1.0, 1.0).to(t)], -1)
