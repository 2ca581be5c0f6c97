"""A field of signed distances: a surface everywhere from the first step, seen by volume rendering.

phi is a signed distance and an albedo everywhere in the ball, on the grid or in the network of
scenes/field.py, and made a density by VolSDF (arXiv:2106.12052) or NeuS (arXiv:2106.10689). What
comes out of it is its zero level, as sharp as its grid, whatever width it was rendered with.
"""

import math
from functools import partial
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dreamlift.render.grid import lookup, slopes
from dreamlift.render.occupancy import decay, occupancy
from dreamlift.render.skin import Kind, Skin, density_under, neus_thickness
from dreamlift.render.volume import (
    BALL,
    Matter,
    Points,
    RayIntegrals,
    fastest,
    march_sections,
    outward,
)
from dreamlift.scene import Rendering, Scene, Shot
from dreamlift.scenes.field import REFRESH, Body, Grid, nests, pictured, rays_of
from dreamlift.step import Step, exponential

UNIT = 0.03
"""World units of a depth whose number in phi is 1: so that one learning rate does for it and for
the logits of colours."""


def sphere(points: Float[Tensor, "n 3"], radius: float) -> Float[Tensor, " n"]:
    """How deep points lie in a sphere, in `UNIT`s."""
    return (radius - points.norm(dim=-1)) / UNIT


@final
class SDF(Scene[RayIntegrals]):
    """A signed distance in the ball of radius 1.2, negative inside; a sphere to begin with."""

    seen: Float[Tensor, "n n n"]
    occupied: Bool[Tensor, "n n n"]

    def __init__(
        self,
        *,
        kind: Kind = "volsdf",
        body: Body | None = None,
        radius: float = 0.7,
        widths: tuple[float, float] | None = (0.3, 0.02),
        samples: int = 48,
        resolution: int = 65,
        levels: int = 3,
    ) -> None:
        """`radius` of the sphere, world units; `widths` of the skin (render/skin.py) before the
        first and after the last step of a stage, world units, on a geometric line between, or
        None: it is learned, from 0.1; the rest as of a `Field`."""
        super().__init__()
        nests(resolution)

        raw = partial(sphere, radius=radius)
        self.kind: Kind = kind
        self.body = Grid(resolution, raw, levels) if body is None else body
        self.samples = samples
        self.widths = widths
        first = 0.1 if widths is None else widths[0]
        self.log_width = nn.Parameter(torch.tensor(first).log(), requires_grad=widths is None)
        self.register_buffer("seen", torch.zeros(32, 32, 32))
        self.register_buffer("occupied", torch.ones(32, 32, 32, dtype=torch.bool))

    @property
    def skin(self) -> Skin:
        """How depths are rendered now."""
        return Skin(self.kind, self.log_width.exp())

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        """Two corners of a box that holds everything, in world units."""
        return self.seen.new_tensor([[-BALL] * 3, [BALL] * 3])

    @property
    def reach(self) -> float:
        """How far a ray goes into the solid until half of it is stopped, world units."""
        return math.log(2) * self.skin.width.item()

    def distance(self, points: Points) -> Float[Tensor, " n"]:
        """World units, negative inside the surface and the ball; a distance only as far as it is
        kept one (`gradient`)."""
        return torch.maximum(-UNIT * self.body(points)[:, 0], points.norm(dim=-1) - BALL)

    def gradient(self, points: Points) -> Points:
        """Of the distance, differentiably: as long as 1 where it is one (guidance/eikonal.py)."""
        if isinstance(self.body, Grid):
            return -UNIT * lookup(slopes(self.body.dense()[..., 0]), points)
        differentiable = torch.is_grad_enabled()
        with torch.enable_grad():
            at = points.detach().requires_grad_()
            distance = -UNIT * self.body(at)[:, 0].sum()
            return torch.autograd.grad(distance, at, create_graph=differentiable)[0]

    def density(self, points: Points) -> Float[Tensor, " n"]:
        """Per world unit, 0 outside the ball; of NeuS, for rays that go straight in."""
        density = density_under(self.skin, -self.distance(points))
        return density * (points.square().sum(-1) < BALL**2)

    def albedo(self, points: Points) -> Float[Tensor, "n 3"]:
        """sRGB in [0, 1]."""
        return self.body(points)[:, 1:].sigmoid()

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[RayIntegrals]:
        rays = rays_of(shot, self.samples, rng)
        if isinstance(self.body, Grid):
            dense = self.body.dense()
            grid = torch.cat([UNIT * dense[..., :1], dense[..., 1:]], -1)
            march_grid = fastest(grid, rays)
            m = march_grid(grid, rays, light=shot.light, occupied=self.occupied, skin=self.skin)
        else:
            m = march_sections(self._section, rays, light=shot.light, occupied=self.occupied)
        return pictured(m, shot)

    def _section(
        self, points: Points, directions: Float[Tensor, "n 3"], lengths: Float[Tensor, " n"]
    ) -> Matter:
        """What a network says of a section of a ray."""
        values, gradient, skin = self.body(points), self.gradient(points), self.skin
        depth = UNIT * values[:, 0]
        if skin.kind == "neus":
            rise = -(gradient * directions).sum(-1)
            density = neus_thickness(depth, rise, lengths, skin.width) / lengths
        else:
            density = density_under(skin, depth)
        return Matter(density, values[:, 1:].sigmoid(), outward(-gradient))

    def adapt(
        self, step: Step, view: Rendering[RayIntegrals], optimizer: torch.optim.Optimizer
    ) -> None:
        """Narrow the skin; look, once in a while, which cells are too thin to be worth sampling."""
        with torch.no_grad():
            if self.widths is not None:
                width = exponential((step.index + 1) / step.total, *self.widths)
                self.log_width.copy_(torch.tensor(width).log())
            if (step.index + 1) % REFRESH == 0:
                sample = 2 * BALL / self.samples
                deepest = UNIT * self.body.densest(len(self.seen))
                depth = density_under(self.skin, deepest) * sample
                self.seen.copy_(decay(self.seen, depth))
                self.occupied.copy_(occupancy(self.seen))
