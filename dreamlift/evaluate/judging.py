"""R-Precision and the Janus rate of an object: what a judge makes of its pictures.

R-Precision: the share of the 24 pictures (look.py) for which the judge ranks the prompt first among
itself and its frozen neighbours (toybox.lists.among: 256 captions). For the geometry the pictures
are untextured and so are the captions; those that differed in colour alone have become one, so
fewer may be left, and their number is given with every figure. A tie is not a first place.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dreamlift.errors import BadInput
from dreamlift.evaluate import look
from dreamlift.grammar import parse
from dreamlift.learn.judge import load_judge
from dreamlift.learn.slots import fronted
from dreamlift.metrics import mistaken, r_precision, share_called
from dreamlift.prior import Aligner
from dreamlift.priors.seen import Seen
from dreamlift.priors.seen import seen as shown
from dreamlift.scene import Scene
from dreamlift.toybox.drawable import drawable
from dreamlift.toybox.lists import among, shapes_among
from dreamlift.toybox.near import RELATED, Known

WEIGHTS = Path(__file__).parents[1] / "weights" / "judge"
"""Of the judge of the first world, the better one of what both know."""
WHOLE = WEIGHTS.with_name("judge-whole")
"""Of the judge of the whole toybox."""
FRONT = 0
"""The view classifier's bin that is centred on the front."""
NAMED = 3
"""How many of the captions that beat the prompt are named."""


@runtime_checkable
class Judge(Aligner, Protocol):
    """An aligner that also tells from which side a picture is taken."""

    seen: Seen
    """The world it was shown: a prompt is told apart from captions of these words."""

    def views(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b 8"]:
        """Log-probabilities of eight bins of azimuth, the first of them centred on the front."""
        ...


@dataclass(frozen=True)
class Mark:
    """One R-Precision."""

    share: float  # of the pictures, in [0, 1]
    captions: int  # the prompt's own among them: chance is 1 / captions
    mistaken: tuple[tuple[str, int], ...]  # what beat the prompt most often, and in how many views


@dataclass(frozen=True)
class Verdict:
    """What the judge says of one object."""

    color: Mark
    geometry: Mark
    janus: float | None  # None: the object has no front


def shipped_judge(folder: Path = WEIGHTS) -> Judge:
    """A judge that ships inside. Raises BadInput where its weights are not installed."""
    if not (folder / "model.safetensors").is_file():
        raise BadInput(
            f"The judge's weights are not in {folder}. Install the package again, or train them "
            f"with `dreamlift train {'judge-whole' if folder == WHOLE else 'judge'}`."
        )
    return load_judge(folder)


def judge_of(prompts: Sequence[str]) -> Judge:
    """The shipped judge of the smallest world that has all the prompts.

    Where none has, the last: `readable` says why. Raises BadInput where it is not installed.
    """
    for folder in (WEIGHTS, WHOLE):
        judge = shipped_judge(folder)
        try:
            for prompt in prompts:
                shown(folder).refuse(prompt, "judge")
        except ValueError:
            continue
        return judge
    return shipped_judge(WHOLE)


def fingerprint(judge: Judge) -> str:
    """Which judge it was, by its weights: figures of two judges cannot be compared."""
    if not isinstance(judge, nn.Module):
        return type(judge).__name__
    digest = hashlib.sha256()
    for name, value in sorted(judge.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def known(world: Seen) -> Known:
    """The words of near captions: those that a judge of this world was shown."""
    related = tuple(relation for relation in RELATED if relation in world.relations)
    return Known(world.nouns, related, world.patterns, world.sizes)


@cache
def captions(prompt: str, world: Seen, *, textureless: bool) -> tuple[str, ...]:
    """What the prompt is told apart from by a judge of this world, its own caption first."""
    return (shapes_among if textureless else among)(prompt, known=known(world))


def readable(prompt: str, judge: Judge) -> None:
    """Raise BadInput for a prompt that is not of the judge's world, or a neighbour of it."""
    try:
        drawable(parse(prompt))
        for blank in (False, True):
            judge.embed_text(captions(prompt, judge.seen, textureless=blank))
    except ValueError as error:
        raise BadInput(f"The prompt {prompt!r} cannot be judged. {error}") from error


def has_front(prompt: str) -> bool:
    """Whether a picture of the prompt shows where its front is."""
    return fronted(parse(prompt))


def marked(x: Float[Tensor, "v h w 3"], texts: Sequence[str], judge: Judge) -> Mark:
    """The R-Precision of pictures of texts[0]."""
    scores = judge.embed_image(x) @ judge.embed_text(texts).T
    beaten_by = mistaken(scores, texts)[:NAMED]
    return Mark(r_precision(scores), len(texts), tuple(beaten_by))


def janus(x: Float[Tensor, "v h w 3"], judge: Judge) -> float:
    """The share of the textured pictures from behind that the judge calls the front."""
    return share_called(judge.views(x), FRONT, look.behind())


@dataclass(frozen=True)
class Sides:
    """The pictures of one object."""

    textured: Float[Tensor, "v h w 3"]
    untextured: Float[Tensor, "v h w 3"]


def seen(scene: Scene[Any]) -> Sides:
    """Render all that is judged of a scene."""
    return Sides(look.pictures(scene, textureless=False), look.pictures(scene, textureless=True))


def verdict(pictures: Sides, prompt: str, judge: Judge) -> Verdict:
    """Both R-Precisions of an object, and the Janus rate where it has a front."""

    def texts(blank: bool) -> tuple[str, ...]:
        return captions(prompt, judge.seen, textureless=blank)

    return Verdict(
        color=marked(pictures.textured, texts(False), judge),
        geometry=marked(pictures.untextured, texts(True), judge),
        janus=janus(pictures.textured, judge) if has_front(prompt) else None,
    )
