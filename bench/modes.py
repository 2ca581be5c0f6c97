"""Which guidance covers a prior's modes, and which falls into one: python bench/modes.py

Particles, each a picture of one pixel, follow a mixture of four Gaussians known in closed form:
the prompt means two of them (30 % and 70 %), the null prompt all four. Where a particle ends is
its mode; how far the particles of a mode are spread is told in units of the mode's own deviation
(1: as exact samples are; 0: all on its mean). `stray`: the share farther than 4 deviations from
both. Means over seeds, with their standard deviation. VSD's student
is the particles' own score, exact at every step. `--picture` draws where the particles of some rows
end, over the modes.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.diffusion import ddim
from dreamlift.guidance.courses import DreamTime, falling
from dreamlift.guidance.csd import CSD
from dreamlift.guidance.ism import ISM
from dreamlift.guidance.nfsd import nfsd
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.reconstruct import Reconstruct
from dreamlift.guidance.scores import Mix, cfg
from dreamlift.guidance.sdi import SDI
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.sjc import sjc
from dreamlift.guidance.times import Uniform
from dreamlift.guidance.vsd import VSD
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.priors.mixture import Crowd, Mixture
from dreamlift.scene import Shot
from dreamlift.step import Step

MEANS = ((-0.9, 0.5), (0.7, -0.4), (0.8, 0.9), (-0.6, -0.9))
STDS = (0.15, 0.1, 0.12, 0.2)
DRAWN = ("exact samples", "SDS, s = 1", "VSD, s = 1, exact student")
SAID = {
    "a": (0.3, 0.7, 0.0, 0.0),
    "": (0.25, 0.25, 0.25, 0.25),
    "bad": (0.0, 0.0, 0.5, 0.5),
}


def world() -> Mixture:
    return Mixture(torch.tensor(MEANS)[..., None, None], torch.tensor(STDS), SAID)


def shot(n: int) -> Shot:
    return Shot(orbit(torch.zeros(n), torch.zeros(n), size=1))


def guides(prior: Mixture, shown: Callable[[], Tensor]) -> dict[str, Callable[..., Tensor]]:
    """Every row; `shown` gives the particles as they are now."""
    y, null, bad = (Sentence(prior, text) for text in SAID)
    plain, bare = Mix(prior, {y: 1.0}), Mix(prior, {null: 1.0})
    some = cfg(prior, y, null, 7.5)
    return {
        "SDS, s = 1": SDS(plain),
        "SDS, s = 7.5": SDS(some),
        "SDS, s = 1, t U(.02, .3)": SDS(plain, Uniform(0.02, 0.3)),
        "SDS, s = 1, t falling": SDS(plain, falling(0.98, 0.02)),
        "SDS, s = 1, DreamTime": SDS(plain, DreamTime()),
        "VSD, s = 1, exact student": VSD(plain, Crowd(prior, shown)),
        "SJC, s = 1": sjc(plain),
        "CSD": CSD(prior, y, null),
        "NFSD, s = 1": nfsd(prior, y, null, bad, scale=1.0),
        "NFSD, s = 7.5": nfsd(prior, y, null, bad),
        "ISM, s = 1": ISM(plain, bare),
        "ISM, s = 1, inverted with the prompt": ISM(plain, plain),
        "ISM, s = 7.5": ISM(some, bare),
        "SDI, s = 1, inverted with the prompt": SDI(plain, plain),
        "SDI, s = 1, inverted with the null prompt": SDI(plain, bare),
        "SDI, s = 8.5, inversion -6.5": SDI(cfg(prior, y, null, 8.5), cfg(prior, y, null, -6.5)),
        "reconstruction, 4 steps": Reconstruct(plain),
    }


def descend(
    row: Callable[[Callable[[], Tensor]], Callable[..., Tensor]], n: int, steps: int, seed: int
) -> Tensor:
    """Where Adam (rate .05 falling to 0, betas .9 and .99) leaves n particles from N(0, 1 / 4)."""
    rng = torch.Generator().manual_seed(seed)
    z = (0.5 * torch.randn(n, 2, 1, 1, generator=rng)).requires_grad_()
    guide = row(lambda: z)
    here, optimizer = shot(n), torch.optim.Adam([z], lr=0.05, betas=(0.9, 0.99))
    for i in range(steps):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - i / steps)
        optimizer.zero_grad()
        guide(z, here, Step(i, steps, rng)).backward()
        optimizer.step()
    return z.detach()


def sampled(prior: Mixture, n: int, seed: int) -> Tensor:
    """DDIM in 50 steps."""
    rng = torch.Generator().manual_seed(seed)
    y = Sentence(prior, "a")(shot(n))
    start = torch.randn(n, 2, 1, 1, generator=rng)
    return ddim(prior.schedule, lambda z, t: prior.eps(z, t, y)[0], start,
                [0.999 * (1 - i / 50) for i in range(51)])  # fmt: skip


def figures(prior: Mixture, z: Tensor) -> list[float]:
    """Share of the first mode, spreads of both in their own deviations, share of strays.

    The first is told where most particles are in a mode.
    """
    away = (z[:, None] - prior.means[:2]).flatten(2).norm(dim=2) / prior.stds[:2]
    nearest, mode = away.min(1)
    near = mode[nearest <= 4]
    found = [float((near == 0).float().mean()) if len(near) > len(z) / 2 else math.nan]
    for k in range(2):
        mine = z[(mode == k) & (nearest <= 4)].flatten(1)
        spread = mine.std(0).square().mean().sqrt() / prior.stds[k] if len(mine) > 9 else math.nan
        found.append(float(spread))
    return [*found, float((nearest > 4).float().mean())]


def plot(prior: Mixture, z: Tensor, size: int = 240) -> Tensor:
    """Particles as dots over the prompt's density, in the square [-1.5, 1.5]^2."""
    line = torch.linspace(-1.5, 1.5, size)
    at = torch.stack(torch.meshgrid(line, line.flip(0), indexing="xy"), -1)
    away = (at[..., None, :] - prior.means[:2, :, 0, 0]).square().sum(-1) / prior.stds[:2] ** 2
    density = (torch.tensor(SAID["a"][:2]) * (-0.5 * away).exp()).sum(-1, keepdim=True)
    picture = 1 - density * torch.tensor([0.5, 0.3, 0.1])
    x, y = z.flatten(1).unbind(-1)
    column, row = ((x + 1.5) / 3 * size).long(), ((1.5 - y) / 3 * size).long()
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            inside = (row + i).clamp(0, size - 1), (column + j).clamp(0, size - 1)
            picture[inside] = torch.tensor([0.8, 0.1, 0.1])
    return picture.clamp(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=200)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", type=Path, help="draw some rows into this file, and stop")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    args = parser.parse_args()
    torch.set_num_threads(1)
    prior = world()
    makes: dict[str, Callable[[int], Tensor]] = {
        "exact samples": lambda seed: prior.sample(
            "a", args.particles, torch.Generator().manual_seed(seed)
        ),
        "DDIM, 50 steps": lambda seed: sampled(prior, args.particles, seed),
    }
    for name in guides(prior, lambda: prior.means):
        makes[name] = lambda seed, name=name: descend(
            lambda shown: guides(prior, shown)[name], args.particles, args.steps, seed
        )
    if args.picture is not None:
        ends = [plot(prior, makes[name](0)) for name in DRAWN]
        save_png(args.picture, contact_sheet(torch.stack(ends), columns=3, labels=list(DRAWN)))
        return
    print("| | first mode (30 %) | its spread | the other's | stray |\n|---|---|---|---|---|")
    for name, make in makes.items():
        if args.only not in name:
            continue
        rows = torch.tensor([figures(prior, make(seed)) for seed in range(args.seeds)])
        mean, std = rows.mean(0).tolist(), rows.std(0).tolist()
        cells = [
            f"{m:.2f} ± {s:.2f}" if math.isfinite(m) else "" for m, s in zip(mean, std, strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
