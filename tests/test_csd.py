"""CSD: the classifier's score alone."""

import pytest
import torch
from conftest import rng
from exact import MU, NULL, close, draw, numbers, oracle, said, times
from test_scores import Recorder, some_shot

from dreamlift.guidance import csd
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.times import uniform
from dreamlift.step import Step


def check_value() -> None:
    """-w alpha sigma (mu_y - mu_null) / V, whatever the sample and the noise; 0 for y = null."""
    prior, shot = oracle(0.4), some_shot(0, 0, 0)
    y, null, t = said(prior), said(prior, 0.0), times(prior)
    alpha, sigma, variance = numbers(prior, t)
    wanted = -(sigma**2) * alpha * sigma * (MU - NULL) / variance
    for seed in (2, 8):
        z, noise = draw(seed=seed)
        close(csd.CSD(prior, y, null).at(0.3).gradient(z, t, noise, shot), wanted)
    z, noise = draw()
    nothing = csd.CSD(prior, said(prior, 0.0), null).at(0.3).gradient(z, t, noise, shot)
    assert not nothing.any()


def check_shares() -> None:
    """The negative prompt takes over what is subtracted from the null prompt, as scheduled."""
    prior, shot = Recorder(gain=0.4), some_shot(0, 0)
    y, null, bad = (Sentence(prior, text) for text in ("y", "", "bad"))
    guide = csd.CSD(prior, y, null, bad, shares=(0.0, 1.0), until=0.5, weight=uniform)
    late = csd.CSD(prior, y, null, bad, shares=(1.0, 0.5), weight=uniform)
    z, t = torch.zeros(2, 3, 4, 4), torch.tensor([0.2, 0.7])
    e_y, e_null, e_bad = (prior.field(text) for text in ("y", "", "bad"))
    for g, progress, share in (
        (guide, 0.0, 0.0), (guide, 0.25, 0.5), (guide, 0.5, 1.0), (guide, 0.9, 1.0),
        (late, 0.0, 1.0), (late, 0.5, 0.75),
    ):  # fmt: skip
        found = g.at(progress).gradient(z, t, 0 * z, shot)
        wanted = (e_y - (1 - share) * e_null - share * e_bad).expand_as(found)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def check_clock() -> None:
    """The call reads the schedule at the step's progress, every time."""
    prior, shot = Recorder(), some_shot(0)
    y, null, bad = (Sentence(prior, text) for text in ("y", "", "bad"))
    guide = csd.CSD(prior, y, null, bad, shares=(0.0, 1.0), until=0.5)
    for index, conditions in ((0, 2), (30, 3), (60, 2)):  # y null, all, y bad
        prior.asked.clear()
        guide(torch.zeros(1, 3, 4, 4), shot, Step(index, 100, rng(1)))
        assert [n for *_, n in prior.asked] == [conditions]


def test_csd_is_the_constant_pull_of_two_gaussians():
    check_value()


def test_negative_prompts_take_over():
    check_shares()


def test_the_schedule_is_read_at_every_step():
    check_clock()


def test_shares_of_no_prompt_are_refused():
    prior = Recorder()
    with pytest.raises(ValueError, match="and has none. Give `negative`"):
        csd.CSD(prior, Sentence(prior, "y"), Sentence(prior, ""), shares=(0.0, 1.0))
