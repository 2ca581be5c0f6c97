"""The gallery of the README: nine prompts, seeds 0 to 3 of each, all shown.

    python -m bench.gallery RUNS [--pictures docs] [--prompts ...] [--seeds 0 1 2 3]

Makes each object in RUNS (those that are there are kept, so a stopped gallery goes on), then
writes PICTURES/gallery.png, a row for each prompt with every seed from the front and from its back
left, and RUNS/blind/1.png ... without names, for someone who has seen neither prompt nor file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from dreamlift.api import generate
from dreamlift.cameras import orbit
from dreamlift.films import key_light
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.run import slug
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import load_mesh

PROMPTS = (
    "a small red cube is sitting on top of a large blue cube",
    "a traffic cone",
    "a frog on stilts",
    "a snowman wearing a santa hat",
    "a DSLR photo of a delicious hamburger",
    "a red mug",
    "a pumpkin on top of a table",
    "a green frog wearing a purple hat",
    "a blue chair",
)


@dataclass(frozen=True)
class Gallery:
    runs: Annotated[Path, tyro.conf.Positional]
    """Folder of the runs."""
    pictures: Path | None = None
    """Where gallery.png goes; none: only the runs are made."""
    prompts: tuple[str, ...] = PROMPTS
    seeds: tuple[int, ...] = (0, 1, 2, 3)


def views(glb: Path, size: int = 128) -> torch.Tensor:
    """The object from the front right and from its back left, lit, on pale grey."""
    azimuth = torch.tensor([-25.0, 155.0])
    cameras = orbit(azimuth, torch.full_like(azimuth, 20.0), size=size)
    shot = Shot(cameras, key_light(cameras))
    with torch.no_grad():
        return load_mesh(glb).render(shot).over(torch.full((1, 1, 1, 3), 0.86))


def main(gallery: Gallery) -> None:
    rows: list[torch.Tensor] = []
    for number, prompt in enumerate(gallery.prompts, 1):
        seen: list[torch.Tensor] = []
        for seed in gallery.seeds:
            folder = gallery.runs / f"{slug(prompt)}-{seed}"
            asset = generate(prompt, seed=seed, out=folder)
            seen.append(views(asset.glb))
        row = torch.cat(seen)
        blind = gallery.runs / "blind"
        blind.mkdir(exist_ok=True)
        save_png(blind / f"{number}.png", contact_sheet(row, columns=len(row)))
        rows.append(row)
    if gallery.pictures is not None:
        sheet = contact_sheet(torch.cat(rows), columns=2 * len(gallery.seeds))
        save_png(gallery.pictures / "gallery.png", sheet)


if __name__ == "__main__":
    main(tyro.cli(Gallery))
