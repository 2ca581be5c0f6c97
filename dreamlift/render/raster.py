"""Triangles to pixels: coverage, interpolation, and silhouettes whose gradients reach vertices.

A vertex comes as homogeneous image coordinates (X, Y, W) = K (R p + t): it is seen at pixel
(X / W, Y / W), W world units along the camera's z. For the ray through a pixel's centre c the three
edge functions e_i = [c, v_j, v_k] of a triangle, divided by their sum, are the weights of its
corners where the ray meets it: perspective is in them already, and a triangle that reaches behind
the camera needs no clipping (Olano & Greer, "Triangle scan conversion using 2D homogeneous
coordinates"). Both sides of a triangle count. What is nearer than NEAR is not seen.

Coverage is a matter of yes and no, and has no gradient: silhouettes get theirs in silhouette.py.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.geometry.repeats import listed
from dreamlift.render.twins import has_warp

LOST = "Meshes are rasterised with plain torch, some ten times slower"
"""Without Warp."""
NEAR = 1e-2
"""World units along the camera's z; nothing nearer is seen."""

MARGIN = 1e-3
"""Pixels that a triangle's box is widened by, so that rounding loses no pixel centre."""


@dataclass(frozen=True)
class Raster:
    """What each pixel's centre sees. Gradients reach the points through weights and depth."""

    face: Int[Tensor, "b h w"]  # -1: nothing
    barycentric: Float[Tensor, "b h w 3"]  # weights of the face's corners; 0: nothing
    depth: Float[Tensor, "b h w"]  # along the camera's z, world units; 0: nothing


def image_points(vertices: Float[Tensor, "v 3"], cameras: Cameras) -> Float[Tensor, "b v 3"]:
    """Homogeneous image coordinates (X, Y, W) of points in the world."""
    R, t = cameras.world_to_camera[:, :3, :3], cameras.world_to_camera[:, :3, 3]
    return vertices @ (cameras.K @ R).mT + (cameras.K @ t[..., None]).mT


def rasterise(
    points: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], height: int, width: int
) -> Raster:
    """The nearest face at every pixel's centre, by the fast twin where it can."""
    if fast(points):
        from dreamlift.render.raster_warp import rasterise_warp

        return rasterise_warp(points, faces, height, width)
    return rasterise_torch(points, faces, height, width)


def interpolate(
    attributes: Float[Tensor, "v c"], faces: Int[Tensor, "f 3"], raster: Raster
) -> Float[Tensor, "b h w c"]:
    """What vertices hold, at every pixel; 0 where there is nothing. The fast twin where it can."""
    if fast(attributes) and fast(raster.barycentric):
        from dreamlift.render.raster_warp import interpolate_warp

        return interpolate_warp(attributes, faces, raster)
    return interpolate_torch(attributes, faces, raster)


def fast(x: Float[Tensor, "..."]) -> bool:
    """Whether the Warp twin takes such a tensor: single precision, on a CPU or CUDA; installed."""
    return x.dtype == torch.float32 and x.device.type in ("cpu", "cuda") and has_warp(LOST)


def rasterise_torch(
    points: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], height: int, width: int
) -> Raster:
    """Every pixel of every triangle's box against the triangle; the nearest wins, of equally near
    ones the first. The specification."""
    b = len(points)
    seen = [_nearest(p, faces, height, width) for p in points.detach()]
    face = torch.stack(seen) if seen else faces.new_empty(0, height, width)
    picture, row, column = (face >= 0).nonzero(as_tuple=True)
    corners = points[picture[:, None], faces[face[picture, row, column]]]
    e, W = _edge_functions(corners, column + 0.5, row + 0.5)
    weights = e / e.sum(-1, keepdim=True)
    barycentric = points.new_zeros(b, height, width, 3)
    depth = points.new_zeros(b, height, width)
    return Raster(
        face,
        barycentric.index_put((picture, row, column), weights),
        depth.index_put((picture, row, column), (weights * W).sum(-1)),
    )


def _edge_functions(
    corners: Float[Tensor, "n 3 3"], x: Float[Tensor, " n"], y: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """e_i at (x, y), and W of the corners.

    In coordinates around the pixel. An edge function and that of the same edge the other way round
    are then each other's negative to the last bit, and of the right sign or 0.
    """
    W = corners[..., 2]
    X, Y = corners[..., 0] - x[:, None] * W, corners[..., 1] - y[:, None] * W
    j, k = [1, 2, 0], [2, 0, 1]
    return X[:, j] * Y[:, k] - Y[:, j] * X[:, k], W


def _covers(e: Float[Tensor, "n 3"], corners: Float[Tensor, "n 3 3"]) -> Bool[Tensor, " n"]:
    """Whether a pixel's centre is inside: all edges see it on one side.

    A centre on an edge belongs to the face on one side of it only, that which it falls into when
    it is moved right by a hair, and down by a hair of that: no gaps, no doubles.
    """
    X, Y, W = corners.unbind(-1)
    j, k = [1, 2, 0], [2, 0, 1]
    right = Y[:, j] * W[:, k] - W[:, j] * Y[:, k]
    down = W[:, j] * X[:, k] - X[:, j] * W[:, k]
    side = torch.where(e != 0, e, torch.where(right != 0, right, down)).sign()
    return (side == side[:, :1]).all(-1) & (side[:, 0] != 0)


@torch.no_grad()
def _nearest(
    points: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], height: int, width: int
) -> Int[Tensor, "h w"]:
    """Which face each pixel of one picture sees."""
    corners = points[faces]
    low, span = _boxes(corners, height, width)
    owner, rank = listed(span.prod(-1))
    column, row = low[owner, 0] + rank % span[owner, 0], low[owner, 1] + rank // span[owner, 0]
    e, W = _edge_functions(corners[owner], column + 0.5, row + 0.5)
    depth = ((e / e.sum(-1, keepdim=True)) * W).sum(-1)
    hit = _covers(e, corners[owner]) & (depth >= NEAR)
    pixel, owner, depth = (row * width + column)[hit], owner[hit], depth[hit]
    least = points.new_full((height * width,), torch.inf).scatter_reduce(0, pixel, depth, "amin")
    first = depth == least[pixel]
    face = faces.new_full((height * width,), len(faces))
    face = face.scatter_reduce(0, pixel[first], owner[first], "amin")
    return torch.where(face < len(faces), face, -1).reshape(height, width)


def _boxes(
    corners: Float[Tensor, "f 3 3"], height: int, width: int
) -> tuple[Int[Tensor, "f 2"], Int[Tensor, "f 2"]]:
    """First column and row of the pixels that each face may cover, and how many of each; the whole
    picture for a face that is partly behind the camera."""
    W = corners[..., 2:]
    image = corners[..., :2] / W
    most = image.new_tensor([width, height])
    partly = (W < NEAR).any(1)
    low = torch.where(partly, 0.0, image.amin(1) - 0.5 - MARGIN).ceil()
    high = torch.where(partly, most - 1, image.amax(1) - 0.5 + MARGIN).floor()
    low, high = low.clamp_min(0), high.minimum(most - 1)
    empty = (W < NEAR).all(1) | (high < low).any(-1, keepdim=True)
    span = torch.where(empty, 0.0, high - low + 1)
    return torch.where(empty, 0.0, low).long(), span.long()


def interpolate_torch(
    attributes: Float[Tensor, "v c"], faces: Int[Tensor, "f 3"], raster: Raster
) -> Float[Tensor, "b h w c"]:
    """Barycentric interpolation, perspective-correct. The specification."""
    corners = attributes[faces[raster.face.clamp_min(0)]]
    return (raster.barycentric[..., None] * corners).sum(-2)
