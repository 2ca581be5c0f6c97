"""What the closed-form tests of guidance share: a Gaussian prior of many sentences, in double."""

import torch
from conftest import rng
from torch import Tensor

from dreamlift.diffusion import Schedule
from dreamlift.guidance.scores import Mix, Told, cfg
from dreamlift.prior import Condition, Prompt
from dreamlift.priors.oracle import Oracle, picture
from dreamlift.scene import Shot
from dreamlift.schedules import scaled_linear

RGB = torch.rand(4, 4, 3, generator=rng(1), dtype=torch.float64)
MU = (2 * RGB - 1).permute(2, 0, 1)
NULL = -0.2  # the mean of the null prompt, everywhere
T = (0.11, 0.33, 0.83)


def oracle(std: float, schedule: Schedule | None = None) -> Oracle:
    """N(MU, std^2) where prompted, N(NULL, std^2) where not, of 4x4 pictures."""
    schedule = schedule or scaled_linear()
    return Oracle(picture(RGB), std, grey=(NULL + 1) / 2, schedule=schedule, size=4)


def said(prior: Oracle, share: float = 1.0) -> Told:
    """A sentence that means this share of the way from the null prompt's mean to MU."""
    named, null = prior.embed(Prompt("a thing")), prior.embed(Prompt(""))

    def told(shot: Shot) -> Condition:
        one = torch.ones(len(shot), dtype=torch.float64)
        return prior.condition([(named, share * one), (null, (1 - share) * one)], shot)

    return told


def mean(share: float) -> Tensor:
    """What `said` of a share means."""
    return share * MU + (1 - share) * NULL


def plain(prior: Oracle, share: float = 1.0) -> Mix:
    """The score of one sentence, unguided."""
    return Mix(prior, {said(prior, share): 1.0})


def guided(prior: Oracle, scale: float, share: float = 1.0) -> Mix:
    return cfg(prior, said(prior, share), said(prior, 0.0), scale)


def draw(b: int = 3, seed: int = 2) -> tuple[Tensor, Tensor]:
    """Unlike samples and noises."""
    z, noise = (
        torch.randn(b, 3, 4, 4, generator=rng(seed + i), dtype=torch.float64) for i in (0, 1)
    )
    return z, noise


def times(prior: Oracle, *t: float) -> Tensor:
    """Snapped t; three unlike ones if none are given."""
    return prior.schedule.snap(torch.tensor(t or T, dtype=torch.float64))


def numbers(prior: Oracle, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """alpha, sigma and V = (alpha s)^2 + sigma^2, to multiply pictures."""
    alpha, sigma = (f(t)[:, None, None, None] for f in (prior.schedule.alpha, prior.schedule.sigma))
    return alpha, sigma, (alpha * prior.std) ** 2 + sigma**2


def close(found: Tensor, wanted: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(found, wanted.expand_as(found), atol=tolerance, rtol=tolerance)
