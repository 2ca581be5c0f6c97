"""ISM against the exact probability flow of a Gaussian, and golden numbers."""

import pytest
import torch
from conftest import rng
from exact import MU, close, draw, numbers, oracle, plain, times
from test_scores import Recorder, some_shot
from torch import Tensor

from dreamlift.diffusion import Cosine, Schedule
from dreamlift.guidance import ism
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix
from dreamlift.guidance.times import uniform
from dreamlift.priors.oracle import Oracle, picture
from dreamlift.schedules import scaled_linear
from dreamlift.step import Step

GOLDEN = {100: -0.0962, 50: -0.0460, 25: -0.0224, 5: -0.00440, 1: -0.00088}


def check_golden() -> None:
    """x = -.4, mu = 1.3, S = .7 at entry 500, walked up in strides of 200 entries."""
    rgb = torch.full((4, 4, 3), 1.15, dtype=torch.float64)
    prior = Oracle(picture(rgb), 0.7, schedule=scaled_linear(), size=4)
    score, z = plain(prior), torch.full((1, 3, 4, 4), -0.4, dtype=torch.float64)
    guide = ism.ISM(score, score, weight=uniform, stride=200 / 999)
    for interval, golden in GOLDEN.items():
        t, s = (torch.tensor([i / 999], dtype=torch.float64) for i in (500, 500 - interval))
        found = guide.gradient(z, t, s, some_shot(0))
        tolerance = 6e-5 if interval > 5 else 6e-6
        close(found, torch.tensor(golden, dtype=torch.float64), tolerance)


def check_exact() -> None:
    """With short strides: w z (sigma_t / sqrt V_t - sigma_s / sqrt V_s), z = (x - mu) / S."""
    prior, (x, _), shot = oracle(0.7, Cosine()), draw(), some_shot(0, 0, 0)
    t = times(prior)
    score = plain(prior)
    guide = ism.ISM(score, score, stride=0.005)
    alpha, sigma, variance = numbers(prior, t)
    scaled = sigma / variance.sqrt()
    sizes: list[float] = []
    for interval in (0.02, 0.01):
        s = t - interval
        _, sigma_s, variance_s = numbers(prior, s)
        wanted = sigma / alpha * (x - MU) / 0.7 * (scaled - sigma_s / variance_s.sqrt())
        found = guide.gradient(x, t, s, shot)
        torch.testing.assert_close(found, wanted, atol=0, rtol=0.07)
        sizes.append(float(found.norm()))
    assert sizes[0] / sizes[1] == pytest.approx(2, rel=0.1)  # linear in the interval


def check_what_is_asked() -> None:
    """z walked up with the null prompt through 0, .2, .4 ...; then s, and t with the prompt."""
    prior = Recorder(Cosine(), gain=0.3)
    y, null = (Mix(prior, {Sentence(prior, text): 1.0}) for text in ("y", ""))
    z = torch.randn(2, 3, 4, 4, generator=rng(1))
    t, s = torch.tensor([0.7, 0.35]), torch.tensor([0.61, 0.26])
    ism.ISM(y, null).gradient(z, t, s, some_shot(0, 0))
    asked = [tuple(round(x, 4) for x in at.tolist()) for _, at, _ in prior.asked]
    assert asked == [(0, 0), (0.2, 0.2), (0.4, 0.26), (0.6, 0.26), (0.61, 0.26), (0.7, 0.35)]
    assert [mix[0][0] for mix in prior.told] == 5 * [""] + ["y"]


def check_weight() -> None:
    """sqrt((1 - alpha_bar) / alpha_bar) of t, and not of s."""
    weighed: list[Tensor] = []

    def weight(schedule: Schedule, t: Tensor) -> Tensor:
        weighed.append(t)
        return torch.ones_like(t)

    score = plain(oracle(0.5))
    (z, _), t = draw(), times(oracle(0.5))
    ism.ISM(score, score, weight=weight).gradient(z, t, t - 80 / 999, some_shot(0, 0, 0))
    assert torch.equal(weighed[0], t)
    one, other = (
        ism.ISM(score, score, weight=w).gradient(z, t, t - 80 / 999, some_shot(0, 0, 0))
        for w in (ism.noise_to_signal, uniform)
    )
    alpha, sigma, _ = numbers(oracle(0.5), t)
    close(one, sigma / alpha * other)


def check_interval() -> None:
    """t - s falls from .1 to .08 over the first 30 % of a stage; s is never below 0."""
    prior = Recorder(Cosine())
    score = Mix(prior, {Sentence(prior, "y"): 1.0})
    for index, interval in ((0, 0.1), (15, 0.09), (30, 0.08), (90, 0.08)):
        prior.asked.clear()
        ism.ISM(score, score, times=lambda n, step: torch.full((n,), 0.6))(
            torch.zeros(1, 3, 4, 4), some_shot(0), Step(index, 100, rng(1))
        )
        s, t = (float(at) for _, at, _ in prior.asked[-2:])
        assert t - s == pytest.approx(interval, abs=1e-6)
    ism.ISM(score, score, times=lambda n, step: torch.full((n,), 0.03))(
        torch.zeros(1, 3, 4, 4), some_shot(0), Step(0, 100, rng(1))
    )
    assert float(prior.asked[-2][1]) == 0


def test_golden_intervals():
    check_golden()


def test_the_interval_of_the_exact_flow():
    check_exact()


def test_the_walk_up_is_unprompted_and_in_strides():
    check_what_is_asked()


def test_the_weight_is_that_of_t():
    check_weight()


def test_the_interval_shrinks_at_first():
    check_interval()


def test_nothing_is_random_but_t():
    prior = oracle(0.5)
    score = plain(prior)
    (z, _), shot = draw(), some_shot(0, 0, 0)
    z.requires_grad_()
    fixed = ism.ISM(score, score, times=lambda n, step: torch.full((n,), 0.6))
    values = [fixed(z, shot, Step(0, 1, rng(seed))) for seed in (1, 2)]
    assert torch.equal(*values)
