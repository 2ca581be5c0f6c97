"""What the tests of the toybox share: toys from captions, and their distance fields on grids."""

from collections.abc import Sequence

import torch

from dreamlift.geometry.primitives import Solid, distance, pack
from dreamlift.grammar import parse
from dreamlift.toybox.compose import Built, build
from dreamlift.toybox.extent import Array, bounds, radius, skin, support


def made(text: str, seed: int = 0) -> Built:
    return build(parse(text), seed)


def solids(built: Built, *things: int) -> list[tuple[Solid, ...]]:
    return [part.solids for part in built.parts if not things or part.thing in things]


def size(built: Built, *things: int) -> float:
    hull = support(solids(built, *things))
    low, high = bounds(hull)
    return radius(hull, (low + high) / 2)


def grid(n: int, half: float = 1.1) -> torch.Tensor:
    line = torch.linspace(-half, half, n)
    return torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)


def field(parts: Sequence[Sequence[Solid]], points: torch.Tensor) -> torch.Tensor:
    return distance(pack([parts]), points[None])[0][0]


def inside(built: Built, *things: int, n: int = 28) -> torch.Tensor:
    return field(solids(built, *things), grid(n)) < 0


def apart(built: Built, a: int, b: int) -> float:
    """How far from one thing the surface of another is, at least; negative where it is in it."""
    one, two = solids(built, a), solids(built, b)
    pairs = ((one, two), (two, one))
    return min(float(field(p, torch.from_numpy(skin(q)).float()).min()) for p, q in pairs)


def box_of(built: Built, *things: int) -> tuple[Array, Array]:
    """The lowest and the highest corner of things."""
    return bounds(support(solids(built, *things)))
