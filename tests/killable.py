"""Small runs that kill themselves: `python killable.py FOLDER MOMENT...`, a folder in FOLDER each.

Moments: `step:N` in the middle of step N; `write:N` and `rename:N` when the N-th checkpoint is
half written, and whole but not yet renamed; `export:FILE` when that file of the finished object is
half written, in a whole `generate`; `slowly` is for others to kill. Each runs in a process of its
own, forked so that torch is imported once. Prints how each ended.
"""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from tiny import Tiny
from tiny_prior import FINISH, load_oracle, numbers, save_words

from dreamlift import run as runs
from dreamlift.api import make
from dreamlift.export import Asset
from dreamlift.fit import Stage, Terms, fit
from dreamlift.observers import log
from dreamlift.priors.source import Source
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.step import Step


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def work(folder: Path, moment: str = "", *, steps: int = 12, pause: float = 0.0) -> Stage[None]:
    """Fit with a checkpoint every fourth step; die at `moment`."""
    kind, _, number = moment.partition(":")
    tiny = Tiny(steps=steps).stage()

    def objective(view: Rendering[None], shot: Shot, step: Step) -> Terms:
        if kind == "step" and step.index == int(number):
            die()
        time.sleep(pause)
        return tiny.objective(view, shot, step)

    run = Run.create(folder, {"recipe": "tiny", "steps": steps})
    stage = replace(tiny, objective=objective)
    fit(stage, run / "only", [log], checkpoint_steps=4)
    return stage


def whole(folder: Path) -> Asset:
    """A `generate` from a sentence to an object, by the oracle."""
    Source.load = load_oracle
    prior = save_words(folder.parent / "words")
    return make(numbers(), prior=prior, out=folder, finish=FINISH, observers=[log])


def plan_death(kind: str, number: int) -> None:
    """Replace what writes a checkpoint by what dies in the middle of the `number`-th."""
    write, rename, seen = runs.save_state, os.replace, [0]

    def torn_write(path: Path, state: object) -> None:
        write(path, state)
        seen[0] += 1
        if kind == "write" and seen[0] == number:
            path.write_bytes(path.read_bytes()[:-40])
            die()

    def no_rename(source: Path, target: Path) -> None:
        if kind == "rename" and target.name == runs.CHECKPOINT and seen[0] == number:
            die()
        rename(source, target)

    runs.save_state = torn_write
    os.replace = no_rename


def plan_torn(name: str) -> None:
    """Die when the file `name` is half written."""
    rename = os.replace

    def torn(source: Path, target: Path) -> None:
        if target.name == name:
            source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
            die()
        rename(source, target)

    os.replace = torn


def main(root: Path, moments: list[str]) -> None:
    work(root / "warm")  # imports what an optimiser needs
    if any(moment.startswith("export:") for moment in moments):
        whole(root / "warm whole")
    for moment in moments:
        child = os.fork()
        if child == 0:
            kind, _, where = moment.partition(":")
            if kind == "export":
                plan_torn(where)
                whole(root / moment)
            if kind in ("write", "rename"):
                plan_death(kind, int(where))
            work(root / moment, moment)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(moment, os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[2:] == ["slowly"]:
        work(Path(sys.argv[1]), steps=600, pause=0.01)
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
