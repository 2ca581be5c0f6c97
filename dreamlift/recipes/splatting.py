"""Photographs to Gaussians: 3D Gaussian splatting (Kerbl et al., arXiv:2308.04079).

    phi <- Gaussians at COLMAP's points, or where rays of a coarse field end, or anywhere
    repeat: v ~ photographs;  x = splat(phi, v)
            phi <- Adam(phi, .8 |x over b - truth over b| + .2 (1 - SSIM))                 (Eq. 7)
            now and then: clone, split and prune; cut all opacities                     (Sec. 5.2)

With 30,000 steps all numbers are the paper's code's. A shorter run grows from a tenth of its steps
to three fifths and sees all harmonics after three eighths. b is what stands behind: a colour drawn
anew for each step where photographs have alpha; else learned for each direction, by the coarse
field first; or black.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from dreamlift.distil.seeds import FEWEST, anywhere, at_points, on_field
from dreamlift.fit import Observer, Stage, Terms, fit
from dreamlift.likeness import photometric
from dreamlift.posed import Posed, spread, turns
from dreamlift.recipes.reconstruct import Behind, Reconstruct
from dreamlift.render.splat import Splats
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.densify import Densify
from dreamlift.scenes.gaussians import Cloud, Rates
from dreamlift.scenes.rebuilt import Rebuilt
from dreamlift.step import Step

FIELD, GAUSSIANS = "field", "gaussians"
Start: TypeAlias = Literal["auto", "points", "field", "random"]
Also: TypeAlias = Callable[[Rebuilt[Cloud], Step], Terms] | None


@dataclass(frozen=True)
class Splatting:
    """The numbers of a run."""

    scene: Literal["gaussians"] = "gaussians"
    """What to make of the photographs."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 3000
    """Optimiser steps, each of one photograph (30,000 in the paper)."""
    begin: Start = "auto"
    """Where Gaussians begin: at the points that came with the photographs (auto: 1,000 or more),
    where rays of a coarse field end (else), or anywhere."""
    count: int = 20_000
    """Gaussians to begin with, where not points say how many."""
    degree: int = 3
    """Of the harmonics, in the end."""
    coarse: int = 250
    """Steps of the coarse field, of 4,096 rays on 65 vertices."""
    background: Behind = "auto"
    """What stands behind: a random colour for each step (of cut-out photographs), what is learned
    for each direction, or black; auto chooses of the first two."""

    def growth(self, extent: float) -> Densify:
        """When and which are cloned, split, pruned and reset; `extent` in world units."""
        return Densify(
            extent,
            start=min(500, self.steps // 10),
            until=min(15_000, self.steps * 3 // 5),
            every=min(100, max(self.steps // 10, 1)),
        )

    def begins_at(self, posed: Posed) -> Start:
        """What `auto` means for these photographs."""
        if self.begin != "auto":
            return self.begin
        return "points" if posed.points is not None and len(posed.points) >= FEWEST else "field"

    def field(self) -> Reconstruct:
        """The coarse field, of which there is only the first grid."""
        return Reconstruct(seed=self.seed, steps=self.coarse, background=self.background)

    def run(
        self,
        run: Run,
        posed: Posed,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
        also: Also = None,
    ) -> Rebuilt[Cloud]:
        """Make the Gaussians, or load them where the run has them, without the held-out
        photographs."""
        learned = posed.some(~posed.held_out)
        made = self.start(run, learned, observers, device=device)
        fit(self.stage(made, learned, also), run / GAUSSIANS, observers)
        return made

    def start(
        self, run: Run, posed: Posed, observers: Sequence[Observer], *, device: torch.device | str
    ) -> Rebuilt[Cloud]:
        """What there is before the first step."""
        rng = torch.Generator(device).manual_seed(self.seed)
        coarse, begin = self.field(), self.begins_at(posed)
        field = coarse.start(posed).to(device)
        if begin == "points":
            gaussians = at_points(posed, self.degree)
        elif begin == "random":
            gaussians = anywhere(self.count, rng, degree=self.degree)
        else:
            rates = coarse.lr[0], coarse.lr[0] / 4
            fit(coarse.stage(field, posed, self.coarse, 4096, rates), run / FIELD, observers)
            gaussians = on_field(field.scene, posed, self.count, rng, degree=self.degree)
        every = min(1000, max(self.steps // 8, 1))
        cloud = Cloud(gaussians, densify=self.growth(spread(posed.cameras)), degree_every=every)
        return Rebuilt(cloud.to(device), field.behind, field.empty)

    def stage(self, made: Rebuilt[Cloud], posed: Posed, also: Also = None) -> Stage[Splats]:
        """The fit of the Gaussians, with further terms where there are some."""
        extent, rates = spread(posed.cameras), Rates()
        device = made.scene.means.device
        random = made.behind is None and self.background != "black"
        draw = turns(posed.to(device), self.seed)
        photo: list[Posed] = []  # the step's

        def shots(step: Step) -> Shot:
            photo[:] = [draw(step.index)]
            back = torch.rand(1, 1, 1, 3, generator=step.rng, device=device)
            return Shot(photo[0].cameras, background=back if random else torch.zeros_like(back))

        def objective(view: Rendering[Splats], shot: Shot, step: Step) -> Terms:
            one = photo[0]
            back = torch.zeros_like(view.color) if shot.background is None else shot.background
            behind = back if made.behind is None else made.behind(shot.cameras.rays()[1])
            truth = one.images + (1 - one.alpha) * back
            loss = photometric(view.over(behind), truth, one.known)
            return {"photometric": loss, **(also(made, step) if also else {})}

        groups = rates.groups(made.scene, extent=extent)
        if made.behind is not None:
            groups.append({"params": made.behind.parameters(), "name": "behind", "lr": 1e-3})
        return Stage(
            made.scene,
            shots,
            objective,
            torch.optim.Adam(groups, eps=1e-15, fused=True),
            self.steps,
            seed=self.seed,
            rates=lambda step: rates.at(step, extent=extent),
            keep={} if made.behind is None else {"behind": made.behind},
        )
