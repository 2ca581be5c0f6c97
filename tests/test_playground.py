"""dreamlift/playground.py: every guidance on plain pictures, against the oracle."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from conftest import rng
from test_scores import some_shot

from dreamlift.errors import BadInput
from dreamlift.guidance.jacobian import Jacobian
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.playground import SHOWN, Picture
from dreamlift.priors.oracle import Oracle, picture
from dreamlift.recipes import Method
from dreamlift.run import Run

SIDE = 8
METHODS = [method for method in get_args(Method) if method != "vsd"]  # it wants a network


def wanted() -> torch.Tensor:
    return torch.rand(SIDE, SIDE, 3, generator=rng(1)) * 0.6 + 0.2


@pytest.mark.parametrize("method", METHODS)
def test_a_method_makes_a_sheet_of_rows_and_shares(method: Method, tmp_path: Path) -> None:
    prior = Oracle(picture(wanted()), std=0.1, size=SIDE)
    made = Picture("a cone", method, steps=20, count=2).run(Run(tmp_path), prior)
    assert made.shape[1] / SIDE >= len(SHOWN) and made.shape[0] / SIDE >= 2
    assert bool(made.isfinite().all())


@pytest.mark.parametrize("method", ["sds", "sjc", "hifa", "dreamtime"])
def test_what_seeks_a_mode_finds_the_only_one(method: Method, tmp_path: Path) -> None:
    """The last picture of each row is what the oracle wants."""
    prior, ends = Oracle(picture(wanted()), std=0.1, size=SIDE), list[torch.Tensor]()
    asked = Picture("a cone", method, steps=150, count=2, scale=1.0)
    asked.run(Run(tmp_path), prior, [lambda m: ends.append(m.view.color.detach())])
    assert float((ends[-1] - wanted()).abs().mean()) < 0.06
    assert float((ends[0] - wanted()).abs().mean()) > 0.12


def test_vsd_says_which_priors_it_can_follow(tmp_path: Path) -> None:
    prior = Oracle(picture(wanted()), size=SIDE)
    with pytest.raises(BadInput, match="network"):
        Picture("a cone", "vsd", steps=1).run(Run(tmp_path), prior)


def test_the_whole_gradient_of_the_diffusion_loss_is_that_of_finite_differences() -> None:
    prior = Oracle(picture(wanted().double()), std=0.4, size=SIDE)
    guidance = Jacobian(cfg(prior, Sentence(prior, "a"), Sentence(prior, ""), 1.0))
    shot, t = some_shot(10), torch.tensor([0.4], dtype=torch.float64)
    z, noise = (torch.randn(1, 3, SIDE, SIDE, generator=rng(k)).double() for k in (2, 3))
    way = torch.randn(1, 3, SIDE, SIDE, generator=rng(4)).double()
    z.requires_grad_()
    [gradient] = torch.autograd.grad(guidance.loss(z, t, noise, shot), z)
    h = 1e-4
    ahead, behind = (guidance.loss(z.detach() + s * way, t, noise, shot) for s in (h, -h))
    assert float((gradient * way).sum()) == pytest.approx(float(ahead - behind) / (2 * h), rel=1e-6)


def test_the_jacobian_of_a_gaussian_scales_the_gradient_of_sds() -> None:
    """eps_hat = sigma (z_t - alpha mu) / V: the omitted factor is sigma alpha / V."""
    std = 0.4
    prior = Oracle(picture(wanted().double()), std=std, size=SIDE)
    guidance = Jacobian(cfg(prior, Sentence(prior, "a"), Sentence(prior, ""), 1.0))
    shot, t = some_shot(10), torch.tensor([0.4], dtype=torch.float64)
    z, noise = (torch.randn(1, 3, SIDE, SIDE, generator=rng(k)).double() for k in (2, 3))
    z.requires_grad_()
    [whole] = torch.autograd.grad(guidance.loss(z, t, noise, shot), z)
    a, s = prior.schedule.alpha(t), prior.schedule.sigma(t)
    v = (a * std) ** 2 + s**2
    mu = prior.encode(wanted().double()[None])
    eps = s * (a * z.detach() + s * noise - a * mu) / v
    torch.testing.assert_close(whole, (eps - noise) * s * a / v)
