"""What a CPU user has instead of `dreamlift reconstruct`: NeRF (arXiv:2003.08934) in plain torch,
as its tutorials write it, with nothing of this package's rendering.

Ten octaves of the position, four of the direction, a network of four layers of 128, 64 stratified
samples a ray, white behind, Adam at 5e-4 falling to a tenth, a random colour behind each ray. The
paper's network (eight layers of 256, and 128 samples more) takes twelve times as long a step.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from dreamlift.fit import Observer, Stage, Terms, fit
from dreamlift.posed import Posed, pixels
from dreamlift.render.volume import RayIntegrals
from dreamlift.run import Run
from dreamlift.scene import Rendering, Scene, Shot
from dreamlift.step import Step, exponential

SAMPLES = 64
CHUNK = 4096
"""Rays that are rendered at once."""


def encoded(x: Tensor, octaves: int) -> Tensor:
    """(x, sin 2^k x, cos 2^k x), k < octaves."""
    parts = [x]
    for k in range(octaves):
        parts += [torch.sin(2.0**k * x), torch.cos(2.0**k * x)]
    return torch.cat(parts, -1)


@final
class PlainNerf(Scene[RayIntegrals]):
    """Density and a colour that depends on the direction."""

    def __init__(self, near: float, far: float, width: int = 128) -> None:
        super().__init__()
        self.near, self.far = near, far
        layers: list[nn.Module] = [nn.Linear(63, width), nn.ReLU()]
        for _ in range(3):
            layers += [nn.Linear(width, width), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.density = nn.Linear(width, 1)
        self.feature = nn.Linear(width, width)
        head = nn.Linear(width + 27, width // 2)
        self.colour = nn.Sequential(head, nn.ReLU(), nn.Linear(width // 2, 3))

    def rays(self, origins: Tensor, directions: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Colour times alpha, and alpha, of rays."""
        step = (self.far - self.near) / SAMPLES
        t = self.near + (torch.arange(SAMPLES) + shift) * step
        points = origins[:, None] + t[..., None] * directions[:, None]
        h = self.trunk(encoded(points, 10))
        sigma = torch.relu(self.density(h))[..., 0]
        toward = encoded(directions, 4)[:, None].expand(-1, SAMPLES, -1)
        rgb = torch.sigmoid(self.colour(torch.cat([self.feature(h), toward], -1)))
        alpha = 1 - torch.exp(-sigma * step)
        left = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha + 1e-10], 1), 1)
        w = (left[:, :-1] * alpha)[..., None]
        return (w * rgb).sum(1), w.sum(1)

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[RayIntegrals]:
        origins, directions = (x.reshape(-1, 3) for x in shot.cameras.rays())
        shift = torch.full((len(origins), SAMPLES), 0.5)
        if rng is not None:
            shift = torch.rand(len(origins), SAMPLES, generator=rng)
        rows = [x.split(CHUNK) for x in (origins, directions, shift)]
        seen = [self.rays(*row) for row in zip(*rows, strict=True)]
        size = (len(shot), shot.cameras.height, shot.cameras.width, -1)
        color, alpha = (torch.cat(x).reshape(size) for x in zip(*seen, strict=True))
        return Rendering(color, alpha, RayIntegrals(torch.zeros_like(alpha)))


def learn(
    folder: Path, posed: Posed, steps: int, rays: int, observers: Sequence[Observer]
) -> PlainNerf:
    """A NeRF of photographs that are not held out."""
    torch.manual_seed(0)
    distance = float(posed.cameras.distance.mean())
    scene = PlainNerf(distance - 1.2, distance + 1.2)
    draw = pixels(posed.some(~posed.held_out), torch.device("cpu"))
    truth: list[Tensor] = []

    def shots(step: Step) -> Shot:
        cameras, wanted = draw(rays, step.rng)
        truth[:] = [wanted]
        return Shot(cameras, background=torch.rand(rays, 1, 1, 3, generator=step.rng))

    def objective(view: Rendering[RayIntegrals], shot: Shot, step: Step) -> Terms:
        color, alpha = truth[0].split([3, 1], -1)
        assert shot.background is not None
        wanted = color + (1 - alpha) * shot.background
        return {"mse": (view.over(shot.background) - wanted).square().mean()}

    adam = torch.optim.Adam(scene.parameters(), lr=5e-4)
    rates = {"rates": lambda step: {"all": exponential(step.progress, 5e-4, 5e-5)}}
    fit(Stage(scene, shots, objective, adam, steps, **rates), Run.create(folder, {}), observers)
    return scene
