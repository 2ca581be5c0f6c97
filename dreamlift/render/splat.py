"""3D Gaussian splatting (Kerbl et al., arXiv:2308.04079), in plain torch.

A Gaussian is projected to an ellipse by the local affine approximation of EWA splatting (Zwicker
et al. 2001): Sigma' = J W Sigma W^T J^T + 0.3 I, J the Jacobian of the projection at its mean.
Sorted by depth, alpha_i = o_i exp(-1/2 d^T Sigma'^-1 d), T_i = prod_{j<i} (1 - alpha_j) and
w_i = T_i alpha_i; whatever splats carry is composited as sum_i w_i x_i. Every cut-off is that of
the INRIA rasteriser (diff-gaussian-rasterization), where it decides what is drawn; derivatives
are the true ones of what is drawn (INRIA's pass through the cap of alpha and stop at the clamp of
J). `composite` is the specification of splat_warp.py.
"""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from dreamlift.cameras import Cameras
from dreamlift.geometry.gaussians import Gaussians, factors, rotations
from dreamlift.geometry.harmonics import basis
from dreamlift.lights import Light, shade
from dreamlift.render.twins import has_warp

LOST = "Gaussians render with plain torch, some ten times slower"
"""Without Warp."""
NEAR = 0.2
"""Means nearer than this to the camera's plane, world units, are not drawn."""
CLAMP = 0.3
"""J is taken at most this share of half the picture outside it: 1.3 tan(fov / 2)."""
BLUR = 0.3
"""Added to the diagonal of Sigma', square pixels: no splat is thinner than about a pixel."""
REACH = 3.0
"""Standard deviations, along the longer axis, that a splat reaches."""
FAINTEST = 1 / 255
"""What adds less opacity than this to a pixel is left out."""
CAP = 0.99
"""No splat is more opaque."""
OPAQUE = 1e-4
"""The splat that would leave less transmittance than this is left out, and all behind it."""
TILE = 16
"""Side, in pixels, of the squares in which a splat is drawn as a whole or not at all."""

SPLATS = 1024
"""Splats that the reference holds against a tile's pixels at once; bounds its memory."""
REMEMBERED = 1 << 18
"""Splats x tiles above which the reference computes again instead of remembering."""


@dataclass(frozen=True)
class Footprints:
    """Where each of `n` Gaussians falls in each of `b` pictures, and what it carries there."""

    center: Float[Tensor, "b n 2"]  # x, y in pixels; those of the upper left pixel's centre: .5, .5
    conic: Float[Tensor, "b n 3"]  # xx, xy, yy of Sigma'^-1, per square pixel
    opacity: Float[Tensor, " n"]
    depth: Float[Tensor, "b n"]  # along the camera's z, world units
    radius: Int[Tensor, "b n"]  # pixels; 0: not drawn
    carried: Float[Tensor, "b n c"]  # colour, depth (c = 4), and a normal (c = 7)


@dataclass(frozen=True)
class Splats:
    """What densification wants to know of a rendering."""

    center: Float[Tensor, "b n 2"]  # pixels; its `grad` is kept
    radius: Int[Tensor, "b n"]  # pixels; 0: not drawn
    height: int
    width: int


def shortest_axes(gaussians: Gaussians) -> Float[Tensor, "n 3"]:
    """Unit normals of Gaussians, of either sign: the axis along which each is thinnest."""
    index = gaussians.log_scales.argmin(-1)[:, None, None].expand(-1, 3, 1)
    return rotations(gaussians.quaternions).gather(2, index)[..., 0]


def project(gaussians: Gaussians, cameras: Cameras, *, light: Light | None = None) -> Footprints:
    """EWA projection and colours; under a light also normals, and colours are shaded.

    A Gaussian is lit at its mean, its normal its shortest axis, on the viewer's side.
    """
    W = cameras.world_to_camera[:, :3, :3]
    local = (
        torch.einsum("bij,nj->bni", W, gaussians.means) + cameras.world_to_camera[:, None, :3, 3]
    )
    in_front = local[..., 2] > NEAR
    z = torch.where(in_front, local[..., 2], 1.0)
    slope = local[..., :2] / z[..., None]
    K = cameras.K[:, None]
    f, c = torch.stack([K[..., 0, 0], K[..., 1, 1]], -1), K[..., :2, 2]
    size = f.new_tensor([cameras.width, cameras.height])
    center = f * slope + c
    outside = CLAMP * size / (2 * f)
    at = torch.minimum(torch.maximum(slope, -c / f - outside), (size - c) / f + outside)
    M = torch.einsum("bij,njk->bnik", W, factors(gaussians))  # axes in the camera's frame
    # J M, row by row: (f / z) (row - slope x last row)
    JM = (f / z[..., None])[..., None] * (M[..., :2, :] - at[..., None] * M[..., 2:, :])
    x, y = JM.unbind(-2)
    xx, xy, yy = (x * x).sum(-1) + BLUR, (x * y).sum(-1), (y * y).sum(-1) + BLUR
    det = xx * yy - xy * xy
    drawn = in_front & (det > 0)
    det = torch.where(drawn, det, 1.0)
    with torch.no_grad():
        middle = (xx + yy) / 2
        longest = middle + (middle * middle - det).clamp_min(0.1).sqrt()
        radius = (REACH * longest.sqrt()).ceil()
        radius = torch.where(drawn & radius.isfinite(), radius, 0).clamp_max(1 << 20).int()
        rect = tiles(center, radius, cameras.height, cameras.width)
        radius = radius * (rect[..., 2:] > rect[..., :2]).all(-1)
    Y = basis(_toward(gaussians, cameras), gaussians.degree)
    color = (torch.einsum("bnk,nkc->bnc", Y, gaussians.harmonics) + 0.5).clamp_min(0)
    return Footprints(
        center=center,
        conic=torch.stack([yy, -xy, xx], -1) / det[..., None],
        opacity=gaussians.opacity_logits.sigmoid(),
        depth=local[..., 2],
        radius=radius,
        carried=carry(color, z, gaussians, cameras, light),
    )


def _toward(gaussians: Gaussians, cameras: Cameras) -> Float[Tensor, "b n 3"]:
    """The unit direction from each camera to each Gaussian."""
    return F.normalize(gaussians.means - cameras.position[:, None], dim=-1)


def carry(
    color: Float[Tensor, "b n 3"],
    z: Float[Tensor, "b n"],
    gaussians: Gaussians,
    cameras: Cameras,
    light: Light | None,
) -> Float[Tensor, "b n c"]:
    """Colour, depth, and under a light normals, as seen from each camera."""
    if light is None:
        return torch.cat([color, z[..., None]], -1)
    toward = _toward(gaussians, cameras)
    normal = shortest_axes(gaussians).expand_as(toward)
    away = (normal * toward).sum(-1, keepdim=True) > 0
    normal = torch.where(away, -normal, normal)
    color = shade(color, normal, gaussians.means.expand_as(normal), light)
    return torch.cat([color, z[..., None], normal], -1)


@torch.no_grad()
def tiles(
    center: Float[Tensor, "*s 2"], radius: Int[Tensor, "*s"], height: int, width: int
) -> Int[Tensor, "*s 4"]:
    """The tiles that splats are drawn in: first column and row, and those after the last."""
    grid = center.new_tensor([-(-width // TILE), -(-height // TILE)])
    p, r = center - 0.5, radius[..., None]
    first = ((p - r) / TILE).nan_to_num().clamp_min(0).minimum(grid)
    after = ((p + r + TILE - 1) / TILE).nan_to_num().clamp_min(0).minimum(grid)
    return torch.cat([first, torch.where(r > 0, after, first)], -1).int()


def composite(footprints: Footprints, height: int, width: int) -> Float[Tensor, "b h w d"]:
    """Front to back, Eq. 3 of Kerbl et al.: what splats carry, and last the opacity.

    One tile after the other, and in each some splats at a time.
    """
    rects = tiles(footprints.center, footprints.radius, height, width)
    sides = (rects[..., 2:] - rects[..., :2]).clamp_min(0)
    remember = int(sides.prod(-1).sum()) <= REMEMBERED or not torch.is_grad_enabled()
    ones = torch.ones_like(footprints.carried[..., :1])
    footprints = replace(footprints, carried=torch.cat([footprints.carried, ones], -1))
    pictures: list[Tensor] = []
    for b in range(len(rects)):
        order = footprints.depth[b].argsort(stable=True)
        rect = rects[b, order]
        bands: list[Tensor] = []
        for row in range(-(-height // TILE)):
            here = (rect[:, 1] <= row) & (row < rect[:, 3])
            band: list[Tensor] = []
            for column in range(-(-width // TILE)):
                inside = here & (rect[:, 0] <= column) & (column < rect[:, 2])
                pixels = _pixels(footprints, row, column, height, width)
                band.append(_tile(footprints, b, order[inside], pixels, remember=remember))
            bands.append(torch.cat(band, 1))
        pictures.append(torch.cat(bands, 0))
    return torch.stack(pictures)


def _pixels(
    footprints: Footprints, row: int, column: int, height: int, width: int
) -> Float[Tensor, "y x 2"]:
    """Centres of a tile's pixels."""
    like = footprints.center
    y = torch.arange(row * TILE, min((row + 1) * TILE, height), device=like.device) + 0.5
    x = torch.arange(column * TILE, min((column + 1) * TILE, width), device=like.device) + 0.5
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).to(like)


def _tile(
    footprints: Footprints,
    picture: int,
    order: Int[Tensor, " m"],
    pixels: Float[Tensor, "y x 2"],
    *,
    remember: bool,
) -> Float[Tensor, "y x c"]:
    """The splats of a tile, nearest first, over its pixels."""
    p = pixels.reshape(-1, 2)
    left = p.new_ones(len(p), 1)
    total = p.new_zeros(len(p), footprints.carried.shape[-1])
    for some in order.split(SPLATS):
        given = (
            left,
            p,
            footprints.center[picture, some],
            footprints.conic[picture, some],
            footprints.opacity[some],
            footprints.carried[picture, some],
        )
        if remember:
            left, more = _blend(*given)
        else:
            left, more = checkpoint(_blend, *given, use_reentrant=False, preserve_rng_state=False)
        total = total + more
    return total.reshape(*pixels.shape[:2], -1)


def _blend(
    T: Float[Tensor, "p 1"],
    pixels: Float[Tensor, "p 2"],
    center: Float[Tensor, "m 2"],
    conic: Float[Tensor, "m 3"],
    opacity: Float[Tensor, " m"],
    carried: Float[Tensor, "m c"],
) -> tuple[Float[Tensor, "p 1"], Float[Tensor, "p c"]]:
    """What m splats add to pixels that T of the light still reaches, and how much goes on."""
    x, y = (pixels[:, None] - center).unbind(-1)
    xx, xy, yy = conic.unbind(-1)
    power = -0.5 * (xx * x * x + yy * y * y) - xy * x * y
    alpha = (opacity * power.exp()).clamp_max(CAP)
    alpha = torch.where((power <= 0) & (alpha >= FAINTEST), alpha, 0.0)
    left = torch.cat([T, T * (1 - alpha).cumprod(1)], 1)
    before, after = left[:, :-1], left[:, 1:]
    w = torch.where(after >= OPAQUE, before * alpha, 0.0)
    return left[:, -1:], w @ carried


@runtime_checkable
class Composite(Protocol):
    """`composite` and its fast twins."""

    def __call__(
        self, footprints: Footprints, height: int, width: int
    ) -> Float[Tensor, "b h w d"]: ...


def _for_warp(like: Tensor) -> bool:
    """Whether Warp computes with such tensors here."""
    fits = like.dtype == torch.float32 and like.device.type in ("cpu", "cuda")
    return fits and has_warp(LOST)


def fastest(footprints: Footprints) -> Composite:
    """The twin for these tensors: Warp for single precision, torch for anything else, as on MPS."""
    if not _for_warp(footprints.center):
        return composite
    from dreamlift.render import splat_warp

    return splat_warp.composite


def projected(gaussians: Gaussians, cameras: Cameras, *, light: Light | None = None) -> Footprints:
    """`project` by the fastest twin: Warp as in `fastest`, but torch for cameras that learn."""
    learned = cameras.world_to_camera.requires_grad or cameras.K.requires_grad
    if learned or not _for_warp(gaussians.means):
        return project(gaussians, cameras, light=light)
    from dreamlift.render import project_warp

    return project_warp.project(gaussians, cameras, light=light)
