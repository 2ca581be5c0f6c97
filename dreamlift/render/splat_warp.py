"""The fast twin of splat.composite: one thread composites one pixel, in Warp, on CPU and CUDA.

Pixels read the splats from the list of their small square (splat_lists_warp.py).

The backward pass composites again, front to back: what lies behind a splat is what the whole
pixel gathered less what lay in front. On a CPU squares are dealt out to as many launches as torch
has threads (a launch runs on one core, without the interpreter's lock), each with its own
gradient buffer, and the buffers are added in order, so the same machine gives the same bits.
"""

# pyright: reportUntypedFunctionDecorator=false

from collections.abc import Sequence
from typing import Any, no_type_check

import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor

from dreamlift.render.splat import CAP, FAINTEST, OPAQUE, Footprints
from dreamlift.render.splat_lists_warp import SIDE, each, lists, place_of, reached
from dreamlift.render.start_warp import start

start()
wp.set_module_options({"enable_backward": False})

_SIDE = wp.constant(SIDE)
_CAP = wp.constant(CAP)
_FAINTEST = wp.constant(FAINTEST)
_OPAQUE = wp.constant(OPAQUE)
_ROUNDING = wp.constant(1e-3)  # of the exponent below which alpha is not even computed

Row: Any = wp.types.vector(length=8, dtype=wp.float32)
"""Centre x, y; conic xx, xy, yy; opacity; the exponent that is too low; unused."""


@no_type_check
@wp.struct
class Scene:
    """What all pixels read."""

    rows: wp.array[Row]  # pyright: ignore[reportInvalidTypeForm]
    carried: wp.array[wp.vec4]
    normals: wp.array[wp.vec3]  # empty where splats carry none
    lit: bool
    first: wp.array[wp.int32]  # where the list of a square begins
    listed: wp.array[wp.int32]
    squares: int
    across: int  # squares in a row
    down: int
    height: int
    width: int


@no_type_check
@wp.func
def pixel_of(scene: Scene, square: int, within: int):
    """Row of the picture above all others', and column, of a pixel; -1 outside the picture."""
    picture = square // (scene.across * scene.down)
    rest = square - picture * scene.across * scene.down
    y = (rest // scene.across) * _SIDE + within // _SIDE
    x = (rest % scene.across) * _SIDE + within % _SIDE
    if y >= scene.height or x >= scene.width:
        return wp.vec3i(-1, 0, 0)
    return wp.vec3i((picture * scene.height + y) * scene.width + x, x, y)


@no_type_check
@wp.kernel
def forward(scene: Scene, start: int, stride: int, out: wp.array2d[float]):
    index = wp.tid()
    square = start + (index // (_SIDE * _SIDE)) * stride
    if square >= scene.squares:
        return
    place = pixel_of(scene, square, index % (_SIDE * _SIDE))
    if place[0] < 0:
        return
    px, py = float(place[1]) + 0.5, float(place[2]) + 0.5
    T = wp.float32(1.0)
    carried = wp.vec4()
    normal = wp.vec3()
    k = scene.first[square]
    end = scene.first[square + 1]
    while k < end:
        i = scene.listed[k]
        row = scene.rows[i]
        x, y = px - row[0], py - row[1]
        power = -0.5 * (row[2] * x * x + row[4] * y * y) - row[3] * x * y
        if power <= 0.0 and power > row[6]:
            alpha = wp.min(_CAP, row[5] * wp.exp(power))
            if alpha >= _FAINTEST:
                after = T * (1.0 - alpha)
                if after < _OPAQUE:
                    k = end
                else:
                    w = T * alpha
                    carried += w * scene.carried[i]
                    if scene.lit:
                        normal += w * scene.normals[i]
                    T = after
        k += 1
    at = place[0]
    for c in range(4):
        out[at, c] = carried[c]
    if scene.lit:
        for c in range(3):
            out[at, 4 + c] = normal[c]
        out[at, 7] = 1.0 - T
    else:
        out[at, 4] = 1.0 - T


@no_type_check
@wp.func
def to_row(row: Row, x: float, y: float, fall: float, to_alpha: float):
    """The gradient to a splat's numbers from its alpha = opacity x fall at (x, y) beside it."""
    to_power = row[5] * fall * to_alpha
    out = Row()
    out[0] = to_power * (row[2] * x + row[3] * y)
    out[1] = to_power * (row[4] * y + row[3] * x)
    out[2] = -0.5 * to_power * x * x
    out[3] = -to_power * x * y
    out[4] = -0.5 * to_power * y * y
    out[5] = fall * to_alpha
    return out


@no_type_check
@wp.kernel
def backward(
    scene: Scene,
    start: int,
    stride: int,
    out: wp.array2d[float],
    upstream: wp.array2d[float],
    to_rows: wp.array[Row],
    to_carried: wp.array[wp.vec4],
    to_normals: wp.array[wp.vec3],
):
    index = wp.tid()
    square = start + (index // (_SIDE * _SIDE)) * stride
    if square >= scene.squares:
        return
    place = pixel_of(scene, square, index % (_SIDE * _SIDE))
    if place[0] < 0:
        return
    px, py = float(place[1]) + 0.5, float(place[2]) + 0.5
    at = place[0]
    given = wp.vec4(upstream[at, 0], upstream[at, 1], upstream[at, 2], upstream[at, 3])
    given_normal = wp.vec3()
    last = 4
    if scene.lit:
        given_normal = wp.vec3(upstream[at, 4], upstream[at, 5], upstream[at, 6])
        last = 7
    given_alpha = upstream[at, last]
    behind = wp.float32(0.0)  # sum_j w_j q_j over the splats still to come
    for c in range(last + 1):
        behind += upstream[at, c] * out[at, c]
    T = wp.float32(1.0)
    k = scene.first[square]
    end = scene.first[square + 1]
    while k < end:
        i = scene.listed[k]
        row = scene.rows[i]
        x, y = px - row[0], py - row[1]
        power = -0.5 * (row[2] * x * x + row[4] * y * y) - row[3] * x * y
        if power <= 0.0 and power > row[6]:
            fall = wp.exp(power)
            alpha = wp.min(_CAP, row[5] * fall)
            if alpha >= _FAINTEST:
                after = T * (1.0 - alpha)
                if after < _OPAQUE:
                    k = end
                else:
                    w = T * alpha
                    q = wp.dot(given, scene.carried[i]) + given_alpha
                    if scene.lit:
                        q += wp.dot(given_normal, scene.normals[i])
                        wp.atomic_add(to_normals, i, w * given_normal)
                    wp.atomic_add(to_carried, i, w * given)
                    behind -= w * q
                    if row[5] * fall <= _CAP:
                        to_alpha = T * q - behind / (1.0 - alpha)
                        wp.atomic_add(to_rows, i, to_row(row, x, y, fall, to_alpha))
                    T = after
        k += 1


def _scene(footprints: Footprints, height: int, width: int, threads: int) -> Any:
    """The kernels' view of the tensors, which it keeps alive."""
    across, down = -(-width // SIDE), -(-height // SIDE)
    rects = reached(footprints, height, width)
    first, listed = lists(rects, footprints.depth.detach(), down, across, threads)
    opacity = footprints.opacity.detach().expand_as(footprints.depth)[..., None]
    floor = (FAINTEST / opacity.clamp_min(1e-12)).log() - _ROUNDING
    parts = [footprints.center, footprints.conic, opacity, floor, torch.zeros_like(floor)]
    rows = torch.cat([part.detach() for part in parts], -1)
    carried = footprints.carried.detach()
    scene = Scene()
    scene.rows = _vectors(rows, Row)
    scene.carried = _vectors(carried[..., :4], wp.vec4)
    scene.lit = carried.shape[-1] == 7
    normals = carried[..., 4:] if scene.lit else carried.new_empty(0, 3)
    scene.normals = _vectors(normals, wp.vec3)
    scene.first = wp.from_torch(first)
    scene.listed = wp.from_torch(listed)
    scene.squares = len(footprints.depth) * down * across
    scene.across, scene.down, scene.height, scene.width = across, down, height, width
    return scene


def _vectors(x: Float[Tensor, "*s c"], dtype: Any) -> Any:
    return wp.from_torch(x.reshape(-1, x.shape[-1]).contiguous(), dtype=dtype)


def _launch(kernel: Any, device: torch.device, inputs: Sequence[Sequence[Any]]) -> None:
    """Deal the squares out to one launch for each row of inputs: (scene, ..., buffers)."""
    n = len(inputs)
    place = place_of(device)

    def run(k: int) -> None:
        scene, *buffers = inputs[k]
        dim = -(-(scene.squares - k) // n) * SIDE * SIDE
        wp.launch(kernel, dim=dim, inputs=[scene, k, n, *buffers], **place)

    each(run, n)


class _Composite(torch.autograd.Function):
    """What depends smoothly on the footprints to what splats carry, and opacity, per pixel."""

    @staticmethod
    def forward(
        ctx: Any,
        center: Float[Tensor, "b n 2"],
        conic: Float[Tensor, "b n 3"],
        opacity: Float[Tensor, " n"],
        carried: Float[Tensor, "b n c"],
        footprints: Footprints,
        height: int,
        width: int,
    ) -> Float[Tensor, "pixels d"]:
        threads = torch.get_num_threads() if center.device.type == "cpu" else 1
        scene = _scene(footprints, height, width, threads)
        out = center.new_empty(len(center) * height * width, carried.shape[-1] + 1)
        seen = wp.from_torch(out)
        _launch(forward, center.device, [(scene, seen)] * threads)
        ctx.save_for_backward(out, center)
        ctx.scene, ctx.threads = scene, threads
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: Float[Tensor, "pixels d"]) -> Any:
        out, center = ctx.saved_tensors
        b, n, _ = center.shape
        lit = b * n if ctx.scene.lit else 0
        sizes = ((b * n, 8), (b * n, 4), (lit, 3))
        buffers = [[center.new_zeros(size) for size in sizes] for _ in range(ctx.threads)]
        given = (wp.from_torch(out.detach()), wp.from_torch(upstream[0].contiguous()))
        inputs = [
            (ctx.scene, *given, *map(_vectors, buffer, (Row, wp.vec4, wp.vec3)))
            for buffer in buffers
        ]
        _launch(backward, center.device, inputs)
        total = [torch.stack(parts).sum(0) for parts in zip(*buffers, strict=True)]
        used = total if ctx.scene.lit else total[:2]
        rows, *carried = (x.reshape(b, n, x.shape[1]) for x in used)
        return (
            rows[..., :2],
            rows[..., 2:5],
            rows[..., 5].sum(0),
            torch.cat(carried, -1),
            None,
            None,
            None,
        )


def composite(footprints: Footprints, height: int, width: int) -> Float[Tensor, "b h w d"]:
    """Front to back, Eq. 3 of Kerbl et al.: what splats carry, and last the opacity."""
    f = footprints
    out = _Composite.apply(f.center, f.conic, f.opacity, f.carried, f, height, width)
    return out.reshape(len(f.depth), height, width, -1)
