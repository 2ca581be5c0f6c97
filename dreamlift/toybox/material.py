"""One toy made of another: the first's shape in the second's colours, with its dots and tops."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from dreamlift.geometry.primitives import Op, Solid, ball, distance, pack
from dreamlift.toybox.colours import Colour
from dreamlift.toybox.extent import Array, bounds, outward, size, support
from dreamlift.toybox.objects import Piece, Toy

DOTS = 14
"""Dots scattered over the toy, in the colours of the other's small parts."""
DOT = 0.075
"""Their radius, relative to the toy's."""
COVERS = ("roof", "sail", "fins", "wings")
"""Pieces with colours of their own that take the other's all the same."""


def clad(toy: Toy, other: Toy, rng: random.Random) -> tuple[tuple[Piece, ...], int]:
    """The pieces of `toy` as if made of `other`, and how many, from the first, are of `other`.

    Every third main part, from the second largest, has the other's second colour.
    """
    first, second = _looks(other)
    mains = sorted((p for p in toy.pieces if p.main or p.volume), key=_room, reverse=True)
    colours = [second if i % 3 == 1 else first for i in range(len(mains))]
    painted = [
        replace(p, colour=colour, main=main)
        for p, (colour, main) in zip(mains, colours, strict=True)
    ]
    others = [p for p in toy.pieces if not (p.main or p.volume)]
    covers = [p for p in others if p.name in COVERS]
    painted += [replace(p, colour=second[0], main=second[1]) for p in covers]
    rest = [p for p in others if p.name not in COVERS and not p.detail]
    parts = [p.solids for p in (*mains, *covers)]
    added = [*_toppings(toy, other), *_dots(parts, other, rng)]
    return (*painted, *added, *rest), len(painted) + len(added)


def _room(piece: Piece) -> float:
    """The box of its largest solid."""
    boxes = [bounds(support([(s,)])) for s in piece.solids if s.op == Op.ADD]
    return max(float(np.prod(high - low)) for low, high in boxes)


def _looks(other: Toy) -> list[tuple[Colour, bool]]:
    """The colours of the other's largest main piece and of its next large one, and which are main.

    One of a single colour has it twice, darker.
    """
    pieces = [p for p in other.pieces if not (p.detail or p.pokes)]
    pieces.sort(key=lambda p: (p.main, _room(p)), reverse=True)
    first = pieces[0]
    r, g, b = first.colour
    darker = replace(first, colour=(0.8 * r, 0.8 * g, 0.8 * b))
    second = max((p for p in pieces if p.colour != first.colour), key=_room, default=darker)
    return [(first.colour, first.main), (second.colour, second.main)]


def _toppings(toy: Toy, other: Toy) -> list[Piece]:
    """What sticks out of the other's top, on the toy's top."""
    tops = [p for p in other.pieces if p.pokes]
    parts = [p.solids for p in toy.pieces if not p.pokes]
    scale = 0.8 * size(support(parts)) / size(support([p.solids for p in other.pieces]))
    highest = max((p for p in toy.pieces if p.volume), key=lambda p: support([p.solids])[5])
    low, high = bounds(support([highest.solids]))
    x, y, _ = ((low + high) / 2).tolist()
    z = outward(parts, (x, y, float(low[2])), (0, 0, 1)) + float(low[2])
    body = [p.solids for p in other.pieces if not (p.pokes or p.detail)]
    top = float(support(body)[5])

    def put(solid: Solid) -> Solid:
        return solid.at(z=-top).scaled(scale).at(x, y, z)

    return [replace(p, solids=tuple(map(put, p.solids))) for p in tops]


def _dots(parts: Sequence[Sequence[Solid]], other: Toy, rng: random.Random) -> list[Piece]:
    """Balls on the surface of the parts, far from one another."""
    small = [p for p in other.pieces if p.detail]
    if not small:
        return []
    hull = support(parts)
    low, high = bounds(hull)
    share = np.array([[rng.random() for _ in range(3)] for _ in range(4000)])
    points = low + share * (high - low)
    near = distance(pack([parts]), torch.from_numpy(points.astype(np.float32))[None])[0][0]
    points = points[(near.abs() < 0.02 * size(hull)).numpy()]
    dots = [ball(DOT * size(hull)).at(*p.tolist()) for p in _apart(points, DOTS)]
    return [
        Piece(p.name, p.colour, tuple(dots[i :: len(small)]), detail=True)
        for i, p in enumerate(small)
    ]


def _apart(points: Array, n: int) -> list[Array]:
    """The first n of the points that lie far from those before them, as far as n of them can."""
    gap, chosen = float(np.ptp(points, axis=0).max()), list[Array]()
    while len(chosen) < n:
        gap *= 0.9
        chosen = []
        for point in points:
            if all(float(np.linalg.norm(point - other)) > gap for other in chosen):
                chosen.append(point)
    return chosen[:n]
