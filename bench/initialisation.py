"""What the first density, the guidance scale and clamping decide.

    python -m bench.initialisation OUT [--prior FOLDER] [--size 64] [--steps 450]

With the oracle (its null prompt a plain grey) it prints PSNR over the object on held-out views;
with a prior it writes OUT/<prompt>.png, a row per setting, for looking at.
"""

import itertools
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from dreamlift import memory
from dreamlift.cameras import turntable
from dreamlift.grammar import parse
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.prior import Prior
from dreamlift.priors.embedded import WEIGHTS, embedded
from dreamlift.priors.oracle import Oracle
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field, Init
from dreamlift.toybox.scenes import toy_scene

PROMPTS = (
    "a yellow cone",
    "a blue ring",
    "a red mug",
    "a green ball on top of a pink cylinder",
)
INITS: tuple[Init, ...] = ("fog", "blob")
SCALES = (3.0, 7.5, 20.0)


@dataclass(frozen=True)
class Sweep:
    out: Annotated[Path, tyro.conf.Positional]
    """Folder for the pictures."""
    prior: Path = WEIGHTS
    """Folder of the prior."""
    size: int = 64
    """Side of the pictures that the prior sees, in pixels."""
    steps: int = 450
    prompts: tuple[str, ...] = PROMPTS
    oracle: bool = True
    """Sweep with the oracle too."""


def made(recipe: DreamFusion, prior: Prior) -> Field:
    with tempfile.TemporaryDirectory() as folder:
        return recipe.run(Run(Path(folder)), prior)


def psnr(field: Field, prompt: str) -> float:
    """dB over the object, from six views that were not drawn."""
    truth = toy_scene(parse(prompt), seed=0)
    shot, grey = Shot(turntable(6, elevation=25, offset=20)), torch.full((1, 1, 1, 3), 0.6)
    with torch.no_grad():
        seen = truth.render(shot)
        error = (field.render(shot).over(grey) - seen.over(grey))[seen.alpha[..., 0] > 0.5]
    return float(-10 * error.square().mean().log10())


def main(sweep: Sweep) -> None:
    memory.keep()
    sweep.out.mkdir(parents=True, exist_ok=True)
    settings = list(itertools.product(INITS, SCALES, (True, False)))
    shot, light_grey = Shot(turntable(6, elevation=20)), torch.full((1, 1, 1, 3), 0.85)
    prior = embedded(folder=sweep.prior)
    prior.size = sweep.size
    for prompt in sweep.prompts:
        rows: list[torch.Tensor] = []
        for init, scale, clamp in settings:
            base = DreamFusion(prompt, steps=sweep.steps, init=init, scale=scale, clamp=clamp)
            line = f"{prompt:40} {init:5} {scale:5} {'clamped' if clamp else 'raw':8}"
            if sweep.oracle:
                truth = toy_scene(parse(prompt), seed=0)
                oracle = Oracle(truth.render, grey=0.5)
                line += f" oracle {psnr(made(base, oracle), prompt):5.1f} dB"
            field = made(replace(base, size=sweep.size), prior)
            with torch.no_grad():
                view = field.render(shot)
                rows.append(view.over(light_grey))
            print(f"{line}  mean alpha {float(view.alpha.mean()):.2f}", flush=True)
        save_png(sweep.out / f"{prompt}.png", contact_sheet(torch.cat(rows), columns=6))


if __name__ == "__main__":
    main(tyro.cli(Sweep, args=sys.argv[1:]))
