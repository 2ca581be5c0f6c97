"""DDS and PDS: the difference of two prompts, and the pull back to what is edited."""

import pytest
import torch
from conftest import rng
from exact import close, draw, guided, mean, numbers, oracle, plain, times
from test_diffusion import at
from test_scores import Recorder, some_shot
from torch import Tensor

from dreamlift.diffusion import Cosine
from dreamlift.guidance import dds, pds
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix, cfg
from dreamlift.guidance.times import Uniform
from dreamlift.schedules import Flow, Table, scaled_linear
from dreamlift.step import Step

ENTRIES = (50, 100, 200, 400, 600, 800, 950)
PSI = (0.6643, 0.3178, 0.1405, 0.0496, 0.0215, 0.0097, 0.0049)
CHI = {
    2: (0.1543, 0.1159, 0.0919, 0.0814, 0.0851, 0.0962, 0.1072),
    1: (0.1525, 0.1151, 0.0916, 0.0811, 0.0848, 0.0957, 0.1066),
}


def check_nothing_to_edit() -> None:
    """Bitwise 0 where both sides and both prompts are one, for any shared noise."""
    prior = Recorder(gain=0.4)
    y, null = Sentence(prior, "y"), Sentence(prior, "")
    score = cfg(prior, y, null, 7.5)
    z = torch.randn(3, 3, 4, 4, generator=rng(1)).requires_grad_()
    for kind in (dds.DDS(score, score), pds.PDS(score, score)):
        kind(z, z.detach().clone(), some_shot(0, 0, 0), Step(0, 1, rng(2))).backward()
        assert z.grad is not None and not z.grad.any()


def check_value() -> None:
    """alpha sigma [(z - original) - s (mu_y - mu_source)] / V, without any noise in it."""
    prior, (z, noise), (original, other) = oracle(0.5), draw(), draw(seed=7)
    t, shot = times(prior), some_shot(0, 0, 0)
    alpha, sigma, variance = numbers(prior, t)
    for scale in (1.0, 7.5):
        guide = dds.DDS(guided(prior, scale, 0.9), guided(prior, scale, 0.3))
        pulled = (z - original) - scale * (mean(0.9) - mean(0.3))
        for eps in (noise, other):
            found = guide.gradient(z, original, t, eps, shot)
            close(found, alpha * sigma * pulled / variance, 1e-8)
        there = original + scale * (mean(0.9) - mean(0.3))
        close(guide.gradient(there, original, t, noise, shot), torch.zeros_like(z), 1e-8)


def posterior(z: Tensor, z_t: Tensor, eps: Tensor, t: int, s: int, fresh: Tensor) -> Tensor:
    """(z_s - mu) / std as the paper's code has it, with the beta of one entry, in plain numbers."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    bar = (1 - betas).cumprod(0)
    z_s = bar[s].sqrt() * z + (1 - bar[s]).sqrt() * fresh
    guess = (z_t - (1 - bar[t]).sqrt() * eps) / bar[t].sqrt()
    mu = bar[s].sqrt() * betas[t] / (1 - bar[t]) * guess
    mu = mu + (1 - betas[t]).sqrt() * (1 - bar[s]) / (1 - bar[t]) * z_t
    return (z_s - mu) / ((1 - bar[s]) / (1 - bar[t]) * betas[t]).sqrt()


def check_posterior() -> None:
    """The stochastic latents of both sides, subtracted, for noises eps' of any kind."""
    prior, (z, noise), (original, fresh) = oracle(0.5), draw(1), draw(1, seed=7)
    target, source = guided(prior, 7.5, 0.9), guided(prior, 7.5, 0.3)
    shot = some_shot(0)
    for entry in (100, 600):
        t = times(prior, entry / 999)
        alpha, sigma, _ = numbers(prior, t)
        found = pds.PDS(target, source).gradient(z, original, t, noise, shot)
        for eps in (fresh, 3 * fresh + 1):
            sides: list[Tensor] = []
            for score, side in ((target, z), (source, original)):
                z_t = alpha * side + sigma * noise
                sides.append(posterior(side, z_t, score(z_t, t, shot), entry, entry - 2, eps))
            close(found, sides[0] - sides[1], 2e-3)


def exact_table() -> Table:
    """Stable Diffusion's table in double: psi is a small difference."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return Table((1 - betas).cumprod(0))


def check_golden() -> None:
    """psi and chi for strides of 2, 1 and 20 entries, and psi = 0 where beta is the stride's."""
    for schedule, tolerance in ((exact_table(), 6e-5), (scaled_linear(), 3e-4)):
        score = plain(oracle(0.5, schedule))
        for stride, golden in ((2, PSI), (1, 7 * (0.0,))):
            psi, chi = pds.PDS(score, score, stride=stride).coefficients(schedule, at(*ENTRIES))
            close(psi, torch.tensor(golden), tolerance)
            close(chi, torch.tensor(CHI[stride]), tolerance)
        far = pds.PDS(score, score, stride=20).coefficients(schedule, at(200))[0]
        assert float(far) == pytest.approx(2.789, abs=20 * tolerance)
        guide = pds.PDS(score, score, stride=20, consistent=True)
        close(guide.coefficients(schedule, at(*ENTRIES))[0], torch.zeros(7), tolerance)


def check_fixed_point() -> None:
    """An edit goes k / (psi + k) of the way, k = chi alpha sigma / V: .254323 of .5 at 400."""
    prior, (original, noise) = oracle(0.7, exact_table()), draw(1)
    t = times(prior, 400 / 999)
    guide = pds.PDS(plain(prior, 0.9), plain(prior, 0.3))
    way = 0.254323 / 0.5 * (mean(0.9) - mean(0.3))
    found = guide.gradient(original + way, original, t, noise, some_shot(0))
    close(found, torch.zeros_like(found), 1e-6)


def test_no_t_makes_an_edit_infinite() -> None:
    """At the ends of a schedule psi or chi is 0 / 0."""
    for schedule in (Cosine(), Flow(), exact_table()):
        prior = oracle(0.7, schedule)
        for t in (0.0, 1 / 999, 2 / 999, 1.0):
            guide = pds.PDS(plain(prior, 0.9), plain(prior, 0.3), Uniform(t, t))
            z = torch.zeros_like(draw(1)[0]).requires_grad_()
            loss = guide(z, torch.ones_like(z), some_shot(0), Step(0, 1, rng(2)))
            (found,) = torch.autograd.grad(loss, z)
            assert bool(found.isfinite().all()), (schedule, t)


def check_shared_noise() -> None:
    """Both sides are noised by one t and one eps a sample, and told their own prompts."""
    prior = Recorder(Cosine())
    target, source = (Mix(prior, {Sentence(prior, text): 1.0}) for text in ("y", "x"))
    z, original = (torch.full((2, 3, 4, 4), v) for v in (1.0, -3.0))
    for kind in (dds.DDS(target, source), pds.PDS(target, source)):
        prior.asked.clear(), prior.told.clear()
        kind(z, original, some_shot(0, 0), Step(0, 1, rng(2)))
        (z_t, t, _), (original_t, s, _) = prior.asked
        assert torch.equal(t, s) and t[0] != t[1]
        alpha = prior.schedule.alpha(t)[:, None, None, None]
        torch.testing.assert_close(z_t - alpha * z, original_t - alpha * original)
        assert [mix[0][0] for mix in prior.told] == ["y", "x"]


def test_nothing_to_edit_is_no_gradient():
    check_nothing_to_edit()


def test_the_noise_cancels_between_gaussians():
    check_value()


def test_pds_is_the_difference_of_posteriors_for_any_fresh_noise():
    check_posterior()


def test_golden_coefficients():
    check_golden()


def test_where_an_edit_ends():
    check_fixed_point()


def test_both_sides_are_noised_alike():
    check_shared_noise()


def test_a_consistent_pds_is_dds_of_another_weight():
    prior, (z, noise), (original, _) = oracle(0.5), draw(), draw(seed=7)
    target, source, t = guided(prior, 7.5, 0.9), guided(prior, 7.5, 0.3), times(oracle(0.5))
    guide = pds.PDS(target, source, consistent=True)
    chi = guide.coefficients(prior.schedule, t)[1]
    other = dds.DDS(target, source, weight=lambda schedule, t: chi)
    args = (z, original, t, noise, some_shot(0, 0, 0))
    close(guide.gradient(*args), other.gradient(*args), 1e-5)


def test_a_straight_flow_s_posterior_is_its_own():
    """mu(z_t, z) is the mean of z_s given z_t and z: by the covariance of the two, in numbers."""
    flow = Flow()
    t, s = at(100, 400, 900), at(98, 398, 898)
    alpha_t, sigma_t, alpha_s, sigma_s = (f(x) for x in (t, s) for f in (flow.alpha, flow.sigma))
    kept = alpha_t / alpha_s
    together = kept * sigma_s**2  # cov(z_s, z_t | z)
    std = (sigma_s**2 - together**2 / sigma_t**2).sqrt()
    of_guess = alpha_s - together / sigma_t**2 * alpha_t
    score = plain(oracle(0.5, flow))
    psi, chi = pds.PDS(score, score, consistent=True).coefficients(flow, t)
    close(psi, torch.zeros(3), 1e-5)
    close(chi, of_guess * sigma_t / (alpha_t * std), 1e-5)
    psi, _ = pds.PDS(score, score).coefficients(flow, t)
    assert bool((psi > 0).all()), "a pull toward the original, as with every other schedule"
