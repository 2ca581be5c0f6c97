"""Spherical harmonics against scipy's, and what turning does to them."""

import math

import pytest
import torch
from conftest import rng
from scipy.special import sph_harm_y
from torch import Tensor

from dreamlift.geometry import harmonics
from dreamlift.geometry.gaussians import rotations
from dreamlift.geometry.turning import product, quaternion, rotation

V = torch.nn.functional.normalize(torch.randn(40, 3, generator=rng(), dtype=torch.float64), dim=-1)


def _scipy(v: Tensor) -> Tensor:
    """Real harmonics with the Condon-Shortley phase kept, out of scipy's complex ones."""
    polar, azimuth = v[:, 2].acos(), torch.atan2(v[:, 1], v[:, 0])
    out: list[Tensor] = []
    for degree in range(4):
        for order in range(-degree, degree + 1):
            Y = torch.from_numpy(sph_harm_y(degree, abs(order), polar.numpy(), azimuth.numpy()))
            part = Y.imag if order < 0 else Y.real
            out.append(part * (1 if order == 0 else math.sqrt(2)))
    return torch.stack(out, -1)


def test_the_basis_is_that_of_scipy() -> None:
    for degree in range(4):
        expected = _scipy(V)[:, : harmonics.count(degree)]
        torch.testing.assert_close(harmonics.basis(V, degree), expected, atol=1e-12, rtol=0)


def test_a_golden_direction() -> None:
    """(.6, -.48, .64), multiplied out by hand from the constants of the paper's code."""
    Y = harmonics.basis(torch.tensor([0.6, -0.48, 0.64], dtype=torch.float64), 2)
    c1 = 0.4886025119029199
    c2 = 1.0925484305920792
    expected = [
        *(0.28209479177387814, 0.48 * c1, 0.64 * c1, -0.6 * c1, -0.288 * c2, 0.3072 * c2),
        *(0.31539156525252005 * (0.8192 - 0.36 - 0.2304), -0.384 * c2, c2 / 2 * 0.1296),
    ]
    torch.testing.assert_close(Y, Y.new_tensor(expected), atol=1e-12, rtol=0)


def test_turned_coefficients_say_the_same_of_turned_directions() -> None:
    R = rotations(torch.randn(1, 4, generator=rng(1), dtype=torch.float64))[0]
    for degree in range(4):
        D = rotation(R, degree)
        torch.testing.assert_close(harmonics.basis(V @ R.T, degree) @ D, harmonics.basis(V, degree))
        torch.testing.assert_close(D @ D.T, torch.eye(len(D), dtype=torch.float64))


def test_quaternions_multiply_as_their_matrices_do() -> None:
    a, b = torch.randn(2, 30, 4, generator=rng(2), dtype=torch.float64)
    torch.testing.assert_close(rotations(product(a, b)), rotations(a) @ rotations(b))
    for R in rotations(a):
        torch.testing.assert_close(rotations(quaternion(R)[None])[0], R)
    half = torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64))  # w = 0
    torch.testing.assert_close(rotations(quaternion(half)[None])[0], half)


def test_what_is_no_degree_is_refused() -> None:
    with pytest.raises(ValueError, match="degree 3; 4 was asked"):
        harmonics.count(4)
    with pytest.raises(ValueError, match="not 5"):
        harmonics.degree_of(5)
