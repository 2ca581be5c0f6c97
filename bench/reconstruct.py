"""PSNR on held-out photographs over CPU seconds, of every way to rebuild them, in one run.

    python -m bench.reconstruct ../shared/data/posed/lego200 --out runs/bench [--only gaussians]

A way that is finished is kept; one that was interrupted begins again. Seconds are the process's on
all cores, without those spent on scoring; photographs are opened before the clock starts. OUT has
curves.json and curves.png (--picture FILE: also there), and the table is printed.
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from bench import chart, plain_nerf
from dreamlift import memory
from dreamlift.fit import Moment
from dreamlift.io.atomic import atomic
from dreamlift.likeness import psnr, ssim
from dreamlift.photographs import develop, read_album
from dreamlift.posed import Posed
from dreamlift.recipes.hashed import HashGrid
from dreamlift.recipes.reconstruct import Reconstruct
from dreamlift.recipes.splatting import Splatting
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.scenes.background import Environment

Row = dict[str, Any]
STEPS = {"gaussians": 1500, "field": 2000, "hashed": 1000, "plain torch NeRF": 300}
"""Some five minutes of one core each."""
GOALS = {"gaussians": 30.0, "field": 29.0}


class Curve:
    """Scores the held-out photographs once in a while; the clock stands still meanwhile."""

    def __init__(self, posed: Posed, *, every: float) -> None:
        self.held = posed.some(posed.held_out)
        self.every = every
        self.rows: list[Row] = []
        self.spent, self.due = 0.0, every / 4
        self.mark = time.process_time()

    def __call__(self, moment: Moment) -> None:
        self.spent += time.process_time() - self.mark
        done = moment.step.index + 1
        if self.spent >= self.due or done == moment.step.total:
            self.due = self.spent + min(self.every, self.spent / 2)
            self.rows.append(self._row(moment))
            print(json.dumps(self.rows[-1]), flush=True)
        self.mark = time.process_time()

    @torch.no_grad()
    def _row(self, moment: Moment) -> Row:
        scene, behind = moment.stage.scene, moment.stage.keep.get("behind")
        scores: list[tuple[float, float]] = []
        for i in range(len(self.held.names)):
            cameras = self.held.cameras[i : i + 1]
            back = cameras.K.new_ones(1, 1, 1, 3)
            truth = self.held.images[i : i + 1] + (1 - self.held.alpha[i : i + 1]) * back
            if isinstance(behind, Environment):
                back = behind(cameras.rays()[1])
            x = scene.render(Shot(cameras)).over(back).clamp(0, 1)
            known = self.held.known[i : i + 1]
            scores.append((psnr(x, truth, known), float(ssim(x, truth, known))))
        means = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
        return {
            "stage": moment.run.stage,
            "step": moment.step.index + 1,
            "cpu": round(self.spent, 2),
            "psnr": round(means[0], 3),
            "ssim": round(means[1], 4),
            "numbers": sum(p.numel() for p in scene.parameters()),
        }


Way = Callable[[Path, Posed, int, Curve], object]


def field(folder: Path, posed: Posed, steps: int, curve: Curve) -> object:
    recipe = Reconstruct(steps=steps, resolution=193, samples=288)
    return recipe.run(Run.create(folder, {}), posed, (curve,))


def gaussians(folder: Path, posed: Posed, steps: int, curve: Curve) -> object:
    return Splatting(steps=steps).run(Run.create(folder, {}), posed, (curve,))


def hashed(folder: Path, posed: Posed, steps: int, curve: Curve) -> object:
    return HashGrid(steps=steps).run(Run.create(folder, {}), posed, (curve,))


def nerf(folder: Path, posed: Posed, steps: int, curve: Curve) -> object:
    return plain_nerf.learn(folder, posed, steps, 1024, (curve,))


WAYS: dict[str, Way] = {
    "gaussians": gaussians, "field": field, "hashed": hashed, "plain torch NeRF": nerf,
}  # fmt: skip


def table(found: dict[str, list[Row]]) -> str:
    """What each came to, and when it passed what was asked of it."""
    lines = [
        "| way | steps | CPU s | held out: PSNR | SSIM | CPU s to the goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, rows in found.items():
        last, goal = rows[-1], GOALS.get(name)
        passed = next((row["cpu"] for row in rows if goal and row["psnr"] >= goal), None)
        when = "" if passed is None else f"{passed:.0f} ({goal:.0f} dB)"
        cells = (name, last["step"], f"{last['cpu']:.0f}", f"{last['psnr']:.2f}", last["ssim"])
        lines.append(f"| {' | '.join(map(str, (*cells, when)))} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="PSNR over CPU seconds, of every way to rebuild.")
    parser.add_argument("folder", type=Path, help="posed photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and figures")
    parser.add_argument("--only", choices=WAYS, nargs="+", default=[*WAYS])
    parser.add_argument("--steps", type=int, help="of each; by default what five minutes allow")
    parser.add_argument("--downscale", type=int, default=1)
    parser.add_argument("--hold-out", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1, help="torch's and Warp's")
    parser.add_argument("--every", type=float, default=30, help="CPU seconds between two scores")
    parser.add_argument("--picture", type=Path, help="where to write the chart too")
    choices = parser.parse_args(arguments)
    torch.set_num_threads(choices.threads)
    memory.keep()
    choices.out.mkdir(parents=True, exist_ok=True)
    kept = choices.out / "curves.json"
    found: dict[str, list[Row]] = json.loads(kept.read_text()) if kept.exists() else {}
    album = read_album(choices.folder, hold_out=choices.hold_out)
    posed = develop(album, downscale=choices.downscale)
    for name in choices.only:
        if name in found:
            continue
        folder = choices.out / name.replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        curve = Curve(posed, every=choices.every)
        WAYS[name](folder, posed, choices.steps or STEPS[name], curve)
        found[name] = curve.rows
        with atomic(kept) as file:
            file.write_text(json.dumps(found, indent=1) + "\n")
    curves = {name: [(row["cpu"], row["psnr"]) for row in rows] for name, rows in found.items()}
    goals = {f"{name}: {goal:.0f} dB": goal for name, goal in GOALS.items() if name in found}
    for path in {choices.out / "curves.png", choices.picture or choices.out / "curves.png"}:
        chart.lines(path, curves, across="CPU seconds", up="dB on held-out views", marks=goals)
    print(table(found))


if __name__ == "__main__":
    main()
