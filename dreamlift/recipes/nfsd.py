"""Noise-free score distillation: guidance toward pictures, without noise (arXiv:2310.17590).

repeat: c ~ p(c);  x = g(phi, c);  t, eps;  z_t = alpha_t z + sigma_t eps
        delta_D = eps_hat(z_t; t), less eps_hat(z_t; bad, t) where t >= .2
        phi <- Adam(phi, w(t) (delta_D + s (eps_hat(z_t; y, t) - eps_hat(z_t; t))) dx/dphi)

                paper                                       here, for the embedded prior
CFG scale       7.5                                         `scale`
bad             "unrealistic, blurry, low quality ..."      `bad`, a sentence that it knows
w(t)            sigma_t^2                                   sigma_t^2
t               U(.02, .98)                                 annealed from `t_start` to `t_end`
cameras         as DreamFusion's                            views.Views"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.fit import Observer
from dreamlift.guidance.nfsd import BAD, nfsd
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.times import Annealed
from dreamlift.prior import Prior
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scenes.field import Field


@dataclass(frozen=True)
class NFSD:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 500
    """Optimiser steps."""
    batch: int = 1
    """Views per step."""
    scale: float = 7.5
    """How much the prompt counts."""
    bad: str = ""
    """What bad pictures are called; the empty sentence is the null prompt, and leaves the
    classifier's term alone where t >= .2."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step."""

    def full(self) -> "NFSD":
        """More steps, of two views each."""
        return replace(self, steps=1500, batch=2)

    def paper(self) -> "NFSD":
        """The paper's numbers; for large priors, which know its words for bad pictures."""
        return replace(self, steps=10_000, bad=BAD, t_start=(0.02, 0.98), t_end=(0.02, 0.98))

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
        y, null, bad = about(prior, self.prompt), Sentence(prior, ""), Sentence(prior, self.bad)
        times = Annealed(self.t_start, self.t_end)
        guidance = nfsd(prior, y, null, bad, scale=self.scale, times=times)
        return self.field().follow(guidance, run, prior, observers, device=device)
