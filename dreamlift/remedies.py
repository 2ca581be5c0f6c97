"""A stage that goes wrong is put right where that is known to be possible, and else told of.

    numbers that are not finite    back to the last good tenth, on with half the learning rates
    an empty scene                 the stage begins again, as a blob
    two faces                      what the stage keeps firm, Perp-Neg's strength, is doubled
    fog, colours too strong        told of at the end, with what to do next

Each at most TIMES a stage; after that the run ends with an error, and its last good state is kept.
What is done follows from the steps alone, and is saved with them, so a run that was stopped ends
with the same bits. It is written down in [STAGE/]remedies.json.
"""

import copy
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from dreamlift.detectors import Finding, Look
from dreamlift.fit import Amiss, Moment, Stage, Standing
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.io.atomic import atomic
from dreamlift.run import CHECKPOINT, Run
from dreamlift.scenes.revival import Revivable

TIMES = 3
"""Remedies of a kind that a stage is given."""
FILE = "remedies.json"
"""Beside a stage's checkpoint: {"remedied": [{"step", "what", "why", "done"}, ...], "found": [what
was still wrong at its last step]}."""
FIRMER = 0.3
"""Share of the steps before which faces are not looked for."""
log = logging.getLogger("dreamlift")


@runtime_checkable
class Firmer(Protocol):
    """What a stage keeps and can be firmer about."""

    def firmer(self) -> bool: ...


class Empty(Amiss):
    """The scene shows nothing from any side, and will not come back by itself."""


class Remedies:
    """An observer, and the `Guard` of a fit: one for a run, the last of its observers."""

    def __init__(
        self, examine: Callable[..., Sequence[Finding]] | None = None, *, act: bool = True
    ) -> None:
        """`examine`: a `detectors.Examiner`; None: only numbers are looked at. `act`: whether what
        it finds is remedied too, and not only told of at the end."""
        self.examine, self.act = examine, act
        self.good: dict[str, Any] = {}
        self.remedied: list[dict[str, Any]] = []
        self._of: Stage[Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"good": self.good, "remedied": self.remedied}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.good = dict(state_dict.get("good", {}))
        self.remedied = list(state_dict.get("remedied", []))

    def count(self, what: str) -> int:
        """How often the stage was remedied of something."""
        return sum(entry["what"] == what for entry in self.remedied)

    def begin(self, at: Standing) -> None:
        """Remember a tenth of the stage as good; the first time, listen to its optimiser."""
        if self._of is not at.stage:
            self._of = at.stage
            at.stage.optimizer.register_step_pre_hook(self._slower)
            at.stage.optimizer.register_step_post_hook(self._as_before)
            self._tell(at.run)
        if not self.good or at.done % max(at.stage.steps // 10, 1) == 0:
            self.good = copy.deepcopy(at.state())

    def _slower(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Half the rates for each time that the numbers were not finite."""
        for group in optimizer.param_groups:
            group["lr"] *= 0.5 ** self.count("numbers")

    def _as_before(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Exactly as they were: the factor is a power of two."""
        for group in optimizer.param_groups:
            group["lr"] *= 2.0 ** self.count("numbers")

    def remedy(self, at: Standing, problem: Amiss) -> None:
        """Go back, or raise, where that was done TIMES before: the problem, or DegenerateError."""
        empty = isinstance(problem, Empty)
        what = "empty" if empty else "numbers"
        if not self.good:
            raise problem
        if self.count(what) == TIMES:
            if self.good["step"] > 0:
                at.run.save({**self.good, "guards": [self.state_dict()]})
            if empty:
                raise DegenerateError(
                    f"degenerate object: empty after {TIMES} remedies. {problem}"
                ) from problem
            raise Amiss(str(problem), f"{TIMES} remedies did not help.") from problem
        step, scene = at.done, at.stage.scene
        if empty and isinstance(scene, Revivable):
            scene.revive()
            at.stage.optimizer.state.clear()
            at.rng.manual_seed(at.stage.seed)
            at.done = 0
            done = "the stage begins again, from a blob"
        else:
            at.restore(self.good)
            rates = 0.5 ** (self.count(what) + 1)
            done = f"back to step {at.done}, learning rates times {rates:g}"
        self._note(at.run, step, what, problem.found, done)

    def __call__(self, moment: Moment) -> None:
        """Look at every tenth of the stage, 10 steps at least, and at its end. Raises `Empty`."""
        done, total = moment.step.index + 1, moment.step.total
        if self.examine is None or (done % max(total // 10, 10) and done < total):
            return
        found = self.examine(Look.at(moment.stage.scene), finished=done == total)
        for finding in found:
            revivable = isinstance(moment.stage.scene, Revivable)
            if self.act and finding.what == "empty" and revivable:
                raise Empty(finding.said, finding.advice)
            if self.act and finding.what == "two faces" and FIRMER * total <= done < total:
                self._firmer(moment, finding)
        if done == total:
            self._tell(moment.run, found)

    def _firmer(self, moment: Moment, finding: Finding) -> None:
        kept = [kept for kept in moment.stage.keep.values() if isinstance(kept, Firmer)]
        if not kept or self.count("two faces") == TIMES:
            return
        if not any([one.firmer() for one in kept]):  # all of them are asked
            return
        done = f"twice as firm about {', '.join(moment.stage.keep)}"
        self._note(moment.run, moment.step.index + 1, "two faces", finding.said, done)

    def _note(self, run: Run, step: int, what: str, why: str, done: str) -> None:
        self.remedied.append({"step": step, "what": what, "why": why, "done": done})
        self._tell(run)
        log.warning("%s Remedy: %s.", why, done)

    def _tell(self, run: Run, found: Sequence[Finding] = ()) -> None:
        """remedies.json as things are; none where there is nothing to tell."""
        file = run.checkpoint.with_name(FILE)
        if not self.remedied and not found:
            file.unlink(missing_ok=True)
            return
        told = {"remedied": self.remedied, "found": [asdict(finding) for finding in found]}
        with atomic(file) as fresh:
            fresh.write_text(json.dumps(told, indent=2) + "\n")


def told(folder: Path) -> tuple[list[str], list[str]]:
    """In words: what was remedied in any stage of a run, and what is wrong with what it made."""
    checkpoints = [*folder.glob(CHECKPOINT), *folder.glob(f"*/{CHECKPOINT}")]
    checkpoints.sort(key=lambda path: path.stat().st_mtime_ns)
    remedied, found = list[str](), list[str]()
    for file in (path.with_name(FILE) for path in checkpoints):
        said: dict[str, list[dict[str, Any]]] = {"remedied": [], "found": []}
        if file.exists():
            said = json.loads(file.read_text())
        stage = "" if file.parent == folder else f"{file.parent.name}, "
        for entry in said["remedied"]:
            did = f"{entry['why']} Remedy: {entry['done']}."
            remedied.append(f"{stage}step {entry['step']}: {did}")
        found = [
            f"{entry['said']} {entry['advice']}" for entry in said["found"]
        ]  # the last stage's
    return remedied, found
