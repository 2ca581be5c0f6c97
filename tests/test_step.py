"""dreamlift/step.py: progress and its schedules."""

import math

import pytest
from conftest import rng

from dreamlift.step import Step, cosine, exponential, linear


def test_progress_starts_at_nothing_and_stays_below_one() -> None:
    assert [Step(i, 8, rng()).progress for i in (0, 1, 7)] == [0, 0.125, 0.875]


@pytest.mark.parametrize("schedule", [linear, cosine, exponential])
def test_schedules_hit_their_ends_and_stay_there(schedule: type[linear]) -> None:
    for progress, expected in ((-0.3, 0.2), (0, 0.2), (1, 5.0), (1.7, 5.0)):
        assert schedule(progress, 0.2, 5.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("schedule", [linear, cosine, exponential])
@pytest.mark.parametrize(("start", "end"), [(0.2, 5.0), (5.0, 0.2)])
def test_schedules_never_turn_back(schedule: type[linear], start: float, end: float) -> None:
    values = [schedule(i / 50, start, end) for i in range(51)]
    assert values == sorted(values, reverse=end < start)


def test_schedules_in_closed_form() -> None:
    assert linear(0.25, 2.0, 10.0) == pytest.approx(4.0)
    assert cosine(0.25, 2.0, 10.0) == pytest.approx(6 - 4 * math.cos(math.pi / 4))
    assert exponential(0.25, 2.0, 32.0) == pytest.approx(4.0)
    assert exponential(0.25, 0.0, 32.0) == exponential(1.0, 0.0, 0.0) == 0  # a rate of nothing
