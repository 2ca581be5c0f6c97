"""Every recipe on the same prompts, one object each: what a first look at them shows.

    python -m bench.recipes RUNS [--picture docs/recipes.png] [--prompts ...] [--seed 0]

Makes each object by the recipe's draft in RUNS/RECIPE/PROMPT-SEED (what is there is kept, so a
stopped run goes on), prints the seconds of each, and draws a column for each recipe and two rows
for each prompt: the finished object from the front right and from its back left.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import torch
import tyro

from bench.gallery import views
from dreamlift.api import generate
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.recipes import Name
from dreamlift.run import slug

PROMPTS = ("a red ball on top of a blue cube", "a traffic cone", "a green frog")
NAMES: tuple[Name, ...] = tuple(name for name in get_args(Name) if name != "zero123")
"""All but the one that begins with a picture."""


@dataclass(frozen=True)
class Recipes:
    runs: Annotated[Path, tyro.conf.Positional]
    """Folder of the runs."""
    picture: Path | None = None
    """Where the sheet goes; none: only the runs are made."""
    prompts: tuple[str, ...] = PROMPTS
    recipes: tuple[Name, ...] = NAMES
    seed: int = 0


def main(asked: Recipes) -> None:
    cells: list[torch.Tensor] = []
    for prompt in asked.prompts:
        pairs: list[torch.Tensor] = []
        for name in asked.recipes:
            folder = asked.runs / name / f"{slug(prompt)}-{asked.seed}"
            start = time.monotonic()
            try:
                asset = generate(prompt, recipe=name, seed=asked.seed, out=folder)
                pairs.append(views(asset.glb))
            except DegenerateError as error:
                print(f"{name}: {error}")
                pairs.append(torch.full((2, 128, 128, 3), 0.6))
            print(f"{name}: {prompt}: {time.monotonic() - start:.0f} s", flush=True)
        cells += [torch.stack(row) for row in zip(*pairs, strict=True)]
    if asked.picture is not None:
        labels = [*asked.recipes] * len(cells)
        sheet = contact_sheet(torch.cat(cells), columns=len(asked.recipes), labels=labels)
        save_png(asked.picture, sheet)


if __name__ == "__main__":
    main(tyro.cli(Recipes))
