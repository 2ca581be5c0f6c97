"""What a scene should be besides likely: pure functions of densities, weights and normals.

Each is a mean over the rays (or samples) it is given, so its weight does not depend on the size of
the picture; score distillation sums over pixels, so these weights are large numbers.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def orientation(
    weights: Float[Tensor, " n"],
    normals: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    *,
    rays: int,
) -> Float[Tensor, ""]:
    """sum_i sg(w_i) max(0, n_i . v)^2 a ray: visible samples must face the camera.

    Ref-NeRF's Eq. 11 with DreamFusion's stopped gradient of w (arXiv:2209.14988, App. A.2). The
    samples of all rays stand one after another: w their shares of the pixel's colour, n unit
    normals, v the unit directions of their rays, from the camera into the scene.
    """
    facing_away = (normals * directions).sum(-1).clamp_min(0)
    return (weights.detach() * facing_away.square()).sum() / rays


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
