"""Whether short runs tell which seed will do well, and so what `--pilot N` is worth.

    python -m bench.pilot OUT [--seeds 3]

A pilot is the beginning of a run, so whole runs tell all: DreamFusion's draft of each prompt and
seed is made once (what is made stays made), looked at after some shares of its steps, scored there
as `dreamlift.pilots` does, and its object is evaluated in the end. Beside what each share would
have chosen stand the first seed, the mean of all (what chance gives) and the best. The prompts are
four of TUNE's (toybox/lists.py). Leaves OUT/pilot.json and OUT/pilot.md.
"""

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from safetensors.torch import load_file, save_file

from dreamlift.api import make
from dreamlift.convert.finish import Finish
from dreamlift.detectors import Look
from dreamlift.evaluate.runs import evaluate
from dreamlift.fit import Moment
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.learn.reader import embedded_reader
from dreamlift.observers import log
from dreamlift.pilots import likeness
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import slug

SHARES = (0.1, 0.2, 0.3, 0.4, 0.6, 1.0)
PROMPTS = (
    "a purple frog on top of an orange cube",
    "a pumpkin wearing a santa hat",
    "a red mug next to a blue ball",
    "a chair on stilts",
)
KINDS = ("color", "geometry")
Row = Mapping[str, Any]


def watch(folder: Path) -> Callable[[Moment], None]:
    """Keep what eight sides look like after each share of the steps."""

    def look(moment: Moment) -> None:
        for share in SHARES:
            if moment.step.index + 1 == round(share * moment.step.total):
                seen = Look.at(moment.stage.scene)
                state = {"color": seen.color.contiguous(), "alpha": seen.alpha.contiguous()}
                save_file(state, folder / f"look-{share}.safetensors")

    return look


def made(folder: Path, prompt: str, seed: int) -> str | None:
    """Make an object, or keep it; why there is none, where there is none."""
    try:
        make(
            DreamFusion(prompt, seed),
            out=folder,
            observers=[log, watch(folder)],
            finish=Finish(resolution=96, faces=8000, texture=256, frames=1),
        )
    except DegenerateError as error:
        return str(error)
    return None


def rows(out: Path, seeds: int) -> list[Row]:
    """Every run's scores: of its pilots, and in the end."""
    reads = embedded_reader().likelihood
    asked = {out / f"{slug(p)}-{s}": (p, s) for p in PROMPTS for s in range(seeds)}
    empty = {f: why for f, (p, s) in asked.items() if (why := made(f, p, s)) is not None}
    entries = evaluate([*asked], baselines=False, empty=empty)["runs"]
    found: list[Row] = []
    for (folder, (prompt, seed)), entry in zip(asked.items(), entries, strict=True):
        scores = {
            str(share): likeness(
                Look(**load_file(folder / f"look-{share}.safetensors")), prompt, reads
            )
            for share in SHARES
        }
        ends = {kind: entry[kind] for kind in KINDS}
        found.append({"prompt": prompt, "seed": seed, "scores": scores, **ends})
    return found


def table(found: Sequence[Row]) -> str:
    """Means over the prompts of what each way to choose gives."""
    ways: dict[str, Callable[[list[Row]], Row]] = {"seed 0": lambda runs: runs[0]}
    for share in map(str, SHARES):
        ways[f"pilots of {share}"] = lambda runs, share=share: max(
            runs, key=lambda run: run["scores"][share]
        )
    ways["the best by the evaluation"] = lambda runs: max(runs, key=lambda run: run["color"])
    prompts = [[run for run in found if run["prompt"] == prompt] for prompt in PROMPTS]
    lines = ["| seed | colour | geometry |", "|---|---|---|"]
    chance = [mean(run[kind] for run in found) for kind in KINDS]
    lines.append(f"| any (the mean of all) | {chance[0]:.3f} | {chance[1]:.3f} |")
    for name, choose in ways.items():
        taken = [choose(runs) for runs in prompts]
        means = [mean(run[kind] for run in taken) for kind in KINDS]
        lines.append(f"| {name} | {means[0]:.3f} | {means[1]:.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    choices = parser.parse_args()
    found = rows(choices.out, choices.seeds)
    (choices.out / "pilot.json").write_text(json.dumps(found, indent=2) + "\n")
    (choices.out / "pilot.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
