"""Gaussians turned about the origin, with what their colours depend on."""

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.geometry.gaussians import Gaussians
from dreamlift.geometry.harmonics import basis


def product(a: Float[Tensor, "*s 4"], b: Float[Tensor, "*s 4"]) -> Float[Tensor, "*s 4"]:
    """Hamilton's product: first turn by b, then by a."""
    p, u = a[..., :1], a[..., 1:]
    q, v = b[..., :1], b[..., 1:]
    real = p * q - (u * v).sum(-1, keepdim=True)
    return torch.cat([real, p * v + q * u + torch.cross(u, v, dim=-1)], -1)


def quaternion(R: Float[Tensor, "3 3"]) -> Float[Tensor, "4"]:
    """The unit quaternion (w, x, y, z) of a rotation matrix, w >= 0.

    The eigenvector to the greatest eigenvalue of Bar-Itzhack's matrix (2000).
    """
    (a, b, c), (d, e, f), (g, h, i) = R.cpu().double().tolist()
    K = torch.tensor(
        [
            [a + e + i, h - f, c - g, d - b],
            [h - f, a - e - i, b + d, c + g],
            [c - g, b + d, e - a - i, f + h],
            [d - b, c + g, f + h, i - a - e],
        ],
        dtype=torch.float64,
    )
    q = torch.linalg.eigh(K).eigenvectors[:, -1]
    return (q if q[0] >= 0 else -q).to(R)


def rotation(R: Float[Tensor, "3 3"], degree: int) -> Float[Tensor, "k k"]:
    """The matrix D that turns coefficients along: (D c) . Y(R v) = c . Y(v) for every v.

    Solved for on more directions than there are coefficients, in double precision.
    """
    rng = torch.Generator().manual_seed(0)
    v = torch.randn(64, 3, generator=rng, dtype=torch.float64)
    v = v / v.norm(dim=-1, keepdim=True)
    turned = basis(v @ R.detach().cpu().double().T, degree)
    return torch.linalg.lstsq(turned, basis(v, degree)).solution.to(R)


def turned(gaussians: Gaussians, R: Float[Tensor, "3 3"]) -> Gaussians:
    """The same object turned about the origin: means, axes and what its colours depend on."""
    q = quaternion(R).expand_as(gaussians.quaternions)
    D = rotation(R, gaussians.degree)
    return Gaussians(
        gaussians.means @ R.T,
        product(q, gaussians.quaternions),
        gaussians.log_scales,
        gaussians.opacity_logits,
        torch.einsum("kl,nlc->nkc", D, gaussians.harmonics),
    )
