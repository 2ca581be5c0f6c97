"""Drawing from a histogram, bounding one by another: closed forms."""

import pytest
import torch
from conftest import rng

from dreamlift.render.encoding import frequencies, integrated
from dreamlift.render.proposal import bound, interlevel, placed

EDGES = torch.tensor([0.5, 1.0, 2.0, 2.25, 4.0], dtype=torch.float64)
WEIGHTS = torch.tensor([0.1, 0.0, 0.6, 0.1], dtype=torch.float64)  # do not add up to one


def test_the_inverse_of_the_distribution_function_by_hand() -> None:
    u = torch.tensor([0.0, 0.0625, 0.2, 0.5, 0.8, 0.9375, 1.0], dtype=torch.float64)
    wanted = torch.tensor([0.5, 0.75, 2.025, 2.125, 2.225, 3.125, 4.0], dtype=torch.float64)
    torch.testing.assert_close(placed(EDGES, WEIGHTS, u), wanted)


def test_the_histogram_of_what_is_drawn_is_the_weights() -> None:
    n = 100_000
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    drawn = placed(EDGES, WEIGHTS, u)
    counts = torch.histogram(drawn, EDGES).hist / n
    torch.testing.assert_close(counts, WEIGHTS / WEIGHTS.sum(), atol=1.1 / n, rtol=0)
    inside = drawn[(drawn > 2.25) & (drawn < 4)]  # evenly within a section
    assert float(inside.mean()) == pytest.approx(3.125, abs=1e-4)


def test_nothing_anywhere_is_drawn_where_sections_begin_or_end() -> None:
    drawn = placed(EDGES, torch.zeros(4, dtype=torch.float64), torch.rand(9).double())
    assert bool(drawn.isfinite().all()) and bool(((drawn >= 0.5) & (drawn <= 4)).all())


def test_each_ray_draws_from_its_own_histogram() -> None:
    edges = torch.stack([EDGES, EDGES + 10])
    weights = torch.stack([WEIGHTS, WEIGHTS.flip(0)])
    u = torch.rand(2, 7, generator=rng(), dtype=torch.float64)
    both = placed(edges, weights, u)
    for i in range(2):
        torch.testing.assert_close(both[i], placed(edges[i], weights[i], u[i]))


def test_a_bound_is_the_weight_of_all_that_a_section_meets() -> None:
    fine = torch.tensor([0.5, 0.75, 1.0, 2.1, 2.2, 4.0], dtype=torch.float64)
    #          in the first, all of it, second and third, in the third, third and fourth
    wanted = torch.tensor([0.1, 0.1, 0.6, 0.6, 0.7], dtype=torch.float64)
    torch.testing.assert_close(bound(fine, EDGES, WEIGHTS), wanted)


def test_the_loss_is_nought_where_the_proposal_bounds_the_weights() -> None:
    fine = torch.tensor([0.5, 0.75, 1.0, 2.1, 2.2, 4.0], dtype=torch.float64)
    below = torch.tensor([0.1, 0.05, 0.6, 0.2, 0.7], dtype=torch.float64)
    assert float(interlevel(fine, below, EDGES, WEIGHTS)) < 1e-20
    assert float(interlevel(EDGES, WEIGHTS, EDGES, WEIGHTS)) < 1e-20  # itself
    assert float(interlevel(fine, below + 0.01, EDGES, WEIGHTS)) > 1e-4


def test_the_loss_by_hand_and_whom_it_moves() -> None:
    fine = torch.tensor([[0.5, 1.0, 4.0]], dtype=torch.float64)
    weights = torch.tensor([[0.3, 0.5]], dtype=torch.float64, requires_grad=True)
    coarse = torch.tensor([[0.5, 1.0, 2.0, 4.0]], dtype=torch.float64)
    proposed = torch.tensor([[0.1, 0.2, 0.4]], dtype=torch.float64, requires_grad=True)
    loss = interlevel(fine, weights, coarse, proposed)
    assert float(loss.detach()) == pytest.approx((0.3 - 0.1) ** 2 / 0.3, rel=1e-5)
    loss.backward()
    assert weights.grad is None and proposed.grad is not None
    wanted = torch.tensor([[-2 * (0.3 - 0.1) / 0.3, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(proposed.grad, wanted, atol=1e-5, rtol=0)


def test_integrated_frequencies_are_the_mean_over_a_gaussian() -> None:
    mean = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
    variance = torch.tensor([0.04, 0.0, 0.3], dtype=torch.float64)
    n = 400_000
    noise = torch.randn(n, 3, generator=rng(1), dtype=torch.float64)
    wanted = frequencies(mean + variance.sqrt() * noise, 4).mean(0)
    torch.testing.assert_close(integrated(mean, variance, 4), wanted, atol=5e-3, rtol=0)


def test_they_fade_as_exp_of_minus_half_the_variance_of_the_phase() -> None:
    mean = torch.tensor([0.3, -0.7], dtype=torch.float64)
    variance = torch.tensor([0.04, 0.5], dtype=torch.float64)
    found = integrated(mean, variance, 3)
    x, sines, cosines = found[:2], found[2:8].reshape(3, 2), found[8:].reshape(3, 2)
    assert torch.equal(x, mean)
    for k in range(3):
        fading = (-(4.0**k) * variance / 2).exp()
        torch.testing.assert_close(sines[k], fading * (2.0**k * mean).sin())
        torch.testing.assert_close(cosines[k], fading * (2.0**k * mean).cos())
    torch.testing.assert_close(integrated(mean, 0 * variance, 3), frequencies(mean, 3))
