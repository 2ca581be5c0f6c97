"""What a guidance asks its prior, as pictures: render | noised | guessed in one step | denoised.

The strip of a step is made after it, of the question that its guidance asked at the highest noise
level, so that every guidance has one: SDS's only question, ISM's and SDI's after they have walked
up, a reconstruction's before it walks down. Nothing is drawn for it, so the run keeps its bits.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import per_sample
from dreamlift.errors import BadInput
from dreamlift.fit import Moment
from dreamlift.guidance.reconstruct import denoised
from dreamlift.guidance.scores import Mix, Question, overhearing
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.prior import Prior
from dreamlift.scene import Shot

ROWS = 4
"""Views of a step that are shown, at most."""
SIDE = 128
"""Pixels of the side of a picture in a strip, at least."""
STEPS = 10
"""Of DDIM, from the step's own noise level."""


class Strips:
    """An observer: guidance-[STAGE-]STEP.png in `folder` (None: the run's previews) now and then.

    Costs about 12 questions to the prior for each strip, and nothing at other steps. Entered for
    a stage, as `fit` does; steps whose guidance asks no diffusion prior leave no strip.
    """

    def __init__(self, every: int, folder: Path | None = None) -> None:
        """`every` so many steps, counted from 1. Raises BadInput below 1."""
        if every < 1:
            raise BadInput(f"A strip is shown every 1 or more steps, not every {every}.")
        self.every, self.folder = every, folder
        self._heard: list[Question] = []
        self._listening = ExitStack()

    def __enter__(self) -> "Strips":
        self._heard = self._listening.enter_context(overhearing())
        return self

    def __exit__(self, *reason: object) -> None:
        self._listening.close()

    def __call__(self, moment: Moment) -> None:
        heard, done = self._heard[:], moment.step.index + 1
        self._heard.clear()
        if done % self.every == 0 and heard:
            question = max(heard, key=lambda asked: float(asked.t.mean()))
            folder = self.folder or moment.run.path / "previews"
            stage = f"{moment.run.stage}-" if moment.run.stage else ""
            picture = strip(_pictures(moment, question), question, f"step {done}")
            save_png(folder / f"guidance-{stage}{done:06d}.png", picture)
            self._heard.clear()  # what the strip itself asked


@torch.no_grad()
def _pictures(moment: Moment, question: Question) -> Float[Tensor, "b h w 3"]:
    """What the step rendered; of a scene whose colours are latents, decoded."""
    view = question.shot.seen or moment.view  # of a step in parts, that of the part which asked
    color = view.color
    if color.shape[-1] == 3:
        return view.before(question.shot)
    return question.score.prior.decode(color.permute(0, 3, 1, 2))


@torch.no_grad()
def strip(
    x: Float[Tensor, "b h w 3"], question: Question, name: str, *, steps: int = STEPS
) -> Float[Tensor, "y x 3"]:
    """A row for each of the first views: x, what was asked, the guess, and DDIM's end in `steps`.

    `x` are the pictures (sRGB in [0, 1]) that were encoded and noised; `name` says when.
    """
    score = question.score
    score = Completed(score) if isinstance(score, Mix) else score
    z_t, t, shot = question.z_t, question.t, question.shot
    guess, end = (denoised(score, z_t, t, shot, steps=n) for n in (1, steps))
    shown = [x, *(score.prior.decode(z) for z in (z_t, guess, end))]
    side = SIDE * -(-max(SIDE, *(p.shape[1] for p in shown)) // SIDE)
    columns = [_sized(p[:ROWS].detach().float().cpu(), side) for p in shown]
    labels = [
        label
        for level in t[:ROWS].tolist()
        for label in (name, f"noised, t = {level:.2f}", "guessed at once", f"DDIM, {steps} steps")
    ]
    return contact_sheet(torch.stack(columns, 1).flatten(0, 1), columns=4, labels=labels)


def _sized(pictures: Float[Tensor, "b h w 3"], side: int) -> Float[Tensor, "b s s 3"]:
    """Enlarged without a blur, so that a prior's own pixels can be told."""
    planes = F.interpolate(pictures.permute(0, 3, 1, 2), (side, side), mode="nearest-exact")
    return planes.permute(0, 2, 3, 1).clamp(0, 1)


@dataclass(frozen=True)
class Completed:
    """A mix as a noise prediction: what its weights lack to 1 goes to its first condition.

    CSD's difference becomes eps_y and its pull, NFSD's a guidance away from the bad prompt: each
    can be walked along. A mix whose weights sum to 1 is left as it is.
    """

    mix: Mix

    @property
    def prior(self) -> Prior:
        return self.mix.prior

    def __call__(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot
    ) -> Float[Tensor, "b c y x"]:
        eps = self.mix(z_t, t, shot)
        weights = self.mix.weights
        lacks = 1 - sum((w(t, shot) if callable(w) else w) for w in weights.values())
        lacks = lacks * torch.ones_like(t)
        if not (lacks.abs() > 1e-5).any():
            return eps
        first = Mix(self.prior, {next(iter(weights)): 1.0})
        return eps + per_sample(lacks.to(eps), eps) * first(z_t, t, shot)
