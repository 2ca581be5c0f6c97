"""The fast twin of hashgrid.encode_torch: one thread looks up one point in one level, in Warp, on
CPU and CUDA.

On the CPU points are shared among torch's threads; in the backward pass levels are, for no two
levels share an entry, so that nothing is added by two threads and the same machine gives the same
bits. A gradient that is to be differentiated again is the reference's.
"""

# pyright: reportUntypedFunctionDecorator=false

from collections.abc import Callable
from functools import cache
from typing import Any, no_type_check

import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor

from dreamlift.render.hashgrid import PRIMES, Layout, encode_torch
from dreamlift.render.start_warp import shared, start, stream

start()
wp.set_module_options({"enable_backward": False})

_Y, _Z = (wp.constant(wp.uint32(prime)) for prime in PRIMES[1:])
_Entries: Any = wp.types.vector(length=8, dtype=wp.int32)
_Weights: Any = wp.types.vector(length=8, dtype=wp.float32)


@no_type_check
@wp.struct
class Levels:
    """What hashgrid.Layout says of each level."""

    scale: wp.array[float]
    side: wp.array[int]  # vertices; 0: the level is hashed
    first: wp.array[int]  # entry of the one table
    size: wp.array[int]  # of a hashed level a power of 2


@no_type_check
@wp.func
def entry(x: wp.uint32, y: wp.uint32, z: wp.uint32, side: int, size: int):
    """Of a vertex, in a level's own table."""
    if side == 0:
        return wp.int32((x ^ (_Y * y) ^ (_Z * z)) & wp.uint32(size - 1))
    n = wp.uint32(side)
    return wp.int32((x + n * (y + n * z)) % wp.uint32(size))


@no_type_check
@wp.func
def cell(levels: Levels, level: int, point: wp.vec3):
    """The entries of the eight corners around a point, z the fastest, and how far in it lies."""
    place = point * levels.scale[level] + wp.vec3(0.5, 0.5, 0.5)
    low = wp.vec3(wp.floor(place[0]), wp.floor(place[1]), wp.floor(place[2]))
    x, y, z = wp.uint32(low[0]), wp.uint32(low[1]), wp.uint32(low[2])
    side, size, first = levels.side[level], levels.size[level], levels.first[level]
    at = _Entries()
    for k in range(8):
        i, j, m = wp.uint32(k >> 2), wp.uint32((k >> 1) & 1), wp.uint32(k & 1)
        at[k] = first + entry(x + i, y + j, z + m, side, size)
    return at, place - low


@no_type_check
@wp.func
def share(f: float, bit: int):
    """Of the upper or the lower of two vertices."""
    return wp.where(bit == 1, f, 1.0 - f)


@no_type_check
@wp.func
def trilinear(f: wp.vec3):
    """The corners' weights."""
    w = _Weights()
    for k in range(8):
        yz = share(f[1], (k >> 1) & 1) * share(f[2], k & 1)
        w[k] = share(f[0], k >> 2) * yz
    return w


@no_type_check
@wp.kernel
def forward(
    levels: Levels,
    points: wp.array[wp.vec3],
    table: wp.array[Any],
    start: int,
    out: wp.array2d[Any],
):
    level, tid = wp.tid()
    i = start + tid
    at, f = cell(levels, level, points[i])
    w = trilinear(f)
    total = w[0] * table[at[0]]
    for k in range(1, 8):
        total += w[k] * table[at[k]]
    out[i, level] = total


@no_type_check
@wp.kernel
def to_table(
    levels: Levels,
    points: wp.array[wp.vec3],
    upstream: wp.array2d[Any],
    start: int,
    out: wp.array[Any],
):
    tid, i = wp.tid()
    level = start + tid
    at, f = cell(levels, level, points[i])
    w = trilinear(f)
    for k in range(8):
        wp.atomic_add(out, at[k], w[k] * upstream[i, level])


@no_type_check
@wp.kernel
def to_points(
    levels: Levels,
    points: wp.array[wp.vec3],
    table: wp.array[Any],
    upstream: wp.array2d[Any],
    start: int,
    out: wp.array[wp.vec3],
):
    i = start + wp.tid()
    total = wp.vec3()
    for level in range(levels.scale.shape[0]):
        at, f = cell(levels, level, points[i])
        slope = wp.vec3()
        for k in range(8):
            x, y, z = k >> 2, (k >> 1) & 1, k & 1
            a, b, c = share(f[0], x), share(f[1], y), share(f[2], z)
            up = wp.vec3(float(2 * x - 1), float(2 * y - 1), float(2 * z - 1))
            along = wp.cw_mul(up, wp.vec3(b * c, a * c, a * b))
            slope += wp.dot(upstream[i, level], table[at[k]]) * along
        total += levels.scale[level] * slope
    out[i] = total


@cache
def _number(features: int) -> Any:
    """What an entry holds, as one number of Warp's."""
    return wp.types.vector(length=features, dtype=wp.float32)


@cache
def _kernels(features: int) -> tuple[Any, Any, Any]:
    """The three, for tables of so many features; each new number is compiled once."""
    number = _number(features)
    one, two = wp.array(dtype=number), wp.array(dtype=number, ndim=2)
    return (
        wp.overload(forward, {"table": one, "out": two}),
        wp.overload(to_table, {"upstream": two, "out": one}),
        wp.overload(to_points, {"table": one, "upstream": two}),
    )


_kernels(2)  # the paper's, so that they are part of the module from the start


@cache
def _levels(layout: Layout, device: torch.device) -> Any:
    """The kernels' view of a layout."""
    sizes = [layout.entries(k) for k in range(layout.levels)]
    sides = [layout.resolution(k) for k in range(layout.levels)]
    fits = [n**3 <= size for n, size in zip(sides, sizes, strict=True)]
    levels, place = Levels(), wp.device_from_torch(device)
    scales = [layout.scale(k) for k in range(layout.levels)]
    levels.scale = wp.array(scales, dtype=wp.float32, device=place)
    kept = [n if fit else 0 for n, fit in zip(sides, fits, strict=True)]
    levels.side = wp.array(kept, dtype=wp.int32, device=place)
    levels.first = wp.array(layout.starts[:-1], dtype=wp.int32, device=place)
    levels.size = wp.array(sizes, dtype=wp.int32, device=place)
    return levels


def _launch(
    kernel: Any, dim: Callable[[int], Any], n: int, device: torch.device, inputs: list[Any]
) -> None:
    """Share n things out; `dim` of so many of them is a launch's, its last inputs where they begin
    and what is written."""
    place = wp.device_from_torch(device)

    def launch(first: int, count: int) -> None:
        given = [*inputs[:-1], first, inputs[-1]]
        wp.launch(kernel, dim=dim(count), inputs=given, device=place)

    with stream(device):
        wp.load_module(device=place)  # before threads want it, all at once
        shared(launch, n, device)


def _array(x: Float[Tensor, "*s c"]) -> Any:
    """Warp's view of vectors."""
    x = x.detach().contiguous()
    if x.stride(-1) != 1:  # one number: contiguous to torch whatever its strides, not to Warp
        x = x.clone(memory_format=torch.contiguous_format)
    return wp.from_torch(x, dtype=_number(x.shape[-1]))


class _Encode(torch.autograd.Function):
    """(table, points) to features."""

    @staticmethod
    def forward(
        ctx: Any, table: Float[Tensor, "entries f"], points: Float[Tensor, "n 3"], layout: Layout
    ) -> Float[Tensor, "n e"]:
        ctx.save_for_backward(table, points)
        ctx.layout = layout
        n, levels, device = len(points), layout.levels, points.device
        out = points.new_empty(n, levels, layout.features)
        if n:
            given = [_levels(layout, device), _array(points), _array(table), _array(out)]
            _launch(_kernels(layout.features)[0], lambda few: (levels, few), n, device, given)
        return out.flatten(1)

    @staticmethod
    def backward(ctx: Any, *upstream: Float[Tensor, "n e"]) -> Any:
        table, points = ctx.saved_tensors
        layout: Layout = ctx.layout
        asked: tuple[bool, ...] = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():  # it is to be differentiated again
            inputs = [x for x, ask in zip((table, points), asked, strict=True) if ask]
            out = encode_torch(table, points, layout)
            found = iter(torch.autograd.grad(out, inputs, upstream, create_graph=True))
            return *(next(found) if ask else None for ask in asked), None
        n, device = len(points), points.device
        to = [torch.zeros_like(x) if asked[k] else None for k, x in enumerate((table, points))]
        given = [_levels(layout, device), _array(points)]
        g = _array(upstream[0].unflatten(1, (layout.levels, layout.features)))
        _, scatter, slope = _kernels(layout.features)
        if to[0] is not None and n:
            inputs = [*given, g, _array(to[0])]
            _launch(scatter, lambda few: (few, n), layout.levels, device, inputs)
        if to[1] is not None and n:
            inputs = [*given, _array(table), g, _array(to[1])]
            _launch(slope, lambda few: few, n, device, inputs)
        return *to, None


def encode_warp(
    table: Float[Tensor, "entries f"], points: Float[Tensor, "n 3"], layout: Layout
) -> Float[Tensor, "n e"]:
    """Features of points in [0, 1]^3, coarsest level first."""
    return _Encode.apply(table, points, layout)
