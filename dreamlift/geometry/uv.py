"""From a triangle mesh to a texture: unwrap it, find the point under each texel, fill the gaps.

Texture coordinates: u right, v up, (0, 0) the lower left corner of the picture, so the texel in
row i, column j of an h x w texture has its centre at u = (j + 0.5) / w, v = 1 - (i + 0.5) / h.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Unwrapped:
    """A mesh cut along seams and laid flat; a vertex on a seam appears once for each chart."""

    uv: Float[Tensor, "m 2"]  # in [0, 1]
    faces: Int[Tensor, "f 3"]  # into the m vertices
    source: Int[Tensor, " m"]  # which of the original vertices each is
    charts: int


def unwrap(
    vertices: Float[Tensor, "n 3"],
    faces: Int[Tensor, "f 3"],
    *,
    size: int = 512,
    padding: int = 3,
) -> Unwrapped:
    """Charts packed into a square of `size` texels, at least `padding` texels apart, by xatlas."""
    import numpy as np
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices.detach().cpu().float().numpy(), faces.cpu().numpy().astype(np.uint32))
    pack = xatlas.PackOptions()
    pack.resolution = size
    pack.padding = padding
    pack.bilinear = True
    atlas.generate(pack_options=pack)
    source, triangles, uv = atlas[0]
    return Unwrapped(
        torch.from_numpy(uv.astype(np.float32)).to(vertices),
        torch.from_numpy(triangles.astype(np.int64)).to(faces),
        torch.from_numpy(source.astype(np.int64)).to(faces),
        int(atlas.chart_count),
    )


def rasterise(
    uv: Float[Tensor, "m 2"], faces: Int[Tensor, "f 3"], size: int
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w 3"]]:
    """Which face covers the centre of each texel (-1: none), and where in it (barycentric).

    All texels of every face's bounding box are listed and tested against its three edges.
    """
    xy = torch.stack([uv[:, 0], 1 - uv[:, 1]], -1).double() * size - 0.5  # texel centres: integers
    corners = xy[faces]
    low = corners.amin(1).ceil().long().clamp(0, size - 1)
    high = corners.amax(1).floor().long().clamp(0, size - 1)
    span = (high - low + 1).clamp_min(0)
    count = span.prod(-1)
    face = torch.arange(len(faces), device=faces.device).repeat_interleave(count)
    start = (count.cumsum(0) - count)[face]
    index = torch.arange(len(face), device=faces.device) - start
    wide = span[face, 0]
    x, y = low[face, 0] + index % wide, low[face, 1] + index // wide
    weights = _barycentric(corners[face], torch.stack([x, y], -1).double())
    inside = (weights >= -1e-6).all(-1)
    where = (y * size + x)[inside]
    owner = torch.full((size * size,), -1, dtype=torch.long, device=faces.device)
    weight = torch.zeros(size * size, 3, dtype=uv.dtype, device=uv.device)
    # Where charts meet, the texel is the last face's, and its weights are.
    number = torch.arange(len(where), device=where.device)
    row = torch.full_like(owner, -1).scatter_reduce(0, where, number, "amax")
    covered = row >= 0
    owner[covered] = face[inside][row[covered]]
    weight[covered] = weights[inside].to(uv)[row[covered]]
    return owner.reshape(size, size), weight.reshape(size, size, 3)


def _barycentric(
    corners: Float[Tensor, "n 3 2"], point: Float[Tensor, "n 2"]
) -> Float[Tensor, "n 3"]:
    """Weights of three corners in the plane; NaN or infinite, so outside, if they are in line."""

    def cross(p: Tensor, q: Tensor) -> Tensor:
        return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]

    a, b, c = (corners[:, i] - point for i in range(3))
    areas = torch.stack([cross(b, c), cross(c, a), cross(a, b)], -1)
    return areas / areas.sum(-1, keepdim=True)


def dilate(texture: Float[Tensor, "h w 3"], known: Bool[Tensor, "h w"]) -> Float[Tensor, "h w 3"]:
    """Every unknown texel takes the colour of the nearest known one, so that no seam shows.

    Bilinear filtering and mip maps at a chart's border read texels outside of it.
    """
    if not bool(known.any()):
        raise ValueError("No texel is known, so there is nothing to fill the others with.")
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(
        ~known.cpu().numpy(), return_distances=False, return_indices=True
    )
    rows, columns = torch.from_numpy(nearest).long().to(texture.device)
    return texture[rows, columns]


def painted(
    flat: Unwrapped,
    values: Float[Tensor, "m c"],
    size: int,
    color: Callable[[Float[Tensor, "n c"]], Float[Tensor, "n 3"]],
) -> Float[Tensor, "h w 3"]:
    """A texture whose texels are coloured by the vertices' values, interpolated to each."""
    face, weight = rasterise(flat.uv, flat.faces, size)
    known = face >= 0
    corners, weight = flat.faces[face[known]], weight[known]
    texture = torch.zeros(size, size, 3)
    texture[known] = color(torch.einsum("nk,nkc->nc", weight, values[corners]))
    return dilate(texture, known)
