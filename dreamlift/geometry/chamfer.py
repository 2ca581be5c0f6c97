"""How far points are from other points."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

PAIRS = 1 << 22
"""Points x points whose distances are computed at once."""


@torch.no_grad()
def nearest(points: Float[Tensor, "n 3"], others: Float[Tensor, "m 3"]) -> Int[Tensor, " n"]:
    """Which of the others is nearest to each point."""
    some = max(1, PAIRS // max(len(others), 1))
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cat(
        [torch.cdist(p, others, compute_mode=exact).argmin(-1) for p in points.split(some)]
    )


def chamfer(points: Float[Tensor, "n 3"], others: Float[Tensor, "m 3"]) -> Float[Tensor, ""]:
    """Mean squared distance to the nearest, from one to the other and back, added; PyTorch3D's."""
    if len(points) == 0 or len(others) == 0:
        raise ValueError(f"Chamfer distance needs points: {len(points)} and {len(others)} came.")
    there = (points - others[nearest(points, others)]).square().sum(-1).mean()
    back = (others - points[nearest(others, points)]).square().sum(-1).mean()
    return there + back
