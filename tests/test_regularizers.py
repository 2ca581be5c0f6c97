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


def test_opacity_golden_values():
    check_opacity()


def test_entropy_golden_values():
    check_entropy()


def test_sparsity_golden_values():
    check_sparsity()


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
