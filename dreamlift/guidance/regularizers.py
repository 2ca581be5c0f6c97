"""What a scene should be besides likely: pure functions of opacities and densities.

Each is a mean over the rays (or samples) it is given, so its weight does not depend on the size of
the picture; score distillation sums over pixels, so these weights are large numbers. The
orientation loss needs every sample of a ray, and is integrated with it (render.volume).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def opacity(alpha: Float[Tensor, "b h w 1"]) -> Float[Tensor, ""]:
    """The mean of sqrt(alpha^2 + .01): empty space should be empty (DreamFusion, App. A.2)."""
    return (alpha.square() + 0.01).sqrt().mean()


def entropy(alpha: Float[Tensor, "b h w 1"]) -> Float[Tensor, ""]:
    """Mean binary entropy of alpha, in bits: a pixel is object or background.

    Latent-NeRF (arXiv:2211.07600), which calls it sparsity. 0 at alpha 0 and 1, 1 at 1/2; its
    gradient is finite everywhere.
    """
    a = alpha.clamp(1e-5, 1 - 1e-5)
    bits = -(a * a.log() + (1 - a) * (1 - a).log()) / math.log(2)
    return torch.where(a == alpha, bits, torch.zeros_like(bits)).mean()


def sparsity(density: Float[Tensor, " n"], *, scale: float = 0.5) -> Float[Tensor, ""]:
    """Mean of log(1 + density^2 / scale), a Cauchy prior on density: thin fog should vanish.

    SNeRG (arXiv:2103.14645). Dense samples are hardly pulled: the slope falls as
    2 / density. Densities are per world unit.
    """
    return (density.square() / scale).log1p().mean()
