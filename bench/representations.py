"""One strip for each representation, of the same prompts, and its files opened by other readers.

    python -m bench.representations RUNS [--picture docs/representations.png] [--prompts ...]

field: dreamfusion's; Gaussians: dreamgaussian's cloud, before the mesh; signed distances:
textmesh's, before the texture; mesh: magic3d's, in tetrahedra. Each is made by its draft in
RUNS/RECIPE/PROMPT-SEED, as bench/recipes.py does (what is there is kept, so a stopped run goes on).
A row of the picture is a representation, rendered by its own renderer: each prompt from the front
right and from its back left.

Every scene is brought out as `dreamlift export` does it, in every format for it, in RUNS/files, and
opened by bench/readers.py: triangles, Gaussians, frames and the extents of the object's box must be
what they are in one another's files. Prints a table of the counts, which is RUNS/files.md too.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import tyro

from bench.readers import READERS, Opened
from bench.recipes import PROMPTS
from dreamlift.api import generate
from dreamlift.cameras import orbit
from dreamlift.convert.finish import DRAFT
from dreamlift.export import SPLATS, Exportable, Format, bring_out, suffix_of, write
from dreamlift.films import key_light
from dreamlift.fit import made
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.recipes import Name
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.recipes.dreamgaussian import CLOUD, DreamGaussian
from dreamlift.recipes.magic3d import Magic3D
from dreamlift.recipes.textmesh import FIELD, TextMesh
from dreamlift.run import Run, slug
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh

SIZE = 160
"""Side of a picture in the strip, in pixels."""
FILM = replace(DRAFT, frames=12, size=128)
"""How pictures and films are brought out here."""
CLOSE = 3e-3
"""World units by which the extents of one object may differ between formats: SPZ and `.splat`
round, and meshes of Gaussians do not."""


def _field(prompt: str, seed: int, run: Run) -> Exportable:
    return DreamFusion(prompt, seed).made(run)


def _cloud(prompt: str, seed: int, run: Run) -> Exportable:
    return made(DreamGaussian(prompt, seed).cloud(), run / CLOUD)


def _distances(prompt: str, seed: int, run: Run) -> Exportable:
    return made(TextMesh(prompt, seed).scene(), run / FIELD)


def _mesh(prompt: str, seed: int, run: Run) -> Exportable:
    return Magic3D(prompt, seed).made(run)


SCENES: Mapping[str, tuple[Name, Callable[[str, int, Run], Exportable]]] = {
    "field": ("dreamfusion", _field),
    "Gaussians": ("dreamgaussian", _cloud),
    "signed distances": ("textmesh", _distances),
    "mesh": ("magic3d", _mesh),
}


@dataclass(frozen=True)
class Representations:
    runs: Annotated[Path, tyro.conf.Positional]
    """Folder of the runs."""
    picture: Path | None = None
    """Where the strips go; none: only the files are made."""
    prompts: tuple[str, ...] = PROMPTS
    seed: int = 0


def pictured(scene: Any) -> torch.Tensor:
    """From the front right and from the back left, lit, on pale grey."""
    azimuth = torch.tensor([-25.0, 155.0])
    cameras = orbit(azimuth, torch.full_like(azimuth, 20.0), size=SIZE)
    with torch.no_grad():
        view = scene.render(Shot(cameras, key_light(cameras)))
    return view.over(torch.full((1, 1, 1, 3), 0.86)).clamp(0, 1)


def opened(scene: Exportable, folder: Path, *, splats: bool) -> Mapping[str, Opened]:
    """By format: what its reader found in each file of a scene. Raises RuntimeError where two files
    of one object disagree."""
    found: dict[str, Opened] = {}
    mesh = Mesh(bring_out(scene, DRAFT)[0])
    for form in get_args(Format):
        if form in SPLATS and not splats:
            continue
        path = folder / f"{form}{suffix_of(form)}"
        write(scene if form in SPLATS else mesh, path, format=form, finish=FILM, replace=True)
        found[form] = READERS[form][1](path)
    for kind in ("triangles", "Gaussians"):
        agree({form: one for form, one in found.items() if kind in one.counts}, kind, folder)
    return found


def agree(found: Mapping[str, Opened], kind: str, folder: Path) -> None:
    """Raises RuntimeError where files count other things, or have another size."""
    if not found:
        return
    first, *others = found.items()
    for form, other in others:
        apart = zip(first[1].extents, other.extents, strict=True)
        if other.counts[kind] != first[1].counts[kind] or max(abs(a - b) for a, b in apart) > CLOSE:
            raise RuntimeError(f"{folder}: {form} holds {other}, {first[0]} {first[1]}.")


def row(form: Format, found: Mapping[str, Sequence[Mapping[str, Opened]]]) -> str:
    """Of the table: a format, its reader, and what was counted, one number for each prompt."""
    cells: list[str] = []
    for objects in found.values():
        counts = [files[form].counts for files in objects if form in files]
        kinds = counts[0] if counts else {}
        cells.append("; ".join(
            f"{' / '.join(f'{each[kind]:,}' for each in counts)} {kind}" for kind in kinds
        ))  # fmt: skip
    return f"| {form} | {READERS[form][0]} | {' | '.join(cells)} |"


def table(found: Mapping[str, Sequence[Mapping[str, Opened]]]) -> str:
    """A row for each format, a column for each representation."""
    lines = [f"| file | read by | {' | '.join(found)} |", "|---" * (2 + len(found)) + "|"]
    return "\n".join([*lines, *(row(form, found) for form in get_args(Format))]) + "\n"


def main(asked: Representations) -> None:
    found: dict[str, list[Mapping[str, Opened]]] = {}
    cells: list[torch.Tensor] = []
    for name, (recipe, scene_of) in SCENES.items():
        for prompt in asked.prompts:
            folder = asked.runs / recipe / f"{slug(prompt)}-{asked.seed}"
            generate(prompt, recipe=recipe, seed=asked.seed, out=folder)
            scene = scene_of(prompt, asked.seed, Run.open(folder))
            cells.append(pictured(scene))
            files = asked.runs / "files" / slug(name) / slug(prompt)
            found.setdefault(name, []).append(opened(scene, files, splats=name == "Gaussians"))
            print(f"{name}: {prompt}: {dict(found[name][-1])}", flush=True)
    if asked.picture is not None:
        columns = 2 * len(asked.prompts)
        labels = [name for name in SCENES for _ in range(columns)]
        save_png(asked.picture, contact_sheet(torch.cat(cells), columns=columns, labels=labels))
    (asked.runs / "files.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main(tyro.cli(Representations))
