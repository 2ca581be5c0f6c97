"""The closed-form prior with several modes, and what SDS and VSD make of them."""

import pytest
import torch
from conftest import rng
from test_scores import some_shot
from test_vsd import descend
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from dreamlift.diffusion import Cosine
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix, Score
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Uniform, uniform
from dreamlift.guidance.vsd import VSD
from dreamlift.prior import Prior, Prompt
from dreamlift.priors import mixture
from dreamlift.priors.mixture import Crowd, Mixture
from dreamlift.priors.oracle import Oracle, picture


def world(std: float = 0.3) -> Mixture:
    """Two pictures of frogs and one of a mug, 2x2."""
    frogs, mugs = (torch.rand(k, 2, 2, 3, generator=rng(k), dtype=torch.float64) for k in (2, 1))
    return Mixture({"frog": frogs, "mug": mugs}, std, size=2)


def check_exact() -> None:
    """eps* = -sigma grad log p(z_t), p the mixture of Gaussians of variance (as)^2 + sigma^2."""
    prior = world()
    z_t = torch.randn(3, 3, 2, 2, generator=rng(3), dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.1, 0.45, 0.9], dtype=torch.float64)
    weights = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    scores: list[Tensor] = []
    for one, at in zip(z_t, t, strict=True):
        alpha, sigma = Cosine().alpha(at[None]), Cosine().sigma(at[None])
        spread = (0.09 * alpha**2 + sigma**2).sqrt()
        parts = Independent(Normal(alpha * prior.modes.flatten(1), spread), 1)
        p = MixtureSameFamily(Categorical(weights), parts)
        (score,) = torch.autograd.grad(p.log_prob(one.flatten()), one)
        scores.append(-sigma * score)
    (eps,) = prior.eps(z_t.detach(), t, {"weights": weights.expand(3, -1)})
    torch.testing.assert_close(eps, torch.stack(scores))


def check_named() -> None:
    """A prompt means the pictures under its name, evenly; the empty one all."""
    prior, third = world(), pytest.approx([1 / 3] * 3)
    assert prior.embed(Prompt("frog"))["weights"].tolist() == [0.5, 0.5, 0]
    assert prior.embed(Prompt("mug"))["weights"].tolist() == [0, 0, 1]
    assert prior.embed(Prompt(""))["weights"].tolist() == third


def check_one_mode() -> None:
    """With one picture it is the oracle."""
    rgb = torch.rand(2, 2, 3, generator=rng(4))
    ours, theirs = Mixture({"a": rgb[None]}, 0.3, size=2), Oracle(picture(rgb), 0.3, size=2)
    z_t, t = torch.randn(2, 3, 2, 2, generator=rng(5)), torch.tensor([0.2, 0.8])
    (a,) = ours.eps(z_t, t, Sentence(ours, "a")(some_shot(0, 0)))
    (b,) = theirs.eps(z_t, t, {"mean": theirs.encode(rgb.expand(2, 2, 2, 3))})
    torch.testing.assert_close(a, b)


def settle(*, varied: bool, n: int = 100, steps: int = 60) -> tuple[Tensor, Mixture]:
    """Where particles of one pixel end, all begun beside one of two modes."""
    modes = torch.tensor([[0.3, 0.5, 0.5], [0.7, 0.5, 0.5]])[:, None, None]
    prior = Mixture({"a": modes}, 0.25, size=1)
    z = (prior.modes[:1] + 0.01 * torch.randn(n, 3, 1, 1, generator=rng(6))).clone()
    z.requires_grad_()
    score, times = Mix(prior, {Sentence(prior, "a"): 1.0}), Uniform(0.1, 0.98)
    crowd = Crowd(prior, lambda: z)
    guide = VSD(score, crowd, times, uniform) if varied else SDS(score, times, uniform)
    descend(guide, z, some_shot(*[0] * n), steps)
    return z.detach(), prior


def check_coverage() -> None:
    """VSD's particles reach both modes and the prior's spread; each of SDS's is at a mode."""
    covered, prior = settle(varied=True)
    collapsed, _ = settle(varied=False)
    red = prior.modes[:, 0, 0, 0]
    near = (covered[:, 0, 0, 0, None] - red).abs().argmin(1)
    share = float((near == 1).float().mean())
    assert 0.35 < share < 0.65, share
    true = torch.tensor([(0.4**2 + 0.25**2) ** 0.5, 0.25, 0.25])
    torch.testing.assert_close(covered.std(0).flatten(), true, atol=0.03, rtol=0)
    assert (collapsed.std(0) < 0.15).all(), collapsed.std(0)


CHECKS = {
    check.__name__.removeprefix("check_"): check
    for check in (check_exact, check_named, check_one_mode, check_coverage)
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_mixture(name: str):
    CHECKS[name]()


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="'dog' is none of frog, mug"):
        world().embed(Prompt("dog"))


def test_it_is_a_prior_and_a_crowd_a_score():
    prior = world()
    assert isinstance(prior, Prior)
    assert isinstance(mixture.Crowd(prior, lambda: prior.modes), Score)
    x = torch.rand(2, 2, 2, 3)
    torch.testing.assert_close(prior.decode(prior.encode(x)), x)
