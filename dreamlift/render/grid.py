"""Dense grids over the cube [-1.25, 1.25]^3: levels that nest, lookup, slopes, activations.

A vertex holds four raw numbers: of the density, and the logits of three colours. Grids are laid
out `x y z c`, vertex 0 at -1.25 and the last at +1.25 along each axis.
"""

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

HALF = 1.25
"""Half the cube's side, in world units."""

STEEPNESS = 20.0
"""Density per unit of its raw value, where it is large: raw 1 is opaque within two cells."""


def density_of(raw: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Density per world unit, >= 0: exponential where thin, linear where opaque."""
    return STEEPNESS * F.softplus(raw)


def raw_of(density: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The raw value of a density: the inverse of `density_of`."""
    return (density / STEEPNESS).expm1().log()


def halve(grid: Float[Tensor, "x y z c"]) -> Float[Tensor, "x2 y2 z2 c"]:
    """The same trilinear function on cells of half the side: n vertices become 2n - 1."""
    for axis in (2, 1, 0):
        n = grid.shape[axis]
        left, right = grid.narrow(axis, 0, n - 1), grid.narrow(axis, 1, n - 1)
        pairs = torch.stack([left, 0.5 * (left + right)], axis + 1).flatten(axis, axis + 1)
        grid = torch.cat([pairs, grid.narrow(axis, n - 1, 1)], axis)
    return grid


def lookup(grid: Float[Tensor, "x y z c"], points: Float[Tensor, "n 3"]) -> Float[Tensor, "n c"]:
    """Trilinear interpolation at points of the cube; outside it, the nearest face's value.

    Plain indexing, because the gradient of grid_sample cannot be differentiated again.
    """
    cells = grid.shape[0] - 1
    place = ((points + HALF) * (cells / (2 * HALF))).clamp(0, cells)
    corner = place.detach().floor().clamp(max=cells - 1)
    f = place - corner
    i, j, k = corner.long().unbind(-1)
    total = torch.zeros_like(grid[i, j, k])
    for a, b, c in itertools.product((0, 1), repeat=3):
        at = torch.tensor([a, b, c], device=f.device)
        weight = torch.where(at == 1, f, 1 - f).prod(-1, keepdim=True)
        total = total + weight * grid[i + a, j + b, k + c]
    return total


def slopes(raw: Float[Tensor, "x y z"]) -> Float[Tensor, "x y z 3"]:
    """Central differences at the vertices, per world unit (one-sided on the cube's faces).

    Looked up at a point, they are the central difference there over one cell to each side.
    """
    cell = 2 * HALF / (raw.shape[0] - 1)
    return torch.stack(torch.gradient(raw, spacing=cell), -1)


def vertices(
    resolution: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Float[Tensor, "x y z 3"]:
    """Where the vertices of a grid lie, in world units."""
    axis = torch.linspace(-HALF, HALF, resolution, device=device, dtype=dtype)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
