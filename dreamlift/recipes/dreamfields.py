"""Dream Fields: text to a radiance field by CLIP, before diffusion priors (arXiv:2112.01455).

    repeat: c ~ p(c);  x = g(phi, c);  eight windows of x, each before a random background
            phi <- Adam(phi, -cos(CLIP(windows), CLIP(y)) - lambda min(tau, mean transmittance))
                                                                                    (Eq. 8, 9)

                    paper                                       here, for the embedded CLIP
    aligner         CLIP ViT-B/16, or LiT                       `clip`, which ships inside
    transmittance   lambda .5, tau from 40 % to 88 % in 500     the same, in `thin` steps
    cameras         elevation 30, radius 4                      views.Views, without light
    scene           a small network, bounded by a cube          DreamFusion's field, in its ball

Also in the paper: 10,000 steps at 168 pixels, a rate of 1e-4; the field's centre is tracked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.fit import Observer, Stage, Terms, fit, made
from dreamlift.guidance.augment import augmented
from dreamlift.guidance.clip import Alignment, Sides, Transmittance
from dreamlift.guidance.prompts import sided
from dreamlift.guidance.regularizers import entropy
from dreamlift.prior import Aligner
from dreamlift.render.volume import RayIntegrals
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.field import Field
from dreamlift.step import Step, falling, linear
from dreamlift.views import Views


@dataclass(frozen=True)
class DreamFields:
    """The numbers of a run. The defaults are the `draft` for the embedded CLIP."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 400
    """Optimiser steps (10,000 in the paper)."""
    batch: int = 1
    """Views per step (8 in the paper, one on each device)."""
    copies: int = 8
    """Windows of each view, each before its own background."""
    strength: float = 100.0
    """Weight of the likeness, of the transmittance half of that, as in the paper."""
    thin: int = 150
    """Steps until all but 12 % of a picture should be empty (500 in the paper)."""
    entropy: float = 5.0
    """Weight, at the end, of the penalty on half-transparent pixels (none in the paper)."""
    lr: tuple[float, float] = (0.1, 0.02)
    """Adam's rate at the first and at the last step."""
    size: int = 64
    """Side of the pictures, in pixels."""
    samples: int = 48
    """Samples along the diameter of the scene's ball."""

    def full(self) -> "DreamFields":
        """More steps."""
        return replace(self, steps=1500, thin=500)

    def paper(self) -> "DreamFields":
        """The paper's numbers; for large models."""
        return replace(self, steps=10_000, batch=8, thin=500, entropy=0.0, size=168, samples=192)

    def scene(self) -> Field:
        """The field before the first step."""
        return Field(samples=self.samples)

    def made(self, run: Run) -> Field:
        """The field of a finished run."""
        return made(self.scene(), run)

    def run(
        self,
        run: Run,
        aligner: Aligner,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Field:
        """Make the field, or load it where the run has it."""
        scene = self.scene().to(device)
        alignment = Alignment(aligner, {Sides(aligner, sided(self.prompt)): self.strength})
        sparse = Transmittance(self.strength / 2, steps=self.thin)

        def objective(view: Rendering[RayIntegrals], shot: Shot, step: Step) -> Terms:
            windows = augmented(view, step.rng, copies=self.copies)
            return {
                "guidance": alignment(windows, shot, step),
                "transmittance": sparse(view.alpha, shot, step),
                "entropy": linear(step.progress, 0, self.entropy) * entropy(view.alpha),
            }

        adam = torch.optim.Adam(scene.parameters(), lr=self.lr[0], fused=True)
        shots = Views(shares=(1, 0, 0)).course(self.batch, size=self.size)
        stage = Stage(
            scene,
            shots,
            objective,
            adam,
            self.steps,
            seed=self.seed,
            rates=falling(self.lr),
        )
        fit(stage, run, observers)
        return scene
