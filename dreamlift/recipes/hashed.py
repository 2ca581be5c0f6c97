"""Photographs to a radiance field on a hash grid (Instant-NGP, arXiv:2201.05989).

    repeat: r ~ pixels of the photographs;  x = g(phi, r),  phi = tables of 12 levels, a network
            phi <- Adam(phi, |x over b - truth over b|^2)

The rays, the loss and what stands behind are those of reconstruct.py; there is one stage, for
levels are all there from the first step. As in the paper: Adam with betas (.9, .99) and eps 1e-15,
which keeps rarely met entries alive. Other than there: a falling rate, colours that do not change
with the direction, even samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from dreamlift.fit import Observer, fit
from dreamlift.posed import Posed
from dreamlift.recipes.reconstruct import Also, Behind, Reconstruct
from dreamlift.render.hashgrid import Layout
from dreamlift.run import Run
from dreamlift.scenes.field import Field
from dreamlift.scenes.hashed import Hashed
from dreamlift.scenes.marching import Budget
from dreamlift.scenes.rebuilt import Rebuilt

HASHED = "hashed"
LEVELS, COARSEST = 12, 16
"""Of the encoding; vertices along a side of its coarsest level."""


@dataclass(frozen=True)
class HashGrid:
    """The numbers of a run."""

    scene: Literal["hashed"] = HASHED
    """What to make of the photographs."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 1500
    """Optimiser steps."""
    rays: int = 2048
    """Of a step."""
    resolution: int = 257
    """Vertices along each side of the finest level."""
    log_size: int = 17
    """A level has at most 2 to this many entries (19 to 24 in the paper)."""
    samples: int = 192
    """Along the diameter of the ball."""
    lr: tuple[float, float] = (1e-2, 1e-3)
    """Adam's rate at the first and at the last step (1e-2 in the paper)."""
    background: Behind = "auto"
    """What stands behind: as of a field on a dense grid."""

    def field(self) -> Field:
        """What there is before the first step."""
        growth = (self.resolution / COARSEST) ** (1 / (LEVELS - 1))
        layout = Layout(LEVELS, log_size=self.log_size, coarsest=COARSEST, growth=growth)
        body = Hashed(layout, seed=self.seed)
        return Field(body=body, samples=self.samples, marcher=Budget())

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
        dense = Reconstruct(seed=self.seed, background=self.background)
        made = replace(dense.start(posed), scene=self.field()).to(device)
        stage = dense.stage(made, learned, self.steps, self.rays, self.lr, also)
        fit(stage, run / HASHED, observers)
        return made
