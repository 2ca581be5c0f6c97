"""SDI against the exact inversion of a Gaussian."""

import pytest
import torch
from conftest import rng
from exact import MU, close, draw, numbers, oracle, plain, times
from test_scores import Recorder, some_shot

from dreamlift.diffusion import Cosine
from dreamlift.guidance import sdi
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix
from dreamlift.schedules import Flow
from dreamlift.step import Step


def check_exact() -> None:
    """kappa = (x_t - alpha x) / sigma; z_hat - x = (x - mu)(alpha S / sqrt V - 1)."""
    prior, (x, _), shot = oracle(0.6, Cosine()), draw(1), some_shot(0)
    score = plain(prior)
    guide = sdi.SDI(score, score, steps=400, eta=0.0)
    t = times(prior, 0.63)
    levels = guide.levels(t, 0 * t)
    kappa = guide.infer(x, levels, [x] * len(levels), shot)
    alpha, sigma, variance = numbers(prior, t)
    exact = (alpha * MU + variance.sqrt() * (x - MU) / 0.6 - alpha * x) / sigma
    torch.testing.assert_close(kappa, exact, atol=8e-3, rtol=8e-3)
    wanted = -(x - MU) * (alpha * 0.6 / variance.sqrt() - 1)
    torch.testing.assert_close(guide.gradient(x, t, kappa, shot), wanted, atol=8e-3, rtol=8e-3)


def check_rest() -> None:
    """A sample at the mean has no noise of its own, and stays, however few the steps."""
    prior, shot = oracle(0.6, Cosine()), some_shot(0, 0, 0)
    score, x, t = plain(prior), MU.expand(3, 3, 4, 4), times(prior)
    guide = sdi.SDI(score, score, eta=0.0)
    levels = guide.levels(t, 0.03 + 0 * t)
    kappa = guide.infer(x, levels, [x] * len(levels), shot)
    close(kappa, torch.zeros_like(x))
    close(guide.gradient(x, t, kappa, shot), torch.zeros_like(x))


def check_levels() -> None:
    """0, .1 ... below t, then a little beyond t; each sample by itself."""
    prior = Recorder(Cosine())
    score = Mix(prior, {Sentence(prior, "y"): 1.0})
    guide = sdi.SDI(score, score)
    t, beyond = torch.tensor([0.37, 0.2, 0.98]), torch.tensor([0.05, 0.01, 0.09])
    levels = torch.stack(guide.levels(t, beyond), 1)
    for row, wanted in zip(
        levels, ([0, 0.1, 0.2, 0.3], [0, 0.1], [i / 10 for i in range(10)]), strict=True
    ):
        assert row[:-1].unique().tolist() == pytest.approx(wanted)
    assert levels[:, -1].tolist() == pytest.approx([0.42, 0.21, 1.0])


def check_jolts() -> None:
    """With eta = 1 each step up adds DDPM's noise: std sigma_t / sigma_s sqrt(1 - a_s / a_t)."""
    prior, (z, noise), shot = Recorder(Cosine()), draw(1), some_shot(0)
    score = Mix(prior, {Sentence(prior, "y"): 1.0})
    t, s = (torch.tensor([v], dtype=torch.float64) for v in (0.4, 0.5))
    still, shaken = (
        sdi.SDI(score, score, eta=eta).infer(z, [t, s], [noise], shot) for eta in (0.0, 0.7)
    )
    bar_t, bar_s = (float(prior.schedule.alpha(v)) ** 2 for v in (t, s))
    variance = (1 - bar_t) / (1 - bar_s) * (1 - bar_s / bar_t)
    close((shaken - still) * (1 - bar_s) ** 0.5, 0.7 * variance**0.5 * noise, 1e-6)


def check_kappa_is_the_noise() -> None:
    """The prompted score is asked once, at t, of alpha_t z + sigma_t kappa."""
    prior = Recorder(Cosine(), gain=0.2)
    y, null = (Mix(prior, {Sentence(prior, text): 1.0}) for text in ("y", ""))
    guide = sdi.SDI(y, null)
    z = torch.randn(1, 3, 4, 4, generator=rng(3))
    guide(z, some_shot(0), Step(40, 100, rng(4)))
    assert [mix[0][0] for mix in prior.told].count("y") == 1
    z_t, t, _ = prior.asked[-1]
    assert float(t) == pytest.approx(0.98 - 0.4 * 0.78)
    alpha, sigma = prior.schedule.alpha(t), prior.schedule.sigma(t)
    kappa = (z_t - alpha * z) / sigma
    again = sdi.SDI(y, null).gradient(z, t, kappa, some_shot(0))
    x0 = (z_t - sigma * (0.2 * z_t + prior.field("y"))) / alpha
    torch.testing.assert_close(again, z - x0, atol=1e-4, rtol=1e-4)


def test_the_inferred_noise_and_target_of_the_exact_flow():
    check_exact()


def test_the_mean_stays_where_it_is():
    check_rest()


def test_levels_lead_past_t():
    check_levels()


def test_steps_up_add_a_share_of_ddpms_noise():
    check_jolts()


def test_the_inferred_noise_stands_for_eps():
    check_kappa_is_the_noise()


def test_levels_of_unlike_samples_are_finite():
    prior = oracle(0.6, Cosine())
    guide = sdi.SDI(plain(prior), plain(prior), times=lambda n, step: torch.tensor([0.05, 0.9]))
    z = draw(2)[0].requires_grad_()
    guide(z, some_shot(0, 0), Step(0, 1, rng(1))).backward()
    assert z.grad is not None and z.grad.isfinite().all()


def test_a_straight_flow_s_noise_is_its_own():
    """With eta = 1 the variance of z_t given z_s and z, s being the higher level."""
    flow = Flow()
    prior, (z, noise), shot = Recorder(flow), draw(1), some_shot(0)
    score = Mix(prior, {Sentence(prior, "y"): 1.0})
    for low, high in ((0.1, 0.2), (0.4, 0.5), (0.7, 0.8)):
        t, s = (torch.tensor([v], dtype=torch.float64) for v in (low, high))
        still, shaken = (
            sdi.SDI(score, score, eta=eta).infer(z, [t, s], [noise], shot) for eta in (0.0, 1.0)
        )
        fresh = high**2 - ((1 - high) / (1 - low) * low) ** 2
        std = low / high * fresh**0.5
        close((shaken - still) * high, std * noise, 1e-6)
