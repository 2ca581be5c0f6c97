"""Every recipe on the same prompts, one object each: what a first look at them shows, and takes.

    python -m bench.recipes RUNS [--picture docs/recipes.png] [--prompts ...] [--seed 0]

Makes each object by the recipe's draft in RUNS/RECIPE/PROMPT-SEED (what is there is kept, so a
stopped run goes on), each in a process of its own, and draws a column for each recipe and two rows
for each prompt: the finished object from the front right and from its back left. zero123 is given
a true picture of the prompt. RUNS/recipes.md is a table of CPU seconds and of the most memory that
the process ever held, export and libraries counted in.
"""

import json
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, get_args

import torch
import tyro

from bench.gallery import views
from dreamlift.api import generate, make
from dreamlift.cameras import orbit
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.grammar import parse
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.recipes import Name
from dreamlift.recipes.zero123 import Zero123
from dreamlift.run import slug
from dreamlift.scene import Shot
from dreamlift.toybox.scenes import toy_scene

PROMPTS = ("a red ball on top of a blue cube", "a traffic cone", "a green frog")
NAMES: tuple[Name, ...] = get_args(Name)
SPENT = "spent.json"


@dataclass(frozen=True)
class Recipes:
    runs: Annotated[Path, tyro.conf.Positional]
    """Folder of the runs."""
    picture: Path | None = None
    """Where the sheet goes; none: only the runs are made."""
    prompts: tuple[str, ...] = PROMPTS
    recipes: tuple[Name, ...] = NAMES
    seed: int = 0


@dataclass(frozen=True)
class Spent:
    """What a run took; of one that was stopped and went on, its last process."""

    wall: float  # seconds
    cpu: float
    peak: int  # MB resident, at most


def seen(prompt: str, path: Path) -> Path:
    """A true picture of a prompt, from the front and 15 degrees above, before a plain colour that
    is none of the toybox's, so that nothing of it is cut away."""
    cameras = orbit(torch.zeros(1), torch.full((1,), 15.0), size=256)
    with torch.no_grad():
        view = toy_scene(parse(prompt), 0).render(Shot(cameras))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, view.over(torch.tensor([0.35, 0.55, 0.75]).expand(1, 1, 1, 3))[0])
    return path


def one(name: Name, prompt: str, seed: int, folder: Path) -> None:
    """Make an object, or keep it; writes what it took beside it."""
    start = time.monotonic()
    try:
        if name == "zero123":
            picture = seen(prompt, folder.with_suffix(".png"))
            make(Zero123(prompt, seed, picture=str(picture)), out=folder)
        else:
            generate(prompt, recipe=name, seed=seed, out=folder)
    except DegenerateError as error:
        print(f"{name}: {error}")
    if not (folder / SPENT).exists():
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = used.ru_utime + used.ru_stime
        spent = Spent(time.monotonic() - start, cpu, used.ru_maxrss // 1000)
        (folder / SPENT).write_text(json.dumps(asdict(spent)) + "\n")


def table(asked: Recipes) -> str:
    """A row for each recipe: means over the prompts, and the largest peak."""
    lines = ["| recipe | CPU s | MB at most |", "|---|---|---|"]
    for name in asked.recipes:
        folders = [asked.runs / name / f"{slug(p)}-{asked.seed}" for p in asked.prompts]
        spent = [Spent(**json.loads((folder / SPENT).read_text())) for folder in folders]
        cpu = sum(s.cpu for s in spent) / len(spent)
        lines.append(f"| {name} | {cpu:.0f} | {max(s.peak for s in spent):,} |")
    return "\n".join(lines) + "\n"


def main(asked: Recipes) -> None:
    cells: list[torch.Tensor] = []
    fresh = ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1)
    for prompt in asked.prompts:
        pairs: list[torch.Tensor] = []
        for name in asked.recipes:
            folder = asked.runs / name / f"{slug(prompt)}-{asked.seed}"
            fresh.submit(one, name, prompt, asked.seed, folder).result()
            made = (folder / "asset.glb").exists()
            pairs.append(views(folder / "asset.glb") if made else torch.full((2, 128, 128, 3), 0.6))
            print(f"{name}: {prompt}: {(folder / SPENT).read_text()}", end="", flush=True)
        cells += [torch.stack(row) for row in zip(*pairs, strict=True)]
    (asked.runs / "recipes.md").write_text(table(asked))
    if asked.picture is not None:
        labels = [*asked.recipes] * len(cells)
        sheet = contact_sheet(torch.cat(cells), columns=len(asked.recipes), labels=labels)
        save_png(asked.picture, sheet)
    print(table(asked))


if __name__ == "__main__":
    main(tyro.cli(Recipes))
