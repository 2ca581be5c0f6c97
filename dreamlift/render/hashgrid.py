"""A multiresolution hash encoding of positions (Instant-NGP, arXiv:2201.05989), in plain torch.

Indices are those of tiny-cuda-nn (grid.h): level l has scale s_l = N_min b^l - 1 and
ceil(s_l) + 1 vertices a side, a point x of [0, 1]^3 lies at x s_l + 1/2 among them, and a vertex
is kept at x + y n + z n^2 where n^3 entries fit into the table, else at
(x xor 2654435761 y xor 805459861 z) mod T, in 32 bits.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.render.twins import has_warp

LOST = "Hash grids are looked up with plain torch, some ten times slower"
"""Without Warp."""
PRIMES = (1, 2_654_435_761, 805_459_861)
WORD = (1 << 32) - 1


@dataclass(frozen=True)
class Layout:
    """The levels of an encoding; the defaults are the paper's, b = 1.3819 to 2,048 vertices."""

    levels: int = 16
    features: int = 2  # of each level
    log_size: int = 19  # of a level's table, at most
    coarsest: int = 16  # N_min
    growth: float = math.exp(math.log(2048 / 16) / 15)  # b

    def scale(self, level: int) -> float:
        """Vertices from x = 0 to x = 1, less one."""
        return self.coarsest * self.growth**level - 1

    def resolution(self, level: int) -> int:
        """Vertices along a side."""
        return math.ceil(self.scale(level)) + 1

    def entries(self, level: int) -> int:
        """Of a level's table: a multiple of 8, or 2^log_size."""
        return min(1 << self.log_size, -(-(self.resolution(level) ** 3) // 8) * 8)

    @property
    def starts(self) -> tuple[int, ...]:
        """Where each level's entries begin in the one table of all, and where the last end."""
        return (0, *itertools.accumulate(self.entries(k) for k in range(self.levels)))


def hashed(vertex: Int[Tensor, "n 3"], size: int) -> Int[Tensor, " n"]:
    """The paper's Eq. 4: entries in [0, size) of vertices, as 32-bit words would give them."""
    x, y, z = ((vertex[:, k] * prime) & WORD for k, prime in enumerate(PRIMES))
    return (x ^ y ^ z) % size


def index(vertex: Int[Tensor, "n 3"], resolution: int, size: int) -> Int[Tensor, " n"]:
    """Entries in [0, size): row by row where all vertices have their own, else hashed."""
    if resolution**3 > size:
        return hashed(vertex, size)
    x, y, z = vertex.unbind(-1)
    return (x + resolution * (y + resolution * z)) % size


def encode(
    table: Float[Tensor, "entries f"], points: Float[Tensor, "n 3"], layout: Layout
) -> Float[Tensor, "n e"]:
    """Features of points in [0, 1]^3, coarsest level first, by the fast twin where it can: single
    precision on a CPU or CUDA. Raises ValueError for a table of another layout."""
    if table.shape != (layout.starts[-1], layout.features):
        raise ValueError(
            f"The table of {layout} has shape {(layout.starts[-1], layout.features)}; got "
            f"{tuple(table.shape)}. Make it with torch.zeros(layout.starts[-1], layout.features)."
        )
    if fast(table, points):
        from dreamlift.render.hashgrid_warp import encode_warp

        return encode_warp(table, points, layout)
    return encode_torch(table, points, layout)


def fast(table: Float[Tensor, "entries f"], points: Float[Tensor, "n 3"]) -> bool:
    """Whether the Warp twin takes these: single precision, on a CPU or CUDA; installed."""
    single = table.dtype == points.dtype == torch.float32
    return single and points.device.type in ("cpu", "cuda") and has_warp(LOST)


def encode_torch(
    table: Float[Tensor, "entries f"], points: Float[Tensor, "n 3"], layout: Layout
) -> Float[Tensor, "n e"]:
    """Features of points in [0, 1]^3, coarsest level first; trilinear in each level. The
    specification.

    Differentiable in the table and, piecewise constant along each axis, in the points.
    """
    out: list[Tensor] = []
    starts = layout.starts
    for level in range(layout.levels):
        place = points * layout.scale(level) + 0.5
        corner = place.detach().floor()
        f = place - corner
        corner = corner.long()
        n, size = layout.resolution(level), layout.entries(level)
        total = points.new_zeros(len(points), layout.features)
        for bits in itertools.product((0, 1), repeat=3):
            step = torch.tensor(bits, device=points.device)
            weight = torch.where(step == 1, f, 1 - f).prod(-1, keepdim=True)
            total = total + weight * table[starts[level] + index(corner + step, n, size)]
        out.append(total)
    return torch.cat(out, -1)
