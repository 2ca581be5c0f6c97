"""The fast twin of volume.march_grid: one thread marches one ray, in Warp, on CPU and CUDA.

The backward pass marches again and needs no memory of the forward one: what lies behind a sample
is what the whole ray gathered less what lay in front, so a single pass front to back suffices.
A CPU launch runs on one core and releases the interpreter's lock: rays are dealt out to as many
launches as torch has threads, each with its own gradient buffer, and the buffers are added in
order, so the same machine gives the same bits.
"""

# pyright: reportUntypedFunctionDecorator=false

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, no_type_check

import torch
import warp as wp
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from dreamlift.lights import Light
from dreamlift.render.grid import HALF, slopes
from dreamlift.render.skin import Skin
from dreamlift.render.skin_warp import LAWS, absorb, sigmoid
from dreamlift.render.start_warp import start
from dreamlift.render.volume import SOFTNESS, Marched, Rays

start()
wp.set_module_options({"enable_backward": False})

_HALF = wp.constant(HALF)
_SOFTNESS = wp.constant(SOFTNESS)
_OPAQUE = wp.constant(1e-5)  # a ray ends where less than this share of it goes on


@no_type_check
@wp.struct
class Volume:
    """What all rays read."""

    grid: wp.array[wp.vec4]
    slopes: wp.array[wp.vec3]  # empty without a light, but for NeuS
    n: int  # vertices along an axis
    law: int  # of densities: 0 softplus, 1 VolSDF, 2 NeuS
    width: wp.array[float]  # one number; of 1 and 2
    occupied: wp.array3d[wp.uint8]  # empty: everything is
    origins: wp.array[wp.vec3]
    directions: wp.array[wp.vec3]
    first: wp.array[float]
    step: wp.array[float]
    count: wp.array[int]
    rays: int  # per picture
    lit: bool
    light: wp.array[wp.vec3]
    ambient: wp.array[float]
    diffuse: wp.array[float]
    textureless: wp.array[wp.uint8]


@no_type_check
@wp.struct
class Sample:
    """What the field and the light say at one point of a ray."""

    albedo: wp.vec3  # of the material
    color: wp.vec3  # albedo, or 1 where textureless
    normal: wp.vec3
    stretch: float  # 1 / length of the gradient
    toward: wp.vec3  # unit, to the light
    diffuse: float  # 0 where the light is behind
    irradiance: float


@no_type_check
@wp.func
def lookup(grid: wp.array[Any], at: int, n: int, f: wp.vec3):
    """Trilinear interpolation in the cell whose first vertex is `at`, at fraction f of it.

    `n` is the number of vertices along an axis.
    """
    g = wp.vec3(1.0, 1.0, 1.0) - f
    to = at + n * n
    near = grid[at] * (g[1] * g[2]) + grid[at + 1] * (g[1] * f[2])
    near += grid[at + n] * (f[1] * g[2]) + grid[at + n + 1] * (f[1] * f[2])
    far = grid[to] * (g[1] * g[2]) + grid[to + 1] * (g[1] * f[2])
    far += grid[to + n] * (f[1] * g[2]) + grid[to + n + 1] * (f[1] * f[2])
    return near * g[0] + far * f[0]


@no_type_check
@wp.func
def scatter(grid: wp.array[Any], at: int, n: int, f: wp.vec3, value: Any):
    """The adjoint of lookup."""
    g = wp.vec3(1.0, 1.0, 1.0) - f
    to = at + n * n
    near, far = value * g[0], value * f[0]
    wp.atomic_add(grid, at, near * (g[1] * g[2]))
    wp.atomic_add(grid, at + 1, near * (g[1] * f[2]))
    wp.atomic_add(grid, at + n, near * (f[1] * g[2]))
    wp.atomic_add(grid, at + n + 1, near * (f[1] * f[2]))
    wp.atomic_add(grid, to, far * (g[1] * g[2]))
    wp.atomic_add(grid, to + 1, far * (g[1] * f[2]))
    wp.atomic_add(grid, to + n, far * (f[1] * g[2]))
    wp.atomic_add(grid, to + n + 1, far * (f[1] * f[2]))


@no_type_check
@wp.func
def is_occupied(volume: Volume, point: wp.vec3):
    n = volume.occupied.shape[0]
    if n == 0:
        return True
    place = (point + wp.vec3(_HALF, _HALF, _HALF)) * (float(n) / (2.0 * _HALF))
    return volume.occupied[int(place[0]), int(place[1]), int(place[2])] != wp.uint8(0)


@no_type_check
@wp.func
def look(
    volume: Volume,
    picture: int,
    point: wp.vec3,
    v: wp.vec3,
    step: float,
    at: int,
    f: wp.vec3,
):
    """Shading and what is absorbed at a point, fraction f into the cell of vertex `at`."""
    s = Sample()
    raw = lookup(volume.grid, at, volume.n, f)
    gradient = wp.vec3()
    if volume.lit or volume.law == 2:
        gradient = lookup(volume.slopes, at, volume.n, f)
    section = absorb(volume.law, volume.width[0], raw[0], wp.dot(gradient, v), step)
    s.albedo = wp.vec3(sigmoid(raw[1]), sigmoid(raw[2]), sigmoid(raw[3]))
    s.color = s.albedo
    s.irradiance = 1.0
    if volume.lit:
        s.stretch = 1.0 / wp.sqrt(wp.dot(gradient, gradient) + _SOFTNESS * _SOFTNESS)
        s.normal = -gradient * s.stretch
        s.toward = wp.normalize(volume.light[picture] - point)
        cosine = wp.dot(s.normal, s.toward)
        if cosine > 0.0:
            s.diffuse = volume.diffuse[picture]
        s.irradiance = volume.ambient[picture] + s.diffuse * cosine
        if volume.textureless[picture] != wp.uint8(0):
            s.color = wp.vec3(1.0, 1.0, 1.0)
    return s, section


@no_type_check
@wp.kernel
def forward(volume: Volume, start: int, stride: int, out: wp.array2d[float]):
    ray = start + wp.tid() * stride
    picture = ray // volume.rays
    origin, v = volume.origins[ray], volume.directions[ray]
    count = volume.count[ray]
    step = volume.step[ray]
    t = volume.first[ray]
    scale = float(volume.n - 1) / (2.0 * _HALF)
    T = wp.float32(1.0)
    alpha, depth, orientation = wp.float32(0.0), wp.float32(0.0), wp.float32(0.0)
    color, normal = wp.vec3(), wp.vec3()
    n = wp.int32(0)
    while n < count and T > _OPAQUE:
        point = origin + t * v
        if is_occupied(volume, point):
            place = (point + wp.vec3(_HALF, _HALF, _HALF)) * scale
            i, j, k = int(place[0]), int(place[1]), int(place[2])
            f = place - wp.vec3(float(i), float(j), float(k))
            at = (i * volume.n + j) * volume.n + k
            s, section = look(volume, picture, point, v, step, at, f)
            passed = wp.exp(-section.thickness)
            w = T * (1.0 - passed)
            alpha += w
            depth += w * t
            color += w * s.irradiance * s.color
            normal += w * s.normal
            away = wp.max(wp.dot(s.normal, v), 0.0)
            orientation += w * away * away
            T *= passed
        t += step
        n += 1
    for c in range(3):
        out[ray, c] = color[c]
        out[ray, 5 + c] = normal[c]
    out[ray, 3] = alpha
    out[ray, 4] = depth
    out[ray, 8] = orientation


@no_type_check
@wp.kernel
def backward(
    volume: Volume,
    start: int,
    stride: int,
    out: wp.array2d[float],
    upstream: wp.array2d[float],
    to_grid: wp.array[wp.vec4],
    to_slopes: wp.array[wp.vec3],
    to_width: wp.array[float],  # one number a ray
):
    ray = start + wp.tid() * stride
    picture = ray // volume.rays
    origin, v = volume.origins[ray], volume.directions[ray]
    count = volume.count[ray]
    step = volume.step[ray]
    t = volume.first[ray]
    scale = float(volume.n - 1) / (2.0 * _HALF)
    T = wp.float32(1.0)
    to_color = wp.vec3(upstream[ray, 0], upstream[ray, 1], upstream[ray, 2])
    to_normal = wp.vec3(upstream[ray, 5], upstream[ray, 6], upstream[ray, 7])
    to_alpha, to_depth, to_orientation = upstream[ray, 3], upstream[ray, 4], upstream[ray, 8]
    behind, widen = wp.float32(0.0), wp.float32(0.0)  # sum_j w_j q_j over the samples still to come
    for c in range(8):
        behind += upstream[ray, c] * out[ray, c]
    n = wp.int32(0)
    while n < count and T > _OPAQUE:
        point = origin + t * v
        if is_occupied(volume, point):
            place = (point + wp.vec3(_HALF, _HALF, _HALF)) * scale
            i, j, k = int(place[0]), int(place[1]), int(place[2])
            f = place - wp.vec3(float(i), float(j), float(k))
            at = (i * volume.n + j) * volume.n + k
            s, section = look(volume, picture, point, v, step, at, f)
            passed = wp.exp(-section.thickness)
            w = T * (1.0 - passed)
            reflected = wp.dot(to_color, s.color)
            q = s.irradiance * reflected + to_alpha + to_depth * t + wp.dot(to_normal, s.normal)
            behind -= w * q
            T *= passed
            to_thickness = T * q - behind
            to_raw = to_thickness * section.slope
            widen += to_thickness * section.widen
            to_logits = wp.vec3()
            if not (volume.lit and volume.textureless[picture] != wp.uint8(0)):
                white = wp.vec3(1.0, 1.0, 1.0)
                to_albedo = w * s.irradiance * to_color
                to_logits = wp.cw_mul(to_albedo, wp.cw_mul(s.albedo, white - s.albedo))
            to_values = wp.vec4(to_raw, to_logits[0], to_logits[1], to_logits[2])
            scatter(to_grid, at, volume.n, f, to_values)
            if volume.law == 2:
                scatter(to_slopes, at, volume.n, f, to_thickness * section.tilt * v)
            if volume.lit:
                away = wp.max(wp.dot(s.normal, v), 0.0)
                to_n = to_normal + s.diffuse * reflected * s.toward
                to_n = w * (to_n + 2.0 * to_orientation * away * v)
                to_gradient = s.stretch * (wp.dot(s.normal, to_n) * s.normal - to_n)
                scatter(to_slopes, at, volume.n, f, to_gradient)
        t += step
        n += 1
    to_width[ray] = widen


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="march")


def _launch(kernel: Any, rays: int, device: torch.device, inputs: Sequence[Sequence[Any]]) -> None:
    """Deal the rays out to one launch for each row of inputs: (volume, ..., buffers)."""
    n = len(inputs)
    place: dict[str, Any] = {"device": wp.device_from_torch(device)}
    if device.type == "cuda":
        place["stream"] = wp.stream_from_torch(torch.cuda.current_stream(device))

    def run(k: int) -> None:
        volume, *buffers = inputs[k]
        dim = (rays - k + n - 1) // n
        wp.launch(kernel, dim=dim, inputs=[volume, k, n, *buffers], **place)

    if n == 1:
        run(0)
    else:
        list(_workers(n).map(run, range(n)))


def _vectors(x: Float[Tensor, "*s c"], dtype: Any) -> Any:
    return wp.from_torch(x.detach().reshape(-1, x.shape[-1]).contiguous(), dtype=dtype)


def _volume(
    grid: Float[Tensor, "x y z 4"],
    slopes: Float[Tensor, "p q s 3"],
    rays: Rays,
    light: Light | None,
    occupied: Bool[Tensor, "n n n"],
    width: Float[Tensor, ""],
    law: int,
) -> Any:
    """The kernels' view of the tensors, which it keeps alive."""

    def array(x: Shaped[Tensor, "*s"], dtype: Any) -> Any:
        return wp.from_torch(x.detach().contiguous(), dtype=dtype)

    none = grid.new_empty(0)
    volume = Volume()
    volume.grid = _vectors(grid, wp.vec4)
    volume.slopes = _vectors(slopes, wp.vec3)
    volume.n = grid.shape[0]
    volume.law = law
    volume.width = array(width.reshape(1), wp.float32)
    volume.occupied = array(occupied.view(torch.uint8), wp.uint8)
    volume.origins = _vectors(rays.origins, wp.vec3)
    volume.directions = _vectors(rays.directions, wp.vec3)
    volume.first = array(rays.first.reshape(-1), wp.float32)
    volume.step = array(rays.step.reshape(-1), wp.float32)
    volume.count = array(rays.count.reshape(-1), wp.int32)
    volume.rays = rays.count.shape[1]
    volume.lit = light is not None
    volume.light = _vectors(none.reshape(0, 3) if light is None else light.position, wp.vec3)
    volume.ambient = array(none if light is None else light.ambient, wp.float32)
    volume.diffuse = array(none if light is None else light.diffuse, wp.float32)
    blank = none.bool() if light is None else light.textureless
    volume.textureless = array(blank.view(torch.uint8), wp.uint8)
    return volume


class _March(torch.autograd.Function):
    """(grid, slopes, width) to nine numbers a ray: colour, alpha, depth, normal, orientation."""

    @staticmethod
    def forward(
        ctx: Any,
        grid: Float[Tensor, "x y z 4"],
        slopes: Float[Tensor, "p q s 3"],
        width: Float[Tensor, ""],
        rays: Rays,
        light: Light | None,
        occupied: Bool[Tensor, "n n n"],
        law: int,
    ) -> Float[Tensor, "rays 9"]:
        threads = torch.get_num_threads() if grid.device.type == "cpu" else 1
        volume = _volume(grid, slopes, rays, light, occupied, width, law)
        out = grid.new_empty(rays.count.numel(), 9)
        seen = wp.from_torch(out)
        _launch(forward, len(out), grid.device, [(volume, seen)] * threads)
        ctx.save_for_backward(grid, slopes, out)
        ctx.volume, ctx.threads = volume, threads
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: Float[Tensor, "rays 9"]) -> Any:
        grid, slopes, out = ctx.saved_tensors
        buffers = [(torch.zeros_like(grid), torch.zeros_like(slopes)) for _ in range(ctx.threads)]
        given = (wp.from_torch(out.detach()), wp.from_torch(upstream[0].contiguous()))
        to_width = grid.new_empty(len(out))
        widths = wp.from_torch(to_width)
        inputs = [
            (ctx.volume, *given, _vectors(a, wp.vec4), _vectors(b, wp.vec3), widths)
            for a, b in buffers
        ]
        _launch(backward, len(out), grid.device, inputs)
        to_grid, to_slopes = buffers[0]
        for a, b in buffers[1:]:
            to_grid += a
            to_slopes += b
        return to_grid, to_slopes, to_width.sum(), None, None, None, None


def march_grid(
    grid: Float[Tensor, "x y z 4"],
    rays: Rays,
    *,
    light: Light | None = None,
    occupied: Bool[Tensor, "n n n"] | None = None,
    skin: Skin | None = None,
) -> Marched:
    """Composite a dense grid; normals from differences at its vertices, interpolated."""
    law = LAWS[None if skin is None else skin.kind]
    flat = light is None and (skin is None or skin.kind == "volsdf")
    slope = grid.new_empty(0, 0, 0, 3) if flat else slopes(grid[..., 0])
    width = grid.new_ones(()) if skin is None else skin.width
    if occupied is None:
        occupied = torch.empty(0, 0, 0, dtype=torch.bool, device=grid.device)
    out = _March.apply(grid, slope, width, rays, light, occupied, law)
    out = out.reshape(*rays.count.shape, 9)
    color, alpha, depth, normal, orientation = out.split((3, 1, 1, 3, 1), -1)
    return Marched(color, alpha, depth, normal, orientation)
