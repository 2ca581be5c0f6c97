"""dreamlift/guidance/sampling.py against the oracle, which is known in closed form."""

import pytest
import torch
from conftest import rng

from dreamlift.cameras import turntable
from dreamlift.diffusion import Cosine, ddim
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.sampling import SHOWN, best, guess, levels, noised, strip, trajectory
from dreamlift.guidance.scores import Mix
from dreamlift.priors.oracle import Oracle, picture
from dreamlift.scene import Shot

STD = 0.3


@pytest.fixture
def score() -> Mix:
    prior = Oracle(picture(torch.rand(8, 8, 3, generator=rng(5))), std=STD, size=8)
    return Mix(prior, {Sentence(prior, "a picture"): 1.0})


@pytest.fixture
def shot() -> Shot:
    return Shot(turntable(1, size=8))


def mean(score: Mix, shot: Shot) -> torch.Tensor:
    return next(iter(score.weights))(shot)["mean"]


def test_a_guess_is_the_posterior_mean(score: Mix, shot: Shot) -> None:
    """E[z | z_t] = mu + alpha s^2 (z_t - alpha mu) / (alpha^2 s^2 + sigma^2)."""
    mu, t = mean(score, shot), torch.tensor([0.62])
    z_t = torch.randn(mu.shape, generator=rng(1))
    alpha, sigma = Cosine().alpha(t), Cosine().sigma(t)
    expected = mu + alpha * STD**2 * (z_t - alpha * mu) / (alpha**2 * STD**2 + sigma**2)
    assert torch.allclose(guess(score, z_t, 0.62, shot).x0, expected, atol=1e-5)


def test_a_trajectory_is_ddim_with_its_guesses(score: Mix, shot: Shot) -> None:
    start = torch.randn(1, 3, 8, 8, generator=rng(2))
    times = levels(17)
    assert times[0] == 0.995 and times[-1] == 0 and len(times) == 18
    walk = trajectory(score, start, times, shot)
    end = ddim(Cosine(), lambda z, t: score(z, t, shot), start, times)
    assert torch.allclose(walk[-1].x0, end, atol=1e-5)
    assert [step.t for step in walk] == times[:-1]
    assert torch.equal(walk[0].z_t, start)


def test_samples_are_spread_as_the_prior_says(score: Mix, shot: Shot) -> None:
    """Deterministic DDIM maps N(0, 1) to N(mu, s^2), up to the step's size."""
    draws = torch.randn(400, 3, 8, 8, generator=rng(3))
    prior = score.prior
    told = Sentence(prior, "a picture")
    many = Shot(turntable(400, size=8))
    walk = trajectory(Mix(prior, {told: 1.0}), draws, levels(100), many)
    away = walk[-1].x0 - mean(score, shot)
    assert away.std() == pytest.approx(STD, rel=0.05)


def test_noise_is_added_as_the_schedule_says(score: Mix, shot: Shot) -> None:
    z, noise = torch.rand(2, 1, 3, 8, 8, generator=rng(4))
    t = torch.tensor([0.3])
    made = noised(score, z, 0.3, noise, shot)
    assert torch.allclose(made.z_t, Cosine().alpha(t) * z + Cosine().sigma(t) * noise)
    assert (made.x0 - mean(score, shot)).abs().mean() < (z - mean(score, shot)).abs().mean()


def test_a_strip_shows_four_rows_and_follows_from_its_seed(score: Mix, shot: Shot) -> None:
    first = strip(score, shot, steps=6, seed=1)
    assert first.shape[1] == (len(SHOWN) + 1) * (16 + 4) + 4
    assert torch.equal(first, strip(score, shot, steps=6, seed=1))
    assert not torch.equal(first, strip(score, shot, steps=6, seed=2))


def test_of_several_tries_the_one_that_is_liked_most_is_shown(score: Mix, shot: Shot) -> None:
    """The first is what it would be without; each is asked about once."""
    seen: list[torch.Tensor] = []

    def bright(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x.mean((1, 2, 3))

    def dark(x: torch.Tensor) -> torch.Tensor:
        return -x.mean((1, 2, 3))

    starts = list(torch.randn(5, 1, 3, 8, 8, generator=rng(6)))
    ends = [trajectory(score, z, levels(4), shot)[-1].x0 for z in starts]
    order = sorted(range(5), key=lambda i: float(ends[i].clamp(0, 1).mean()))
    for liked, i in ((bright, order[-1]), (dark, order[0])):
        found = best(score, iter(starts), shot, steps=4, liked=liked)
        assert torch.equal(found[-1].x0, ends[i]) and torch.equal(found[0].z_t, starts[i])
    assert len(seen) == 5
    plain = strip(score, shot, steps=4, seed=1)
    assert torch.equal(plain, strip(score, shot, steps=4, seed=1, liked=bright))
    liked = [strip(score, shot, steps=4, seed=1, tries=5, liked=each) for each in (bright, dark)]
    assert not torch.equal(*liked) and len(seen) == 11
    with pytest.raises(ValueError, match="how much each is liked"):
        strip(score, shot, steps=4, seed=1, tries=5)
