"""Photographs to a radiance field, by looking at rays through random pixels (NeRF, 2003.08934).

    repeat: r ~ pixels of the photographs;  x = g(phi, r)
            phi <- Adam(phi, |x over b - truth over b|^2)                                  (Eq. 6)

On a dense grid, coarse to fine (as Plenoxels, 2112.05131, and DVGO, 2111.11215, in torch and
Warp): first on half the resolution, three nested levels that spread what few rays say, then on
all of it, one level. b is what stands behind: where photographs have alpha, a colour drawn anew for
every ray, which leaves no colour for empty space to take (instant-ngp); else one that is learned
for each direction, or black.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.fit import Observer, Stage, Terms, fit
from dreamlift.posed import Posed, pixels
from dreamlift.render.volume import RayIntegrals
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.background import Environment
from dreamlift.scenes.field import Field
from dreamlift.step import Step, exponential

Behind: TypeAlias = Literal["auto", "random", "learned", "black"]


@dataclass(frozen=True)
class Rebuilt:
    """What was made of photographs: a field, and what stands behind it."""

    field: Field
    behind: Environment | None  # None: nothing, alpha tells where

    @torch.no_grad()
    def picture(self, cameras: Cameras, *, empty: float = 1.0) -> Float[Tensor, "b h w 3"]:
        """What cameras see, before what was learned to stand behind, or else an `empty` grey."""
        view = self.field.render(Shot(cameras))
        if self.behind is None:
            return view.over(view.color.new_full((1, 1, 1, 3), empty)).clamp(0, 1)
        return view.over(self.behind(cameras.rays()[1])).clamp(0, 1)


@dataclass(frozen=True)
class Reconstruct:
    """The numbers of a run."""

    scene: Literal["field"] = "field"
    """What to make of the photographs."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 1500
    """Optimiser steps."""
    coarse: float = 0.3
    """Share of the steps on half the resolution."""
    rays: int = 8192
    """Of a step; half as many of a coarse one."""
    resolution: int = 129
    """Vertices along each side of the grid: one more than a multiple of 64."""
    samples: int = 192
    """Along the diameter of the ball; even."""
    lr: tuple[float, float] = (0.2, 0.01)
    """Adam's rate at the first and at the last step."""
    background: Behind = "auto"
    """What stands behind: a random colour for each ray (of cut-out photographs), what is learned
    for each direction, or black; auto chooses of the first two."""

    def start(self, posed: Posed) -> Rebuilt:
        """What there is before the first step."""
        half = (self.resolution - 1) // 2 + 1
        field = Field(resolution=half, samples=self.samples // 2)
        if self.background in ("random", "black") or (self.background == "auto" and posed.cut_out):
            return Rebuilt(field, None)
        return Rebuilt(field, Environment(rng=torch.Generator().manual_seed(self.seed)))

    def run(
        self,
        run: Run,
        posed: Posed,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Rebuilt:
        """Make the field, or load it where the run has it, without the held-out photographs."""
        learned = posed.some(~posed.held_out)
        first = self.start(posed)
        behind = None if first.behind is None else first.behind.to(device)
        coarse = max(round(self.coarse * self.steps), 1)
        fine = max(self.steps - coarse, 1)
        middle = exponential(coarse / self.steps, *self.lr)
        rates = (self.lr[0], middle), (middle, self.lr[1])
        rebuilt = Rebuilt(first.field.to(device), behind)
        fit(
            self.stage(rebuilt, learned, coarse, self.rays // 2, rates[0]),
            run / "coarse",
            observers,
        )
        rebuilt = Rebuilt(rebuilt.field.finer(), behind)
        fit(self.stage(rebuilt, learned, fine, self.rays, rates[1]), run / "fine", observers)
        return rebuilt

    def stage(
        self, made: Rebuilt, posed: Posed, steps: int, rays: int, lr: tuple[float, float]
    ) -> Stage[RayIntegrals]:
        """One of the two fits."""
        device = next(made.field.parameters()).device
        draw = pixels(posed, device)
        random = made.behind is None and self.background != "black"
        truth: list[Tensor] = []  # of the step's rays: colour times alpha, and alpha

        def shots(step: Step) -> Shot:
            cameras, wanted = draw(rays, step.rng)
            truth[:] = [wanted]
            back = torch.rand(rays, 1, 1, 3, generator=step.rng, device=device)
            return Shot(cameras, background=back if random else torch.zeros_like(back))

        def objective(view: Rendering[RayIntegrals], shot: Shot, step: Step) -> Terms:
            color, alpha = truth[0].split([3, 1], -1)
            back = torch.zeros_like(color) if shot.background is None else shot.background
            behind = back if made.behind is None else made.behind(shot.cameras.rays()[1])
            return {"mse": (view.over(behind) - color - (1 - alpha) * back).square().mean()}

        groups = [{"params": made.field.parameters(), "name": "field", "lr": lr[0]}]
        if made.behind is not None:
            groups.append({"params": made.behind.parameters(), "name": "behind", "lr": 3e-3})
        # Most of a grid has tiny gradients, and they count (instant-ngp).
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15, fused=True)
        return Stage(
            made.field,
            shots,
            objective,
            optimizer,
            steps,
            seed=self.seed,
            rates=lambda step: {"field": exponential(step.progress, *lr)},
            keep={} if made.behind is None else {"behind": made.behind},
        )
