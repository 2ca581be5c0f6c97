"""Every prompt of a list with every seed, and then the whole report: what a release is judged by.

    python -m bench.report --list tune --seeds 1 --out runs/tune [--limit 4] [--preset draft]

It can be stopped and started again: what is made stays made. OUT/scores.json, OUT/report.html,
OUT/objects.png (every object from two sides, in the list's order) and the table on the screen are
written at the end. A run that makes no object stays in the figures, with 0, and is not in the
picture. `report`, `objects` and `seeds` are lists of a release, never of a sweep
(toybox/lists.py, toybox/lists_wide.py).
"""

import argparse
import logging
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from bench.gallery import views
from dreamlift.api import generate
from dreamlift.evaluate import figures
from dreamlift.evaluate.runs import evaluate
from dreamlift.export import GLB
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.observers import log
from dreamlift.run import slug
from dreamlift.toybox.lists import REPORT, TUNE
from dreamlift.toybox.lists_wide import OBJECTS, SEEDS

LISTS = {"tune": TUNE, "report": REPORT, "objects": OBJECTS, "seeds": SEEDS}


def make(folder: Path, prompt: str, seed: int, choices: argparse.Namespace) -> str | None:
    """Make an object, or continue or keep it; why there is none, where there is none."""
    try:
        generate(
            prompt,
            preset=choices.preset,
            seed=seed,
            steps=choices.steps,
            prior=choices.prior,
            out=folder,
            observers=(log,),
        )
    except DegenerateError as error:
        return str(error)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Make and judge every prompt of a list.")
    parser.add_argument("--list", choices=LISTS, required=True, help="which prompts")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and the report")
    parser.add_argument("--seeds", type=int, default=1, help="of each prompt: 0, 1, ...")
    parser.add_argument("--limit", type=int, help="only the first prompts")
    parser.add_argument("--preset", choices=["draft", "full"], default="draft")
    parser.add_argument("--steps", type=int, help="instead of the preset's")
    parser.add_argument("--prior", default="embedded", help="embedded, or a folder")
    parser.add_argument("--bare", action="store_true", help="judge the runs, nothing beside them")
    choices = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    prompts = LISTS[choices.list][: choices.limit]
    empty: dict[Path, str] = {}
    runs: list[Path] = []
    seconds: list[float] = []
    for prompt in prompts:
        for seed in range(choices.seeds):
            folder = choices.out / f"{slug(prompt)}-{seed}"
            there = (folder / "config.json").exists()
            start = time.monotonic()
            reason = make(folder, prompt, seed, choices)
            if not there:
                seconds.append(time.monotonic() - start)
            if reason is not None:
                empty[folder] = reason
            runs.append(folder)
            print(f"{len(runs)}/{len(prompts) * choices.seeds}  {folder}", flush=True)
    if seconds:
        print(f"an object took {statistics.median(seconds):.0f} s (median of {len(seconds)})")
    if made := [views(run / GLB) for run in runs if run not in empty]:
        (choices.out / "objects.png").unlink(missing_ok=True)
        save_png(choices.out / "objects.png", contact_sheet(torch.cat(made), columns=10))
    result = evaluate(
        runs,
        choices.out / "scores.json",
        choices.out / "report.html",
        baselines=not choices.bare,
        empty=empty,
    )
    print(figures.table(result["runs"]))


if __name__ == "__main__":
    main()
