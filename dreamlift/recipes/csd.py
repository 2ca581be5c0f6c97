"""Classifier score distillation: the guidance is all there is (arXiv:2310.19415).

    repeat: c ~ p(c);  x = g(phi, c);  t, eps;  z_t = alpha_t z + sigma_t eps
            phi <- Adam(phi, w(t) (eps_hat(z_t; y, t) - eps_hat(z_t; t)) dx/dphi + regularisers)

                    paper, first stage                          here, for the embedded prior
    CFG scale       none: there is no noise to outweigh         `strength`, against regularisers
    w(t)            sigma_t^2 (its code: uniform)               sigma_t^2
    t               U(.02, .98), the top falling to .5          annealed from `t_start` to `t_end`
    cameras         as DreamFusion's                            views.Views

The paper replaces the null prompt step by step by one of bad pictures, which the embedded prior
has no words for, and refines a mesh in a second stage, as magic3d does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.fit import Observer
from dreamlift.guidance.csd import CSD as Classifier
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.times import Annealed
from dreamlift.prior import Prior
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scenes.field import Field


@dataclass(frozen=True)
class CSD:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 500
    """Optimiser steps (10,000 in the paper)."""
    batch: int = 1
    """Views per step."""
    strength: float = 7.5
    """What the gradient is multiplied by: how much it counts beside the regularisers."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step."""

    def full(self) -> "CSD":
        """More steps, of two views each."""
        return replace(self, steps=1500, batch=2)

    def paper(self) -> "CSD":
        """The paper's numbers; for large priors."""
        return replace(self, steps=10_000, t_start=(0.02, 0.98), t_end=(0.02, 0.5))

    def field(self) -> DreamFusion:
        """Whose cameras, lights, field and regularisers these are."""
        return DreamFusion(self.prompt, self.seed, self.steps, self.batch)

    def made(self, run: Run) -> Field:
        """The field of a finished run."""
        return self.field().made(run)

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Field:
        """Make the field, or load it where the run has it."""
        y, null = about(prior, self.prompt), Sentence(prior, "")
        csd = Classifier(prior, y, null, times=Annealed(self.t_start, self.t_end))
        return self.field().follow(
            lambda z, shot, step: self.strength * csd(z, shot, step),
            run,
            prior,
            observers,
            device=device,
        )
