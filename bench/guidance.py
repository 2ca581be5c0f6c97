"""Methods of score distillation on the same prompts and seeds, with equal calls of the prior.

    python -m bench.guidance --out runs/guidance [--prompts 20] [--seeds 3] [--budget 1000]
                             [--methods sds csd ...] [--known docs/guidance.json]

A call is one picture seen by the prior's network, or by a student over it, under one condition; a
gradient through it counts as three. How many a step makes is counted on the first steps of each
method, and the steps follow from the budget (dreamfusion's draft makes 1,000 calls). The prompts
are TUNE's (toybox/lists.py): `report` is for releases. Prompt after prompt, all methods. What is
made and measured stays (OUT/METHOD/PROMPT.json), so a stopped run goes on, and two processes may
share the methods between them; what a comparison.json of before knows is not made again.

OUT/comparison.json, OUT/comparison.md (the tables) and OUT/comparison.png (a row for each method,
the first seed of each prompt) are written at the end. Beside R-Precision and Janus
(dreamlift.evaluate, with 95 % intervals over prompts):

    diversity    1 - mean cosine, by the embedded CLIP, of the pictures of two seeds of a prompt
    saturation   mean of (max - min) of a pixel's channels over the object, less the true objects'
    distance     Chamfer, 2,000 points each, to the nearest of four true objects of the prompt
    seconds      of CPU, from nothing to the file

A second table gives each method less the first one, on the same prompts and seeds.
"""

import argparse
import json
import logging
import os
import statistics
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from bench.kept import Kept
from dreamlift.api import make
from dreamlift.cameras import Cameras, turntable
from dreamlift.convert.finish import Finish
from dreamlift.evaluate.figures import figure
from dreamlift.evaluate.judging import Judge, fingerprint, shipped_judge
from dreamlift.evaluate.runs import evaluate
from dreamlift.evaluate.truths import true_parts
from dreamlift.films import key_light
from dreamlift.fit import Moment
from dreamlift.geometry.chamfer import chamfer
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.points import scatter
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.io.meshes import read_mesh
from dreamlift.metrics import bootstrap
from dreamlift.observers import log
from dreamlift.offers import Recipe, recipe_of
from dreamlift.prior import Prior
from dreamlift.priors.clip import Clip, embedded_clip
from dreamlift.priors.comparer import comparer_of
from dreamlift.priors.embedded import embedded
from dreamlift.priors.source import source_of
from dreamlift.recipes import Name
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.recipes.prolificdreamer import ProlificDreamer
from dreamlift.run import Run, slug
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh
from dreamlift.toybox.lists import TUNE

SHARES = ("color", "geometry", "janus")
MEASURED = ("diversity", "saturation", "distance", "seconds")
PILOT = 6
"""Steps on which calls are counted."""
FINISH = Finish(resolution=112, faces=10_000, texture=256, frames=1, size=64)
"""What is measured needs no film, and no more detail."""
Result: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]
"""Of each method, a row for each prompt."""


def uniform(prompt: str, seed: int) -> Recipe:
    """DreamFusion with the paper's t throughout."""
    return replace(DreamFusion(prompt, seed), t_start=(0.02, 0.98), t_end=(0.02, 0.98))


def vsd(prompt: str, seed: int) -> Recipe:
    """ProlificDreamer's fields; its mesh is cut from one, and goes no further."""
    return ProlificDreamer(prompt, seed, shape_steps=1, texture_steps=1)


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
    "vsd": vsd,
    "sdi": named("sdi"),
    "hifa": named("hifa"),
    "sds, gaussians": named("dreamgaussian"),
    "ism, gaussians": named("luciddreamer"),
}


@contextmanager
def counted() -> Generator[list[int]]:
    """Counts, in its one number, what networks are asked: the prior's and its students'."""
    calls = [0]

    def heard(network: nn.Module, asked: tuple[Tensor, ...], said: Any) -> None:
        if isinstance(network, UNet2DConditionModel):
            sample = said[0]
            calls[0] += (3 if sample.requires_grad else 1) * len(sample)

    handle = register_module_forward_hook(heard)
    try:
        yield calls
    finally:
        handle.remove()


def priced(recipe: Recipe, budget: int, prior: Prior) -> Recipe:
    """The recipe with as many steps as the budget pays for, by a count of its first steps."""
    at: list[int] = []
    # Spread over the whole course: what a step costs may change with t.
    pilot: Any = replace(recipe, steps=PILOT)

    def watch(moment: Moment) -> None:
        at.append(calls[0])

    with TemporaryDirectory() as folder, counted() as calls:
        try:
            pilot.run(Run(Path(folder)), prior, [watch])
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


def spread(values: Sequence[float]) -> str:
    """A mean, and the 95 % of it."""
    low, high = bootstrap(values)
    return f"{statistics.mean(values):.3g} ({low:.3g} to {high:.3g})"


def table(result: Result) -> str:
    """A row for each method."""
    kinds = [*SHARES, *MEASURED]
    lines = [f"| method | steps | {' | '.join(kinds)} |", "|" + "---|" * (len(kinds) + 2)]
    for name, rows in result.items():
        cells = [name, str(rows[0]["steps"])]
        for kind in SHARES:
            runs = [(run[kind], row["prompt"]) for row in rows for run in row["runs"]]
            kept = [(value, prompt) for value, prompt in runs if value is not None]
            found = figure([value for value, _ in kept], [prompt for _, prompt in kept])
            cells.append(str(found or ""))
        for kind in MEASURED:
            values = [value for row in rows for value in row[kind] if value is not None]
            cells.append(f"{statistics.mean(values):.3g}" if values else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def differences(result: Result) -> str:
    """Each method less the first one, in points; intervals over the prompts, seeds averaged."""
    first, *others = result
    lines = [f"| less {first} | color | geometry |", "|---|---|---|"]

    def mean(row: Mapping[str, Any], kind: str) -> float:
        return 100 * statistics.mean(run[kind] for run in row["runs"])

    for name in others:
        pairs = list(zip(result[name], result[first], strict=True))
        cells = [spread([mean(x, kind) - mean(y, kind) for x, y in pairs]) for kind in SHARES[:2]]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Bench:
    """What every object is made and measured with."""

    out: Path
    seeds: int
    budget: int
    prior: Prior
    clip: Clip
    judge: Judge
    known: Result

    def row(self, name: str, prompt: str) -> dict[str, Any]:
        """All objects of a method and a prompt, and what is measured of them; or read it."""
        path = self.out / slug(name) / f"{slug(prompt)}.json"
        if path.exists():
            return json.loads(path.read_text())
        for row in self.known.get(name, ()):
            if (row["prompt"], row["budget"], len(row["runs"])) == (
                prompt,
                self.budget,
                self.seeds,
            ):
                return dict(row)
        row: dict[str, Any] = {kind: [] for kind in MEASURED}
        runs, empty, seeds = list[Path](), dict[Path, str](), list[Tensor]()
        for seed in range(self.seeds):
            folder = self.folder(name, prompt, seed)
            start = time.process_time()
            recipe: Any = replace(METHODS[name](prompt, seed), steps=self.steps(name, prompt))
            reason = made(folder, recipe)
            row["seconds"].append(time.process_time() - start)
            runs.append(folder)
            if reason is not None:
                empty[folder] = reason
                continue
            parts = read_mesh(folder / "asset.glb")
            seeds.append(pictures(Mesh(parts))[0])
            for key, value in beside(parts, prompt).items():
                row[key].append(value)
        row["diversity"].append(diversity(self.clip, seeds))
        judged = evaluate(runs, baselines=False, judge=self.judge, empty=empty)
        row["runs"] = [{kind: run[kind] for kind in SHARES} for run in judged["runs"]]
        row |= {"prompt": prompt, "budget": self.budget, "steps": self.steps(name, prompt)}
        path.write_text(json.dumps(row) + "\n")
        return row

    def folder(self, name: str, prompt: str, seed: int) -> Path:
        return self.out / slug(name) / f"{slug(prompt)}-{seed}"

    def steps(self, name: str, prompt: str) -> int:
        """What the budget pays for: counted once for each method."""
        path = self.out / slug(name) / "steps.txt"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            recipe: Any = priced(METHODS[name](prompt, 0), self.budget, self.prior)
            path.write_text(f"{recipe.steps}\n")
        return int(path.read_text())


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
    parser.add_argument("--known", type=Path, help="a comparison.json of the same budget and seeds")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    choices = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    loaded = embedded(), embedded_clip(), shipped_judge()
    made = {"budget": choices.budget, "seeds": choices.seeds, "judge": fingerprint(loaded[2])}
    made["prior"] = source_of("embedded").sha256
    made["clip"] = comparer_of("embedded", "cpu").sha256
    Kept(choices.out / "made.json", made).keep("begun", True)
    known = json.loads(choices.known.read_text()) if choices.known else {}
    bench = Bench(choices.out, choices.seeds, choices.budget, *loaded, known)
    result: dict[str, list[dict[str, Any]]] = {name: [] for name in choices.methods}
    for prompt in TUNE[: choices.prompts]:
        for name, rows in result.items():
            rows.append(bench.row(name, prompt))
    tables = table(result) + "\n" + differences(result)
    (choices.out / "comparison.json").write_text(json.dumps(result) + "\n")
    (choices.out / "comparison.md").write_text(tables)
    cells = [strip(bench.folder(name, row["prompt"], 0)) for name in result for row in result[name]]
    labels = [name for name, rows in result.items() for _ in rows]
    sheet = contact_sheet(torch.stack(cells), columns=len(cells) // len(result), labels=labels)
    save_png(choices.out / "comparison.png", sheet)
    print(tables)


if __name__ == "__main__":
    main()
