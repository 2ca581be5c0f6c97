"""The fast twin of raster.py: depth-tested coverage, interpolation and silhouettes in Warp.

A depth buffer holds, for each pixel, the bits of the least depth and the number of its face as one
integer, so that a minimum decides both. On the CPU a launch runs on one core and frees the
interpreter: each thread draws every triangle, but only into its own band of rows, so that no two
threads share a pixel; gradients go to a buffer for each thread. On CUDA one launch does it all,
with atomic minima and sums.
"""

# pyright: reportUntypedFunctionDecorator=false

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, no_type_check

import torch
import warp as wp
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.render.raster import MARGIN, NEAR, Raster
from dreamlift.render.start_warp import start

start()
# No fused products: an edge's function must be the negative of the same edge's the other way round.
wp.set_module_options({"enable_backward": False, "fuse_fp": False})

_NEAR = wp.constant(wp.float32(NEAR))
_MARGIN = wp.constant(wp.float32(MARGIN))
_NOTHING = wp.constant(wp.int64((1 << 63) - 1))
_WORD = wp.constant(wp.int64(1 << 32))


@no_type_check
@wp.struct
class Frame:
    """What every kernel reads."""

    points: wp.array2d[wp.vec3]  # b v
    faces: wp.array2d[int]  # f 3
    height: int
    width: int


@no_type_check
@wp.func
def around(p: wp.vec3, x: float, y: float):
    """Homogeneous coordinates around a pixel's centre."""
    return wp.vec3(p[0] - x * p[2], p[1] - y * p[2], p[2])


@no_type_check
@wp.func
def edge_function(a: wp.vec3, b: wp.vec3):
    return a[0] * b[1] - a[1] * b[0]


@no_type_check
@wp.func
def side(e: float, a: wp.vec3, b: wp.vec3):
    """Which side of the edge (a, b) a pixel is on: 1, -1, or 0 where there is no edge."""
    if e == 0.0:
        e = a[1] * b[2] - a[2] * b[1]
    if e == 0.0:
        e = a[2] * b[0] - a[0] * b[2]
    return wp.where(e > 0.0, 1, wp.where(e < 0.0, -1, 0))


@no_type_check
@wp.func
def packed(order: float, number: int):
    """An integer that sorts by a float that is not negative, then by a number."""
    return wp.int64(wp.cast(order, wp.int32)) * _WORD + wp.int64(number)


@no_type_check
@wp.func
def extent(low: float, high: float, front: bool, size: int, first: int, last: int):
    """Pixels first to last - 1 that [low, high] may reach, in image coordinates."""
    a, b = first, last
    if front:
        a = wp.max(first, int(wp.ceil(wp.clamp(low - 0.5 - _MARGIN, -1.0, float(size)))))
        b = wp.min(last, int(wp.floor(wp.clamp(high - 0.5 + _MARGIN, -1.0, float(size)))) + 1)
    return a, b


@no_type_check
@wp.kernel
def cover(frame: Frame, top: int, bottom: int, buffer: wp.array3d[wp.int64]):
    """One face of one picture into the depth buffer's rows top to bottom - 1."""
    picture, face = wp.tid()
    v0 = frame.points[picture, frame.faces[face, 0]]
    v1 = frame.points[picture, frame.faces[face, 1]]
    v2 = frame.points[picture, frame.faces[face, 2]]
    front = v0[2] >= _NEAR and v1[2] >= _NEAR and v2[2] >= _NEAR
    if not front and v0[2] < _NEAR and v1[2] < _NEAR and v2[2] < _NEAR:
        return
    x0, x1, x2 = v0[0] / v0[2], v1[0] / v1[2], v2[0] / v2[2]
    y0, y1, y2 = v0[1] / v0[2], v1[1] / v1[2], v2[1] / v2[2]
    low, high = wp.min(wp.min(y0, y1), y2), wp.max(wp.max(y0, y1), y2)
    i0, i1 = extent(low, high, front, frame.height, top, bottom)
    low, high = wp.min(wp.min(x0, x1), x2), wp.max(wp.max(x0, x1), x2)
    j0, j1 = extent(low, high, front, frame.width, 0, frame.width)
    for i in range(i0, i1):
        for j in range(j0, j1):
            x, y = float(j) + 0.5, float(i) + 0.5
            a, b, c = around(v0, x, y), around(v1, x, y), around(v2, x, y)
            e0, e1, e2 = edge_function(b, c), edge_function(c, a), edge_function(a, b)
            inside = side(e0, v1, v2)
            if inside != 0 and inside == side(e1, v2, v0) and inside == side(e2, v0, v1):
                whole = e0 + e1 + e2
                depth = e0 / whole * a[2] + e1 / whole * b[2] + e2 / whole * c[2]
                if depth >= _NEAR:
                    wp.atomic_min(buffer, picture, i, j, packed(depth, face))


@no_type_check
@wp.kernel
def settle(
    frame: Frame,
    top: int,
    buffer: wp.array3d[wp.int64],
    face: wp.array3d[wp.int64],
    weights: wp.array3d[wp.vec3],
    depth: wp.array3d[float],
):
    """From the depth buffer to what a pixel sees."""
    picture, i, j = wp.tid()
    i += top
    nearest = buffer[picture, i, j]
    if nearest == _NOTHING:
        face[picture, i, j] = wp.int64(-1)
        weights[picture, i, j] = wp.vec3()
        depth[picture, i, j] = 0.0
        return
    number = int(nearest % _WORD)
    x, y = float(j) + 0.5, float(i) + 0.5
    a = around(frame.points[picture, frame.faces[number, 0]], x, y)
    b = around(frame.points[picture, frame.faces[number, 1]], x, y)
    c = around(frame.points[picture, frame.faces[number, 2]], x, y)
    e0, e1, e2 = edge_function(b, c), edge_function(c, a), edge_function(a, b)
    whole = e0 + e1 + e2
    e = wp.vec3(e0 / whole, e1 / whole, e2 / whole)
    face[picture, i, j] = wp.int64(number)
    weights[picture, i, j] = e
    depth[picture, i, j] = e[0] * a[2] + e[1] * b[2] + e[2] * c[2]


@no_type_check
@wp.kernel
def unsettle(
    frame: Frame,
    top: int,
    face: wp.array3d[wp.int64],
    weights: wp.array3d[wp.vec3],
    to_weights: wp.array3d[wp.vec3],
    to_depth: wp.array3d[float],
    to_points: wp.array2d[wp.vec3],
):
    """The adjoint of settle."""
    picture, i, j = wp.tid()
    i += top
    number = int(face[picture, i, j])
    if number < 0:
        return
    x, y = float(j) + 0.5, float(i) + 0.5
    n0, n1, n2 = frame.faces[number, 0], frame.faces[number, 1], frame.faces[number, 2]
    a = around(frame.points[picture, n0], x, y)
    b = around(frame.points[picture, n1], x, y)
    c = around(frame.points[picture, n2], x, y)
    whole = edge_function(b, c) + edge_function(c, a) + edge_function(a, b)
    w = weights[picture, i, j]
    given = to_depth[picture, i, j]
    g = to_weights[picture, i, j] + given * wp.vec3(a[2], b[2], c[2])
    # weights = e / sum e
    mean = wp.dot(g, w)
    d = wp.vec3((g[0] - mean) / whole, (g[1] - mean) / whole, (g[2] - mean) / whole)
    ax = d[2] * b[1] - d[1] * c[1]
    ay = d[1] * c[0] - d[2] * b[0]
    bx = d[0] * c[1] - d[2] * a[1]
    by = d[2] * a[0] - d[0] * c[0]
    cx = d[1] * a[1] - d[0] * b[1]
    cy = d[0] * b[0] - d[1] * a[0]
    wp.atomic_add(to_points, picture, n0, wp.vec3(ax, ay, given * w[0] - x * ax - y * ay))
    wp.atomic_add(to_points, picture, n1, wp.vec3(bx, by, given * w[1] - x * bx - y * by))
    wp.atomic_add(to_points, picture, n2, wp.vec3(cx, cy, given * w[2] - x * cx - y * cy))


@no_type_check
@wp.kernel
def blend(
    faces: wp.array2d[int],
    attributes: wp.array2d[float],
    top: int,
    face: wp.array3d[wp.int64],
    weights: wp.array3d[wp.vec3],
    out: wp.array4d[float],
):
    """Attributes at a pixel."""
    picture, i, j = wp.tid()
    i += top
    number = int(face[picture, i, j])
    channels = attributes.shape[1]
    if number < 0:
        for k in range(channels):
            out[picture, i, j, k] = 0.0
        return
    n0, n1, n2 = faces[number, 0], faces[number, 1], faces[number, 2]
    w = weights[picture, i, j]
    for k in range(channels):
        value = w[0] * attributes[n0, k] + w[1] * attributes[n1, k] + w[2] * attributes[n2, k]
        out[picture, i, j, k] = value


@no_type_check
@wp.kernel
def unblend(
    faces: wp.array2d[int],
    attributes: wp.array2d[float],
    top: int,
    face: wp.array3d[wp.int64],
    weights: wp.array3d[wp.vec3],
    upstream: wp.array4d[float],
    to_attributes: wp.array2d[float],
    to_weights: wp.array3d[wp.vec3],
):
    """The adjoint of blend; either of what it writes may be empty, and is then left out."""
    picture, i, j = wp.tid()
    i += top
    number = int(face[picture, i, j])
    if number < 0:
        return
    n0, n1, n2 = faces[number, 0], faces[number, 1], faces[number, 2]
    w = weights[picture, i, j]
    total = wp.vec3()
    for k in range(attributes.shape[1]):
        g = upstream[picture, i, j, k]
        total += g * wp.vec3(attributes[n0, k], attributes[n1, k], attributes[n2, k])
        if to_attributes.shape[0] > 0:
            wp.atomic_add(to_attributes, n0, k, g * w[0])
            wp.atomic_add(to_attributes, n1, k, g * w[1])
            wp.atomic_add(to_attributes, n2, k, g * w[2])
    if to_weights.shape[0] > 0:
        to_weights[picture, i, j] = total


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="raster")


def bands(height: int, device: torch.device) -> list[tuple[int, int]]:
    """Rows for each thread of the CPU; all of them for a GPU."""
    n = min(torch.get_num_threads(), height) if device.type == "cpu" else 1
    return [(k * height // n, (k + 1) * height // n) for k in range(n)]


def launch(
    device: torch.device, bands: list[tuple[int, int]], draw: Callable[[int, int, int], Any]
) -> None:
    """draw(band, top, bottom) for every band: what launches kernels, each on a thread."""
    if device.type == "cuda":
        with wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(device))):
            draw(0, *bands[0])
    elif len(bands) == 1:
        draw(0, *bands[0])
    else:
        wp.load_module(device="cpu")  # before threads want it, all at once
        tops, bottoms = zip(*bands, strict=True)
        list(_workers(len(bands)).map(draw, range(len(bands)), tops, bottoms))


def array(x: Tensor, dtype: Any) -> Any:
    return wp.from_torch(x.detach().contiguous(), dtype=dtype)


def _frame(points: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], h: int, w: int) -> Any:
    frame = Frame()
    frame.points = array(points, wp.vec3)
    frame.faces = array(faces.int(), wp.int32)
    frame.height, frame.width = h, w
    return frame


class _Rasterise(torch.autograd.Function):
    """Points to faces, weights and depths."""

    @staticmethod
    def forward(
        ctx: Any, points: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], h: int, w: int
    ) -> tuple[Int[Tensor, "b h w"], Float[Tensor, "b h w 3"], Float[Tensor, "b h w"]]:
        b, device = len(points), points.device
        buffer = torch.full((b, h, w), (1 << 63) - 1, dtype=torch.long, device=device)
        face = torch.empty_like(buffer)
        weights, depth = points.new_empty(b, h, w, 3), points.new_empty(b, h, w)
        frame, keys = _frame(points, faces, h, w), wp.from_torch(buffer)
        out = [wp.from_torch(face), wp.from_torch(weights, dtype=wp.vec3), wp.from_torch(depth)]
        place = wp.device_from_torch(device)

        def draw(band: int, top: int, bottom: int) -> None:
            given = [frame, top, bottom, keys]
            wp.launch(cover, dim=(b, len(faces)), inputs=given, device=place)
            dim = (b, bottom - top, w)
            wp.launch(settle, dim=dim, inputs=[frame, top, keys, *out], device=place)

        launch(device, bands(h, device), draw)
        ctx.save_for_backward(points, face, weights)
        ctx.frame = frame
        ctx.mark_non_differentiable(face)
        return face, weights, depth

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        points, face, weights = ctx.saved_tensors
        b, h, w = face.shape
        device, strips = points.device, bands(h, points.device)
        buffers = [torch.zeros_like(points) for _ in strips]
        to_points = [wp.from_torch(x, dtype=wp.vec3) for x in buffers]
        given = [wp.from_torch(face), array(weights, wp.vec3)]
        given += [array(upstream[1], wp.vec3), array(upstream[2], wp.float32)]

        def draw(band: int, top: int, bottom: int) -> None:
            inputs = [ctx.frame, top, *given, to_points[band]]
            place = wp.device_from_torch(device)
            wp.launch(unsettle, dim=(b, bottom - top, w), inputs=inputs, device=place)

        launch(device, strips, draw)
        return sum(buffers[1:], buffers[0]), None, None, None


class _Interpolate(torch.autograd.Function):
    """Attributes and weights to pictures."""

    @staticmethod
    def forward(
        ctx: Any,
        attributes: Float[Tensor, "v c"],
        weights: Float[Tensor, "b h w 3"],
        face: Int[Tensor, "b h w"],
        faces: Int[Tensor, "f 3"],
    ) -> Float[Tensor, "b h w c"]:
        b, h, w = face.shape
        device = face.device
        out = attributes.new_empty(b, h, w, attributes.shape[1])
        corners = array(faces.int(), wp.int32)
        values, seen = array(attributes, wp.float32), wp.from_torch(face)
        shares, picture = array(weights, wp.vec3), wp.from_torch(out)

        def draw(band: int, top: int, bottom: int) -> None:
            inputs = [corners, values, top, seen, shares, picture]
            place = wp.device_from_torch(device)
            wp.launch(blend, dim=(b, bottom - top, w), inputs=inputs, device=place)

        launch(device, bands(h, device), draw)
        ctx.save_for_backward(attributes, weights, face)
        ctx.corners = corners
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: Float[Tensor, "b h w c"]) -> Any:
        attributes, weights, face = ctx.saved_tensors
        b, h, w = face.shape
        device, strips = face.device, bands(h, face.device)
        values, shares = array(attributes, wp.float32), array(weights, wp.vec3)
        seen, given = wp.from_torch(face), array(upstream[0], wp.float32)
        moved, painted = ctx.needs_input_grad[1], ctx.needs_input_grad[0]
        to_weights = torch.zeros_like(weights) if moved else weights.new_empty(0, 0, 0, 3)
        size = attributes.shape if painted else (0, attributes.shape[1])
        buffers = [attributes.new_zeros(size) for _ in strips]
        to_values, to_shares = [wp.from_torch(x) for x in buffers], array(to_weights, wp.vec3)

        def draw(band: int, top: int, bottom: int) -> None:
            inputs = [ctx.corners, values, top, seen, shares, given, to_values[band], to_shares]
            place = wp.device_from_torch(device)
            wp.launch(unblend, dim=(b, bottom - top, w), inputs=inputs, device=place)

        launch(device, strips, draw)
        to_attributes = sum(buffers[1:], buffers[0]) if painted else None
        return to_attributes, to_weights if moved else None, None, None


def rasterise_warp(
    points: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], height: int, width: int
) -> Raster:
    """Depth-tested coverage; costs the pixels in the triangles' boxes."""
    return Raster(*_Rasterise.apply(points, faces, height, width))


def interpolate_warp(
    attributes: Float[Tensor, "v c"], faces: Int[Tensor, "f 3"], raster: Raster
) -> Float[Tensor, "b h w c"]:
    """Barycentric interpolation, perspective-correct."""
    return _Interpolate.apply(attributes, raster.barycentric, raster.face, faces)
