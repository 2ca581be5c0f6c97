"""Textures seen from afar: a pyramid of ever smaller copies, and which of them a pixel needs.

Williams, "Pyramidal parametrics": a pixel that covers many texels reads their mean from a smaller
copy, between two copies in the proportion of their sizes. Coordinates are those of geometry/uv.py.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.geometry.texels import sample
from dreamlift.render.raster import Raster


def pyramid(texture: Float[Tensor, "h w 3"]) -> list[Float[Tensor, "_h _w 3"]]:
    """The texture and its halves, while both sides are even; each texel a mean of four."""
    levels = [texture]
    while all(n % 2 == 0 for n in levels[-1].shape[:2]):
        smaller = F.avg_pool2d(levels[-1].permute(2, 0, 1)[None], 2)[0]
        levels.append(smaller.permute(1, 2, 0))
    return levels


@torch.no_grad()
def footprint(
    uv: Float[Tensor, "v 2"],
    points: Float[Tensor, "b v 3"],
    faces: Int[Tensor, "f 3"],
    raster: Raster,
) -> Float[Tensor, "b h w 2 2"]:
    """How far u, v (rows) move from a pixel to the next in x, y (columns); 0 where nothing is.

    Exact: a weight is an edge function over their sum, and both are linear in x and y.
    """
    picture, row, column = (raster.face >= 0).nonzero(as_tuple=True)
    face = faces[raster.face[picture, row, column]]
    corners = points[picture[:, None], face]
    j, k = [1, 2, 0], [2, 0, 1]
    slopes = torch.cross(corners[:, j], corners[:, k], dim=-1)  # n 3 (x, y, 1)
    centre = torch.stack([column + 0.5, row + 0.5, torch.ones_like(row)], -1).to(slopes)
    around = torch.cross(
        corners[:, j] - centre[:, None] * corners[:, j, 2:],
        corners[:, k] - centre[:, None] * corners[:, k, 2:],
        dim=-1,
    )[..., 2]
    whole = around.sum(-1)[:, None, None]
    weight = raster.barycentric[picture, row, column]
    change = (slopes[..., :2] - weight[..., None] * slopes[..., :2].sum(1, keepdim=True)) / whole
    out = uv.new_zeros(*raster.face.shape, 2, 2)
    return out.index_put((picture, row, column), uv[face].mT @ change)


def trilinear(
    levels: list[Float[Tensor, "_h _w 3"]],
    uv: Float[Tensor, "n 2"],
    footprints: Float[Tensor, "n 2 2"],
) -> Float[Tensor, "n 3"]:
    """Colours of a pyramid, between the two levels whose texels are nearest in size to the pixel.

    Of the pixel's two sides on the texture the longer one decides: blurred rather than jagged.
    """
    h, w, _ = levels[0].shape
    side = (footprints * footprints.new_tensor([[w], [h]])).norm(dim=1).amax(-1)
    level = side.clamp_min(2.0**-20).log2().clamp(0, len(levels) - 1)
    total = uv.new_zeros(len(uv), 3)
    for i, texture in enumerate(levels):
        weight = (1 - (level - i).abs()).clamp_min(0)
        chosen = (weight > 0).nonzero()[:, 0]
        seen = sample(texture, uv[chosen]) * weight[chosen, None]
        total = total.index_add(0, chosen, seen)
    return total
