"""Classifier guidance (guidance/reading.py), against the posterior that it approximates."""

from collections.abc import Sequence

import pytest
import torch
from conftest import rng
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.diffusion import Schedule, add_noise, x0_from_eps
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.reading import Read, blurred
from dreamlift.guidance.scores import Score, cfg, overhearing
from dreamlift.lights import Light
from dreamlift.prior import Reads
from dreamlift.priors.oracle import Oracle, picture
from dreamlift.scene import Shot

STD = 0.5
"""Of the oracle's pictures, in units of z."""


def plain(n: int, *, blank: Sequence[bool] | None = None) -> Shot:
    cameras = orbit(torch.linspace(0, 270, n), torch.full((n,), 20.0), size=4)
    if blank is None:
        return Shot(cameras)
    one = torch.ones(n)
    return Shot(cameras, Light(torch.ones(n, 3), one, 0 * one, torch.tensor(blank)))


def oracle() -> Oracle:
    return Oracle(picture(torch.rand(4, 4, 3, generator=rng(3))), std=STD, size=4)


def gaussian(wanted: Float[Tensor, "h w 3"], spread: float) -> Reads:
    """log N(x | wanted, spread^2) of pictures, in units of z; of a second caption, of their
    negatives."""

    def reads(x: Float[Tensor, "n h w 3"], captions: Sequence[str]) -> Float[Tensor, "n m"]:
        assert captions == ("a red cube on top of a ball", "an untextured cube on top of a ball")
        both = torch.stack([wanted, 1 - wanted])
        off = 2 * (x[:, None] - both) / spread
        return -0.5 * off.square().flatten(2).sum(-1)

    return reads


def read(prior: Oracle, reads: Reads, strength: float = 1.0, **more: tuple[float, float]) -> Read:
    score = cfg(prior, Sentence(prior, "y"), Sentence(prior, ""), 1.0)
    caption = "a red cube on top of a ball"
    return Read(score, reads, caption, strength, soft=0, variance=STD**2, clamp=None, **more)


def clean(score: Score, z: Tensor, t: Tensor, shot: Shot) -> Tensor:
    return x0_from_eps(score.prior.schedule, z, t, score(z, t, shot))


def noisy(schedule: Schedule, n: int) -> tuple[Tensor, Tensor]:
    t = torch.linspace(0.1, 0.9, n)
    x0 = torch.rand(n, 3, 4, 4, generator=rng(0))
    return add_noise(schedule, x0, t, torch.randn(x0.shape, generator=rng(1))), t


@pytest.mark.parametrize("spread", [3.0, 10.0])
def test_a_weak_reader_leads_to_the_posterior(spread: float) -> None:
    """Product of two Gaussians: x0_hat + r^2 / (r^2 + spread^2) (wanted - x0_hat)."""
    prior, shot = oracle(), plain(4)
    z, t = noisy(prior.schedule, 4)
    wanted = torch.rand(4, 4, 3, generator=rng(2))
    score = read(prior, gaussian(wanted, spread))
    guess = clean(score.score, z, t, shot)
    alpha, sigma = prior.schedule.alpha(t), prior.schedule.sigma(t)
    left = 1 / (1 / STD**2 + (alpha / sigma) ** 2)
    toward = (prior.encode(wanted[None]) - guess) * (left / (left + spread**2))[:, None, None, None]
    found = clean(score, z, t, shot) - guess
    assert float((found - toward).norm() / toward.norm()) < 2 * STD**2 / spread**2 + 1e-3


def test_strength_is_a_factor_and_none_is_the_score_itself() -> None:
    prior, shot = oracle(), plain(4)
    z, t = noisy(prior.schedule, 4)
    reads = gaussian(torch.rand(4, 4, 3, generator=rng(2)), 3.0)
    guess, one, three = (clean(read(prior, reads, s), z, t, shot) for s in (0.0, 1.0, 3.0))
    torch.testing.assert_close(guess, clean(read(prior, reads).score, z, t, shot))
    torch.testing.assert_close(three - guess, 3 * (one - guess), atol=1e-4, rtol=1e-3)


def test_pictures_without_texture_are_read_without_colours() -> None:
    prior, wanted = oracle(), torch.rand(4, 4, 3, generator=rng(2))
    z, t = noisy(prior.schedule, 2)
    score = read(prior, gaussian(wanted, 3.0))
    found = score.direction(z, plain(2, blank=[False, True]))
    both = prior.encode(torch.stack([wanted, 1 - wanted]))
    torch.testing.assert_close(found, (both - z) / 9)
    torch.testing.assert_close(score.direction(z, plain(2))[1], (both[0] - z[1]) / 9)


def test_outside_of_its_noise_levels_nothing_is_read() -> None:
    prior, shot = oracle(), plain(3)
    z, _ = noisy(prior.schedule, 3)
    t = torch.tensor([0.1, 0.5, 0.98])
    score = read(prior, gaussian(torch.ones(4, 4, 3), 3.0), between=(0.3, 0.97))
    same = (score(z, t, shot) - score.score(z, t, shot)).flatten(1).norm(dim=1) < 1e-5
    assert same.tolist() == [True, False, True]

    def never(x: Tensor, captions: Sequence[str]) -> Tensor:
        raise AssertionError(captions)

    z, t = z[:1], t[:1]
    deaf = read(prior, never, between=(0.3, 0.97))
    torch.testing.assert_close(deaf(z, t, plain(1)), deaf.score(z, t, plain(1)))


def test_the_clean_sample_stays_a_picture() -> None:
    prior, shot = oracle(), plain(4)
    z, t = noisy(prior.schedule, 4)
    score = read(prior, gaussian(torch.ones(4, 4, 3), 0.1), 50.0)
    assert clean(score, z, t, shot).abs().max() > 2
    kept = Read(score.score, score.reads, score.caption, 50.0, soft=0)
    assert clean(kept, z, t, shot).abs().max() < 1 + 1e-3


def test_whoever_overhears_hears_one_question_and_can_ask_it_again() -> None:
    prior, shot = oracle(), plain(2)
    z, t = noisy(prior.schedule, 2)
    score = read(prior, gaussian(torch.ones(4, 4, 3), 3.0))
    with overhearing() as heard:
        found = score(z.requires_grad_(), t, shot)
    assert [question.score for question in heard] == [score]
    torch.testing.assert_close(heard[0].score(heard[0].z_t, t, shot), found)


def test_a_blur_keeps_the_mean_is_symmetric_and_as_wide_as_it_says() -> None:
    x, y = torch.randn(2, 2, 3, 21, 21, generator=rng(5)).double()
    torch.testing.assert_close((blurred(x, 1.5) * y).sum(), (x * blurred(y, 1.5)).sum())
    torch.testing.assert_close(blurred(x, 0), x)
    point = torch.zeros(1, 3, 21, 21).double()
    point[0, 1, 10, 8] = 1
    found = blurred(point, 1.5)
    torch.testing.assert_close(found.sum((2, 3)), point.sum((2, 3)))
    at = torch.arange(21).double()
    for share, middle in ((found[0, 1].sum(1), 10), (found[0, 1].sum(0), 8)):
        assert float((share * at).sum()) == pytest.approx(middle)
        assert float((share * (at - middle) ** 2).sum()) == pytest.approx(1.5**2, rel=0.01)


def test_a_blurred_direction_goes_uphill() -> None:
    prior, wanted = oracle(), torch.rand(4, 4, 3, generator=rng(2))
    z, _ = noisy(prior.schedule, 2)
    sharp = read(prior, gaussian(wanted, 3.0))
    soft = Read(sharp.score, sharp.reads, sharp.caption, 1.0)
    along = (sharp.direction(z, plain(2)) * soft.direction(z, plain(2))).flatten(1).sum(1)
    assert (along > 0).all()
