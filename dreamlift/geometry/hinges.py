"""The edges of a triangle mesh and the faces that hang on them: what silhouettes and creases need.

A mesh need not be closed, nor its faces turned one way: an edge has as many faces as it has.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class Hinges:
    """Every edge once, and a row for each face at each edge, those of one edge side by side."""

    ends: Int[Tensor, "e 2"]  # vertices, the smaller number first
    first: Int[Tensor, " e+1"]  # where the rows of each edge begin
    edge: Int[Tensor, " r"]  # of a row, ascending
    face: Int[Tensor, " r"]
    opposite: Int[Tensor, " r"]  # the face's vertex that is not on the edge

    def pairs(self) -> tuple[Int[Tensor, "p 2"], Int[Tensor, " p"]]:
        """Two faces that share an edge, and the edge; edges with one face or three have no pair."""
        inner = (self.first.diff() == 2).nonzero()[:, 0]
        start = self.first[inner]
        return torch.stack([self.face[start], self.face[start + 1]], -1), inner


def hinges(faces: Int[Tensor, "f 3"]) -> Hinges:
    """The edges of a mesh; once for a mesh, whatever its vertices do."""
    sides = torch.stack([faces[:, [1, 2, 0]], faces[:, [2, 0, 1]], faces], -1).reshape(-1, 3)
    low, high = sides[:, :2].amin(-1), sides[:, :2].amax(-1)
    n = faces.max() + 1 if len(faces) else 1
    number, order = (low * n + high).sort(stable=True)
    key, edge, count = number.unique_consecutive(return_inverse=True, return_counts=True)
    first = torch.cat([count.new_zeros(1), count.cumsum(0)])
    return Hinges(torch.stack([key // n, key % n], -1), first, edge, order // 3, sides[order, 2])
