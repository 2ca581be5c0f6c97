"""Text to 3D against the oracle: a fog becomes a snowman that only the prior has ever seen.

    python examples/02_oracle.py [OUT.png]

A radiance field, under random cameras, lights and backgrounds, is pulled to what a diffusion model
expects there: the oracle, in closed form, so what is missing in the end is not the prior's fault.
Half a minute. Saved: the field (above) and the truth (below) from views that were never drawn.
"""

import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image as Picture

from dreamlift.cameras import turntable
from dreamlift.fit import Stage, Terms, fit
from dreamlift.grammar import parse
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix
from dreamlift.guidance.sds import SDS
from dreamlift.priors.oracle import Oracle
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.field import Field
from dreamlift.step import Step
from dreamlift.toybox.scenes import toy_scene
from dreamlift.views import Views


def main(out: Path, prompt: str = "a snowman wearing a santa hat", steps: int = 300) -> float:
    """PSNR in dB over the object, on views that were held out."""
    truth, scene, views = toy_scene(parse(prompt), seed=0), Field(), Views()
    prior = Oracle(truth.render, std=0.1)
    guidance = SDS(Mix(prior, {Sentence(prior, prompt): 1.0}))

    def shots(step: Step) -> Shot:
        return views.draw(1, step.rng, shading=views.shading(step.rng))

    def objective(view: Rendering, shot: Shot, step: Step) -> Terms:
        return {"sds": guidance(prior.encode(view.over(shot.background)), shot, step)}

    optimizer = torch.optim.Adam(scene.parameters(), lr=0.1)
    stage = Stage(scene, shots, objective, optimizer, steps)
    with tempfile.TemporaryDirectory() as folder:
        fit(stage, Run(Path(folder)))

    shot, grey = Shot(turntable(6, elevation=25.0, offset=20.0)), torch.full((1, 1, 1, 3), 0.6)
    with torch.no_grad():
        found, true = (s.render(shot).over(grey) for s in (scene, truth))
    pixels = torch.cat([torch.cat(list(row), dim=1) for row in (found, true)])
    Picture.fromarray((255 * pixels.clamp(0, 1)).round().byte().numpy()).save(out)
    error = (found - true)[truth.render(shot).alpha[..., 0] > 0.5]
    return float(-10 * error.square().mean().log10())


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "02_oracle.png")
    print(f"{main(path):.1f} dB on held-out views; the pictures are in {path}")
