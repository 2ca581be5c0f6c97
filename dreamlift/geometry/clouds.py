"""Gaussians to begin with: at points, or anywhere."""

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.geometry.gaussians import Gaussians, harmonics_of, spacing


def from_points(
    position: Float[Tensor, "n 3"],
    color: Float[Tensor, "n 3"],
    *,
    degree: int = 3,
    opacity: float = 0.1,
) -> Gaussians:
    """A Gaussian at each point, round, as wide as its three neighbours are far (Sec. 5.1)."""
    n = len(position)
    turn = position.new_tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1)
    return Gaussians(
        means=position.clone(),
        quaternions=turn,
        log_scales=spacing(position).log()[:, None].repeat(1, 3),
        opacity_logits=position.new_full((n,), opacity).logit(),
        harmonics=harmonics_of(color, degree),
    )


def in_ball(
    n: int, rng: torch.Generator, *, radius: float = 0.5, degree: int = 0, opacity: float = 0.1
) -> Gaussians:
    """n grey Gaussians at random in a ball (DreamGaussian, arXiv:2309.16653, Sec. 4.1)."""
    direction = torch.nn.functional.normalize(torch.randn(n, 3, generator=rng), dim=-1)
    r = radius * torch.rand(n, 1, generator=rng) ** (1 / 3)
    return from_points(r * direction, torch.full((n, 3), 0.5), degree=degree, opacity=opacity)
