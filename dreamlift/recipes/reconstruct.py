"""Photographs to a radiance field, by looking at rays through random pixels (NeRF, 2003.08934).

    repeat: r ~ pixels of the photographs;  x = g(phi, r)
            phi <- Adam(phi, |x over b - truth over b|^2)                                  (Eq. 6)

On a dense grid, coarse to fine (as Plenoxels, 2112.05131, and DVGO, 2111.11215, in torch and
Warp): first on a small grid of three nested levels that spread what few rays say, then on ever
finer ones of one level. b is what stands behind: where photographs have alpha, a colour drawn anew
for every ray, which leaves no colour for empty space to take (instant-ngp); else one that is
learned for each direction, or black. Few photographs have more to follow: `also`, as DietNeRF's
likeness in distil/elsewhere.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from dreamlift.fit import Observer, Stage, Terms, fit
from dreamlift.posed import Posed, pixels
from dreamlift.render.volume import RayIntegrals
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.background import Environment
from dreamlift.scenes.field import Field
from dreamlift.scenes.rebuilt import Rebuilt
from dreamlift.step import Step, exponential, falling

Behind: TypeAlias = Literal["auto", "random", "learned", "black"]
Also: TypeAlias = Callable[[Rebuilt[Field], Step], Terms] | None
"""Further terms of a step."""


def empty(background: Behind) -> float:
    """The grey that is shown where nothing stands behind."""
    return 0.0 if background == "black" else 1.0


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
    """Share of the steps that are not yet on the finest grid."""
    rays: int = 8192
    """Of a step; half as many where the grid is not the finest."""
    resolution: int = 129
    """Vertices along each side of the finest grid: one more than a multiple of 64."""
    samples: int = 192
    """Along the diameter of the ball, on the finest grid."""
    lr: tuple[float, float] = (0.2, 0.01)
    """Adam's rate at the first and at the last step."""
    background: Behind = "auto"
    """What stands behind: a random colour for each ray (of cut-out photographs), what is learned
    for each direction, or black; auto chooses of the first two."""

    def stages(self) -> tuple[tuple[int, int], ...]:
        """Resolution and steps of each grid, each twice as fine as the one before."""
        sizes = [(self.resolution - 1) // 2 + 1]
        while sizes[0] % 64 == 1 and sizes[0] > 97:
            sizes.insert(0, (sizes[0] - 1) // 2 + 1)
        each = max(round(self.coarse * self.steps / len(sizes)), 1)
        last = max(self.steps - each * len(sizes), 1)
        return *((size, each) for size in sizes), (self.resolution, last)

    def start(self, posed: Posed) -> Rebuilt[Field]:
        """What there is before the first step."""
        size = self.stages()[0][0]
        field = Field(resolution=size, samples=self.samples * (size - 1) // (self.resolution - 1))
        if self.background in ("random", "black") or (self.background == "auto" and posed.cut_out):
            return Rebuilt(field, None, empty(self.background))
        return Rebuilt(field, Environment(rng=torch.Generator().manual_seed(self.seed)))

    def run(
        self,
        run: Run,
        posed: Posed,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
        also: Also = None,
    ) -> Rebuilt[Field]:
        """Make the field, or load it where the run has it, without the held-out photographs."""
        learned = posed.some(~posed.held_out)
        made = self.start(posed).to(device)
        done = 0
        for size, steps in self.stages():
            if done:
                made = replace(made, scene=made.scene.finer())
            first, last = (exponential(at / self.steps, *self.lr) for at in (done, done + steps))
            rays = self.rays if size == self.resolution else self.rays // 2
            stage = self.stage(made, learned, steps, rays, (first, last), also)
            fit(stage, run / f"{size}", observers)
            done += steps
        return made

    def stage(
        self,
        made: Rebuilt[Field],
        posed: Posed,
        steps: int,
        rays: int,
        lr: tuple[float, float],
        also: Also = None,
    ) -> Stage[RayIntegrals]:
        """The fit of one grid."""
        device = next(made.scene.parameters()).device
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
            mse = (view.over(behind) - color - (1 - alpha) * back).square().mean()
            return {"mse": mse, **(also(made, step) if also else {})}

        groups = [{"params": made.scene.parameters(), "name": "field", "lr": lr[0]}]
        if made.behind is not None:
            groups.append({"params": made.behind.parameters(), "name": "behind", "lr": 3e-3})
        # Most of a grid has tiny gradients, and they count (instant-ngp).
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15, fused=True)
        return Stage(
            made.scene,
            shots,
            objective,
            optimizer,
            steps,
            seed=self.seed,
            rates=falling(lr, "field"),
            keep={} if made.behind is None else {"behind": made.behind},
        )
