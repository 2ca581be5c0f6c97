"""Small runs that kill themselves: `python killable.py FOLDER MOMENT...`, a folder in FOLDER each.

Moments: `step:N` in the middle of step N; `write:N` and `rename:N` when the N-th checkpoint is
half written, and whole but not yet renamed; `export` when the asset is half written; `slowly` is
for others to kill. Each runs in a process of its own, forked so that torch is imported once.
Prints how each ended.
"""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from tiny import Tiny

from dreamlift import run as runs
from dreamlift.fit import Stage, Terms, fit
from dreamlift.io.atomic import atomic
from dreamlift.observers import log
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.step import Step


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def work(folder: Path, moment: str = "", *, steps: int = 12, pause: float = 0.0) -> Stage[None]:
    """Fit with a checkpoint every fourth step, then write the asset; die at `moment`."""
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
    with atomic(folder / "asset.bin") as file:
        content = stage.scene.state_dict()["pixels"].numpy().tobytes()
        file.write_bytes(content[: len(content) // 2])
        if kind == "export":
            die()
        file.write_bytes(content)
    return stage


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


def main(root: Path, moments: list[str]) -> None:
    work(root / "warm")  # imports what an optimiser needs
    for moment in moments:
        child = os.fork()
        if child == 0:
            kind, _, number = moment.partition(":")
            if kind in ("write", "rename"):
                plan_death(kind, int(number))
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
