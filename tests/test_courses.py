"""Courses of t: published golden lists."""

import pytest
import torch
from conftest import rng

from dreamlift.diffusion import Cosine, Schedule
from dreamlift.guidance import courses, times
from dreamlift.schedules import Flow, scaled_linear
from dreamlift.step import Step

DREAM_TIME = {  # entry after a share of the steps: ICLR 2024's W, and the first
    0.0: (1000, 1000), 0.1: (930, 720), 0.25: (834, 642), 0.5: (681, 556), 0.75: (528, 470),
    0.9: (431, 394), 0.99: (303, 264), 1.0: (1, 1),
}  # fmt: skip


def check_dream_time() -> None:
    """Golden lists of both published W; a flat W is a straight line."""
    kinds = (courses.DreamTime(), courses.DreamTime(courses.bell(scaled_linear())))
    for progress, golden in DREAM_TIME.items():
        assert tuple(kind.entry(progress) for kind in kinds) == golden, progress
    flat = courses.DreamTime(torch.ones_like)
    assert [flat.entry(i / 10) for i in range(11)] == [1000, *range(901, 0, -100)]
    for kind in kinds:
        course = [kind.entry(i / 97) for i in range(98)]
        assert course == sorted(course, reverse=True)


@pytest.mark.parametrize("schedule", [Cosine(), Flow(), scaled_linear()], ids=["v", "flow", "sd"])
def test_the_first_dream_time_falls_for_schedules_that_end_without_signal(
    schedule: Schedule,
) -> None:
    kind = courses.DreamTime(courses.bell(schedule))
    course = [kind.entry(i / 20) for i in range(21)]
    assert course == sorted(course, reverse=True)
    assert 400 < course[10] < 600 and len(set(course)) > 15


def check_dream_time_drawn() -> None:
    """All samples share the entry's t, within the limits; nothing is drawn."""
    whole, generator = courses.DreamTime(limits=(0.0, 1.0)), rng(5)
    before = generator.get_state()
    for index, entry in ((0, 1000), (250, 834), (500, 681)):
        t = whole(3, Step(index, 1000, generator))
        assert (999 * t + 1).tolist() == pytest.approx([entry] * 3, abs=1e-3)
    assert torch.equal(generator.get_state(), before)
    assert courses.DreamTime()(1, Step(0, 10, generator)).tolist() == pytest.approx([0.98])


def follows(kind: times.Times, *progress: float) -> list[float]:
    """The one t of a falling schedule, at shares of 1,000 steps."""
    drawn = [kind(5, Step(round(1000 * p), 1000, rng(1))) for p in progress]
    assert all(len(set(t.tolist())) == 1 for t in drawn), "t is drawn, not followed"
    return [float(t[0]) for t in drawn]


def check_falling() -> None:
    """DreamGaussian's 980, 980, 500, 20; HiFA's root; SDI's line."""
    assert follows(courses.DREAM_GAUSSIAN, 0, 0.01, 0.5, 0.99, 1.0) == pytest.approx(
        [980 / 999, 980 / 999, 0.5, 20 / 999, 20 / 999]
    )
    assert follows(courses.HIFA, 0, 0.25, 0.49, 1.0) == pytest.approx([0.98, 0.64, 0.504, 0.3])
    assert follows(courses.SDI, 0, 0.25, 1.0) == pytest.approx([0.98, 0.785, 0.2])


def check_phases() -> None:
    """U(.02, .98) until 20 % of the steps, U(.02, .5) from there; LucidDreamer's over 30 %."""
    for index, high in ((0, 0.98), (199, 0.98), (200, 0.5), (999, 0.5)):
        t = courses.TwoPhase()(4000, Step(index, 1000, rng(6)))
        assert 0.02 <= t.min() < 0.022 and high - 0.002 < t.max() <= high
    bounds = [courses.LUCID_DREAMER.bounds(p) for p in (0, 0.15, 0.3, 0.9)]
    assert [high for _, high in bounds] == pytest.approx([0.98, 0.74, 0.5, 0.5])
    assert [low for low, _ in bounds] == pytest.approx(4 * [0.02])


def test_dream_time_s_golden_entries():
    check_dream_time()


def test_dream_time_draws_nothing():
    check_dream_time_drawn()


def test_falling_times_are_those_published():
    check_falling()


def test_phases_change_where_published():
    check_phases()
