"""Score distillation in eight lines: a grey picture follows a prior until it is what it wants.

    python examples/01_image.py [OUT.png]

The prior is the oracle, a diffusion model known in closed form: it wants one picture, give or take
a tenth. Saved side by side: the picture after 0, 5, 10, 20, 40 and 300 steps, and what was wanted.
"""

import sys
from pathlib import Path

import torch
from PIL import Image as Picture

from dreamlift.cameras import turntable
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.priors.oracle import Oracle, picture
from dreamlift.scene import Shot
from dreamlift.scenes.image import Image
from dreamlift.step import Step


def red_ball(size: int = 64) -> torch.Tensor:
    """What the prior wants: a lit red ball in front of pale blue."""
    y, x = torch.meshgrid(*[torch.linspace(-1.4, 1.4, size)] * 2, indexing="ij")
    z = (1 - x**2 - y**2).clamp_min(0).sqrt()
    light = 0.2 + 0.8 * (0.5 * x - 0.6 * y + 0.6 * z).clamp_min(0)[..., None]
    ball = torch.tensor([0.9, 0.15, 0.1]) * light
    return torch.where((z > 0)[..., None], ball, torch.tensor([0.75, 0.85, 0.95]))


def main(out: Path, steps: int = 300) -> float:
    """The mean absolute error at the end, in sRGB units of [0, 1]."""
    truth = red_ball()
    prior = Oracle(picture(truth), std=0.1)
    y, null = Sentence(prior, "a red ball"), Sentence(prior, "")
    guidance = SDS(cfg(prior, y, null, scale=1.0))

    scene = Image(torch.full((64, 64, 3), 0.5))  # x = g(phi): here phi is the picture itself
    shot, rng, strip = Shot(turntable(1)), torch.Generator().manual_seed(0), []
    optimizer = torch.optim.Adam(scene.parameters(), lr=0.05)
    for i in range(steps):
        x = scene.render(shot).color
        loss = guidance(prior.encode(x), shot, Step(i, steps, rng))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        strip += [x[0].detach()] if i in (0, 5, 10, 20, 40) else []

    x = scene.render(shot).color[0].detach()
    pixels = torch.cat([*strip, x, truth], dim=1).clamp(0, 1)
    Picture.fromarray((255 * pixels).round().byte().numpy()).save(out)
    return float((x - truth).abs().mean())


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "01_image.png")
    print(f"mean error {main(path):.3f}; the pictures are in {path}")
