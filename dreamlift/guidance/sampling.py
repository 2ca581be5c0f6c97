"""Pictures from noise: a DDIM trajectory, with the clean picture that is guessed at each step."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import add_noise, eps_from_x0, x0_from_eps
from dreamlift.guidance.scores import Score
from dreamlift.io.images import contact_sheet
from dreamlift.scene import Shot

SHOWN = (0.2, 0.4, 0.55, 0.7, 0.85, 0.95)
"""Noise levels of the strip's columns."""


Liked: TypeAlias = Callable[[Float[Tensor, "n h w 3"]], Float[Tensor, " n"]]
"""How much each of some pictures (sRGB in [0, 1]) is liked."""


@dataclass(frozen=True)
class Guess:
    """A noisy sample, and what it would be without its noise according to a score."""

    t: float
    z_t: Float[Tensor, "b c y x"]
    x0: Float[Tensor, "b c y x"]


def levels(steps: int) -> list[float]:
    """`steps` + 1 noise levels from nearly pure noise down to 0, evenly spaced."""
    return [0.995 * (1 - i / steps) for i in range(steps + 1)]


@torch.no_grad()
def guess(score: Score, z_t: Float[Tensor, "b c y x"], t: float, shot: Shot) -> Guess:
    """The one-step guess x0_hat = (z_t - sigma_t eps_hat) / alpha_t, at one noise level."""
    schedule = score.prior.schedule
    at = schedule.snap(torch.full((len(z_t),), t, device=z_t.device))
    return Guess(t, z_t, x0_from_eps(schedule, z_t, at, score(z_t, at, shot)))


@torch.no_grad()
def noised(
    score: Score,
    z: Float[Tensor, "b c y x"],
    t: float,
    noise: Float[Tensor, "b c y x"],
    shot: Shot,
) -> Guess:
    """z with noise added, and the one-step guess of what it was: what SDS asks a prior for."""
    schedule = score.prior.schedule
    at = schedule.snap(torch.full((len(z),), t, device=z.device))
    return guess(score, add_noise(schedule, z, at, noise), t, shot)


@torch.no_grad()
def trajectory(
    score: Score, z: Float[Tensor, "b c y x"], times: Sequence[float], shot: Shot
) -> list[Guess]:
    """DDIM (Eq. 12 of arXiv:2010.02502, eta = 0) from z at times[0] to the last, which is 0.

    A guess for every time but the last; the last one's `x0` is where the trajectory ends.
    """
    schedule = score.prior.schedule
    steps: list[Guess] = []
    for t, s in zip(times, times[1:], strict=False):
        here = guess(score, z, t, shot)
        steps.append(here)
        at, to = (schedule.snap(torch.full((len(z),), x, device=z.device)) for x in (t, s))
        z = add_noise(schedule, here.x0, to, eps_from_x0(schedule, z, at, here.x0))
    return steps


def best(
    score: Score,
    starts: Iterable[Float[Tensor, "1 c y x"]],
    shot: Shot,
    *,
    steps: int,
    liked: Liked,
) -> list[Guess]:
    """Of the trajectories from some starts the one whose picture is liked most."""
    found: list[Guess] = []
    most = -math.inf
    for start in starts:
        walk = trajectory(score, start, levels(steps), shot)
        much = float(liked(score.prior.decode(walk[-1].x0).clamp(0, 1))[0])
        if not found or much > most:
            found, most = walk, much
    return found


def strip(
    score: Score, shot: Shot, *, steps: int, seed: int, tries: int = 1, liked: Liked | None = None
) -> Float[Tensor, "y x 3"]:
    """How diffusion works, in four rows, for the first camera of a shot.

    A sample with more and more noise, and what is guessed of it in one step; then how DDIM came
    to that sample, from noise, and what it guessed on the way. With `liked` the sample is the best
    of some tries, of which the first is what it would be without.
    """
    if tries > 1 and liked is None:
        raise ValueError("Of several tries one is shown; say how much each is liked.")
    prior, at = score.prior, shot.cameras.K.device
    rng = torch.Generator().manual_seed(seed)
    like = prior.encode(torch.zeros(1, prior.size, prior.size, 3, device=at))
    start, noise = (torch.randn(like.shape, generator=rng).to(like) for _ in range(2))
    if liked is None:
        walk = trajectory(score, start, levels(steps), shot)
    else:
        more = (torch.randn(like.shape, generator=rng).to(like) for _ in range(tries - 1))
        walk = best(score, chain([start], more), shot, steps=steps, liked=liked)
    sample = walk[-1].x0
    noisy = [noised(score, sample, t, noise, shot) for t in SHOWN]
    passed = [min(walk, key=lambda step: abs(step.t - t)) for t in reversed(SHOWN)]
    cells = [
        *[(sample, "a sample"), *[(step.z_t, f"noised, t = {step.t:.2f}") for step in noisy]],
        *[(sample, ""), *[(step.x0, f"guessed, t = {step.t:.2f}") for step in noisy]],
        *[*[(step.z_t, f"DDIM, t = {step.t:.2f}") for step in passed], (sample, "where it ends")],
        *[*[(step.x0, f"guessed, t = {step.t:.2f}") for step in passed], (sample, "")],
    ]
    pictures = torch.cat([prior.decode(z) for z, _ in cells]).clamp(0, 1).cpu()
    large = pictures.repeat_interleave(2, 1).repeat_interleave(2, 2)
    return contact_sheet(large, columns=len(SHOWN) + 1, labels=[label for _, label in cells])
