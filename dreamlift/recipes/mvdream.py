"""MVDream: a field that four views, a quarter turn apart, agree on (arXiv:2308.16512).

    repeat: c ~ p(c), four around the object at one height;  x = g(phi, c);  one t for all, eps
            eps_hat = guided, its clean sample x0_hat brought back to the spread of eps_hat(y)
            phi <- Adam(phi, (x - x0_hat) dx/dphi + regularisers)               (Eq. 4, Sec. 3.3)

                    paper                                       here, for the embedded prior
    CFG scale       50, rescaled by half of the way             `scale`, `rescale`, x0 clamped
    w(t)            sigma_t / alpha_t, which makes it x - x0    the same
    t               highest to .5 and lowest to .02, from .98   annealed from `t_start` to `t_end`
    cameras         elevation 0 to 30, distance .8 to 1         the same heights, views.Views'
                    over tan(fov / 2), fov 15 to 60             distances: the frame is the same
    null prompt     ugly, bad anatomy, blurry, ...              `negative`

A prior of four views together (MVDream's own, ImageDream) is told one sentence and the cameras,
and nothing textureless; any other, the embedded one too, is shown the same four views as a batch,
and told each one's side. The paper renders 64 pixels, and 256 from step 5,000 of 10,000 on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.errors import BadInput
from dreamlift.fit import Observer
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.reconstruct import Reconstruct
from dreamlift.guidance.rescale import Rescaled
from dreamlift.guidance.times import Annealed
from dreamlift.prior import Prior
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scenes.field import Field, Init
from dreamlift.views import Views

BAD = (
    "ugly, bad anatomy, blurry, pixelated obscure, unnatural colors, poor lighting, dull, and "
    "unclear, cropped, lowres, low quality, artifacts, duplicate, morbid, mutilated, poorly drawn "
    "face, deformed, dehydrated, bad proportions"
)
"""The null prompt of the paper's 3D results, as its code has it."""
AROUND = 4
"""Views of a group."""


@dataclass(frozen=True)
class MVDream:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 200
    """Optimiser steps (10,000 in the paper)."""
    batch: int = 4
    """Views per step, in groups of 4 (8, later 4, in the paper)."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance (50 in the paper)."""
    rescale: float = 0.5
    """How far the guided clean sample is brought back to the spread of the unguided one, 0 to 1."""
    negative: str = ""
    """What it should not be: said in place of the null prompt."""
    clamp: bool = True
    """Keep the clean sample that the guided noise implies within the range of pictures."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step of the annealing, and after it."""
    t_until: float = 1.0
    """Share of the steps in which t is annealed (.8 in the paper)."""
    opacity: float = 20.0
    """Weight, at the end, of the penalty on opacity."""
    entropy: float = 100.0
    """Weight, at the end, of the penalty on half-transparent pixels."""
    init: Init = "fog"
    """The density to start from: nearly uniform fog, or a compact blob, as in the paper's code."""
    elevation: tuple[float, float] = (0.0, 30.0)
    """Of the cameras, degrees."""
    size: int = 64
    """Side of the pictures, in pixels."""

    def __post_init__(self) -> None:
        if self.batch % AROUND or self.batch < AROUND:
            raise BadInput(
                f"mvdream looks from {AROUND} sides at once, so its batch is a multiple of "
                f"{AROUND}; {self.batch} was asked for. Say --batch {AROUND}."
            )
        if self.rescale > 1:
            raise BadInput(f"The rescale is a share, 0 to 1; {self.rescale:g} was asked for.")

    def full(self) -> "MVDream":
        """More steps."""
        return replace(self, steps=800)

    def paper(self) -> "MVDream":
        """The paper's numbers; for MVDream's own network."""
        more = replace(self, steps=10_000, batch=8, scale=50.0, clamp=False, size=256)
        more = replace(more, t_start=(0.98, 0.98), t_end=(0.02, 0.5), t_until=0.8)
        return replace(more, negative=BAD, init="blob")

    def field(self) -> DreamFusion:
        """Whose lights, field and regularisers these are."""
        numbers = DreamFusion(self.prompt, self.seed, self.steps, self.batch)
        numbers = replace(numbers, opacity=self.opacity, entropy=self.entropy)
        return replace(numbers, init=self.init, size=self.size)

    def views(self, *, textureless: bool) -> Views:
        """Four sides at a time; textureless ones for priors that are told so."""
        shares = self.field().shares if textureless else (0.35, 0.65, 0.0)
        return Views(elevation=self.elevation, shares=shares, together=AROUND)

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
        together = prior.views > 1
        y = Sentence(prior, self.prompt) if together else about(prior, self.prompt)
        null, clamp = Sentence(prior, self.negative, negative=True), 1.0 if self.clamp else None
        score = Rescaled(prior, y, null, self.scale, self.rescale, "x0", clamp)
        times = Annealed(self.t_start, self.t_end, until=self.t_until)
        toward = Reconstruct(score, steps=1, times=times)
        views = self.views(textureless=not together)
        return self.field().follow(toward, run, prior, observers, device=device, views=views)
