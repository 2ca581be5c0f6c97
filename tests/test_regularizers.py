"""Regularisers in closed form."""

import math

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.guidance import regularizers


def alphas(*values: float) -> Tensor:
    return torch.tensor(values).reshape(1, 1, -1, 1)


def check_opacity() -> None:
    for alpha, golden in ((0.0, 0.1), (0.5, 0.5099), (1.0, 1.00499)):
        assert float(regularizers.opacity(alphas(alpha))) == pytest.approx(golden, abs=5e-6)


def check_entropy() -> None:
    """In bits: 0 at {0, 1}, 1 at 1/2, .8113 at 1/4 and at 3/4."""
    for alpha, golden in ((0.0, 0.0), (1.0, 0.0), (0.5, 1.0), (0.25, 0.811278), (0.75, 0.811278)):
        assert float(regularizers.entropy(alphas(alpha))) == pytest.approx(golden, abs=1e-5)


def check_sparsity() -> None:
    density = torch.tensor([0.0, 1.0, 3.0])
    golden = (0 + math.log(3) + math.log(19)) / 3
    assert float(regularizers.sparsity(density)) == pytest.approx(golden)


def samples() -> tuple[Tensor, Tensor, Tensor]:
    """Two samples: one faces away by 60 degrees from the ray, one faces the camera."""
    weights = torch.tensor([0.3, 0.6], requires_grad=True)
    directions = torch.tensor([[0.0, 0, -1], [1, 0, 0]])
    normals = torch.tensor([[0.0, 3**0.5 / 2, -0.5], [-0.8, 0.6, 0]], requires_grad=True)
    return weights, normals, directions


def check_orientation() -> None:
    """Only the sample that faces away counts: .3 x .5^2 over 4 rays, by hand."""
    weights, normals, directions = samples()
    loss = regularizers.orientation(weights, normals, directions, rays=4)
    assert loss.item() == pytest.approx(0.3 * 0.25 / 4)
    assert loss.requires_grad
    loss.backward()
    assert weights.grad is None or not weights.grad.any()
    assert normals.grad is not None
    expected = torch.zeros(2, 3)
    expected[0, 2] = -0.3 * 2 * 0.5 / 4
    torch.testing.assert_close(normals.grad, expected)


def test_opacity_golden_values():
    check_opacity()


def test_entropy_golden_values():
    check_entropy()


def test_sparsity_golden_values():
    check_sparsity()


def test_orientation_counts_only_what_faces_away_and_leaves_the_weights_alone():
    check_orientation()


def test_a_convex_object_seen_from_outside_has_no_orientation_loss():
    """Points of a sphere with their true normals, seen along rays that reach them from outside."""
    normals = torch.nn.functional.normalize(torch.randn(200, 3, generator=rng(1)), dim=-1)
    camera = torch.tensor([4.0, 1.0, 0.5])
    directions = torch.nn.functional.normalize(normals - camera, dim=-1)
    visible = (normals * directions).sum(-1) < 0
    weights = torch.rand(200, generator=rng(2))
    for mask, faces in ((visible, True), (~visible, False)):
        loss = regularizers.orientation(weights[mask], normals[mask], directions[mask], rays=9)
        assert (loss.item() == 0) is faces


@pytest.mark.parametrize("name", ["opacity", "entropy"])
def test_gradients_are_finite_everywhere(name: str):
    alpha = alphas(0.0, 1e-12, 1e-6, 0.3, 1 - 1e-6, 1.0).requires_grad_()
    getattr(regularizers, name)(alpha).backward()
    assert alpha.grad is not None and alpha.grad.isfinite().all()


def test_entropy_pushes_pixels_apart_and_opacity_pushes_them_down():
    alpha = alphas(0.2, 0.8).requires_grad_()
    regularizers.entropy(alpha).backward()
    assert alpha.grad is not None
    low, high = alpha.grad.flatten().tolist()
    assert low > 0 > high
    alpha.grad = None
    regularizers.opacity(alpha).backward()
    assert alpha.grad is not None and (alpha.grad > 0).all()


def test_sparsity_lets_dense_samples_be():
    """The slope 2 d / (c + d^2): steepest at sqrt(c), falling as 2 / d."""
    density = torch.tensor([0.5**0.5, 100.0], requires_grad=True)
    regularizers.sparsity(density).backward()
    assert density.grad is not None
    torch.testing.assert_close(density.grad, torch.tensor([2**0.5, 200 / 10000.5]) / 2)


@pytest.mark.parametrize("name", ["opacity", "entropy"])
def test_means_do_not_depend_on_the_size_of_the_picture(name: str):
    alpha = torch.rand(2, 3, 5, 1, generator=rng(3))
    large = alpha.repeat_interleave(4, 1).repeat_interleave(2, 2)
    term = getattr(regularizers, name)
    torch.testing.assert_close(term(alpha), term(large))
