"""Where a mesh is, how large, and which way up."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.geometry.mesh import Surface


def bounds(parts: Sequence[Surface]) -> Float[Tensor, "2 3"]:
    """The lowest and highest corner of the box around all parts."""
    points = torch.cat([part.vertices for part in parts])
    return torch.stack([points.amin(0), points.amax(0)])


def fitted(parts: Sequence[Surface], *, radius: float = 1.0) -> tuple[Surface, ...]:
    """The parts moved and scaled, together, so that their box is centred and in a ball."""
    low, high = bounds(parts)
    centre = (low + high) / 2
    far = max(float((part.vertices - centre).norm(dim=-1).max()) for part in parts)
    if not far > 0:
        raise ValueError("The mesh is a single point; there is nothing to scale.")
    return tuple(replace(p, vertices=(p.vertices - centre) * (radius / far)) for p in parts)


def to_y_up(x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """From our axes (+z up, facing +x) to those of glTF and OBJ files (+y up, facing +z)."""
    return x[:, [1, 2, 0]]


def from_y_up(x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """From the axes of glTF and OBJ files (+y up, facing +z) to ours (+z up, facing +x)."""
    return x[:, [2, 0, 1]]
