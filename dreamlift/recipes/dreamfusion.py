"""DreamFusion: text to a radiance field by score distillation (arXiv:2209.14988).

    repeat: c ~ p(c);  x = g(phi, c);  t, eps;  z_t = alpha_t z + sigma_t eps
            phi <- Adam(phi, w(t) (eps_hat(z_t; y, t) - eps) dx/dphi + regularisers)     (Eq. 3)

Four choices explain most differences between implementations:

                    paper                                       here, for the embedded prior
    CFG scale       100 (Imagen)                                `scale`, clean sample clamped
    w(t)            sigma_t^2                                   sigma_t^2
    t               U(.02, .98)                                 annealed from `t_start` to `t_end`
    cameras         elevation -10 to 90, distance 1 to 1.5      views.Views, as in its training

Also in the paper: Shampoo at a rate of 1e-4, an MLP over integrated encodings, other weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.fit import Checkpointable, Observer, Stage, Terms, fit, made
from dreamlift.guidance import Guidance, guided
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.regularizers import entropy, opacity
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Annealed
from dreamlift.prior import Prior
from dreamlift.render.volume import RayIntegrals
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.field import Field, Init
from dreamlift.step import Step, falling, linear
from dreamlift.views import Views


@dataclass(frozen=True)
class DreamFusion:
    """The numbers of a run. The defaults are the `draft`: about a minute on two cores."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 500
    """Optimiser steps (15,000 in the paper)."""
    batch: int = 1
    """Views per step (4 in the paper)."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance (100 in the paper)."""
    clamp: bool = True
    """Keep the clean sample that the guided noise implies within the range of pictures."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step."""
    init: Init = "fog"
    """The density to start from: nearly uniform fog, or the paper's compact blob."""
    interpolate: bool = False
    """Mix the sentences of neighbouring sides instead of taking the nearest."""
    lr: tuple[float, float] = (0.1, 0.02)
    """Adam's rate at the first and at the last step."""
    albedo_first: float = 0.15
    """Share of the steps without any light, at the start (1,000 of 15,000 in the paper)."""
    shares: tuple[float, float, float] = (0.35, 0.45, 0.20)
    """Of pictures without light, lit, and textureless, later (1/4, 3/8, 3/8 in the paper)."""
    orientation: float = 10.0
    """Weight, at the end, of the penalty on visible surfaces that face away."""
    opacity: float = 5.0
    """Weight, at the end, of the penalty on opacity."""
    entropy: float = 5.0
    """Weight, at the end, of the penalty on half-transparent pixels."""
    size: int = 64
    """Side of the pictures, in pixels."""
    samples: int = 48
    """Samples along the diameter of the scene's ball."""
    negative: str = ""
    """What it should not be: said in place of the null prompt."""

    def __post_init__(self) -> None:
        Views(shares=self.shares)  # refuses what are no shares

    def full(self) -> "DreamFusion":
        """More steps, of two views each."""
        return replace(self, steps=1500, batch=2, samples=64)

    def paper(self) -> "DreamFusion":
        """The paper's own numbers, as far as they are numbers here; for large priors."""
        more = replace(self, steps=15_000, batch=4, scale=100.0, clamp=False, init="blob")
        more = replace(more, albedo_first=1 / 15, shares=(0.25, 0.375, 0.375))
        return replace(more, t_start=(0.02, 0.98), t_end=(0.02, 0.98), lr=(0.01, 0.001))

    def scene(self) -> Field:
        """The field before the first step."""
        return Field(init=self.init, samples=self.samples)

    def made(self, run: Run) -> Field:
        """The field of a finished run."""
        return made(self.scene(), run)

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Field:
        """Make the field, or load it where the run has it."""
        y = about(prior, self.prompt, interpolate=self.interpolate)
        null, clamp = Sentence(prior, self.negative, negative=True), 1.0 if self.clamp else None
        sds = SDS(cfg(prior, y, null, self.scale, clamp=clamp), Annealed(self.t_start, self.t_end))
        return self.follow(sds, run, prior, observers, device=device)

    def follow(
        self,
        guidance: Guidance,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
        keep: Mapping[str, Checkpointable] | None = None,
        views: Views | None = None,
        beside: Callable[[Field, Step], Terms] | None = None,
    ) -> Field:
        """The same with any guidance of z, other `views`, and what else is wanted of the field."""
        scene, views = self.scene().to(device), views or Views(shares=self.shares)

        def objective(view: Rendering[RayIntegrals], shot: Shot, step: Step) -> Terms:
            terms = {
                "guidance": guided(guidance, prior, view.before(shot), shot, step),
                "opacity": linear(step.progress, 0, self.opacity) * opacity(view.alpha),
                "entropy": linear(step.progress, 0, self.entropy) * entropy(view.alpha),
            }
            if shot.light is not None:
                weight = linear(step.progress, 0, self.orientation)
                terms["orientation"] = weight * view.aux.orientation.mean()
            return {**terms, **beside(scene, step)} if beside else terms

        shots = views.course(self.batch, size=self.size, albedo_first=self.albedo_first)
        adam = torch.optim.Adam(scene.parameters(), lr=self.lr[0], fused=True)
        rates = falling(self.lr)
        stage = Stage(scene, shots, objective, adam, self.steps, self.seed, rates, keep or {})
        fit(stage, run, observers)
        return scene
