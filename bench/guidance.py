"""Methods of score distillation on the same prompts and seeds, with equal calls of the prior.

    python -m bench.guidance --out runs/guidance [--prompts 20] [--seeds 3] [--budget 1000]
                             [--methods sds csd ...]

A call is one picture seen by the prior's network under one condition; a gradient through it counts
as three. How many a step makes is counted on the first steps of each method, and the steps follow
from the budget (1,000: what dreamfusion's draft makes in 500 steps). The prompts are TUNE's
(toybox/lists.py): `report` is for releases. What is made stays made, so a stopped run goes on.

OUT/comparison.json, OUT/comparison.md (the table) and OUT/comparison.png (a row for each method)
are written at the end. Beside R-Precision and Janus (dreamlift.evaluate, with 95 % intervals over
runs):

    diversity    1 - mean cosine, by the embedded CLIP, of the pictures of two seeds of a prompt
    saturation   mean of (max - min) of a pixel's channels over the object, less the true objects'
    distance     Chamfer, 2,000 points each, to the nearest of four true objects of the prompt
"""

import argparse
import json
import logging
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor

from dreamlift.api import make
from dreamlift.cameras import Cameras, turntable
from dreamlift.convert import Finish
from dreamlift.evaluate.figures import figure
from dreamlift.evaluate.runs import evaluate
from dreamlift.evaluate.truths import true_parts
from dreamlift.export import key_light
from dreamlift.fit import Moment
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.points import scatter
from dreamlift.geometry.smooth import chamfer
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.io.meshes import read_mesh
from dreamlift.observers import log
from dreamlift.offers import Recipe, recipe_of
from dreamlift.prior import Condition, Embedding, Prior, Prompt
from dreamlift.priors.clip import Clip, embedded_clip
from dreamlift.priors.embedded import embedded
from dreamlift.recipes import Name
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run, slug
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh
from dreamlift.toybox.lists import TUNE

MEASURED = ("diversity", "saturation", "distance", "seconds")
PILOT = 6
"""Steps on which calls are counted."""
FINISH = Finish(resolution=112, faces=10_000, texture=256, frames=1, size=64)
"""What is measured needs no film, and no more detail."""


def uniform(prompt: str, seed: int) -> Recipe:
    """DreamFusion with the paper's t throughout."""
    return replace(DreamFusion(prompt, seed), t_start=(0.02, 0.98), t_end=(0.02, 0.98))


def named(name: Name) -> Callable[[str, int], Recipe]:
    return lambda prompt, seed: recipe_of(name, "draft", prompt, seed)


METHODS: Mapping[str, Callable[[str, int], Recipe]] = {
    "sds": named("dreamfusion"),
    "sds, uniform t": uniform,
    "sds, dreamtime": named("dreamtime"),
    "sds, perp-neg": named("perpneg"),
    "sjc": named("sjc"),
    "csd": named("csd"),
    "nfsd": named("nfsd"),
    "sdi": named("sdi"),
    "hifa": named("hifa"),
    "sds, gaussians": named("dreamgaussian"),
    "ism, gaussians": named("luciddreamer"),
}


@dataclass
class Counted:
    """A prior that counts what it is asked."""

    prior: Prior
    calls: int = field(default=0)

    @property
    def schedule(self) -> Any:
        return self.prior.schedule

    @property
    def size(self) -> int:
        return self.prior.size

    @property
    def views(self) -> int:
        return self.prior.views

    def encode(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return self.prior.encode(x, rng)

    def decode(self, z: Tensor) -> Tensor:
        return self.prior.decode(z)

    def embed(self, prompt: Prompt) -> Embedding:
        return self.prior.embed(prompt)

    def condition(self, mix: Sequence[tuple[Embedding, Tensor]], shot: Shot) -> Condition:
        return self.prior.condition(mix, shot)

    def eps(self, z_t: Tensor, t: Tensor, *conditions: Condition) -> tuple[Tensor, ...]:
        self.calls += (3 if z_t.requires_grad else 1) * len(z_t) * len(conditions)
        return self.prior.eps(z_t, t, *conditions)


def priced(recipe: Recipe, budget: int, prior: Prior) -> Recipe:
    """The recipe with as many steps as the budget pays for, by a count of its first steps."""
    counted, at = Counted(prior), list[int]()

    def watch(moment: Moment) -> None:
        at.append(counted.calls)

    # Spread over the whole course: what a step costs may change with t.
    pilot: Any = replace(recipe, steps=PILOT)
    with TemporaryDirectory() as folder:
        try:
            pilot.run(Run(Path(folder)), counted, [watch])
        except DegenerateError:
            pass  # six steps make no object; they were counted
    return replace(recipe, steps=max(round(budget / (at[PILOT - 1] / PILOT)), 1))


def made(folder: Path, recipe: Recipe) -> str | None:
    """Make an object, or continue or keep it; why there is none, where there is none."""
    try:
        make(recipe, out=folder, observers=(log,), finish=FINISH)
    except DegenerateError as error:
        return str(error)
    return None


@torch.no_grad()
def pictures(scene: Mesh, cameras: Cameras | None = None) -> tuple[Tensor, Tensor]:
    """Albedo of four sides before grey, and alpha."""
    cameras = turntable(4, elevation=20, offset=30, size=64) if cameras is None else cameras
    view = scene.render(Shot(cameras))
    return view.over(torch.full((1, 1, 1, 3), 0.85)), view.alpha


def saturation(color: Tensor, alpha: Tensor) -> float:
    inside = color[alpha[..., 0] > 0.9]
    return float((inside.amax(-1) - inside.amin(-1)).mean()) if len(inside) else 0.0


def diversity(clip: Clip, seeds: Sequence[Tensor]) -> float | None:
    """1 - mean cosine of the same view of two seeds."""
    if len(seeds) < 2:
        return None
    seen = torch.stack([clip.embed_image(x) for x in seeds])  # s 4 d
    pairs = [(seen[i] * seen[j]).sum(-1).mean() for i in range(len(seen)) for j in range(i)]
    return float(1 - torch.stack(pairs).mean())


def beside(parts: Sequence[Surface], prompt: str) -> dict[str, float]:
    """What is measured of an object beside true ones."""
    color, alpha = pictures(Mesh(parts))
    rng = torch.Generator().manual_seed(0)
    points = scatter(parts, 2000, rng).position
    far, true = list[float](), list[float]()
    for seed in range(4):
        toy = true_parts(prompt, seed)
        far.append(float(chamfer(points, scatter(toy, 2000, rng).position)))
        true.append(saturation(*pictures(Mesh(toy))))
    excess = saturation(color, alpha) - statistics.mean(true)
    return {"distance": min(far), "saturation": excess}


def table(result: Mapping[str, Any]) -> str:
    """A row for each method."""
    lines = [
        "| method | steps | colour | geometry | Janus | diversity | saturation | distance | s |"
    ]
    lines.append("|" + "---|" * 9)
    for name, row in result.items():
        cells = [name, str(row["steps"])]
        for kind in ("color", "geometry", "janus"):
            values = [entry[kind] for entry in row["runs"] if entry[kind] is not None]
            cells.append(str(figure(values) or ""))
        for kind in MEASURED:
            values = [value for value in row[kind] if value is not None]
            cells.append(f"{statistics.mean(values):.3g}" if values else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def compare(name: str, choices: argparse.Namespace, prior: Prior, clip: Clip) -> dict[str, Any]:
    """All objects of a method, and what is measured of them."""
    row: dict[str, Any] = {kind: [] for kind in MEASURED}
    runs, empty, steps = list[Path](), dict[Path, str](), 0
    for prompt in TUNE[: choices.prompts]:
        seeds: list[Tensor] = []
        for seed in range(choices.seeds):
            folder = choices.out / slug(name) / f"{slug(prompt)}-{seed}"
            if (folder / "config.json").exists():
                steps = cast(int, Run.open(folder).settings["steps"])
            else:
                steps = steps or priced(METHODS[name](prompt, seed), choices.budget, prior).steps
            start = time.monotonic()
            reason = made(folder, replace(METHODS[name](prompt, seed), steps=steps))
            taken = folder / "seconds.txt"
            if not taken.exists():
                taken.write_text(f"{time.monotonic() - start:.1f}\n")
            row["seconds"].append(float(taken.read_text()))
            runs.append(folder)
            print(f"{name}: {folder}", flush=True)
            if reason is not None:
                empty[folder] = reason
                continue
            parts = read_mesh(folder / "asset.glb")
            seeds.append(pictures(Mesh(parts))[0])
            for key, value in beside(parts, prompt).items():
                row[key].append(value)
        row["diversity"].append(diversity(clip, seeds))
    judged = evaluate(runs, choices.out / f"{slug(name)}.json", baselines=False, empty=empty)
    return {**row, "steps": steps, "runs": judged["runs"]}


def strip(folder: Path, size: int = 128) -> Tensor:
    """The first view of an object, or grey where there is none."""
    if not (folder / "asset.glb").exists():
        return torch.full((size, size, 3), 0.6)
    cameras = turntable(1, elevation=20, offset=30, size=size)
    with torch.no_grad():
        view = Mesh(read_mesh(folder / "asset.glb")).render(Shot(cameras, key_light(cameras)))
    return view.over(torch.full((1, 1, 1, 3), 0.86))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=1000, help="calls of the prior")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    choices = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    prior, clip = embedded(), embedded_clip()
    result = {name: compare(name, choices, prior, clip) for name in choices.methods}
    (choices.out / "comparison.json").write_text(json.dumps(result, indent=2, default=str) + "\n")
    (choices.out / "comparison.md").write_text(table(result))
    shown = [(name, entry) for name, row in result.items() for entry in row["runs"]]
    rows = [strip(Path(entry["paths"]["run"])) for _, entry in shown]
    labels = [name for name, _ in shown]
    columns = choices.seeds * min(choices.prompts, len(TUNE))
    sheet = contact_sheet(torch.stack(rows), columns=columns, labels=labels)
    save_png(choices.out / "comparison.png", sheet)
    print(table(result))


if __name__ == "__main__":
    main()
