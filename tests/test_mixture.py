"""The mixture is an exact denoiser; samplers cover it, score distillation falls into a mode."""

import pytest
import torch
from conftest import rng
from exact import MU, close, draw, oracle, plain, times
from test_scores import some_shot
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from dreamlift.diffusion import Cosine, ddim
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Uniform
from dreamlift.prior import Prior, Prompt
from dreamlift.priors.mixture import Mixture
from dreamlift.scene import Shot
from dreamlift.schedules import scaled_linear
from dreamlift.step import Step

SAID = {"a": (0.2, 0.3, 0.5), "b": (1.0, 0.0, 0.0), "": (0.4, 0.4, 0.2)}


def some(double: bool = True) -> Mixture:
    kind = torch.float64 if double else torch.float32
    means = torch.randn(3, 2, 1, 2, generator=rng(1), dtype=kind)
    return Mixture(means, torch.tensor([0.3, 0.5, 0.2], dtype=kind), SAID, scaled_linear())


def told(prior: Mixture, text: str, b: int) -> dict[str, Tensor]:
    one = torch.ones(b, dtype=prior.means.dtype)
    return dict(
        prior.condition([(prior.embed(Prompt(text)), one)], Shot(some_shot(*[0] * b).cameras))
    )


def check_exact() -> None:
    """eps* = -sigma grad log p(z_t), for each sentence; p from torch.distributions."""
    prior = some()
    z_t = torch.randn(3, 2, 1, 2, generator=rng(2), dtype=torch.float64, requires_grad=True)
    t = prior.schedule.snap(torch.tensor([0.05, 0.4, 0.8], dtype=torch.float64))
    for text, shares in (("a", SAID["a"]), ("", SAID[""])):
        eps = prior.eps(z_t.detach(), t, told(prior, text, 3))[0]
        for i in range(3):
            alpha, sigma = (f(t)[i] for f in (prior.schedule.alpha, prior.schedule.sigma))
            std = ((alpha * prior.stds) ** 2 + sigma**2).sqrt()[:, None].expand(3, 4)
            modes = Independent(Normal(alpha * prior.means.flatten(1), std), 1)
            weights = Categorical(torch.tensor(shares, dtype=torch.float64))
            log_p = MixtureSameFamily(weights, modes).log_prob(z_t[i].flatten())
            (score,) = torch.autograd.grad(log_p, z_t)
            close(eps[i], -sigma * score[i], 1e-7)


def check_one_mode() -> None:
    """A mixture of one is the oracle; a sentence that means one mode alone is that mode."""
    single = Mixture(MU[None], torch.tensor([0.4]), {"a": (1.0,)}, scaled_linear())
    prior, (z, _) = oracle(0.4), draw()
    t = times(prior)
    found = single.eps(z, t, told(single, "a", 3))[0]
    close(found, plain(prior)(z, t, some_shot(0, 0, 0)), 1e-6)
    three = some()
    z = torch.randn(2, 2, 1, 2, generator=rng(3), dtype=torch.float64)
    t = three.schedule.snap(torch.tensor([0.2, 0.7], dtype=torch.float64))
    alone = Mixture(three.means[:1], three.stds[:1], {"b": (1.0,)}, scaled_linear())
    close(three.eps(z, t, told(three, "b", 2))[0], alone.eps(z, t, told(alone, "b", 2))[0])


def far() -> Mixture:
    """Two modes far apart, of .3 and .7."""
    means = torch.tensor([[-1.0, 0.6], [0.8, -0.5]]).reshape(2, 2, 1, 1)
    return Mixture(means, torch.tensor([0.15, 0.1]), {"a": (0.3, 0.7)})


def check_sampler_covers() -> None:
    """DDIM from noise ends in both modes, as often as they are meant, with their spreads."""
    prior = far()
    y = told(prior, "a", 600)
    z = ddim(
        prior.schedule,
        lambda z, t: prior.eps(z, t, y)[0],
        torch.randn(600, 2, 1, 1, generator=rng(4)),
        [0.999 * (1 - i / 60) for i in range(61)],
    )
    mode = prior.nearest(z)
    assert (mode == 0).float().mean() == pytest.approx(0.3, abs=4 * (0.21 / 600) ** 0.5)
    for k, std in enumerate((0.15, 0.1)):
        found = (z[mode == k] - prior.means[k]).square().mean().sqrt()
        assert float(found) == pytest.approx(std, rel=0.12)


def check_samples() -> None:
    """Exact samples: shares, means and spreads."""
    prior = far()
    z = prior.sample("a", 4000, rng(5))
    mode = prior.nearest(z)
    assert (mode == 0).float().mean() == pytest.approx(0.3, abs=4 * (0.21 / 4000) ** 0.5)
    for k, std in enumerate((0.15, 0.1)):
        inside = z[mode == k] - prior.means[k]
        assert float(inside.std()) == pytest.approx(std, rel=0.06)
        assert inside.mean(0).abs().max() < 0.02


def check_sds_collapses() -> None:
    """Each particle of SDS ends on one mode's mean: both are found, their spread is not."""
    prior = far()
    guide = SDS(Mix(prior, {Sentence(prior, "a"): 1.0}), Uniform(0.02, 0.3))
    z, generator = prior.sample("a", 64, rng(6)).requires_grad_(), rng(7)
    shot, optimizer = some_shot(*[0] * 64), torch.optim.Adam([z], lr=0.05)
    for i in range(60):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - i / 60)
        optimizer.zero_grad()
        guide(z, shot, Step(i, 60, generator)).backward()
        optimizer.step()
    z = z.detach()
    mode = prior.nearest(z)
    assert 0.1 < (mode == 0).float().mean() < 0.5
    for k, std in enumerate((0.15, 0.1)):
        found = (z[mode == k] - prior.means[k]).square().mean().sqrt()
        assert float(found) < 0.35 * std


def test_the_mixture_denoises_exactly():
    check_exact()


def test_one_mode_is_the_oracle():
    check_one_mode()


def test_ddim_covers_the_modes():
    check_sampler_covers()


def test_samples_are_those_of_the_sentence():
    check_samples()


def test_score_distillation_seeks_modes():
    check_sds_collapses()


def test_prompts_mixed_are_probabilities_mixed():
    prior = some()
    mix = [
        (prior.embed(Prompt("a")), torch.tensor([0.25])),
        (prior.embed(Prompt("b")), torch.tensor([0.75])),
    ]
    shares = prior.condition(mix, some_shot(0))["shares"]
    torch.testing.assert_close(shares, torch.tensor([[0.8, 0.075, 0.125]]))


def test_unknown_sentences_are_named():
    with pytest.raises(ValueError, match="knows 'a', 'b', '', and no 'frog'"):
        some().embed(Prompt("frog"))


def test_pictures_go_there_and_back():
    prior = Mixture(MU[None].float(), torch.tensor([0.4]), {"": (1.0,)}, Cosine())
    x = torch.rand(2, 4, 4, 3, generator=rng(8))
    torch.testing.assert_close(prior.decode(prior.encode(x)), x)
    assert prior.size == 4 and isinstance(prior, Prior)
