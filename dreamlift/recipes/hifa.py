"""HiFA: toward what a few steps of denoising make of a picture (arXiv:2305.18766).

    repeat: c ~ p(c);  x = g(phi, c);  t = t_max - (t_max - t_min) sqrt(i / N);  eps
            z_hat = DDIM(alpha_t z + sigma_t eps; y, in a few steps);  x_hat = decoded z_hat
            phi <- Adam(phi, |z - z_hat|^2 + rgb |x - x_hat|^2 + regularisers)       (Eq. 8, 9)

                    paper                                       here, for the embedded prior
    CFG scale       100                                         `scale`, clean sample clamped
    w(t)            constant in its code                        1
    t               .98 - .68 sqrt(i / N)                       `t_first` to `t_last`, by the root
    cameras         as DreamFusion's                            views.Views

The paper also keeps densities along a ray close together (its z-variance), which the entropy of
opacities does here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.fit import Observer
from dreamlift.guidance.courses import falling
from dreamlift.guidance.hifa import HiFA as TwoSpaces
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.reconstruct import Reconstruct
from dreamlift.guidance.scores import cfg
from dreamlift.prior import Prior
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scenes.field import Field


@dataclass(frozen=True)
class HiFA:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 500
    """Optimiser steps (10,000 in the paper)."""
    batch: int = 1
    """Views per step."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance (100 in the paper)."""
    denoise: int = 4
    """Steps of each reconstruction."""
    rgb: float = 0.1
    """Weight of the pictures beside that of the prior's space."""
    t_first: float = 0.98
    """Noise level of the first step."""
    t_last: float = 0.3
    """Noise level of the last step."""

    def full(self) -> "HiFA":
        """More steps, of two views each."""
        return replace(self, steps=1500, batch=2)

    def paper(self) -> "HiFA":
        """The paper's numbers; for large priors."""
        return replace(self, steps=10_000, scale=100.0)

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
        times = falling(self.t_first, self.t_last, by="sqrt")
        toward = Reconstruct(cfg(prior, y, null, self.scale, clamp=1.0), self.denoise, times)
        guidance = TwoSpaces(toward, self.rgb)
        return self.field().follow(guidance, run, prior, observers, device=device)
