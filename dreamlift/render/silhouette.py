"""Silhouettes between pixels: antialiasing whose gradients reach the vertices.

After Laine et al., "Modular primitives for high-performance differentiable rendering"
(arXiv:2011.03277, 3.4): where a silhouette passes between the centres of two neighbouring pixels,
their colours are mixed by how far it is from each, so that a picture changes smoothly as the edge
moves. There each pixel asks the edges of its own triangle, which finds nothing where triangles
are less than a pixel wide; near the outline of a fine mesh all are. Here the edges that are
silhouettes are followed through the rows and columns of pixels instead. An edge steeper than 45
degrees is met in rows and another in columns, so that each counts once.

Points are homogeneous image coordinates, as in raster.py; nothing needs to be clipped here either.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.geometry.hinges import Hinges
from dreamlift.geometry.repeats import listed
from dreamlift.render.raster import MARGIN, NEAR, Raster, fast

BEHIND = 1 + 1e-5
"""An edge hides what is this much farther, or more: less is rounding."""


@dataclass(frozen=True)
class Crossings:
    """Where silhouettes pass between the centres of two neighbouring pixels, one for each pair."""

    near: Int[Tensor, " n"]  # the pixel on the surface's side, (picture h + row) w + column
    far: Int[Tensor, " n"]  # the other
    ends: Int[Tensor, "n 2"]  # the vertices of the edge


def crossings(points: Float[Tensor, "b v 3"], hinges: Hinges, raster: Raster) -> Crossings:
    """Where visible silhouettes pass between pixels, by the fast twin where it can."""
    if fast(points):
        from dreamlift.render.silhouette_warp import crossings_warp

        return crossings_warp(points, hinges, raster)
    return crossings_torch(points, hinges, raster)


def antialias(
    image: Float[Tensor, "b h w c"], points: Float[Tensor, "b v 3"], found: Crossings
) -> Float[Tensor, "b h w c"]:
    """The picture with its silhouettes smoothed, differentiable in where they are.

    A silhouette at distance a (0 to 1) from the centre of the pixel on its surface's side covers
    a - 1/2 of the other, if that is positive, and leaves 1/2 - a of this one to the other. Pairs
    in rows come first, then pairs in columns: every pixel stays between its neighbours' colours.
    """
    _, h, w, c = image.shape
    share = _distances(points, found, h, w) - 0.5
    level = found.near // w == found.far // w
    flat = image.reshape(-1, c)
    for chosen in (level, ~level):
        near, far, some = found.near[chosen], found.far[chosen], share[chosen]
        into = torch.where(some < 0, near, far)
        change = some.abs()[:, None] * (flat[near + far - into] - flat[into])
        flat = flat.index_add(0, into, change)
    return flat.reshape(image.shape)


def _distances(
    points: Float[Tensor, "b v 3"], found: Crossings, height: int, width: int
) -> Float[Tensor, " n"]:
    """How far silhouettes pass from the centres of the pixels on their surface's side, 0 to 1."""
    picture, row, column = _place(found.near, height, width)
    W = points[picture[:, None], found.ends, 2]
    X = points[picture[:, None], found.ends, 0] - (column + 0.5)[:, None] * W
    Y = points[picture[:, None], found.ends, 1] - (row + 0.5)[:, None] * W
    level = found.near // width == found.far // width
    # The line through both ends is (p, q, r): p x + q y + r = 0, around the pixel's centre.
    p = Y[:, 0] * W[:, 1] - W[:, 0] * Y[:, 1]
    q = W[:, 0] * X[:, 1] - X[:, 0] * W[:, 1]
    r = X[:, 0] * Y[:, 1] - Y[:, 0] * X[:, 1]
    return -r / torch.where(level, p, q) * (found.far - found.near).sign()


def _place(
    pixel: Int[Tensor, " n"], height: int, width: int
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Picture, row and column of a pixel's number."""
    return pixel // (height * width), pixel // width % height, pixel % width


def from_slots(slot: Int[Tensor, " n"], ends: Int[Tensor, "n 2"], width: int) -> Crossings:
    """Crossings from the number 4 x pixel + direction: 0 left, 1 right, 2 up, 3 down."""
    near = slot // 4
    return Crossings(near, near + slot.new_tensor([-1, 1, -width, width])[slot % 4], ends)


@torch.no_grad()
def crossings_torch(points: Float[Tensor, "b v 3"], hinges: Hinges, raster: Raster) -> Crossings:
    """Every silhouette edge at every row that it passes steeply, and at every column otherwise.

    An edge is a silhouette if all its faces lie on one side of it; it shows where it is in front
    of what is behind it. Of several between the same pixels the outermost counts. The
    specification.
    """
    b, h, w = raster.face.shape
    depth = torch.where(raster.face < 0, torch.inf, raster.depth)
    slots: list[Tensor] = []
    edges: list[Tensor] = []
    reach: list[Tensor] = []
    for i in range(b):
        row, near, right, distance, edge = _passes(points[i], hinges, depth[i], ties=True)
        slots.append(4 * ((i * h + row) * w + near) + right)
        column, low, down, below, other = _passes(
            points[i][:, [1, 0, 2]], hinges, depth[i].mT, ties=False
        )
        slots.append(4 * ((i * h + low) * w + column) + 2 + down)
        edges += [edge, other]
        reach += [distance, below]
    slot, pair = torch.cat(slots).unique(return_inverse=True)
    edge, distance = torch.cat(edges), torch.cat(reach)
    most = points.new_zeros(len(slot)).scatter_reduce(0, pair, distance, "amax")
    outer = distance == most[pair]
    edge = torch.zeros_like(slot).scatter_reduce(0, pair[outer], edge[outer], "amax")
    return from_slots(slot, hinges.ends[edge], w)


def _passes(
    points: Float[Tensor, "v 3"], hinges: Hinges, depth: Float[Tensor, "h w"], *, ties: bool
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"], Int[Tensor, " n"], Tensor, Int[Tensor, " n"]]:
    """Row, near column, whether the far one is to its right, distance and edge of all crossings
    of one picture with its rows. `ties`: whether an edge at 45 degrees is steep."""
    h, w = depth.shape
    side = _sides(points, hinges)
    a, b = points[hinges.ends].unbind(1)
    dx, dy = (a[:, 2] * b[:, i] - b[:, 2] * a[:, i] for i in range(2))
    steep = (dx.abs() <= dy.abs()) if ties else (dx.abs() < dy.abs())
    chosen = ((side != 0) & steep).nonzero()[:, 0]
    a, b, side = a[chosen], b[chosen], side[chosen]
    low, span = _rows(a, b, h)
    owner, rank = listed(span)
    a, b, side, row = a[owner], b[owner], side[owner], low[owner] + rank
    above, below = (p[:, 1] - (row + 0.5) * p[:, 2] for p in (a, b))
    t = above / (above - below)
    W = a[:, 2] + t * (b[:, 2] - a[:, 2])
    x = (a[:, 0] + t * (b[:, 0] - a[:, 0])) / W - 0.5
    left = x.floor()
    met = ((above >= 0) != (below >= 0)) & (W >= NEAR) & (left >= 0) & (left < w - 1)
    left = torch.where(met, left, 0).long()
    # The surface is to the right of the edge if it is to the right of (a, b) as these go.
    right = torch.where(above >= 0, side, -side) > 0
    near = torch.where(right, left + 1, left).clamp_max(w - 1)
    far = torch.where(right, left, left + 1).clamp_max(w - 1)
    distance = torch.where(right, left + 1 - x, x - left)
    met &= (depth[row, near] < depth[row, far]) & (depth[row, far] > W * BEHIND)
    return row[met], near[met], (~right[met]).long(), distance[met], chosen[owner[met]]


def _sides(points: Float[Tensor, "v 3"], hinges: Hinges) -> Float[Tensor, " e"]:
    """The side of each edge, 1 or -1, that all its faces lie on; 0 where they lie on both.

    A face seen exactly edge-on lies on no side.
    """
    a, b = points[hinges.ends[hinges.edge]].unbind(1)
    c = points[hinges.opposite]
    # The determinant of (a, b, c), with multiples of a taken from b and c first: less rounding.
    b = b[:, :2] - b[:, 2:] / a[:, 2:] * a[:, :2]
    c = c[:, :2] - c[:, 2:] / a[:, 2:] * a[:, :2]
    sign = (a[:, 2] * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])).sign().nan_to_num()
    least = points.new_ones(len(hinges.ends)).scatter_reduce(0, hinges.edge, sign, "amin")
    most = -points.new_ones(len(hinges.ends)).scatter_reduce(0, hinges.edge, -sign, "amin")
    return (least + most).sign()


def _rows(
    a: Float[Tensor, "e 3"], b: Float[Tensor, "e 3"], height: int
) -> tuple[Int[Tensor, " e"], Int[Tensor, " e"]]:
    """First row that each edge may pass, and how many; all for one partly behind the camera."""
    front = (a[:, 2] >= NEAR) & (b[:, 2] >= NEAR)
    hidden = (a[:, 2] < NEAR) & (b[:, 2] < NEAR)
    y, other = a[:, 1] / a[:, 2] - 0.5, b[:, 1] / b[:, 2] - 0.5
    low = torch.where(front, y.minimum(other) - MARGIN, 0.0).ceil().clamp_min(0)
    high = torch.where(front, y.maximum(other) + MARGIN, height - 1).floor().clamp_max(height - 1)
    span = torch.where(hidden, 0.0, high - low + 1).clamp_min(0)
    return torch.where(span > 0, low, 0.0).long(), span.long()
