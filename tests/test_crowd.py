"""Two modes in closed form: VSD with the crowd's own score covers them, SDS collapses."""

import pytest
import torch
from conftest import rng
from test_scores import some_shot
from test_vsd import descend
from torch import Tensor

from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix, Score
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Uniform, uniform
from dreamlift.guidance.vsd import VSD
from dreamlift.priors.mixture import Crowd, Mixture


def settle(*, varied: bool, n: int = 100, steps: int = 60) -> tuple[Tensor, Mixture]:
    """Where particles of one pixel end, all begun beside one of two modes."""
    means = torch.tensor([[-0.4, 0.0, 0.0], [0.4, 0.0, 0.0]])[:, :, None, None]
    prior = Mixture(means, torch.tensor([0.25, 0.25]), {"a": [0.5, 0.5]})
    z = (means[:1] + 0.01 * torch.randn(n, 3, 1, 1, generator=rng(6))).clone()
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
    red = prior.means[:, 0, 0, 0]
    near = (covered[:, 0, 0, 0, None] - red).abs().argmin(1)
    share = float((near == 1).float().mean())
    assert 0.35 < share < 0.65, share
    true = torch.tensor([(0.4**2 + 0.25**2) ** 0.5, 0.25, 0.25])
    torch.testing.assert_close(covered.std(0).flatten(), true, atol=0.03, rtol=0)
    assert (collapsed.std(0) < 0.15).all(), collapsed.std(0)


CHECKS = {"coverage": check_coverage}


@pytest.mark.parametrize("name", CHECKS)
def test_a_crowd(name: str):
    CHECKS[name]()


def test_a_crowd_is_a_score():
    _, prior = settle(varied=False, n=2, steps=1)
    assert isinstance(Crowd(prior, lambda: prior.means), Score)
