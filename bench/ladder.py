"""The oracle ladder: the same prompts, seeds and settings with the oracle and with the prior.

    python -m bench.ladder --out runs/ladder [--seeds 1] [--steps 450]

Each held-out composition stands beside a trained one of the same two nouns in each other's places,
so that the shapes are equally hard. None of them is in the `report` list. What is made stays made.
"""

import argparse
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from dreamlift.api import make
from dreamlift.convert.finish import Finish
from dreamlift.evaluate.ladder import ladder, table
from dreamlift.evaluate.runs import evaluate
from dreamlift.export import GLB, export
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.grammar import parse
from dreamlift.observers import log
from dreamlift.offers import recipe_of
from dreamlift.priors.oracle import Oracle
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run, slug
from dreamlift.toybox.scenes import toy_scene

PROMPTS = (
    "a red cone on top of a blue cube",
    "a red cube on top of a blue cone",
    "a green mug on top of a pink cylinder",
    "a green cylinder on top of a pink mug",
    "a purple cone on top of a pumpkin",
    "a pumpkin on top of a purple cone",
)
"""Trained and held-out in turn."""


def with_oracle(folder: Path, recipe: DreamFusion) -> None:
    """Score distillation towards the pictures of the toy that the prompt means."""
    toy = toy_scene(parse(recipe.prompt), recipe.seed)
    config = {"recipe": "dreamfusion", "prompt": recipe.prompt, "seed": recipe.seed,
              "steps": recipe.steps, "prior": "oracle"}  # fmt: skip
    run = Run.create(folder, config)
    if (folder / GLB).exists():
        return
    scene = recipe.run(run, Oracle(toy.render), (log,))
    export(scene, folder, finish=Finish(), replace=True)


def climb(out: Path, recipes: list[DreamFusion], prior: str) -> list[dict[str, Any]]:
    """Make every object of a rung, by the oracle or a prior, and judge it."""
    empty: dict[Path, str] = {}
    runs: list[Path] = []
    for recipe in recipes:
        folder = out / f"{slug(recipe.prompt)}-{recipe.seed}"
        runs.append(folder)
        try:
            if prior == "oracle":
                with_oracle(folder, recipe)
            else:
                make(recipe, prior=prior, out=folder, observers=(log,))
        except DegenerateError as error:
            empty[folder] = str(error)
        print(folder, flush=True)
    return evaluate(runs, out / "scores.json", out / "report.html", empty=empty)["runs"]


def main() -> None:
    parser = argparse.ArgumentParser(description="What each part of text to 3D loses.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=1, help="of each prompt: 0, 1, ...")
    parser.add_argument("--steps", type=int, help="instead of the draft's")
    parser.add_argument("--limit", type=int, help="only the first prompts; an even number")
    parser.add_argument("--prior", default="embedded", help="embedded, or a folder")
    choices = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    recipes = [
        recipe_of("dreamfusion", "draft", prompt, seed)
        for prompt in PROMPTS[: choices.limit]
        for seed in range(choices.seeds)
    ]
    if choices.steps is not None:
        recipes = [replace(recipe, steps=choices.steps) for recipe in recipes]
    by_oracle = climb(choices.out / "oracle", recipes, "oracle")
    by_prior = climb(choices.out / "prior", recipes, choices.prior)
    print(table(ladder(by_oracle, by_prior)))


if __name__ == "__main__":
    main()
