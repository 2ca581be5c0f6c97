"""Pilots: N short runs, each from its own seed; the best by the embedded CLIP goes on to the end.

A pilot is the beginning of a run: the first PILOT of its first stage's steps, on the whole run's
schedules, in a folder of its own, pilots/SEED/. The chosen one's state is copied into the run,
which then ends with the bits of a plain run from that seed. What they scored, which was chosen and
what they looked like stand in pilots.json and pilots.png. The judge is never asked.

    score = mean over eight sides of log softmax(log p(captions | x))[prompt]

among the prompt and its frozen neighbours (toybox/lists.py), each side before nearly white, as the
embedded CLIP reads it (learn/reader.py).
"""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.detectors import Look
from dreamlift.errors import BadInput
from dreamlift.fit import Amiss, Moment, Observer, Paused
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.grammar import parse
from dreamlift.io.atomic import atomic
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.io.lock import alone
from dreamlift.learn.slots import answers
from dreamlift.prior import Reads
from dreamlift.priors.clip import WEIGHTS
from dreamlift.priors.seen import seen
from dreamlift.run import CHECKPOINT, METRICS, Run
from dreamlift.toybox.drawable import drawable
from dreamlift.toybox.lists import among

PILOT = 0.3
"""Share of the first stage's steps that a pilot takes."""
MOST = 32
"""Pilots of a run, at most."""
FILE, PICTURE, FOLDER, LOOK = "pilots.json", "pilots.png", "pilots", "look"
log = logging.getLogger("dreamlift")


@dataclass(frozen=True)
class Scored:
    """A pilot after its steps."""

    seed: int
    score: float
    """Mean log-probability of the prompt among its neighbours, at most 0."""


def check(prompt: str, count: int, *, world: bool) -> None:
    """Raise BadInput for a number of pilots that is none, or a prompt that CLIP cannot read."""
    if not 1 <= count <= MOST:
        raise BadInput(f"There are 1 to {MOST} pilots; {count} were asked for.")
    readable(prompt, "Pilots", "--pilot", world=world)


def readable(prompt: str, what: str, flag: str, *, world: bool) -> None:
    """Raise BadInput where CLIP cannot choose among `what`, that a flag asks for."""
    if not world:
        raise BadInput(
            f"{flag} goes by the embedded CLIP, which knows the embedded world alone. Leave it out "
            "with this prior, or look at several --seed."
        )
    try:
        seen(WEIGHTS / "clip").refuse(prompt, "CLIP")
        drawable(parse(prompt))
        answers(parse(prompt))
    except ValueError as error:
        raise BadInput(f"{what} of {prompt!r} cannot be scored: {error}") from error


def likeness(look: Look, prompt: str, reads: Reads) -> float:
    """The score of what a pilot looks like; higher is better."""
    return float(liked(look.white, prompt, reads).mean())


@torch.no_grad()
def liked(x: Float[Tensor, "n h w 3"], prompt: str, reads: Reads) -> Float[Tensor, " n"]:
    """The prompt's log-probability among its neighbours, of each picture."""
    return reads(x, among(prompt)).log_softmax(-1)[:, 0]


class Halt:
    """An observer, the last of a run's: keeps a look in the folder, then pauses, after PILOT.

    The look is kept first. A pilot that is killed between the two has a look and an earlier state,
    from which the run comes to the same bits.
    """

    def __call__(self, moment: Moment) -> None:
        done, total = moment.step.index + 1, moment.step.total
        if done >= max(round(PILOT * total), 1):
            look = Look.at(moment.stage.scene)
            (moment.run / LOOK).save({"color": look.color, "alpha": look.alpha})
            raise Paused


Begin = Callable[[Run, int, Sequence[Observer]], object]
"""Work at a run of a seed, watched; it is paused."""


def chosen(run: Run) -> int | None:
    """The seed that a run goes on with; None where the pilots are not done."""
    try:
        return cast("int", json.loads((run.path / FILE).read_text())["chosen"])
    except (OSError, ValueError, KeyError):
        return None


def choose(
    run: Run,
    seeds: Sequence[int],
    prompt: str,
    reads: Reads,
    create: Callable[[int], Run],
    begin: Begin,
) -> int:
    """Do what is left of the pilots, and make the best one's beginning the run's; its seed.

    `create` makes a pilot's folder, `begin` works at it. A pilot that is done is not made again;
    one that comes to nothing is passed over. Raises what the last one did where all do.
    """
    scored: list[Scored] = []
    looks: list[Look] = []
    failed: Amiss | DegenerateError | None = None
    for seed in seeds:
        pilot = create(seed)
        with alone(pilot.path):
            if _look(pilot) is None:
                try:
                    begin(pilot, seed, [Halt()])
                except Paused:
                    pass
                except (Amiss, DegenerateError) as problem:
                    log.warning("pilot, seed %d: %s", seed, problem)
                    failed = problem
                    continue
            look = _look(pilot)
        if look is None:
            raise RuntimeError(f"The pilot in {pilot.path} ended before it was looked at.")
        looks.append(look)
        scored.append(Scored(seed, likeness(look, prompt, reads)))
        log.info("pilot, seed %d: %.3f", seed, scored[-1].score)
    if not scored and failed is not None:
        raise failed
    best = max(scored, key=lambda each: each.score)
    _show(run, scored, looks, best)
    _adopt(run, create(best.seed))
    with atomic(run.path / FILE) as file:
        each = [{"seed": s.seed, "score": s.score} for s in scored]
        told = {"chosen": best.seed, "share": PILOT, "pilots": each}
        file.write_text(json.dumps(told, indent=2) + "\n")
    log.info("going on with seed %d", best.seed)
    return best.seed


def _look(pilot: Run) -> Look | None:
    """What a pilot looked like, where it is done."""
    state = (pilot / LOOK).load()
    return None if state is None else Look(state["color"], state["alpha"])


def _adopt(run: Run, pilot: Run) -> None:
    """Copy a pilot's metrics, previews and state; the state of each stage last and at once."""
    (run.path / METRICS).unlink(missing_ok=True)
    for name in (METRICS, "previews"):
        source = pilot.path / name
        if source.is_dir():
            shutil.copytree(source, run.path / name, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy(source, run.path / name)
    for file in [*pilot.path.glob(CHECKPOINT), *pilot.path.glob(f"*/{CHECKPOINT}")]:
        if file.parent.name != LOOK:
            to = run.path / file.relative_to(pilot.path)
            with atomic(to) as fresh:
                shutil.copy(file, fresh)


def _show(run: Run, scored: Sequence[Scored], looks: Sequence[Look], best: Scored) -> None:
    """All pilots, a row each, four sides of every one."""
    pictures: list[Any] = [look.white[::2] for look in looks]
    labels = [
        f"seed {each.seed}: {each.score:.2f}{', chosen' if each is best else ''}" if i == 0 else ""
        for each in scored
        for i in range(len(pictures[0]))
    ]
    large = torch.cat(pictures).repeat_interleave(2, 1).repeat_interleave(2, 2)
    save_png(run.path / PICTURE, contact_sheet(large, columns=len(pictures[0]), labels=labels))
