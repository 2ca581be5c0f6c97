"""Pictures from noise: a DDIM trajectory, with the clean picture that is guessed at each step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import add_noise, eps_from_x0, x0_from_eps
from dreamlift.guidance.scores import Score
from dreamlift.scene import Shot


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
