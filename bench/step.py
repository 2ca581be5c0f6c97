"""Milliseconds of a step by part, beside a plain-torch NeRF; and how fast a step leads anywhere.

    python bench/step.py [--threads 2] [--repeats 12] [--prompt "..."] [--reach 0.8] [--steps 450]

The steps are the recipe's own (recipes/dreamfusion.py): its loop, views, prior and regularisers,
with clocks around the parts. The NeRF is DreamFusion's: a network (three hidden layers of 64) on
frequency encodings, normals from its gradient, every sample of every ray asked, nothing but torch;
the same rays and samples. All start from fog, where nothing can be skipped. CPU time is what the
process used, over all threads; wall time is only meaningful on an idle machine. Medians.

With the shipped judge, an object is then made and judged every 25 steps until its colour
R-Precision is `--reach`: steps per second mean little unless they lead somewhere.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from dreamlift.convert.finish import Finish
from dreamlift.convert.volume_to_mesh import extract
from dreamlift.evaluate import look
from dreamlift.evaluate.judging import WEIGHTS as JUDGE
from dreamlift.evaluate.judging import Judge, captions, marked, shipped_judge
from dreamlift.fit import Moment
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.grammar import parse
from dreamlift.memory import keep
from dreamlift.prior import Prior
from dreamlift.priors.embedded import WEIGHTS, embedded
from dreamlift.priors.oracle import Oracle
from dreamlift.priors.pixel import Pixel
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.render import volume
from dreamlift.run import Run
from dreamlift.scenes import field as fields
from dreamlift.scenes.field import Field, initial_raw
from dreamlift.scenes.frequencies import Frequencies
from dreamlift.scenes.mesh import Mesh
from dreamlift.toybox.scenes import toy_scene
from dreamlift.views import Views

PROMPT = "an orange cone"
PARTS = ("render", "prior", "backward", "optimiser")
EVERY = 25
COARSE = Finish(resolution=64, faces=8000, texture=256)


@dataclass
class Clocks:
    """CPU and wall milliseconds of each part of each step, and of whole steps."""

    now: dict[str, list[float]] = field(default_factory=dict)
    steps: list[dict[str, tuple[float, float]]] = field(default_factory=list)
    started: tuple[float, float] = (0.0, 0.0)

    def around(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function that adds its time to a part of the step."""

        def clocked(*given: Any, **named: Any) -> Any:
            start = both()
            try:
                return call(*given, **named)
            finally:
                spent = self.now.setdefault(part, [0.0, 0.0])
                for i, (end, begin) in enumerate(zip(both(), start, strict=True)):
                    spent[i] += end - begin

        return clocked

    def start(self) -> None:
        self.now, self.started = {}, both()

    def tick(self, moment: Moment) -> None:
        """After a step: file its times."""
        cpu, wall = (end - begin for end, begin in zip(both(), self.started, strict=True))
        times = {part: (spent[0], spent[1]) for part, spent in self.now.items()}
        self.steps.append({**times, "step": (cpu, wall)})
        self.start()

    def median(self, part: str, which: int, *, skip: int = 2) -> float:
        return statistics.median(step.get(part, (0.0, 0.0))[which] for step in self.steps[skip:])


def both() -> tuple[float, float]:
    return 1e3 * time.process_time(), 1e3 * time.perf_counter()


class Done(Exception):
    """The object is good enough."""


def run(
    recipe: DreamFusion, prior: Prior, clocks: Clocks, *watch: Callable[[Moment], None]
) -> None:
    """The recipe itself, clocked."""
    kind = type(prior)
    with ExitStack() as stack:
        for owner, name, part in (
            (Field, "render", "render"),
            (Field, "adapt", "optimiser"),
            (torch.Tensor, "backward", "backward"),
            (torch.optim.Adam, "step", "optimiser"),
            (kind, "eps", "prior"),
            (kind, "condition", "prior"),
        ):
            call = clocks.around(part, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, call))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        made = Run.create(folder / "run", {"recipe": "dreamfusion", "prompt": recipe.prompt})
        clocks.start()
        recipe.run(made, prior, (clocks.tick, *watch))


def nerf(recipe: DreamFusion) -> Field:
    body = Frequencies(partial(initial_raw, init=recipe.init, optical_depth=3.0))
    return Field(body=body, normals="analytic", samples=recipe.samples)


def plain(*_: Any) -> Any:
    return volume.march_grid


KINDS: dict[str, list[tuple[Any, str, Any]]] = {
    "grid, Warp": [],
    "grid, torch": [(fields, "fastest", plain)],
    "NeRF, torch": [(DreamFusion, "scene", nerf), (Field, "adapt", lambda *_: None)],
}


def compare(prior: Prior, repeats: int) -> None:
    """The table: every kind of field, without and under a light."""
    columns = (*PARTS, "other", "CPU", "wall")
    print(f"{'':21}" + "".join(f"{name:>10}" for name in columns) + "   but prior, ratio")
    for shading in ("albedo", "lit"):
        first = 0.0
        for kind, changes in KINDS.items():
            count = repeats if kind == "grid, Warp" else max(2, repeats // 4)
            clocks = Clocks()
            with ExitStack() as stack:
                for owner, name, value in changes:
                    stack.enter_context(patch.object(owner, name, value))
                shaded = patch.object(Views, "shading", lambda *_, shading=shading: shading)
                stack.enter_context(shaded)
                rate = (1e-3, 1e-3)  # a network would not survive the grid's
                recipe = DreamFusion(PROMPT, steps=count + 2, albedo_first=0.0, lr=rate)
                run(recipe, prior, clocks)
            parts = [clocks.median(part, 0) for part in PARTS]
            cpu, wall = (clocks.median("step", which) for which in (0, 1))
            ours = cpu - parts[1]
            first = first or ours
            row = [*parts, cpu - sum(parts), cpu, wall]
            print(
                f"{kind:12} {shading:8}"
                + "".join(f"{ms:10.1f}" for ms in row)
                + f"{ours:12.1f} {ours / first:7.1f}",
                flush=True,
            )


def reach(prior: Prior, judge: Judge, recipe: DreamFusion, target: float) -> None:
    """Make the object until the judge is satisfied, and say how long that took."""
    clocks = Clocks()
    texts = captions(recipe.prompt, judge.seen, textureless=False)
    last = best = 0.0

    def watch(moment: Moment) -> None:
        nonlocal last, best
        if (moment.step.index + 1) % EVERY:
            return
        try:
            surface, _, _ = extract(moment.stage.scene, COARSE)
            seen = look.pictures(Mesh([surface]), textureless=False)
            last = marked(seen, texts, judge).share
        except DegenerateError:
            last = 0.0
        best = max(best, last)
        if last >= target:
            raise Done
        clocks.start()

    reached = True
    try:
        run(recipe, prior, clocks, watch)
        reached = False
    except Done:
        pass
    cpu, wall = (sum(step["step"][which] for step in clocks.steps) / 1e3 for which in (0, 1))
    n = len(clocks.steps)
    found = "reached" if reached else f"not reached ({best:.2f} at best)"
    print(f"{recipe.prompt!r}: colour R-Precision {target:.2f} {found} after {n} steps")
    print(f"  {cpu:.1f} s of CPU time, {wall:.1f} s of wall time, {n / wall:.1f} steps a second")


def processor() -> str:
    """The CPU's name, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds of a step, by part.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=12, help="measured steps of each kind")
    parser.add_argument("--prompt", default=PROMPT, help="what is made until it is good enough")
    parser.add_argument("--reach", type=float, default=0.8, help="R-Precision to be reached")
    parser.add_argument("--steps", type=int, default=450, help="to reach it in, at most")
    choices = parser.parse_args()
    torch.set_num_threads(choices.threads)
    keep()
    shipped = (WEIGHTS / "unet").is_dir()
    prior: Prior = embedded() if shipped else Oracle(toy_scene(parse(PROMPT), 0).render)
    name = f"embedded, {prior.dtype}" if isinstance(prior, Pixel) else "oracle (no weights here)"
    recipe = DreamFusion(PROMPT)
    print(f"{processor()}, {choices.threads} threads; scene float32, prior {name}")
    print(f"{recipe.size}x{recipe.size} pixels, {recipe.samples} samples, milliseconds of CPU time")
    compare(prior, choices.repeats)
    if shipped and (JUDGE / "model.safetensors").is_file():
        made = replace(DreamFusion(choices.prompt), steps=choices.steps)
        reach(prior, shipped_judge(), made, choices.reach)
    else:
        print("No R-Precision: the prior's or the judge's weights are not installed.")


if __name__ == "__main__":
    main()
