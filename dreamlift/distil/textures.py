"""Textures of finished shapes that follow a guidance, and pictures that were made anew."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.fit import Stage, Terms
from dreamlift.guidance import Guidance
from dreamlift.guidance.reconstruct import Reconstruct
from dreamlift.guidance.scores import Score
from dreamlift.render.raster import Raster
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.pliable import PliableMesh
from dreamlift.step import Step, falling


@dataclass(frozen=True)
class Sides:
    """A shot, and what it should show."""

    shot: Shot
    wanted: Float[Tensor, "b h w 3"]


def four_sides(size: int, device: torch.device | str) -> Shot:
    """Front, left, back and right, 15 degrees up, before grey."""
    azimuth = torch.tensor([0.0, 90.0, 180.0, -90.0], device=device)
    grey = torch.full((1, 1, 1, 3), 0.5, device=device)
    return Shot(orbit(azimuth, 0 * azimuth + 15, size=size), background=grey)


def anew(mesh: PliableMesh, score: Score, shot: Shot, t: float, *, steps: int, seed: int) -> Sides:
    """The mesh's pictures, noised to the level `t` and denoised in `steps` steps (SDEdit)."""
    prior, rng = score.prior, torch.Generator().manual_seed(seed)
    with torch.no_grad():
        view = mesh.render(shot)
        here = replace(shot, seen=view.detached())
        z = prior.encode(view.before(shot))
        noise = torch.randn(z.shape, generator=rng).to(z)
        at = prior.schedule.snap(torch.full((len(z),), t, device=z.device))
        again = Reconstruct(score, steps).target(z, at, noise, here)
        return Sides(shot, prior.decode(again).clamp(0, 1))


def texture_stage(
    mesh: PliableMesh,
    shots: Callable[[Step], Shot],
    score: Score,
    guidance: Guidance,
    sides: Sides,
    steps: int,
    *,
    lr: tuple[float, float],
    photometric: float,
    seed: int,
) -> Stage[Raster]:
    """A mesh's colours, drawn to what `sides` should show and, wherever the shots look, after a
    guidance; `lr` at the first and at the last step; `photometric` is the weight of the sides'
    squared differences, summed over a picture, as score distillation is."""

    def objective(view: Rendering[Raster], shot: Shot, step: Step) -> Terms:
        off = mesh.render(sides.shot).before(sides.shot) - sides.wanted
        return {
            "guidance": guidance(score.prior.encode(view.before(shot)), shot, step),
            "photometric": photometric * off.square().sum() / len(off),
        }

    adam = torch.optim.Adam([mesh.logits], lr=lr[0])
    return Stage(mesh, shots, objective, adam, steps, seed=seed, rates=falling(lr))
