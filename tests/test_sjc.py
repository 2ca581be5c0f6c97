"""SJC is score distillation in another parametrisation."""

import torch
from conftest import rng
from exact import close, draw, guided, numbers, oracle, times
from test_scores import some_shot

from dreamlift.guidance import sjc
from dreamlift.step import Step


def check_perturb_and_average() -> None:
    """-(D - y) / s with D = y + s n - s eps_hat((y + s n) / sqrt(1 + s^2)), s = sigma / alpha."""
    prior, (y, n), shot = oracle(0.4), draw(), some_shot(0, 0, 0)
    t, score = times(prior), guided(prior, 3.0)
    alpha, sigma, _ = numbers(prior, t)
    s = sigma / alpha
    noisy = y + s * n
    denoised = noisy - s * score(noisy / (1 + s**2).sqrt(), t, shot)
    close(sjc.sjc(score).gradient(y, t, n, shot), -(denoised - y) / s, 1e-7)
    close(sjc.sjc(score, reduced=False).gradient(y, t, n, shot), -(denoised - noisy) / s, 1e-7)


def check_entries() -> None:
    """Entries 10 to 969 of the table, all alike."""
    t = 999 * sjc.sjc(guided(oracle(0.4), 3.0)).times(5000, Step(0, 1, rng(1)))
    assert 9.99 <= t.min() < 11 and 968 < t.max() <= 969.01
    even = torch.linspace(10, 969, 5000)
    assert (t.sort().values - even).abs().max() < 959 * 1.63 / 5000**0.5


def test_sjc_is_sds_of_weight_one_in_the_variance_exploding_form():
    check_perturb_and_average()


def test_sjc_draws_from_its_part_of_the_table():
    check_entries()
