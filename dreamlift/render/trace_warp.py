"""The compiled twin of `trace_torch`: one thread per ray, on the CPU and on CUDA.

A ray marches only past the solids whose boxes it meets, each only between `enter` and `leave`,
where it runs through that box grown by most of a pixel and by what smooth joints reach: outside, a
solid changes no distance near the surface of its part.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast, no_type_check

import torch
import warp as wp
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.geometry.primitives import FAR, Kind, Program
from dreamlift.geometry.primitives_warp import CUT, Placement, join, solid, turn
from dreamlift.render import trace as twin
from dreamlift.render.start_warp import start
from dreamlift.render.trace import Traced

start()
wp.set_module_options({"enable_backward": False, "max_unroll": 1})

SLICE = 4096
"""Rays of one launch on the CPU."""
CUDA_SLICE = 1 << 18
"""Rays of one launch on CUDA."""

NOTHING = wp.constant(float(FAR))
STEPS = wp.constant(int(twin.STEPS))
SAFETY = wp.constant(float(twin.SAFETY))
DEEP = wp.constant(float(twin.DEEP))
PATIENCE = wp.constant(float(twin.PATIENCE))
SHARP = wp.constant(float(twin.SHARP))
HALVINGS = wp.constant(int(twin.HALVINGS))
STRIDE = wp.constant(float(twin.STRIDE))
INSIDE = wp.constant(float(twin.INSIDE))
PROBE = wp.constant(float(twin.PROBE))
LEAST_PROBE = wp.constant(float(twin.LEAST_PROBE))
FLAT = wp.constant(float(twin.FLAT))
ASIDE = wp.constant(float(twin.ASIDE))


@no_type_check
@wp.struct
class Solids:
    """The scene of every camera."""

    kind: wp.array2d[int]
    op: wp.array2d[int]
    part: wp.array2d[int]
    size: wp.array2d[wp.vec4]
    inverse: wp.array2d[Placement]  # pyright: ignore[reportInvalidTypeForm]
    scale: wp.array2d[float]
    blend: wp.array2d[float]
    half: wp.array2d[wp.vec3]  # of the box around the solid, local
    reach: wp.array2d[float]  # how far its part's smooth joints reach, world units


@no_type_check
@wp.struct
class Near:
    """One solid that a ray may meet, with the ray in its coordinates."""

    solid: int
    enter: float
    leave: float
    origin: wp.vec3
    direction: wp.vec3


@no_type_check
@wp.struct
class Sample:
    """The scene at one point of a ray."""

    d: float
    part: int
    ahead: float  # where the next solid's box begins


@no_type_check
@wp.struct
class Seen:
    """What one ray met."""

    low: float
    at: float  # the first hit, or the nearest approach
    part: int
    gradient: wp.vec3


@no_type_check
@wp.func
def sample(
    solids: Solids,
    b: int,
    near: wp.array2d[Near],
    row: int,
    count: int,
    t: float,
    aside: wp.vec3,
    probing: bool,
):
    """The scene at `t`, or `aside` of it by some world units."""
    best = float(NOTHING)
    owner = wp.int32(0)
    held = float(NOTHING)
    part = wp.int32(-1)
    ahead = float(NOTHING)
    for k in range(count):
        i = near[row, k].solid
        if solids.part[b, i] != part:
            if held < best:
                best = held
                owner = part
            held = NOTHING
            part = solids.part[b, i]
        d = float(NOTHING)
        enter = near[row, k].enter
        if t < enter:
            ahead = wp.min(ahead, enter)
        elif t <= near[row, k].leave:
            p = near[row, k].origin + t * near[row, k].direction
            if probing:
                p += turn(solids.inverse[b, i], aside)
            d = solid(solids.kind[b, i], p, solids.size[b, i]) * solids.scale[b, i]
        held = join(held, d, solids.op[b, i], solids.blend[b, i])
    if held < best:
        best = held
        owner = part
    s = Sample()
    s.d = best
    s.part = owner
    s.ahead = ahead
    return s


@no_type_check
@wp.func
def gather(
    solids: Solids,
    b: int,
    near: wp.array2d[Near],
    row: int,
    origin: wp.vec3,
    direction: wp.vec3,
    cone: float,
    start: float,
    end: float,
):
    """Fills the ray's row of `near`; gives how many there are, where they begin and end."""
    count = wp.int32(0)
    first = float(end)
    last = float(start)
    for i in range(solids.kind.shape[1]):
        if solids.kind[b, i] >= 0:
            A = solids.inverse[b, i]
            o = turn(A, origin) + wp.vec3(A[0, 3], A[1, 3], A[2, 3])
            v = turn(A, direction)
            grown = (1.25 * SHARP * cone * end + solids.reach[b, i]) / solids.scale[b, i]
            enter = float(start)
            leave = float(end)
            for axis in range(3):
                slow = wp.where(wp.abs(v[axis]) < 1e-9, 1e-9, v[axis])
                middle = -o[axis] / slow
                width = wp.abs((solids.half[b, i][axis] + grown) / slow)
                enter = wp.max(enter, middle - width)
                leave = wp.min(leave, middle + width)
            met = enter < leave
            # A solid to be kept and never met leaves nothing of its part: it must not be forgotten.
            if met or solids.op[b, i] > CUT:
                entry = Near()
                entry.solid = i
                entry.enter = wp.where(met, enter, 0.0)
                entry.leave = wp.where(met, leave, 0.0)
                entry.origin = o
                entry.direction = v
                near[row, count] = entry
                count += 1
                if met:
                    first = wp.min(first, enter)
                    last = wp.max(last, leave)
    return count, first, last


@no_type_check
@wp.func
def gradient(
    solids: Solids, b: int, near: wp.array2d[Near], row: int, count: int, t: float, cone: float
):
    """`_gradient` of one ray."""
    h = wp.max(PROBE * cone * t, LEAST_PROBE)
    g = wp.vec3(0.0, 0.0, 0.0)
    for k in range(4):
        x = wp.where(k < 2, 1.0, -1.0)
        y = wp.where(k % 2 == 0, 1.0, -1.0)
        corner = wp.vec3(x, y, x * y)
        s = sample(solids, b, near, row, count, t, h * corner, True)
        g += s.d / (4.0 * h) * corner
    return g


@no_type_check
@wp.func
def walk(
    solids: Solids,
    b: int,
    near: wp.array2d[Near],
    row: int,
    origin: wp.vec3,
    direction: wp.vec3,
    cone: float,
    start: float,
    end: float,
):
    """`_walk` of one ray, and the gradient at its hit or nearest approach."""
    count, t, last = gather(solids, b, near, row, origin, direction, cone, start, end)
    here = wp.vec3(0.0, 0.0, 0.0)
    seen = Seen()
    seen.low = NOTHING
    stride = wp.float32(0.0)
    before = wp.float32(0.0)
    lowest = float(t)
    width = wp.float32(0.0)
    for number in range(STEPS):
        if t > last or seen.low < -DEEP:
            break
        s = sample(solids, b, near, row, count, t, here, False)
        pixel = cone * t
        if seen.low >= 0.0 and s.d < seen.low * pixel:
            seen.at = t
            seen.part = s.part
            if s.d < 0.0:
                seen.at -= stride * s.d / (s.d - before)
        lower = s.d < seen.low * pixel
        seen.low = wp.min(seen.low, s.d / pixel)
        patience = wp.max(1.0, float(number) / PATIENCE)
        least = wp.where(seen.low < 0.0, INSIDE, STRIDE * patience * patience)
        step = wp.min(wp.max(SAFETY * wp.abs(s.d), least * pixel), s.ahead - t)
        if lower:
            lowest = t
            width = wp.max(stride, step)
        before = s.d
        stride = step
        t += step
    if wp.abs(seen.low) < SHARP:
        miss = seen.low >= 0.0
        for _ in range(HALVINGS):
            width *= 0.5
            middle = lowest
            for side in range(2):
                t = middle + wp.where(side == 0, -width, width)
                s = sample(solids, b, near, row, count, t, here, False)
                if s.d < seen.low * cone * t:
                    seen.low = s.d / (cone * t)
                    lowest = t
        if miss:
            seen.at = lowest
        slope = wp.length(gradient(solids, b, near, row, count, lowest, cone))
        seen.low = seen.low / wp.max(slope, FLAT)
    if seen.low < 0.5:
        seen.gradient = gradient(solids, b, near, row, count, seen.at, cone)
    return seen


@no_type_check
@wp.kernel
def march(
    offset: int,
    pixels: int,
    solids: Solids,
    origins: wp.array[wp.vec3],
    directions: wp.array[wp.vec3],
    cones: wp.array[float],
    starts: wp.array[float],
    ends: wp.array[float],
    near: wp.array2d[Near],
    parts: wp.array[wp.uint8],
    normals: wp.array[wp.vec3],
    depths: wp.array[float],
    coverages: wp.array[float],
):
    """`_shoot` of one ray."""
    row = wp.tid()
    ray = offset + row
    if ends[ray] <= starts[ray]:
        return
    b = ray // pixels
    o = origins[ray]
    v = directions[ray]
    cone = cones[ray]
    seen = walk(solids, b, near, row, o, v, cone, starts[ray], ends[ray])
    coverage = wp.clamp(0.5 - seen.low, 0.0, 1.0)
    if coverage <= 0.0:
        return
    if seen.low >= 0.0:
        inward = seen.low + wp.max(0.5 * (DEEP - seen.low), ASIDE)
        v = wp.normalize(v - inward * cone * wp.normalize(seen.gradient))
        again = walk(solids, b, near, row, o, v, cone, starts[ray], ends[ray])
        if again.low < 0.0:
            seen = again
    slope = wp.length(seen.gradient)
    coverages[ray] = coverage
    parts[ray] = wp.uint8(seen.part)
    depths[ray] = seen.at
    normals[ray] = wp.where(slope > 1e-6, seen.gradient / wp.max(slope, 1e-6), -v)


def boxes(program: Program) -> Float[Tensor, "b n 3"]:
    """Half sides of the box around every solid, in its own coordinates."""
    a, b, c, _ = program.size.unbind(-1)
    wide = torch.maximum(b, c)
    kind = program.kind[..., None]
    half = program.size[..., :3]
    half = torch.where(kind == Kind.CONE, torch.stack([wide, wide, a], -1), half)
    half = torch.where(kind == Kind.TORUS, torch.stack([a + b, a + b, b], -1), half)
    return torch.where(kind == Kind.PYRAMID, torch.stack([b, b, a], -1), half)


def reaches(program: Program) -> Float[Tensor, "b n"]:
    """One and a half times the widest joint of every solid's part, in world units."""
    mates = program.part[:, :, None] == program.part[:, None, :]
    return 1.5 * torch.where(mates, program.blend[:, None, :], 0.0).amax(-1)


def _solids(program: Program) -> Any:
    def numbers(x: Tensor, dtype: Any = wp.float32) -> Any:
        return wp.from_torch(x.float().contiguous(), dtype=dtype)

    solids: Any = Solids()
    for name in ("kind", "op", "part"):
        setattr(solids, name, wp.from_torch(getattr(program, name).int().contiguous()))
    solids.size = numbers(program.size, wp.vec4)
    solids.inverse = numbers(program.inverse, Placement)
    solids.scale, solids.blend = numbers(program.scale), numbers(program.blend)
    solids.half, solids.reach = numbers(boxes(program), wp.vec3), numbers(reaches(program))
    return solids


@torch.no_grad()
def trace_warp(program: Program, scene: Int[Tensor, " b"], cameras: Cameras) -> Traced:
    """As `trace_torch`, in float32. On the CPU, torch's threads share the rays: a launch runs on
    one core and frees the interpreter."""
    rays = twin.rays(scene, cameras)
    total, pixels, device = len(rays.near), cameras.height * cameras.width, rays.near.device
    part = torch.zeros(total, dtype=torch.uint8, device=device)
    normal = torch.zeros(total, 3, device=device)
    depth, coverage = torch.zeros(2, total, device=device)
    chosen = program[scene]
    solids = _solids(chosen)
    given = (rays.origin, rays.direction, rays.cone, rays.near, rays.far)
    inputs = [_array(x.float().contiguous()) for x in given]
    outputs = [_array(x) for x in (part, normal, depth, coverage)]
    slice_ = CUDA_SLICE if device.type == "cuda" else SLICE
    where: Any = wp.device_from_torch(device)

    def launch(offset: int) -> None:
        count = min(slice_, total - offset)
        near = wp.empty((count, chosen.kind.shape[1]), dtype=cast(Any, Near), device=where)
        given = [offset, pixels, solids, *inputs, near]
        wp.launch(march, count, given, outputs, device=where, record_tape=False)

    offsets = range(0, total, slice_)
    if device.type == "cuda":
        with wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(device))):
            for offset in offsets:
                launch(offset)
    else:
        wp.load_module(device=where)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(launch, offsets))
    shape = (len(scene), cameras.height, cameras.width)
    full = twin.filled(coverage.view(shape))
    return Traced(part.view(shape), normal.view(*shape, 3), depth.view(shape), full)


def _array(x: Tensor) -> Any:
    return wp.from_torch(x, dtype=wp.vec3) if x.ndim > 1 else wp.from_torch(x)
