"""Perp-Neg against two-faced objects, on a prior that is not told its cameras, as those of the web.

    python -m bench.janus --out runs/janus [--seeds 3] [--steps 300]

DreamFusion's draft of things with a front, where only words can say which side is asked for: none
at all, the side's name (DreamFusion, Sec. 3.1), or Perp-Neg, at two strengths; and beside them the
same prior told its cameras. Equal steps: Perp-Neg asks the prior for up to four pictures a step
where the others ask for two. Janus is the share of the views from behind that the judge calls the
front (dreamlift.evaluate). Prompts are none of REPORT's. What is made stays made.

OUT/janus.md (the table, with 95 % intervals over objects) and OUT/janus.png: each way's first
object from the front, the left, the back and the right.
"""

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor

from dreamlift.cameras import turntable
from dreamlift.convert.finish import DRAFT
from dreamlift.evaluate.figures import Figure, figure
from dreamlift.evaluate.judging import Judge, seen, shipped_judge, verdict
from dreamlift.export import bring_out
from dreamlift.films import key_light
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.guidance.perpneg import PerpNeg, unlike
from dreamlift.guidance.prompts import DIRECTIONS, Directed, Sentence, about, sided
from dreamlift.guidance.scores import Score, cfg
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Annealed
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.prior import Prior
from dreamlift.priors.embedded import embedded
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run, slug
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.mesh import Mesh
from dreamlift.untextured import untextured

PROMPTS = (
    "a green frog",
    "a blue frog",
    "a purple frog on top of an orange cube",
    "a frog on top of a hamburger",
    "a snowman on top of a table",
    "a snowman next to a blue cube",
)
SCALE = 7.5
KINDS = ("janus", "color", "geometry")


@dataclass(frozen=True)
class Way:
    """How sides are told apart."""

    score: Callable[[Prior, str], Score]
    cameras: bool = False


def silent(prior: Prior, prompt: str) -> Score:
    """The same sentence from every side."""
    same, bare = dict.fromkeys(DIRECTIONS, prompt), dict.fromkeys(DIRECTIONS, untextured(prompt))
    y = Directed(prior, same, untextured=bare)
    return cfg(prior, y, Sentence(prior, ""), SCALE, clamp=1.0)


def worded(prior: Prior, prompt: str) -> Score:
    y = about(prior, prompt, interpolate=True)
    return cfg(prior, y, Sentence(prior, ""), SCALE, clamp=1.0)


def across(strength: float) -> Callable[[Prior, str], Score]:
    def score(prior: Prior, prompt: str) -> Score:
        y, bare = about(prior, prompt, interpolate=True), sided(untextured(prompt))
        others = unlike(prior, sided(prompt), untextured=bare, strength=strength)
        return PerpNeg(prior, y, Sentence(prior, ""), others, SCALE, 1.0)

    return score


WAYS: Mapping[str, Way] = {
    "no words for sides": Way(silent),
    "words for sides": Way(worded),
    "Perp-Neg, strength 0.5": Way(across(0.5)),
    "Perp-Neg, strength 2": Way(across(2.0)),
    "words, and cameras told": Way(worded, cameras=True),
}


def made(way: Way, prior: Prior, recipe: DreamFusion, folder: Path) -> Field:
    """The field, or what the folder has of it."""
    sds = SDS(way.score(prior, recipe.prompt), Annealed(recipe.t_start, recipe.t_end))
    return recipe.follow(sds, Run(folder), prior)


def sides(field: Field) -> Tensor:
    """From the front, the left, the back and the right, under a light."""
    cameras = turntable(4, elevation=15, size=128)
    with torch.no_grad():
        view = field.render(Shot(cameras, key_light(cameras)))
    return view.over(torch.full((1, 1, 1, 3), 0.86)).clamp(0, 1)


def scores(field: Field, prompt: str, judge: Judge) -> dict[str, float | None]:
    try:
        parts, _ = bring_out(field, DRAFT)
    except DegenerateError:
        return {"janus": None, "color": 0.0, "geometry": 0.0}
    said = verdict(seen(Mesh(parts)), prompt, judge)
    return {"janus": said.janus, "color": said.color.share, "geometry": said.geometry.share}


def _cell(found: Sequence[dict[str, float | None]], of: Sequence[str], kind: str) -> Figure | None:
    """The figure of one kind of score, whose runs are of these prompts."""
    kept = [
        (v, prompt) for row, prompt in zip(found, of, strict=True) if (v := row[kind]) is not None
    ]
    return figure([v for v, _ in kept], [prompt for _, prompt in kept])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    choices = parser.parse_args()
    judge, shown = shipped_judge(), list[Tensor]()
    lines = ["| | objects | Janus | colour | geometry |", "|---|---|---|---|---|"]
    for name in choices.ways:
        way, prior, found = WAYS[name], embedded(), list[dict[str, float | None]]()
        prior.cameras = "named" if way.cameras else "never"
        for prompt in PROMPTS:
            for seed in range(choices.seeds):
                folder = choices.out / slug(name) / f"{slug(prompt)}-{seed}"
                field = made(way, prior, DreamFusion(prompt, seed, steps=choices.steps), folder)
                if not found:
                    shown.append(sides(field))
                file = folder / "scores.json"
                if not file.exists():
                    file.write_text(json.dumps(scores(field, prompt, judge)) + "\n")
                found.append(json.loads(file.read_text()))
                print(f"{name}: {folder.name} {found[-1]}", flush=True)
        of = [prompt for prompt in PROMPTS for _ in range(choices.seeds)]
        cells = [_cell(found, of, kind) for kind in KINDS]
        lines.append(f"| {name} | {len(found)} | " + " | ".join(map(str, cells)) + " |")
    (choices.out / "janus.md").write_text("\n".join(lines) + "\n")
    labels = [s for name in choices.ways for s in (f"{name}: front", "left", "back", "right")]
    save_png(choices.out / "janus.png", contact_sheet(torch.cat(shown), columns=4, labels=labels))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
