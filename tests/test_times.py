"""Distributions of t and weights w(t): ranges, schedules, groups and golden numbers."""

import pytest
import torch
from conftest import rng
from test_diffusion import ALPHA_BAR, at
from test_scores import Recorder

from dreamlift.diffusion import Cosine
from dreamlift.guidance import times
from dreamlift.schedules import scaled_linear
from dreamlift.step import Step


def z_like(b: int) -> torch.Tensor:
    return torch.zeros(b, 1, 1, 1)


def check_weights() -> None:
    """1 - alpha_bar, and sqrt(alpha_bar) (1 - alpha_bar), at the entry itself."""
    bar = torch.tensor([*ALPHA_BAR.values()])
    schedule, t = scaled_linear(), at(*ALPHA_BAR)
    close = torch.testing.assert_close
    close(times.sigma_squared(schedule, t), 1 - bar, atol=1e-6, rtol=0)
    close(times.alpha_sigma_squared(schedule, t), bar.sqrt() * (1 - bar), atol=2e-6, rtol=0)
    close(times.uniform(schedule, t), torch.ones(len(bar)))


def check_own_t() -> None:
    """By default every sample, and with 4 views every group of four, draws its own t."""
    t = times.draw(times.Uniform(), Recorder(Cosine()), z_like(16), Step(0, 1, rng(1)))
    assert len(set(t.tolist())) == 16
    prior = Recorder(Cosine(), views=4)
    t = times.draw(times.Uniform(), prior, z_like(16), Step(0, 1, rng(1))).reshape(4, 4)
    assert torch.equal(t, t[:, :1].expand(4, 4))
    assert len(set(t[:, 0].tolist())) == 4


def check_snapped() -> None:
    t = times.draw(times.Uniform(), Recorder(), z_like(50), Step(0, 1, rng(2)))
    torch.testing.assert_close(t * 999, (t * 999).round(), atol=1e-3, rtol=0)


def check_range() -> None:
    """All of [low, high] and nothing else, evenly."""
    t = times.Uniform(0.1, 0.7)(4000, Step(0, 1, rng(3)))
    assert 0.1 <= t.min() < 0.101
    assert 0.699 < t.max() <= 0.7
    even = torch.linspace(0.1, 0.7, 4000)
    assert (t.sort().values - even).abs().max() < 0.6 * 1.63 / 4000**0.5  # KS at 1 %


def check_annealing() -> None:
    """Paint-it's published table: f = 0 (.30, .98), .25 (.25, .74), 1 (.20, .50)."""
    anneal = times.Annealed((0.3, 0.98), (0.2, 0.5), by="sqrt")
    for progress, bounds in ((0.0, (0.30, 0.98)), (0.25, (0.25, 0.74)), (1.0, (0.20, 0.50))):
        assert anneal.bounds(progress) == pytest.approx(bounds)
    t = anneal(2000, Step(25, 100, rng(4)))
    assert 0.25 <= t.min() < 0.252
    assert 0.738 < t.max() <= 0.74


def test_weights_are_those_of_the_entry():
    check_weights()


def test_every_sample_draws_its_own_t():
    check_own_t()


def test_drawn_times_are_entries_of_the_table():
    check_snapped()


def test_times_fill_their_range():
    check_range()


def test_annealed_bounds_follow_paint_its_table():
    check_annealing()


@pytest.mark.parametrize("by", ["linear", "sqrt", "cosine"])
def test_annealing_runs_from_start_to_end_and_never_back(by: str):
    anneal = times.Annealed((0.2, 0.98), (0.02, 0.4), by=by)  # type: ignore[arg-type]
    bounds = [anneal.bounds(i / 50) for i in range(51)]
    assert bounds[0] == pytest.approx((0.2, 0.98))
    assert bounds[-1] == pytest.approx((0.02, 0.4))
    for before, after in zip(bounds, bounds[1:], strict=False):
        assert after[0] <= before[0] and after[1] <= before[1]
        assert after[0] < after[1]


def test_linear_and_cosine_meet_in_the_middle_and_sqrt_is_ahead():
    middle = {
        by: times.Annealed((0.0, 1.0), (0.0, 0.0), by=by).bounds(0.5)[1]  # type: ignore[arg-type]
        for by in ("linear", "cosine", "sqrt")
    }
    assert middle == pytest.approx({"linear": 0.5, "cosine": 0.5, "sqrt": 1 - 0.5**0.5})


def test_the_step_generator_decides():
    draws = [times.Uniform()(5, Step(0, 1, rng(7))) for _ in range(2)]
    assert torch.equal(*draws)
    shared = Step(0, 1, rng(7))
    assert not torch.equal(times.Uniform()(5, shared), times.Uniform()(5, shared))


def test_a_batch_that_is_no_multiple_of_the_views_is_refused():
    with pytest.raises(ValueError, match="a batch of 6 is no multiple"):
        times.draw(times.Uniform(), Recorder(views=4), z_like(6), Step(0, 1, rng()))


def test_times_are_times():
    assert isinstance(times.Uniform(), times.Times)
    assert isinstance(times.Annealed(), times.Times)


def check_more_weights() -> None:
    """sqrt((1 - alpha_bar) / alpha_bar) and 1 / (1 - alpha_bar)."""
    bar = torch.tensor([*ALPHA_BAR.values()])
    schedule, t = scaled_linear(), at(*ALPHA_BAR)
    close = torch.testing.assert_close
    close(times.noise_to_signal(schedule, t), ((1 - bar) / bar).sqrt(), atol=0, rtol=1e-3)
    close(times.inverse_variance(schedule, t), 1 / (1 - bar), atol=0, rtol=1e-3)


def test_the_other_weights_are_those_of_the_entry():
    check_more_weights()
