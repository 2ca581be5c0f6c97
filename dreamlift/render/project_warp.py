"""The fast twin of splat.project: one thread projects one Gaussian into one picture, in Warp.

Gradients are Warp's own adjoint of the kernel: a thread adds to nothing but its own Gaussian's, and
pictures follow one another, so the same machine gives the same bits. On a CPU the Gaussians are
dealt out to as many launches as torch has threads. Light is torch's, as in the reference.
"""

# pyright: reportUntypedFunctionDecorator=false

from typing import Any, no_type_check

import torch
import warp as wp
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.geometry.harmonics import C0, C1, C2, C3
from dreamlift.lights import Light
from dreamlift.render.splat import BLUR, CLAMP, NEAR, REACH, TILE, Footprints, carry
from dreamlift.render.splat_lists_warp import each, place_of
from dreamlift.render.start_warp import start

start()

_NEAR = wp.constant(NEAR)
_CLAMP = wp.constant(CLAMP)
_BLUR = wp.constant(BLUR)
_REACH = wp.constant(REACH)
_TILE = wp.constant(float(TILE))
_FARTHEST = wp.constant(float(1 << 20))  # of a radius, in pixels
_C0 = wp.constant(C0)
_C1 = wp.constant(C1)
_A, _B, _C = (wp.constant(c) for c in C2)
_D, _E, _F, _G, _H = (wp.constant(c) for c in C3)


@no_type_check
@wp.func
def rotation(q: wp.vec4):
    """Of a quaternion (w, x, y, z) of any length but 0."""
    u = wp.normalize(q)
    w, x, y, z = u[0], u[1], u[2], u[3]
    return wp.mat33(
        1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y),
        2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x),
        2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y),
    )  # fmt: skip


@no_type_check
@wp.func
def seen(harmonics: wp.array2d[wp.vec3], i: int, degree: int, toward: wp.vec3):
    """The colour in a direction, geometry/harmonics.py."""
    x, y, z = toward[0], toward[1], toward[2]
    color = _C0 * harmonics[i, 0] + wp.vec3(0.5, 0.5, 0.5)
    if degree >= 1:
        color += _C1 * (z * harmonics[i, 2] - y * harmonics[i, 1] - x * harmonics[i, 3])
    if degree >= 2:
        color += _A * (x * y * harmonics[i, 4] - y * z * harmonics[i, 5] - x * z * harmonics[i, 7])
        color += _B * (2.0 * z * z - x * x - y * y) * harmonics[i, 6]
        color += _C * (x * x - y * y) * harmonics[i, 8]
    if degree >= 3:
        color += -_D * y * (3.0 * x * x - y * y) * harmonics[i, 9]
        color += _E * x * y * z * harmonics[i, 10]
        color += -_F * y * (4.0 * z * z - x * x - y * y) * harmonics[i, 11]
        color += _G * z * (2.0 * z * z - 3.0 * x * x - 3.0 * y * y) * harmonics[i, 12]
        color += -_F * x * (4.0 * z * z - x * x - y * y) * harmonics[i, 13]
        color += _H * z * (x * x - y * y) * harmonics[i, 14]
        color += -_D * x * (x * x - 3.0 * y * y) * harmonics[i, 15]
    return wp.vec3(wp.max(color[0], 0.0), wp.max(color[1], 0.0), wp.max(color[2], 0.0))


@no_type_check
@wp.func
def reach(middle: float, det: float, center: wp.vec2, width: float, height: float):
    """The radius in pixels, 0 where no tile is touched."""
    longest = middle + wp.sqrt(wp.max(middle * middle - det, 0.1))
    radius = wp.ceil(_REACH * wp.sqrt(longest))
    if not wp.isfinite(radius):
        return 0
    r = wp.min(radius, _FARTHEST)
    across, down = wp.ceil(width / _TILE), wp.ceil(height / _TILE)
    x, y = center[0] - 0.5, center[1] - 0.5
    x0 = wp.floor(wp.clamp((x - r) / _TILE, 0.0, across))
    x1 = wp.floor(wp.clamp((x + r + _TILE - 1.0) / _TILE, 0.0, across))
    y0 = wp.floor(wp.clamp((y - r) / _TILE, 0.0, down))
    y1 = wp.floor(wp.clamp((y + r + _TILE - 1.0) / _TILE, 0.0, down))
    if x1 > x0 and y1 > y0:
        return int(r)
    return 0


@no_type_check
@wp.kernel
def footprint(
    means: wp.array[wp.vec3],
    quaternions: wp.array[wp.vec4],
    log_scales: wp.array[wp.vec3],
    harmonics: wp.array2d[wp.vec3],
    world_to_camera: wp.array[wp.mat44],
    lenses: wp.array[wp.mat33],
    positions: wp.array[wp.vec3],
    picture: int,
    start: int,
    degree: int,
    width: float,
    height: float,
    centers: wp.array2d[wp.vec2],
    conics: wp.array2d[wp.vec3],
    carried: wp.array2d[wp.vec4],
    depths: wp.array2d[float],
    radii: wp.array2d[int],
):
    i = start + wp.tid()
    pose, K = world_to_camera[picture], lenses[picture]
    W = wp.mat33(
        pose[0, 0], pose[0, 1], pose[0, 2],
        pose[1, 0], pose[1, 1], pose[1, 2],
        pose[2, 0], pose[2, 1], pose[2, 2],
    )  # fmt: skip
    mean = means[i]
    local = W * mean + wp.vec3(pose[0, 3], pose[1, 3], pose[2, 3])
    in_front = local[2] > _NEAR
    z = wp.where(in_front, local[2], 1.0)
    sx, sy = local[0] / z, local[1] / z
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    center = wp.vec2(fx * sx + cx, fy * sy + cy)
    beyond_x, beyond_y = _CLAMP * width / (2.0 * fx), _CLAMP * height / (2.0 * fy)
    ax = wp.min(wp.max(sx, -cx / fx - beyond_x), (width - cx) / fx + beyond_x)
    ay = wp.min(wp.max(sy, -cy / fy - beyond_y), (height - cy) / fy + beyond_y)
    s = log_scales[i]
    size = wp.vec3(wp.exp(s[0]), wp.exp(s[1]), wp.exp(s[2]))
    M = W * rotation(quaternions[i])  # axes in the camera's frame, not yet as long as they are
    last = wp.cw_mul(M[2], size)
    u = (fx / z) * (wp.cw_mul(M[0], size) - ax * last)
    v = (fy / z) * (wp.cw_mul(M[1], size) - ay * last)
    xx, xy, yy = wp.dot(u, u) + _BLUR, wp.dot(u, v), wp.dot(v, v) + _BLUR
    area = xx * yy - xy * xy
    drawn = in_front and area > 0.0
    det = wp.where(drawn, area, 1.0)
    color = seen(harmonics, i, degree, wp.normalize(mean - positions[picture]))
    centers[picture, i] = center
    conics[picture, i] = wp.vec3(yy / det, -xy / det, xx / det)
    carried[picture, i] = wp.vec4(color[0], color[1], color[2], z)
    depths[picture, i] = local[2]
    if drawn:
        radii[picture, i] = reach((xx + yy) / 2.0, det, center, width, height)


class _Project(torch.autograd.Function):
    """What of the footprints depends smoothly on the Gaussians, then depths and radii."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Float[Tensor, "n 3"],
        quaternions: Float[Tensor, "n 4"],
        log_scales: Float[Tensor, "n 3"],
        harmonics: Float[Tensor, "n k 3"],
        cameras: Cameras,
        degree: int,
    ) -> tuple[
        Float[Tensor, "b n 2"],
        Float[Tensor, "b n 3"],
        Float[Tensor, "b n 4"],
        Float[Tensor, "b n"],
        Int[Tensor, "b n"],
    ]:
        b, n, like = len(cameras), len(means), means
        center, conic, carried = (like.new_empty(b, n, c) for c in (2, 3, 4))
        depth = like.new_empty(b, n)
        radius = torch.zeros(b, n, dtype=torch.int32, device=like.device)
        given = [x.detach().contiguous() for x in (means, quaternions, log_scales, harmonics)]
        views = (cameras.world_to_camera, cameras.K, cameras.position)
        seen_from = [x.detach().to(like).contiguous() for x in views]
        ctx.arrays = [*_leaves(given), *map(_of, seen_from, (wp.mat44, wp.mat33, wp.vec3))]
        ctx.numbers = (degree, float(cameras.width), float(cameras.height))
        ctx.out = [*_made(center, conic, carried), wp.from_torch(depth), wp.from_torch(radius)]
        ctx.kept = (*given, *seen_from)
        ctx.shape = (b, n)
        _launch(ctx, [])
        ctx.mark_non_differentiable(depth, radius)
        return center, conic, carried, depth, radius

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        slopes = [torch.zeros_like(x) for x in ctx.kept[:4]]
        given = _made(*(x.contiguous() for x in upstream[:3]))
        _launch(ctx, [*_leaves(slopes), None, None, None], [*given, None, None])
        return (*slopes, None, None)


def _of(x: Tensor, dtype: Any) -> Any:
    """An array of vectors or matrices over a tensor's memory."""
    return wp.from_torch(x, dtype=dtype, requires_grad=False)


def _leaves(tensors: list[Tensor]) -> list[Any]:
    """Of means, quaternions, logarithms of scales and harmonics."""
    return [_of(x, t) for x, t in zip(tensors, (wp.vec3, wp.vec4, wp.vec3, wp.vec3), strict=True)]


def _made(*tensors: Tensor) -> list[Any]:
    """Of centres, conics and what is carried."""
    return [_of(x, t) for x, t in zip(tensors, (wp.vec2, wp.vec3, wp.vec4), strict=True)]


def _launch(ctx: Any, to_inputs: list[Any], to_outputs: list[Any] | None = None) -> None:
    """Forward, or backward where there are arrays of gradients; Gaussians shared among threads."""
    b, n = ctx.shape
    device = ctx.kept[0].device
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    share = -(-n // threads)
    place = place_of(device)

    def run(k: int) -> None:
        count = min(share, n - k * share)
        for picture in range(b if count > 0 else 0):
            numbers = [picture, k * share, *ctx.numbers]
            inputs = [*ctx.arrays, *numbers]
            if to_outputs is None:
                wp.launch(footprint, dim=count, inputs=inputs, outputs=ctx.out, **place)
            else:
                wp.launch(
                    footprint,
                    dim=count,
                    inputs=inputs,
                    outputs=ctx.out,
                    adj_inputs=[*to_inputs, *numbers],
                    adj_outputs=to_outputs,
                    adjoint=True,
                    **place,
                )

    each(run, threads)


def project(gaussians: Gaussians, cameras: Cameras, *, light: Light | None = None) -> Footprints:
    """EWA projection and colours, as splat.project; no gradients for cameras."""
    center, conic, carried, depth, radius = _Project.apply(
        gaussians.means,
        gaussians.quaternions,
        gaussians.log_scales,
        gaussians.harmonics,
        cameras,
        gaussians.degree,
    )
    if light is not None:
        color, z = carried.split([3, 1], -1)
        carried = carry(color, z[..., 0], gaussians, cameras, light)
    opacity = gaussians.opacity_logits.sigmoid()
    return Footprints(center, conic, opacity, depth, radius, carried)
