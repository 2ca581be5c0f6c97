"""A radiance field: density and albedo everywhere in a ball, seen by volume rendering.

phi is a dense grid of three nested levels (fast: seconds to a shape), or another body: a small
network on an encoding of the position (frequencies.py, hashed.py, encoded.py).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal, TypeAlias, final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dreamlift.lights import Light
from dreamlift.render.grid import density_of, halve, lookup, raw_of, vertices
from dreamlift.render.occupancy import decay, occupancy
from dreamlift.render.volume import (
    BALL,
    Marched,
    Matter,
    Points,
    RayIntegrals,
    Rays,
    analytic_normals,
    fastest,
    finite_normals,
    march_sections,
    sample_rays,
)
from dreamlift.scene import Rendering, Scene, Shot
from dreamlift.step import Step

Init: TypeAlias = Literal["fog", "blob"]
Marcher: TypeAlias = Callable[["Field", Rays, Light | None], Marched]
"""How a field of any body is looked at: what its rays gather, under a light or none."""

REFRESH = 16
"""Steps between two looks at which cells are empty."""


def initial_density(
    points: Float[Tensor, "*s 3"], init: Init, optical_depth: float
) -> Float[Tensor, "*s"]:
    """Density before the first step; rays through the origin meet `optical_depth` of it.

    "fog" is uniform up to radius 1 and fades to the edge of the ball: nothing is decided yet, so
    rings keep their holes. "blob" is DreamFusion's compact Gaussian (App. A.2), scaled from its
    world, half as large as ours, to a standard deviation of 0.4. Neither is quite 0 anywhere in
    the ball, so that the gradient is alive everywhere.
    """
    r = points.norm(dim=-1)
    if init == "fog":
        fade = ((r - 1) / (BALL - 1)).clamp(0, 1)
        density = optical_depth / (BALL + 1) * (0.5 + 0.5 * (torch.pi * fade).cos())
    else:
        std = 0.4
        density = optical_depth / (std * (2 * torch.pi) ** 0.5) * (-0.5 * (r / std) ** 2).exp()
    return density.clamp_min(0.01)


def initial_raw(
    points: Float[Tensor, "n 3"], init: Init, optical_depth: float
) -> Float[Tensor, " n"]:
    """The raw density (render/grid.py) of `initial_density`."""
    return raw_of(initial_density(points, init, optical_depth))


def nests(resolution: int) -> None:
    """Raise ValueError for a grid in whose cells the occupancy grid's do not lie."""
    if resolution % 32 != 1 or resolution < 33:
        raise ValueError(
            "A grid's resolution must be one more than a multiple of 32, so that its levels "
            f"and the occupancy grid nest. Got {resolution}; try 33, 65 or 129."
        )


class Grid(nn.Module):
    """Levels of vertices, each twice as fine as the one before, that are added up."""

    def __init__(
        self,
        resolution: int,
        raw: Callable[[Points], Tensor],
        levels: int = 3,
        *,
        channels: int = 3,
    ) -> None:
        super().__init__()
        finest = vertices(resolution).flatten(0, 2)
        values = torch.cat([raw(finest)[:, None], finest.new_zeros(len(finest), channels)], -1)
        sides = [(resolution - 1) // 2**k + 1 for k in range(levels)]
        self.levels = nn.ParameterList(torch.zeros(n, n, n, 1 + channels) for n in reversed(sides))
        self.levels[-1] = nn.Parameter(values.reshape(resolution, resolution, resolution, -1))

    def dense(self) -> Float[Tensor, "x y z c"]:
        """The sum of the levels on the finest vertices: raw density, three colour logits (or as
        many other channels as were asked for)."""
        total = self.levels[0]
        for finer in list(self.levels)[1:]:
            total = halve(total) + finer
        return total

    def forward(self, points: Points) -> Float[Tensor, "n c"]:
        return lookup(self.dense(), points)

    def densest(self, cells: int) -> Float[Tensor, "n n n"]:
        """The greatest raw density in each of `cells`^3 cells of the cube: exactly."""
        raw = self.dense()[None, None, ..., 0]
        stride = (raw.shape[-1] - 1) // cells
        return F.max_pool3d(raw, stride + 1, stride)[0, 0]


class Body(nn.Module, ABC):
    """Another body of a field's than the grid: scenes/frequencies.py, hashed.py, encoded.py."""

    @abstractmethod
    def forward(self, points: Points) -> Float[Tensor, "n 4"]:
        """Raw density and three colour logits (render/grid.py) at points, world units."""

    @abstractmethod
    def fresh(self) -> "Body":
        """As it was drawn."""

    def over(self, points: Points, variance: Points) -> Float[Tensor, "n 4"]:
        """The same in the mean over Gaussians around points, with these variances along x, y, z
        (square world units): by default, at the points."""
        return self(points)

    def densest(self, cells: int) -> Float[Tensor, "n n n"]:
        """The greatest raw density at the corners of each of `cells`^3 cells of the cube."""
        corners = vertices(cells + 1, device=next(self.parameters()).device)
        raw = self(corners.flatten(0, 2))[:, 0].reshape(1, 1, *corners.shape[:3])
        return F.max_pool3d(raw, 2, 1)[0, 0]


def rays_of(shot: Shot, samples: int, rng: torch.Generator | None) -> Rays:
    """The rays of a shot, `samples` along a diameter of the ball; with `rng` they are shifted."""
    origins, directions = (x.flatten(1, 2) for x in shot.cameras.rays())
    jitter = None
    if rng is not None:
        jitter = torch.rand(origins.shape[:2], generator=rng, device=rng.device).to(origins)
    return sample_rays(origins, directions, samples=samples, jitter=jitter)


def pictured(m: Marched, shot: Shot) -> Rendering[RayIntegrals]:
    """What rays gathered, as pictures."""

    def picture(x: Float[Tensor, "b r c"]) -> Float[Tensor, "b h w c"]:
        return x.unflatten(1, (shot.cameras.height, shot.cameras.width))

    return Rendering(
        color=picture(m.color),
        alpha=picture(m.alpha),
        aux=RayIntegrals(picture(m.orientation)),
        depth=picture(m.depth),
        normal=None if shot.light is None else picture(m.normal),
    )


@final
class Field(Scene[RayIntegrals]):
    """A radiance field in the ball of radius 1.2."""

    seen: Float[Tensor, "n n n"]
    occupied: Bool[Tensor, "n n n"]

    def __init__(
        self,
        *,
        body: Body | None = None,
        init: Init = "fog",
        optical_depth: float = 3.0,
        normals: Literal["finite", "analytic"] = "finite",
        samples: int = 48,
        resolution: int = 65,
        levels: int = 3,
        marcher: Marcher | None = None,
    ) -> None:
        """`body`: None for a grid, which begins as `init` says; `samples` along a diameter;
        `resolution` of the grid, one more than a multiple of 32, and how many `levels` add up to
        it; `marcher` how a network is looked at, where not at all even samples at once
        (marching.py)."""
        super().__init__()
        nests(resolution)

        raw = partial(initial_raw, init=init, optical_depth=optical_depth)
        self.body = Grid(resolution, raw, levels) if body is None else body
        self.normals: Literal["finite", "analytic"] = normals
        self.samples = samples
        self.marcher = marcher
        self.register_buffer("seen", torch.zeros(32, 32, 32))
        self.register_buffer("occupied", torch.ones(32, 32, 32, dtype=torch.bool))

    def finer(self) -> "Field":
        """The same field on cells of half the side, one level of them, with twice the samples."""
        if not isinstance(self.body, Grid):
            raise ValueError("Only a grid has a finer one; this field is a network.")
        dense = halve(self.body.dense().detach())
        cells = self.seen, self.occupied
        return Field.of(dense, *cells, samples=2 * self.samples, normals=self.normals)

    @staticmethod
    @torch.no_grad()
    def of(
        dense: Float[Tensor, "n n n 4"],
        seen: Float[Tensor, "m m m"],
        occupied: Bool[Tensor, "m m m"],
        *,
        samples: int,
        normals: Literal["finite", "analytic"] = "finite",
    ) -> "Field":
        """One level of these raw densities and colour logits, and what is known of its cells."""
        field = Field(normals=normals, samples=samples, resolution=len(dense), levels=1)
        field = field.to(dense.device)
        field.get_parameter("body.levels.0").copy_(dense)
        field.seen.copy_(seen)
        field.occupied.copy_(occupied)
        return field

    def revive(self) -> None:
        """Begin again in place: a grid as DreamFusion's blob, a network as it was drawn."""
        if isinstance(self.body, Grid):
            n, levels = len(self.body.dense()), len(self.body.levels)
            fresh = Field(init="blob", resolution=n, levels=levels)
        else:
            fresh = Field(body=self.body.fresh())
        self.load_state_dict(fresh.state_dict())

    def dense(self, resolution: int = 65) -> Float[Tensor, "x y z 4"]:
        """Raw density and colour logits on a grid (render/grid.py): its own, where it is one."""
        with torch.no_grad():
            if isinstance(self.body, Grid):
                return self.body.dense()
            points = vertices(resolution, device=self.seen.device)
            return self.body(points.flatten(0, 2)).reshape(*points.shape[:3], 4)

    def query(
        self, points: Points, variance: Points | None = None
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Density per world unit, and albedo (sRGB in [0, 1]); no density outside the ball. With a
        variance (Body.over) in the mean around points, where the body can tell."""
        if variance is not None and isinstance(self.body, Body):
            values = self.body.over(points, variance)
        else:
            values = self.body(points)
        within = points.square().sum(-1) < BALL**2
        return density_of(values[:, 0]) * within, values[:, 1:].sigmoid()

    def density(self, points: Points) -> Float[Tensor, " n"]:
        return self.query(points)[0]

    def albedo(self, points: Points) -> Float[Tensor, "n 3"]:
        return self.query(points)[1]

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        """Two corners of a box that holds everything, in world units."""
        return self.seen.new_tensor([[-BALL] * 3, [BALL] * 3])

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[RayIntegrals]:
        rays = rays_of(shot, self.samples, rng)
        if isinstance(self.body, Grid) and self.normals == "finite":
            grid = self.body.dense()
            march_grid = fastest(grid, rays)
            m = march_grid(grid, rays, light=shot.light, occupied=self.occupied)
        elif self.marcher is not None:
            m = self.marcher(self, rays, shot.light)
        else:
            m = self.march(rays, shot.light)
        return pictured(m, shot)

    def march(self, rays: Rays, light: Light | None) -> Marched:
        """At even samples, all at once."""
        look = self.unlit if light is None else self.lit
        return march_sections(look, rays, light=light, occupied=self.occupied)

    def unlit(self, points: Points, directions: Points, lengths: Float[Tensor, " n"]) -> Matter:
        """What there is in sections of rays, of these lengths: render.volume.Sections."""
        return Matter(*self.query(points, (directions * lengths[:, None]).square() / 12))

    def lit(self, points: Points, directions: Points, lengths: Float[Tensor, " n"]) -> Matter:
        """The same with normals, for a light."""
        find = finite_normals if self.normals == "finite" else analytic_normals
        matter = self.unlit(points, directions, lengths)
        return replace(matter, normal=find(self.density, points))

    def adapt(
        self, step: Step, view: Rendering[RayIntegrals], optimizer: torch.optim.Optimizer
    ) -> None:
        """Look, once in a while, which cells are too thin to be worth sampling."""
        if (step.index + 1) % REFRESH == 0:
            with torch.no_grad():
                sample = 2 * BALL / self.samples
                depth = density_of(self.body.densest(len(self.seen))) * sample
                self.seen.copy_(decay(self.seen, depth))
                self.occupied.copy_(occupancy(self.seen))
