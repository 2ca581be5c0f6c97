"""All trainings as one script for a bare CUDA machine, in pieces of nine minutes.

    python -m dreamlift.learn.gpu --out DIR --minutes 9 --what all

needs torch, numpy, safetensors, jaxtyping and a diffusers wheel, and no network. Pictures are made
on the device by the tracer's torch twin. What is trained lies in DIR as at most eight files of at
most 15 MB (learn/parcels.py); the same command again, or with `--resume` another folder that holds
the files of the last piece, goes on from there. `python -m dreamlift.learn.gpu --unpack DIR FOLDER`
turns the files into folders of weights.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, cast

import torch
from safetensors import safe_open

from dreamlift.errors import BadInput
from dreamlift.learn import clip, denoiser, judge, parcels, tower
from dreamlift.learn.loop import Stop

What: TypeAlias = Literal["tower", "denoiser", "judge", "clip"]
NAMES: tuple[What, ...] = ("tower", "denoiser", "judge", "clip")
"""In the order of training: the second and the last stand on the first."""
SHIPPED: dict[What, str] = {
    "tower": "tower", "denoiser": "whole", "judge": "judge", "clip": "clip",
}  # fmt: skip
"""Where in its folder a training leaves its weights."""


@dataclass(frozen=True)
class Sizes:
    """The recipes of all trainings, and the tower's steps and batch."""

    tower: tuple[int, int]
    denoiser: denoiser.Recipe
    judge: judge.Recipe
    clip: clip.Recipe
    seed: int = 0
    """The tower's."""


LARGE = Sizes(
    (3000, 512),
    denoiser.Recipe(24_000, batch=256, pool=16_384, per_step=32, lr=8e-4, world="whole"),
    judge.Recipe(steps=6000, batch=128, pool=8192, per_step=32),
    clip.Recipe(steps=6000, batch=256, pool=16_384, per_step=32),
)
"""For a GPU."""
TINY = Sizes(
    (2, 4),
    denoiser.Recipe(steps=2, batch=2, pool=4, per_step=4, world="whole"),
    judge.Recipe(steps=2, batch=2, pool=4, per_step=4, side=64),
    clip.Recipe(steps=2, batch=2, pool=4, per_step=4, hard=1),
)
"""For rehearsals on a CPU."""


def steps_done(folder: Path) -> int:
    """The step of a folder's checkpoint; 0 without one."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        return int((file.metadata() or {})["step"])


def finished(folder: Path) -> bool:
    """Whether a training has come to its last step."""
    return (folder / "finished.json").exists()


def piece(what: What, work: Path, sizes: Sizes, minutes: float) -> bool:
    """Train one model for so long; whether it is finished."""
    stop = Stop(minutes)
    folder, language = work / what, work / "tower" / "tower"
    steps, batch = sizes.tower
    trainings: dict[What, tuple[int, Callable[[], None]]] = {
        "tower": (
            steps,
            partial(tower.train, folder, steps=steps, size=batch, seed=sizes.seed, stop=stop),
        ),
        "denoiser": (
            sizes.denoiser.steps,
            lambda: denoiser.train(folder, language, sizes.denoiser, stop=stop),
        ),
        "judge": (sizes.judge.steps, lambda: judge.train(folder, sizes.judge, stop=stop)),
        "clip": (
            sizes.clip.steps,
            lambda: clip.train(folder, language, sizes.clip, stop=stop),
        ),
    }
    if what in ("denoiser", "clip") and not finished(work / "tower"):
        raise BadInput(f"{what} is trained on the text tower. Say --what all, or tower first.")
    last, train = trainings[what]
    train()
    if steps_done(folder) < last:
        shutil.rmtree(folder / SHIPPED[what])  # the checkpoint has them, finer
        return False
    (folder / "checkpoint.safetensors").unlink()
    (folder / "finished.json").write_text(json.dumps({"steps": last, "machine": machine()}) + "\n")
    return True


def machine() -> str:
    """What trained."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def train(
    out: Path, resume: Path, names: Sequence[What], sizes: Sizes, minutes: float, start: float
) -> None:
    """A piece of `minutes` since `start`: the models that are not finished, one by one."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        parcels.unpack(resume, work)
        try:
            for what in names:
                left = minutes - (time.monotonic() - start) / 60
                if left <= 0:
                    break
                if not finished(work / what) and not piece(what, work, sizes, left):
                    break
        finally:
            parts = parcels.pack(work, out)
            print(f"{len(parts)} files in {out}, {sum(p.stat().st_size for p in parts)} bytes")
        for what in names:
            state = "finished" if finished(work / what) else f"step {steps_done(work / what)}"
            print(f"{what}: {state}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 for bad input."""
    start = time.monotonic()
    parser = argparse.ArgumentParser(description="Train dreamlift's models on a bare GPU machine.")
    parser.add_argument("--out", type=Path, help="where the files go")
    parser.add_argument("--resume", type=Path, help="where the last piece's files are; as --out")
    parser.add_argument("--minutes", type=float, default=9.0, help="how long this piece takes")
    parser.add_argument("--what", choices=[*NAMES, "all"], default=["all"], nargs="+")
    parser.add_argument("--seed", type=int, default=0, help="everything made follows from it")
    parser.add_argument("--tiny", action="store_true", help="rehearse: two steps of each")
    parser.add_argument("--unpack", type=Path, nargs=2, metavar=("DIR", "FOLDER"))
    said = parser.parse_args(arguments)
    try:
        if said.unpack:
            if not parcels.unpack(said.unpack[0], said.unpack[1]):
                raise BadInput(f"There are no files part_*.bin in {said.unpack[0]}.")
            return 0
        if said.out is None:
            raise BadInput("Say where the files go: --out DIR.")
        sizes = seeded(TINY if said.tiny else LARGE, said.seed)
        chosen = cast(list[str], said.what)
        names: list[What] = [n for n in NAMES if n in chosen or "all" in chosen]
        train(said.out, said.resume or said.out, names, sizes, said.minutes, start)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def seeded(sizes: Sizes, seed: int) -> Sizes:
    """The same recipes with other seeds."""
    return Sizes(
        sizes.tower,
        replace(sizes.denoiser, seed=sizes.denoiser.seed + seed),
        replace(sizes.judge, seed=sizes.judge.seed + seed),
        replace(sizes.clip, seed=sizes.clip.seed + seed),
        sizes.seed + seed,
    )


if __name__ == "__main__":
    sys.exit(main())
