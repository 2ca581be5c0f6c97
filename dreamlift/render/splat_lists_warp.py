"""For each small square of the pictures, the splats that may add to it, nearest first: in Warp.

A splat is listed where its tiles (splat.tiles) and the bounding box of its ellipse of
alpha = 1/255 meet: lists cut nothing off that the reference would draw. On a CPU they are counted
and filled by as many launches as torch has threads, each with rows of squares of its own.
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

from dreamlift.render.splat import FAINTEST, TILE, Footprints, tiles
from dreamlift.render.start_warp import start

start()
wp.set_module_options({"enable_backward": False})

SIDE = 4
"""Of a square with a list of its own, in pixels; divides a tile."""


@no_type_check
@wp.kernel
def count(rects: wp.array2d[int], n: int, down: int, across: int, start: int, stride: int,
          counts: wp.array[int]):  # fmt: skip
    """How many splats each square lists; of every `stride`-th row of squares."""
    for i in range(rects.shape[0]):
        picture = i // n
        for y in range(rects[i, 1], rects[i, 3]):
            row = picture * down + y
            if row % stride == start:
                for x in range(rects[i, 0], rects[i, 2]):
                    counts[row * across + x] = counts[row * across + x] + 1


@no_type_check
@wp.kernel
def fill(rects: wp.array2d[int], order: wp.array[int], n: int, down: int, across: int, start: int,
         stride: int, cursor: wp.array[int], listed: wp.array[int]):  # fmt: skip
    """Write the lists, nearest first; of every `stride`-th row of squares."""
    for k in range(order.shape[0]):
        i = order[k]
        picture = i // n
        for y in range(rects[i, 1], rects[i, 3]):
            row = picture * down + y
            if row % stride == start:
                for x in range(rects[i, 0], rects[i, 2]):
                    at = cursor[row * across + x]
                    listed[at] = i
                    cursor[row * across + x] = at + 1


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="splat")


def each(run: Callable[[int], None], n: int) -> None:
    """run(0), ..., run(n - 1), each in a thread of its own."""
    if n == 1:
        run(0)
    else:
        list(_workers(n).map(run, range(n)))


def place_of(device: torch.device) -> dict[str, Any]:
    """Where to launch: the tensors' device, and torch's stream there."""
    place: dict[str, Any] = {"device": wp.device_from_torch(device)}
    if device.type == "cuda":
        place["stream"] = wp.stream_from_torch(torch.cuda.current_stream(device))
    return place


def reached(footprints: Footprints, height: int, width: int) -> Int[Tensor, "b n 4"]:
    """The squares that splats may add to: first column and row, and those after the last."""
    conic, o = footprints.conic.detach(), footprints.opacity.detach()
    det = conic[..., 0] * conic[..., 2] - conic[..., 1].square()
    log = (o / FAINTEST).log().clamp_min(0)
    variance = torch.stack([conic[..., 2], conic[..., 0]], -1) / det[..., None]
    extent = (2 * log[:, None] * variance).sqrt() * 1.001 + 0.01
    c = footprints.center.detach() - 0.5
    first, after = ((c - extent) / SIDE).floor(), ((c + extent) / SIDE).floor() + 1
    grid = c.new_tensor([-(-width // SIDE), -(-height // SIDE)])
    whole = tiles(footprints.center, footprints.radius, height, width) * (TILE // SIDE)
    first = torch.maximum(first.nan_to_num(), whole[..., :2].to(c))
    after = torch.minimum(after.nan_to_num(posinf=1e9), whole[..., 2:].to(c)).minimum(grid)
    drawn = (footprints.radius > 0) & (o >= FAINTEST)
    after = torch.where(drawn[..., None], after, first)
    return torch.cat([first, after], -1).int()


def lists(
    rects: Int[Tensor, "b n 4"], depth: Float[Tensor, "b n"], down: int, across: int, threads: int
) -> tuple[Int[Tensor, " k"], Int[Tensor, " m"]]:
    """Where each square's list begins (and the last one ends), and the lists, nearest first."""
    b, n = depth.shape
    order = depth.argsort(dim=-1, stable=True)
    order = (order + n * torch.arange(b, device=order.device)[:, None]).flatten().int()
    first = torch.zeros(b * down * across + 1, dtype=torch.int32, device=order.device)
    flat = rects.flatten(0, 1).contiguous()
    if rects.device.type == "cuda":
        return by_sorting(flat, order, first, n, down, across)
    counts = torch.zeros_like(first[1:])
    place = place_of(order.device)
    arrays = [wp.from_torch(x) for x in (flat, order, counts)]

    def run_count(k: int) -> None:
        wp.launch(count, dim=1, inputs=[arrays[0], n, down, across, k, threads, arrays[2]], **place)

    each(run_count, threads)
    torch.cumsum(counts, 0, out=first[1:])
    cursor = wp.from_torch(first[:-1].clone())
    listed = torch.empty(int(first[-1]), dtype=torch.int32)
    lines = wp.from_torch(listed)

    def run_fill(k: int) -> None:
        given = [arrays[0], arrays[1], n, down, across, k, threads, cursor, lines]
        wp.launch(fill, dim=1, inputs=given, **place)

    each(run_fill, threads)
    return first, listed


def by_sorting(
    rects: Int[Tensor, "splats 4"],
    order: Int[Tensor, " splats"],
    first: Int[Tensor, " k"],
    n: int,
    down: int,
    across: int,
) -> tuple[Int[Tensor, " k"], Int[Tensor, " m"]]:
    """`lists` by sorting all pairs of splat and square, for devices that sort well."""
    rect = rects[order.long()]
    wide, high = (rect[:, 2:] - rect[:, :2]).clamp_min(0).long().unbind(-1)
    size = wide * high
    splat = torch.repeat_interleave(torch.arange(len(order), device=order.device), size)
    nth = torch.arange(len(splat), device=order.device) - (size.cumsum(0) - size)[splat]
    x = rect[splat, 0] + nth % wide[splat]
    y = rect[splat, 1] + nth // wide[splat]
    square = ((order[splat] // n) * down + y) * across + x
    _, by_square = square.sort(stable=True)
    first[1:] = torch.bincount(square, minlength=len(first) - 1).cumsum(0)
    return first, order[splat[by_square]]
