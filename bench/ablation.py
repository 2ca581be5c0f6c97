"""DreamFusion's own ablation (arXiv:2209.14988, Fig. 6): what each of its choices is good for.

    python -m bench.ablation --out runs/ablation [--seeds 1] [--steps 300]

From nothing to the whole: no words for sides and no light; words for sides; lights; textureless
pictures among them. The prior is not told its cameras, as the paper's was not; a last row tells
them. Each object is judged on pictures without light, lit, and textureless (R-Precision among hard
captions, dreamlift.evaluate, with 95 % intervals over objects), beside true objects. In the paper
what is made without lights and words scores best without light, and its geometry is broken.
Prompts are TUNE's. What is made stays made.

OUT/ablation.md (the table) and OUT/ablation.png: a row for each, without light and textureless.
"""

import argparse
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor

from bench.janus import SCALE, silent, worded
from dreamlift.cameras import turntable
from dreamlift.convert.finish import DRAFT
from dreamlift.evaluate import look
from dreamlift.evaluate.figures import figure
from dreamlift.evaluate.judging import Judge, captions, marked, seen, shipped_judge
from dreamlift.evaluate.truths import true_parts
from dreamlift.export import bring_out
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.guidance.scores import Score
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Annealed
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.prior import Prior
from dreamlift.priors.embedded import embedded
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run, slug
from dreamlift.scene import Scene, Shot
from dreamlift.scenes.mesh import Mesh

PROMPTS = (
    "a red cube on top of a blue cylinder",
    "a brown mug on top of a yellow cube",
    "a frog on top of a hamburger",
    "a snowman on top of a table",
    "a pumpkin wearing a santa hat",
    "a chair on stilts",
)
KINDS = ("albedo", "lit", "textureless")


@dataclass(frozen=True)
class Way:
    score: Callable[[Prior, str], Score]
    shares: tuple[float, float, float]
    cameras: bool = False


WAYS: Mapping[str, Way] = {
    "base": Way(silent, (1.0, 0.0, 0.0)),
    "+ words for sides": Way(worded, (1.0, 0.0, 0.0)),
    "+ lights": Way(worded, (0.35, 0.65, 0.0)),
    "+ textureless": Way(worded, (0.35, 0.45, 0.2)),
    "+ cameras told": Way(worded, (0.35, 0.45, 0.2), cameras=True),
}
TRUE = "true objects"


@torch.no_grad()
def judged(scene: Scene[Any], prompt: str, judge: Judge) -> dict[str, float]:
    """R-Precision of an object's pictures of each kind."""
    shown, cameras = seen(scene), look.cameras()
    bare = scene.render(Shot(cameras)).over(torch.full((1, 1, 1, 3), look.BACKGROUND))
    told = {"albedo": (bare, False), "lit": (shown.textured, False)}
    told["textureless"] = (shown.untextured, True)
    return {
        kind: marked(x.clamp(0, 1), captions(prompt, judge.seen, textureless=blank), judge).share
        for kind, (x, blank) in told.items()
    }


@torch.no_grad()
def pair(scene: Scene[Any]) -> Tensor:
    """From the front right: without light, and textureless."""
    cameras = turntable(1, elevation=20, offset=30, size=128)
    views = [
        scene.render(Shot(cameras)),
        scene.render(Shot(cameras, look.light(cameras, textureless=True))),
    ]
    return torch.cat([view.over(torch.full((1, 1, 1, 3), 0.86)) for view in views]).clamp(0, 1)


def made(way: Way, prior: Prior, recipe: DreamFusion, folder: Path) -> Mesh | None:
    """The object; None where there is none."""
    sds = SDS(way.score(prior, recipe.prompt), Annealed(recipe.t_start, recipe.t_end))
    field = recipe.follow(sds, Run(folder), prior)
    try:
        return Mesh(bring_out(field, DRAFT)[0])
    except DegenerateError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=300)
    choices = parser.parse_args()
    judge, rows, cells = shipped_judge(), dict[str, list[dict[str, float]]](), list[Tensor]()

    def note(name: str, mesh: Mesh | None, prompt: str) -> None:
        nothing = dict.fromkeys(KINDS, 0.0)
        rows.setdefault(name, []).append(nothing if mesh is None else judged(mesh, prompt, judge))
        cells.append(torch.full((2, 128, 128, 3), 0.6) if mesh is None else pair(mesh))
        print(f"{name}: {prompt}: {rows[name][-1]}", flush=True)

    for name, way in WAYS.items():
        prior = embedded()
        prior.cameras = "named" if way.cameras else "never"
        for prompt in PROMPTS:
            for seed in range(choices.seeds):
                recipe = DreamFusion(prompt, seed, choices.steps, scale=SCALE, shares=way.shares)
                folder = choices.out / slug(name) / f"{slug(prompt)}-{seed}"
                note(name, made(way, prior, recipe, folder), prompt)
    for prompt in PROMPTS:
        for seed in range(choices.seeds):
            note(TRUE, Mesh(true_parts(prompt, seed)), prompt)
    lines = ["| | objects | without light | lit | textureless |", "|---|---|---|---|---|"]
    of = [prompt for prompt in PROMPTS for _ in range(choices.seeds)]
    for name, found in rows.items():
        figures = " | ".join(str(figure([row[kind] for row in found], of)) for kind in KINDS)
        lines.append(f"| {name} | {len(found)} | {figures} |")
    (choices.out / "ablation.json").write_text(json.dumps(rows, indent=2) + "\n")
    (choices.out / "ablation.md").write_text("\n".join(lines) + "\n")
    labels = [name if i % 2 == 0 else "" for name in rows for i in range(2 * len(rows[name]))]
    sheet = contact_sheet(torch.cat(cells), columns=2 * len(rows[TRUE]), labels=labels)
    save_png(choices.out / "ablation.png", sheet)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
