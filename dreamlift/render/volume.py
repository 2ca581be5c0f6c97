"""Volume rendering by emission and absorption (NeRF, arXiv:2003.08934, Eq. 3), in plain torch.

A ray x(t) = o + t v is sampled at t_i, each sample standing for a length delta of it:
alpha_i = 1 - exp(-sigma_i delta), T_i = prod_{j<i} (1 - alpha_j), w_i = T_i alpha_i,
and whatever is attached to samples is composited as sum_i w_i x_i. Shading is done per sample,
before compositing (DreamFusion, arXiv:2209.14988, Sec. 3.1). This file is the specification of
volume_warp.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dreamlift.lights import Light, shade
from dreamlift.render.grid import density_of, lookup, slopes
from dreamlift.render.occupancy import occupied_at
from dreamlift.render.skin import Skin, neus_thickness, volsdf_density
from dreamlift.render.twins import has_warp

LOST = "Volumes render with plain torch, some ten times slower"
"""Without Warp."""
BALL = 1.2
"""Radius of the ball around the origin that is rendered, in world units; outside is nothing."""

SOFTNESS = 0.1
"""Normals are shorter than one where the density's relative slope is not above this, per unit."""


@dataclass(frozen=True)
class Rays:
    """`r` rays of each of `b` pictures, and their samples t_i = first + i step, i < count."""

    origins: Float[Tensor, "b r 3"]  # world units
    directions: Float[Tensor, "b r 3"]  # unit
    first: Float[Tensor, "b r"]  # world units along the ray
    step: Float[Tensor, "b r"]  # world units
    count: Int[Tensor, "b r"]  # 0 for a ray that misses the ball


@dataclass(frozen=True)
class Matter:
    """What a field holds at `n` points."""

    density: Float[Tensor, " n"]  # per world unit, >= 0
    albedo: Float[Tensor, "n c"]  # sRGB in [0, 1] (c = 3), or a prior's latent
    normal: Float[Tensor, "n 3"] | None = None  # unit, outward; needed under a light


@dataclass(frozen=True)
class Marched:
    """What `r` rays of each of `b` pictures gather; all but orientation composited by w_i."""

    color: Float[Tensor, "b r c"]
    alpha: Float[Tensor, "b r 1"]
    depth: Float[Tensor, "b r 1"]  # t, world units
    normal: Float[Tensor, "b r 3"]  # world space; 0 without a light
    orientation: Float[Tensor, "b r 1"]  # sum_i sg(w_i) max(0, n_i . v)^2; 0 without a light


@dataclass(frozen=True)
class RayIntegrals:
    """What only a volume can tell of each pixel's ray."""

    orientation: Float[Tensor, "b h w 1"]
    """sum_i sg(w_i) max(0, n_i . v)^2 (Ref-NeRF's penalty, as in DreamFusion): normals that face
    away from the camera. No gradient to the weights w; 0 where no light asked for normals."""


Points: TypeAlias = Float[Tensor, "n 3"]
Field: TypeAlias = Callable[[Points], Matter]
Sections: TypeAlias = Callable[[Points, Float[Tensor, "n 3"], Float[Tensor, " n"]], Matter]
"""A field whose density also depends on the ray's direction (unit) and on how long the section is
that a point is the middle of, in world units; the density is the section's mean."""


def sample_rays(
    origins: Float[Tensor, "b r 3"],
    directions: Float[Tensor, "b r 3"],
    *,
    samples: int,
    jitter: Float[Tensor, "b r"] | None = None,
) -> Rays:
    """Even samples of each ray's way through the ball, `samples` of them along a diameter.

    Shorter chords get fewer samples of about the same length, which always add up to the chord.
    `jitter`, in [0, 1), shifts all samples of a ray within their strata; without it, mid-points.
    """
    middle = -(origins * directions).sum(-1)
    half = (BALL**2 - (origins + middle[..., None] * directions).square().sum(-1)).clamp_min(0)
    half = half.sqrt()
    near = (middle - half).clamp_min(0)
    chord = (middle + half - near).clamp_min(0)
    count = (chord * (samples / (2 * BALL)) - 1e-3).ceil().clamp_min(0)  # no sample for rounding
    step = chord / count.clamp_min(1)
    first = near + (0.5 if jitter is None else jitter) * step
    return Rays(origins, directions, first, step, count.int())


def march(
    field: Field,
    rays: Rays,
    *,
    light: Light | None = None,
    occupied: Bool[Tensor, "n n n"] | None = None,
) -> Marched:
    """Composite any field front to back, asking it only about points of occupied cells."""
    return march_sections(
        lambda points, directions, lengths: field(points), rays, light=light, occupied=occupied
    )


def march_sections(
    field: Sections,
    rays: Rays,
    *,
    light: Light | None = None,
    occupied: Bool[Tensor, "n n n"] | None = None,
) -> Marched:
    """`march` for a field that looks different from different directions, as NeuS's."""
    i = torch.arange(int(rays.count.max()), device=rays.count.device)
    t = rays.first[..., None] + i * rays.step[..., None]
    kept = i < rays.count[..., None]
    if occupied is not None:
        kept = kept & occupied_at(occupied, along(rays, t))
    return march_at(field, rays, t, rays.step[..., None].expand_as(t), kept, light=light)


def along(rays: Rays, t: Float[Tensor, "b r s"]) -> Float[Tensor, "b r s 3"]:
    """The points at distances t (world units) on each ray."""
    return rays.origins[..., None, :] + t[..., None] * rays.directions[..., None, :]


def weigh(thickness: Float[Tensor, "*b s"]) -> Float[Tensor, "*b s"]:
    """w_i of samples of these optical depths, front to back."""
    return (thickness - thickness.cumsum(-1)).exp() * -(-thickness).expm1()


def march_at(
    field: Sections,
    rays: Rays,
    t: Float[Tensor, "b r s"],
    lengths: Float[Tensor, "b r s"],
    kept: Bool[Tensor, "b r s"],
    *,
    light: Light | None = None,
) -> Marched:
    """Composite samples anywhere: at distances t, front to back, each for a section of its length
    (world units); the field is asked about those that are kept, others are empty."""
    points = along(rays, t)
    picture, ray, _ = kept.nonzero(as_tuple=True)
    v = rays.directions[picture, ray]
    matter = field(points[kept], v, lengths[kept])

    def spread(x: Float[Tensor, "n c"]) -> Float[Tensor, "b r s c"]:
        return x.new_zeros(*kept.shape, x.shape[-1]).masked_scatter(kept[..., None], x)

    w = weigh(spread(matter.density[:, None])[..., 0] * lengths)[..., None]
    color, normal = matter.albedo, torch.zeros_like(v)
    facing = normal[:, :1]
    if light is not None:
        if matter.normal is None:
            raise ValueError("A light needs normals: give the field's Matter its `normal`.")
        normal = matter.normal
        color = shade(matter.albedo, normal, points[kept], light[picture])
        facing = (normal * v).sum(-1, keepdim=True).clamp_min(0).square()
    return Marched(
        color=(w * spread(color)).sum(-2),
        alpha=w.sum(-2),
        depth=(w * t[..., None]).sum(-2),
        normal=(w * spread(normal)).sum(-2),
        orientation=(w.detach() * spread(facing)).sum(-2),
    )


def outward(
    gradient: Float[Tensor, "n 3"], density: Float[Tensor, "n 1"] | float = 1.0
) -> Float[Tensor, "n 3"]:
    """n = -grad sigma / |grad sigma|; its length falls to 0 where the field is flat.

    Without that, the derivative of a normal would be unbounded in fog.
    """
    square = gradient.square().sum(-1, keepdim=True) + (SOFTNESS * density) ** 2
    return -gradient / square.clamp_min(torch.finfo(gradient.dtype).tiny).sqrt()


def analytic_normals(density: Callable[[Points], Tensor], points: Points) -> Points:
    """Normals from the density's gradient, by automatic differentiation."""
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        at = points.detach().requires_grad_()
        sigma = density(at)
        (gradient,) = torch.autograd.grad(sigma.sum(), at, create_graph=differentiable)
    return outward(gradient, sigma.detach()[:, None])


def finite_normals(
    density: Callable[[Points], Tensor], points: Points, *, reach: float = 0.02
) -> Points:
    """Normals from central differences over `reach` world units to each side: six more queries."""
    steps = reach * torch.eye(3, device=points.device, dtype=points.dtype)
    around = torch.cat([points + e for e in (*steps, *-steps)])
    sigma = density(around).reshape(2, 3, -1)
    middle = sigma.detach().mean((0, 1))[:, None]
    return outward((sigma[0] - sigma[1]).T / (2 * reach), middle)


def march_grid(
    grid: Float[Tensor, "x y z 4"],
    rays: Rays,
    *,
    light: Light | None = None,
    occupied: Bool[Tensor, "n n n"] | None = None,
    skin: Skin | None = None,
) -> Marched:
    """Composite a dense grid; normals from differences at its vertices, interpolated.

    With a `skin` the grid's first number is how deep a point lies under a surface, in world units
    (less than 0 outside), and not the raw value of a density.
    """
    sloped = light is not None or (skin is not None and skin.kind == "neus")
    table = torch.cat([grid, slopes(grid[..., 0])], -1) if sloped else grid

    def field(
        points: Points, directions: Float[Tensor, "n 3"], lengths: Float[Tensor, " n"]
    ) -> Matter:
        values = lookup(table, points)
        raw, slope = values[:, 0], values[:, 4:]
        if skin is None:
            density = density_of(raw)
        elif skin.kind == "volsdf":
            density = volsdf_density(raw, skin.width)
        else:
            rise = (slope * directions).sum(-1)
            density = neus_thickness(raw, rise, lengths, skin.width) / lengths
        return Matter(density, values[:, 1:4].sigmoid(), outward(slope) if sloped else None)

    return march_sections(field, rays, light=light, occupied=occupied)


@runtime_checkable
class MarchGrid(Protocol):
    """`march_grid` and its fast twins."""

    def __call__(
        self,
        grid: Float[Tensor, "x y z 4"],
        rays: Rays,
        *,
        light: Light | None = None,
        occupied: Bool[Tensor, "n n n"] | None = None,
        skin: Skin | None = None,
    ) -> Marched: ...


def fastest(grid: Float[Tensor, "x y z 4"], rays: Rays) -> MarchGrid:
    """The twin for these tensors: Warp for single precision, torch for anything else, as on MPS.

    Only torch gives gradients to the cameras.
    """
    moving = rays.first.requires_grad or rays.directions.requires_grad
    other = grid.dtype != torch.float32 or grid.device.type not in ("cpu", "cuda")
    if other or moving or not has_warp(LOST):
        return march_grid
    from dreamlift.render import volume_warp

    return volume_warp.march_grid
