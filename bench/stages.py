"""What the later stages of magic3d and prolificdreamer add to the field they begin with.

    python -m bench.stages --out runs/stages [--prompts 6] [--seeds 1]

Each recipe's draft on prompts of TUNE (toybox/lists.py; REPORT is for releases). The field of the
first stage is brought out as `export` does it, and judged beside what the later stages made of it:
R-Precision by colour and by geometry (95 % intervals over objects), and, as in bench/guidance.py,
distance (Chamfer) and saturation beside true objects. What is made stays made.

OUT/stages.md (the table) and OUT/stages.png: two columns for each object, before and after.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import TypeAlias

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor

from bench.guidance import beside
from dreamlift.cameras import turntable
from dreamlift.convert.finish import Finish
from dreamlift.evaluate.figures import figure
from dreamlift.evaluate.judging import Judge, seen, shipped_judge, verdict
from dreamlift.export import bring_out
from dreamlift.films import key_light
from dreamlift.fit import made
from dreamlift.geometry.mesh import Surface
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.prior import Prior
from dreamlift.priors.embedded import embedded
from dreamlift.recipes.magic3d import COARSE, Magic3D
from dreamlift.recipes.prolificdreamer import FIELD, ProlificDreamer
from dreamlift.run import Run, slug
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.mesh import Mesh
from dreamlift.scenes.particles import Particles
from dreamlift.scenes.tetrahedra import Tetrahedra
from dreamlift.toybox.lists import TUNE

STAGES = ("the field", "the mesh")
Row: TypeAlias = Mapping[str, float]


def magic3d(prompt: str, seed: int, run: Run, prior: Prior) -> tuple[Field, Tetrahedra]:
    recipe = Magic3D(prompt, seed)
    mesh = recipe.run(run, prior)
    return recipe.coarse().made(run / COARSE), mesh


def prolificdreamer(prompt: str, seed: int, run: Run, prior: Prior) -> tuple[Field, Tetrahedra]:
    recipe = ProlificDreamer(prompt, seed)
    mesh = recipe.run(run, prior)
    field = Field()
    made(Particles([field]), run / FIELD)
    return field, mesh


MAKE: Mapping[str, Callable[[str, int, Run, Prior], tuple[Field, Tetrahedra]]] = {
    "magic3d": magic3d,
    "prolificdreamer": prolificdreamer,
}


def shown(parts: Sequence[Surface]) -> Tensor:
    """From the front right."""
    cameras = turntable(1, elevation=20, offset=30, size=192)
    with torch.no_grad():
        view = Mesh(parts).render(Shot(cameras, key_light(cameras)))
    return view.over(torch.full((1, 1, 1, 3), 0.86))[0]


def measured(scene: Field | Tetrahedra, prompt: str, judge: Judge) -> tuple[Tensor, Row]:
    """A picture of a stage's object, and its figures."""
    parts, _ = bring_out(scene, Finish())
    said = verdict(seen(Mesh(parts)), prompt, judge)
    row = {"color": said.color.share, "geometry": said.geometry.share, **beside(parts, prompt)}
    return shown(parts), row


def table(rows: Mapping[tuple[str, str], Sequence[Row]]) -> str:
    lines = ["| recipe | stage | objects | colour | geometry | distance | saturation |"]
    lines.append("|---|---|---|---|---|---|---|")
    for (name, stage), found in rows.items():
        cells = [name, stage, str(len(found))]
        cells += [str(figure([row[kind] for row in found])) for kind in ("color", "geometry")]
        cells += [f"{mean(row[kind] for row in found):.3g}" for kind in ("distance", "saturation")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=1)
    choices = parser.parse_args()
    prior, judge, cells = embedded(), shipped_judge(), list[Tensor]()
    rows: dict[tuple[str, str], list[Row]] = {}
    wanted = [(p, seed) for p in TUNE[:: 24 // choices.prompts] for seed in range(choices.seeds)]
    for name, make in MAKE.items():
        for prompt, seed in wanted:
            run = Run(choices.out / name / f"{slug(prompt)}-{seed}")
            for stage, scene in zip(STAGES, make(prompt, seed, run, prior), strict=True):
                picture, row = measured(scene, prompt, judge)
                cells.append(picture)
                rows.setdefault((name, stage), []).append(row)
                print(f"{name}, {stage}: {run.path.name} {row}", flush=True)
    labels = [*STAGES] * (len(cells) // 2)
    sheet = contact_sheet(torch.stack(cells), columns=2 * len(wanted), labels=labels)
    save_png(choices.out / "stages.png", sheet)
    (choices.out / "stages.md").write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
