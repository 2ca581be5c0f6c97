"""Scores against closed forms, and intervals against how often they hold the truth."""

import pytest
import torch
from conftest import rng

from dreamlift.evaluate.figures import figure
from dreamlift.metrics import (
    bootstrap,
    interval,
    kernel_distance,
    mistaken,
    r_precision,
    ranked_first,
    share_called,
    wilson,
)

SCORES = torch.tensor(
    [
        [3.0, 1.0, 2.0, 0.0],  # first
        [1.0, 1.0, 0.0, 0.0],  # a tie is no victory
        [0.0, -1.0, 5.0, 4.0],
        [-2.0, -3.0, -1.0, -9.0],
        [0.5, 0.4, 0.3, 0.2],  # first
    ]
)


def test_r_precision_counts_strict_first_places():
    assert ranked_first(SCORES).tolist() == [True, False, False, False, True]
    assert r_precision(SCORES) == pytest.approx(2 / 5)
    assert r_precision(SCORES, target=2) == pytest.approx(2 / 5)


def test_what_beat_the_caption_is_named_with_counts():
    assert mistaken(SCORES, "abcd") == [("c", 2), ("b", 1)]


def test_r_precision_of_noise_is_chance():
    scores = torch.randn(20_000, 16, generator=rng(3))
    assert r_precision(scores) == pytest.approx(1 / 16, abs=0.006)


def test_r_precision_depends_on_ranks_alone():
    scores = torch.randn(50, 9, generator=rng(1))
    shifted = scores.exp() * 3 + torch.randn(50, 1, generator=rng(2))
    assert r_precision(scores) == r_precision(shifted)
    order = torch.randperm(8, generator=rng(4)) + 1
    shuffled = torch.cat([scores[:, :1], scores[:, order]], 1)
    assert r_precision(scores) == r_precision(shuffled)


def test_one_caption_alone_is_no_race():
    with pytest.raises(ValueError, match="2 captions or more, not 1"):
        r_precision(torch.zeros(3, 1))


def test_the_share_called_front_is_taken_behind_alone():
    said = torch.eye(8)[[0, 0, 3, 0, 4]]
    behind = torch.tensor([False, True, True, True, False])
    assert share_called(said, 0, behind) == pytest.approx(2 / 3)
    assert share_called(said, 0) == pytest.approx(3 / 5)


def test_wilson_has_its_known_values():
    """Wilson's limits solve (p - share)^2 = z^2 p (1 - p) / n; and 8 of 10 is in the textbooks."""
    assert wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    for share, n in ((0.3, 7), (0.5, 24), (0.97, 200)):
        for p in wilson(share, n):
            assert (p - share) ** 2 == pytest.approx(1.959964**2 * p * (1 - p) / n, rel=1e-4)
    low, high = wilson(1.0, 1)
    assert 0.2 < low < 0.21
    assert high == pytest.approx(1.0)


def test_the_bootstrap_has_the_width_of_the_central_limit():
    values = torch.rand(200, generator=rng(5)).tolist()
    low, high = bootstrap(values)
    mean = sum(values) / 200
    deviation = (sum((v - mean) ** 2 for v in values) / 200) ** 0.5
    assert high - low == pytest.approx(2 * 1.96 * deviation / 200**0.5, rel=0.05)
    assert low < mean < high
    assert bootstrap(values) == (low, high)


@pytest.mark.parametrize("n", [3, 40])
def test_intervals_hold_the_truth_about_as_often_as_they_say(n: int):
    """Objects of two kinds: a few views right, or nearly all."""
    draws = rng(6)
    held = 0
    for _ in range(200):
        kind = torch.rand(n, generator=draws) < 0.6
        views = 0.1 + 0.8 * kind + 0.1 * (2 * torch.rand(n, generator=draws) - 1)
        low, high = interval(views.tolist())
        held += low <= 0.1 + 0.8 * 0.6 <= high
    assert held / 200 >= 0.91


def test_a_few_objects_that_agree_prove_little():
    assert interval([1.0, 1.0]) == wilson(1.0, 2)
    assert interval([1.0] * 40) == wilson(1.0, 40)
    low, high = interval([0.0])
    assert low == 0.0
    assert high > 0.75
    with pytest.raises(ValueError, match="at least one"):
        interval([])


def test_the_kernel_distance_is_its_double_sum():
    x, y = torch.randn(4, 3, generator=rng(1)), torch.randn(5, 3, generator=rng(2))

    def kernel(a: torch.Tensor, b: torch.Tensor) -> float:
        return (float(a.double() @ b.double()) / 3 + 1) ** 3

    within = sum(kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / 12
    beside = sum(kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / 20
    across = sum(kernel(a, b) for a in x for b in y) / 20
    assert kernel_distance(x, y) == pytest.approx(within + beside - 2 * across)
    assert kernel_distance(y, x) == pytest.approx(kernel_distance(x, y))
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    apart = kernel_distance(a.repeat(3, 1), b.repeat(2, 1))
    assert apart == pytest.approx(1.5**3 + 3.0**3 - 2)


def test_of_one_distribution_the_kernel_distance_is_nought_on_average():
    some = rng(3)
    found = [
        kernel_distance(torch.randn(6, 4, generator=some), torch.randn(9, 4, generator=some))
        for _ in range(400)
    ]
    values = torch.tensor(found)
    assert values.mean().abs() < 3 * values.std() / 20
    assert 0.3 < (values < 0).float().mean() < 0.8
    shifted = kernel_distance(
        torch.randn(60, 4, generator=some), 1 + torch.randn(60, 4, generator=some)
    )
    assert shifted > 5 * values.std()


def test_one_feature_has_no_distance():
    with pytest.raises(ValueError, match="not 1 and 3"):
        kernel_distance(torch.zeros(1, 2), torch.zeros(3, 2))


def test_more_seeds_of_one_prompt_count_no_more_and_a_figure_is_within_its_interval() -> None:
    failed, rest = [0.0] * 20, [1.0] * 9
    found = figure(failed + rest, ["failed"] * 20 + [str(i) for i in range(9)])
    assert found is not None and found.value == pytest.approx(0.9) and found.objects == 29
    assert found.low <= found.value <= found.high
    even = figure([0.0, 0.5, 1.0, 1.0], ["a", "a", "b", "b"])
    assert even is not None and even.value == pytest.approx(2.5 / 4), "as many of each: of objects"
