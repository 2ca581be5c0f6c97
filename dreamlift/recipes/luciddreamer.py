"""LucidDreamer: Gaussians by interval score matching (arXiv:2311.11284).

    repeat: c ~ p(c);  z = splat(phi, c);  t;  s = t - interval
            z_s = DDIM walked up from z, unguided;  z_t one step further
            phi <- Adam(phi, w(t) (eps_hat(z_t; y, t) - eps_hat(z_s; s)) dz/dphi)        (Eq. 11)
            now and then: densify and prune

                    paper                                       here, for the embedded prior
    CFG scale       7.5                                         `scale`
    w(t)            sigma_t / alpha_t (its code)                the same
    t               U(.02, .98), its top falling to .5 by 30 %  the same, below `t_most`
    interval        .1, falling to .08; strides of .2           the same
    cameras         around, field of view .55 to 1 of 49        views.Views

Also in the paper: 5,000 steps of batch 4 at 512 pixels, 100,000 points of a point diffusion model
to start from, variation losses on pictures and depth.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.distil.clouds import cloud_stage, growth
from dreamlift.fit import Observer, fit, made
from dreamlift.geometry.clouds import in_ball
from dreamlift.guidance.ism import ISM
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.times import Annealed
from dreamlift.prior import Prior
from dreamlift.run import Run
from dreamlift.scenes.gaussians import Cloud
from dreamlift.views import Views


@dataclass(frozen=True)
class LucidDreamer:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 400
    """Optimiser steps (5,000 in the paper)."""
    batch: int = 1
    """Views per step (4 in the paper)."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance."""
    t_most: float = 0.9
    """The highest noise level at the first step (.98 in the paper)."""
    count: int = 5000
    """Gaussians to start with, at random in a ball."""
    radius: float = 0.8
    """Of that ball, world units."""
    push: float = 0.02
    """Mean gradient of a Gaussian's centre, half a picture being 1, from which it becomes two."""
    entropy: float = 2.0
    """Weight, at the end, of the penalty on half-transparent pixels."""
    size: int = 64
    """Side of the pictures, in pixels (512 in the paper)."""

    def full(self) -> "LucidDreamer":
        """More steps, of two views each."""
        return replace(self, steps=1200, batch=2)

    def paper(self) -> "LucidDreamer":
        """The paper's numbers; for large priors."""
        more = replace(self, steps=5000, batch=4, t_most=0.98, count=100_000, size=512)
        return replace(more, push=7.5e-4, entropy=0.0)

    def scene(self) -> Cloud:
        """The cloud before the first step."""
        rng = torch.Generator().manual_seed(self.seed)
        start = in_ball(self.count, rng, radius=self.radius)
        return Cloud(start, densify=growth(self.steps, self.push))

    def made(self, run: Run) -> Cloud:
        """The cloud of a finished run."""
        return made(self.scene(), run)

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Cloud:
        """Make the cloud, or load it where the run has it."""
        scene = self.scene().to(device)
        null = Sentence(prior, "")
        score = cfg(prior, about(prior, self.prompt), null, self.scale, clamp=1.0)
        times = Annealed((0.02, self.t_most), (0.02, 0.5), until=0.3)
        ism = ISM(score, cfg(prior, null, null, 1.0), times)

        shots = Views().course(self.batch, size=self.size, albedo_first=0.15)
        stage = cloud_stage(scene, shots, prior, ism, self.steps, self.entropy, seed=self.seed)
        fit(stage, run, observers)
        return scene
