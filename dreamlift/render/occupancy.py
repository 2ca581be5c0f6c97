"""Which cells of the cube hold enough to be worth sampling (instant-ngp; nerfacc's occ_grid).

An occupancy grid has `n` cells along each axis of [-1.25, 1.25]^3.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from dreamlift.render.grid import HALF


def occupied_at(
    occupied: Bool[Tensor, "n n n"], points: Float[Tensor, "*s 3"]
) -> Bool[Tensor, "*s"]:
    """Whether the cells that hold the points are occupied; nothing is outside the cube."""
    n = occupied.shape[0]
    cell = ((points + HALF) * (n / (2 * HALF))).floor().long()
    within = ((cell >= 0) & (cell < n)).all(-1)
    i, j, k = cell.clamp(0, n - 1).unbind(-1)
    return occupied[i, j, k] & within


def decay(
    remembered: Float[Tensor, "n n n"], depth: Float[Tensor, "n n n"], *, rate: float = 0.6
) -> Float[Tensor, "n n n"]:
    """g <- max(rate g, depth): a cell that empties is forgotten slowly, one that fills at once.

    `depth` is the optical depth of one sample where the cell is densest. Instant-ngp's rate is
    .95 because it samples a cell at one random point; our maxima over cells are exact, and a
    draft has only some twenty refreshes.
    """
    return torch.maximum(rate * remembered, depth)


def occupancy(depth: Float[Tensor, "n n n"], *, threshold: float = 3e-3) -> Bool[Tensor, "n n n"]:
    """Cells of more than negligible optical depth, and all their neighbours.

    The border of neighbours is where a surface grows next. The threshold is absolute, since
    uniform fog lies nowhere above its own mean, but at most a tenth of the densest cell's depth:
    an object that has faded can still come back.
    """
    full = (depth > depth.amax().mul(0.1).clamp_max(threshold)).to(depth.dtype)
    return F.max_pool3d(full[None, None], kernel_size=3, stride=1, padding=1)[0, 0] > 0
