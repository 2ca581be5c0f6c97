"""What cameras see of programs of solids: a G-buffer by sphere tracing.

Hart, "Sphere tracing" (The Visual Computer 1996), with a cone around each ray for antialiased
silhouettes. Notation: t is the distance along a unit ray, a pixel is t x cone world units wide
there, d the signed distance of the union of all parts, and `low` the least d along the ray in
pixels: positive where the ray only passes by, negative for how deep it goes in. A silhouette
that crosses a pixel `low` pixels from its centre leaves it 0.5 - low covered.

The march goes on behind the first hit until it is half a pixel deep. Two solids that touch, or a
thin wall, never look deep although they cover: so a hit whose eight neighbours all hit is full.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.geometry.primitives import FAR, Program, distance
from dreamlift.render.twins import has_warp

LOST = "Toys are traced with plain torch, many times slower"
"""Without Warp."""
BALL = 1.6
"""Nothing is drawn outside the ball of this radius around the origin, in world units."""
STEPS = 128
"""The most distances a ray takes along its way."""
PATIENCE = 32
"""From the step of this number on, a ray that still finds nothing takes ever longer steps."""
SAFETY = 0.9
"""The share of the distance that a step takes: some solids' distances are a little too large."""
DEEP = 0.5
"""From this depth on a pixel is full, in pixels."""
STRIDE = 0.2
"""The shortest step before the first hit, in pixels: it takes rays past walls that they graze."""
INSIDE = 0.6
"""The shortest step behind the first hit, in pixels."""
SHARP = 0.6
HALVINGS = 6
"""Where `low` is nearer to nought than this many pixels, the step beside it is halved so often, to
find the true one between the samples."""
PROBE = 0.03
LEAST_PROBE = 3e-4
"""Half the edge of the cube around the points that measure the normal: in pixels, and at least
this many world units, which single precision can tell apart."""
FLAT = 0.25
"""The least slope that distances are corrected for."""
ASIDE = 0.15
"""How far behind a silhouette a covered miss is shown at least, in pixels."""
TOGETHER = 8
"""Steps of the torch twin between two looks at which rays are still on their way."""
SLICE = 1 << 12
CUDA_SLICE = 1 << 18
"""Rays that the torch twin marches at once: what fits a cache, and what fills a GPU."""


@dataclass(frozen=True)
class Traced:
    """What `b` cameras see; where coverage is 0, part, normal and depth are 0.

    Where a pixel is covered although the ray through its centre misses, they are those of the
    surface that covers it.
    """

    part: UInt8[Tensor, "b h w"]
    normal: Float[Tensor, "b h w 3"]  # unit, world
    depth: Float[Tensor, "b h w"]  # along the unit ray, in world units
    coverage: Float[Tensor, "b h w"]  # of the pixel, in [0, 1]


def trace(program: Program, scene: Int[Tensor, " b"], cameras: Cameras) -> Traced:
    """The scenes `program[scene]` as their cameras see them, by the fastest twin there is."""
    check(scene, cameras)
    device = cameras.K.device.type
    ours = cameras.K.dtype == torch.float32 and device in ("cpu", "cuda")
    if ours and has_warp(LOST):
        from dreamlift.render.trace_warp import trace_warp

        return trace_warp(program, scene, cameras)
    return trace_torch(program, scene, cameras)


def check(scene: Int[Tensor, " b"], cameras: Cameras) -> None:
    """Cameras and scenes come in pairs."""
    if len(scene) != len(cameras):
        raise ValueError(
            f"Every camera looks at one scene: {len(cameras)} cameras came with {len(scene)} "
            "scene numbers. Repeat the numbers, as in scene.repeat_interleave(views)."
        )


@dataclass(frozen=True)
class Rays:
    """Rays, and the stretch of each inside the ball."""

    scene: Int[Tensor, " r"]
    origin: Float[Tensor, "r 3"]
    direction: Float[Tensor, "r 3"]  # unit
    cone: Float[Tensor, " r"]  # width of a pixel at t = 1, in world units
    near: Float[Tensor, " r"]
    far: Float[Tensor, " r"]  # below near where the ray misses the ball

    def __getitem__(self, index: Tensor | slice) -> "Rays":
        """Some of the rays."""
        return Rays(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def rays(scene: Int[Tensor, " b"], cameras: Cameras) -> Rays:
    """One ray through every pixel's centre, camera by camera and row by row."""
    origin, direction = cameras.rays()
    forward = cameras.world_to_camera[:, None, None, 2, :3]
    focal = (cameras.K[:, 0, 0] * cameras.K[:, 1, 1]).sqrt()[:, None, None]
    cone = (direction * forward).sum(-1) / focal
    middle = -(origin * direction).sum(-1)
    half = BALL**2 - (origin + middle[..., None] * direction).square().sum(-1)
    near = (middle - half.clamp_min(0).sqrt()).clamp_min(1e-3)
    far = torch.where(half > 0, middle + half.clamp_min(0).sqrt(), -1.0)
    scenes = scene[:, None, None].expand_as(near)
    return Rays(
        scene=scenes.flatten(),
        origin=origin.reshape(-1, 3),
        direction=direction.reshape(-1, 3),
        cone=cone.flatten(),
        near=near.flatten(),
        far=far.flatten(),
    )


def filled(coverage: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Hits (at least half covered) that no miss touches are full; see the module's docstring."""
    miss = F.pad((coverage < 0.5).to(coverage.dtype), (1, 1, 1, 1), value=1.0)
    inside = F.max_pool2d(miss[:, None], 3, stride=1)[:, 0] == 0
    return torch.where(inside, 1.0, coverage)


@dataclass(frozen=True)
class March:
    """How far rays have come, and what they have met."""

    t: Float[Tensor, " r"]
    stride: Float[Tensor, " r"]  # the last step
    d: Float[Tensor, " r"]  # the distance before it
    low: Float[Tensor, " r"]
    lowest: Float[Tensor, " r"]  # where that was
    width: Float[Tensor, " r"]  # the longer of the steps beside it
    at: Float[Tensor, " r"]  # the first hit or, so far, the nearest approach
    part: Int[Tensor, " r"]  # there

    def step(self, program: Program, bundle: Rays, number: int) -> "March":
        """One distance further, where there is still something to find."""
        shortest = STRIDE * max(1.0, number / PATIENCE) ** 2
        going = (self.t <= bundle.far) & (self.low >= -DEEP)
        points = bundle.origin + self.t[:, None] * bundle.direction
        d, part = (x[:, 0] for x in distance(program, points[:, None]))
        pixel = bundle.cone * self.t
        v = torch.where(going, d / pixel, FAR)
        lower = v < self.low
        nearer = lower & (self.low >= 0)
        # A first step into a solid is taken back to where the distance, as a line, was zero.
        over = self.stride * torch.where(d < 0, d / (d - self.d), 0.0)
        low = torch.minimum(self.low, v)
        least = torch.where(low < 0, INSIDE, shortest) * pixel
        stride = torch.where(going, torch.maximum(SAFETY * d.abs(), least), 0.0)
        return March(
            t=self.t + stride,
            stride=stride,
            d=d,
            low=low,
            lowest=torch.where(lower, self.t, self.lowest),
            width=torch.where(lower, torch.maximum(self.stride, stride), self.width),
            at=torch.where(nearer, self.t - over, self.at),
            part=torch.where(nearer, part, self.part),
        )


def _walk(program: Program, bundle: Rays) -> March:
    """Rays at their ends."""
    t, zero = bundle.near, torch.zeros_like(bundle.near)
    march = March(t, zero, zero, zero + FAR, t, zero, t, zero.to(program.part.dtype))
    for first in range(0, STEPS, TOGETHER):
        alive = ((march.t <= bundle.far) & (march.low >= -DEEP)).nonzero()[:, 0]
        if len(alive) == 0:
            break
        some, theirs = _pick(march, alive), bundle[alive]
        scenes = program[theirs.scene]
        for number in range(first, first + TOGETHER):
            some = some.step(scenes, theirs, number)
        march = _put(march, alive, some)

    close = (march.low.abs() < SHARP).nonzero()[:, 0]
    theirs = bundle[close]
    sharp = _sharpen(program[theirs.scene], theirs, _pick(march, close))
    return _put(march, close, sharp)


def _sharpen(program: Program, bundle: Rays, march: March) -> March:
    """The march with `low` found between its samples, by halving steps to both sides.

    Divided by the slope there it is true to first order, also where two faces meet, where a
    cut, an edge seen from inside or a stretched solid understates distances.
    """
    low, lowest, width = march.low, march.lowest, march.width
    for _ in range(HALVINGS):
        width = width / 2
        t = torch.stack([lowest - width, lowest, lowest + width], -1)
        points = bundle.origin[:, None] + t[..., None] * bundle.direction[:, None]
        v = distance(program, points)[0] / (bundle.cone[:, None] * t)
        low, which = v.min(-1)
        lowest = t.gather(-1, which[:, None])[:, 0]
    slope = _gradient(program, bundle, lowest).norm(dim=-1).clamp_min(FLAT)
    at = torch.where(march.low < 0, march.at, lowest)
    return replace(march, low=low / slope, lowest=lowest, at=at)


def _gradient(program: Program, bundle: Rays, t: Float[Tensor, " r"]) -> Float[Tensor, "r 3"]:
    """The distance's, at `t` along the rays, from the corners of a tetrahedron."""
    h = (PROBE * bundle.cone * t).clamp_min(LEAST_PROBE)[:, None]
    corners = t.new_tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    points = bundle.origin + t[:, None] * bundle.direction
    d, _ = distance(program, points[:, None] + h[..., None] * corners)
    return d @ corners / (4 * h)


def _pick(march: March, index: Int[Tensor, " k"]) -> March:
    return March(*(getattr(march, name)[index] for name in march.__dataclass_fields__))


def _put(march: March, index: Int[Tensor, " k"], some: March) -> March:
    names = march.__dataclass_fields__
    pairs = [(getattr(march, name), getattr(some, name)) for name in names]
    return March(*(whole.index_copy(0, index, piece) for whole, piece in pairs))


class Surface(NamedTuple):
    """What the pixels of some rays show."""

    part: Int[Tensor, " r"]
    depth: Float[Tensor, " r"]
    normal: Float[Tensor, "r 3"]


def _surface(program: Program, bundle: Rays, march: March) -> Surface:
    """The hit or nearest approach, and its normal: against the ray where there is no slope."""
    gradient = _gradient(program[bundle.scene], bundle, march.at)
    slope = gradient.norm(dim=-1, keepdim=True)
    normal = torch.where(slope > 1e-6, gradient / slope.clamp_min(1e-6), -bundle.direction)
    return Surface(march.part, march.at, normal)


def _shoot(program: Program, bundle: Rays) -> tuple[Float[Tensor, " r"], Surface]:
    """Coverage of each ray's pixel, and what it shows, or noughts.

    A pixel that is covered although its ray misses shows what a second ray meets, aimed at the
    middle of the covered share.
    """
    march = _walk(program, bundle)
    coverage = (0.5 - march.low).clamp(0, 1)
    covered = (coverage > 0).nonzero()[:, 0]
    theirs, low = bundle[covered], march.low[covered]
    surface = _surface(program, theirs, _pick(march, covered))

    beside = (low >= 0).nonzero()[:, 0]
    inward = theirs.cone * (low + (0.5 * (DEEP - low)).clamp_min(ASIDE))
    aim = theirs.direction - inward[:, None] * surface.normal
    shifted = replace(theirs, direction=F.normalize(aim, dim=-1))[beside]
    again = _walk(program, shifted)
    found = (again.low < 0).nonzero()[:, 0]
    second = _surface(program, shifted[found], _pick(again, found))
    surface = _over(surface, beside[found], second)

    zero = torch.zeros_like(coverage)
    nothing = Surface(zero.to(march.part.dtype), zero, torch.zeros_like(bundle.direction))
    return coverage, _over(nothing, covered, surface)


def _over(surface: Surface, index: Int[Tensor, " k"], some: Surface) -> Surface:
    pairs = zip(surface, some, strict=True)
    return Surface(*(whole.index_copy(0, index, piece) for whole, piece in pairs))


@torch.no_grad()
def trace_torch(program: Program, scene: Int[Tensor, " b"], cameras: Cameras) -> Traced:
    """The specification: every ray past every solid of its scene, on any device and dtype."""
    bundle = rays(scene, cameras)
    size = CUDA_SLICE if bundle.near.is_cuda else SLICE
    shots = [_shoot(program, bundle[i : i + size]) for i in range(0, len(bundle.near), size)]
    coverage = torch.cat([shot[0] for shot in shots])
    part, depth, normal = (torch.cat(x) for x in zip(*(shot[1] for shot in shots), strict=True))
    shape = (len(scene), cameras.height, cameras.width)
    return Traced(
        part=part.to(torch.uint8).view(shape),
        normal=normal.view(*shape, 3),
        depth=depth.view(shape),
        coverage=filled(coverage.view(shape)),
    )
