"""One toy in the shape of another: the first's silhouette built from the second's body.

Each volume of the shape (a chair's seat and back) becomes a whole of the body (a pumpkin, stem and
all) stretched into that volume's box. What else the shape has (legs) takes the body's second
colour.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from dreamlift.geometry.primitives import Op, Solid, distance, pack
from dreamlift.toybox.colours import Colour
from dreamlift.toybox.extent import Array, bounds, support, surface
from dreamlift.toybox.objects import Piece, Toy, count

MOST = 40
"""Solids of an imitation."""
THINNEST = 0.3
"""A copy is at least this thick relative to its longest side; flatter, nobody knows it."""


def imitation(shape: Toy, body: Toy) -> tuple[tuple[Piece, ...], int]:
    """The pieces of `shape` built from `body`, and how many, from the first, are of `body`."""
    volumes = [p for p in shape.pieces if p.volume]
    hollow = [p for p in shape.pieces if p.volume and any(s.op == Op.CUT for s in p.solids)]
    colour = _second(body)
    ground = min(float(bounds(support([p.solids]))[0][2]) for p in volumes)
    rest = [
        _under(p, colour, ground) if p.main else p
        for p in shape.pieces
        if not (p.volume or p.detail)
    ]
    left = MOST - count(rest)
    copied = _affordable(body, len(volumes), left, hollow=len(hollow) > 0)
    copies = [
        copy
        for target, pieces in zip(volumes, copied, strict=True)
        for copy in _copies(target, pieces)
    ]
    return (*copies, *rest), len(copies)


def _under(piece: Piece, colour: Colour, ground: float) -> Piece:
    """A leftover piece in another colour; legs under the volumes move in, where a round body is."""
    low, high = bounds(support([piece.solids]))
    inward = 0.78 if (low + high)[2] / 2 < ground else 1.0
    solids = tuple(
        replace(s, offset=s.offset * np.array([inward, inward, 1.0])) for s in piece.solids
    )
    return replace(piece, colour=colour, solids=solids)


def _affordable(body: Toy, copies: int, most: int, *, hollow: bool) -> list[tuple[Piece, ...]]:
    """For every copy the pieces of the body that it has: the whole, or less, or just its volumes.

    To keep to `most` solids the middle copies lose first, the last copy (a head, a back) last.
    """
    levels = [
        body.pieces,
        tuple(p for p in body.pieces if not p.detail),
        tuple(p for p in body.pieces if p.main),
        tuple(p for p in body.pieces if p.volume),
    ]
    cost = [count(pieces) + hollow * len(pieces) for pieces in levels]
    chosen = [0 if copies == 1 else 1] * copies
    for i in [*range(1, copies - 1), *range(min(1, copies - 1)), copies - 1]:
        while chosen[i] < 3 and sum(cost[c] for c in chosen) > most:
            chosen[i] += 1
    return [levels[c] for c in chosen]


def _second(body: Toy) -> Colour:
    """The colour of the body's largest part that is not a main one; or a darker main one."""
    others = [p for p in body.pieces if not (p.main or p.detail)]
    if others:
        return max(others, key=lambda p: float(np.prod(np.subtract(*_box(p))))).colour
    r, g, b = body.pieces[0].colour
    return 0.6 * r, 0.6 * g, 0.6 * b


def _box(piece: Piece) -> tuple[Array, Array]:
    """Its highest and its lowest corner."""
    low, high = bounds(support([piece.solids]))
    return high, low


def _copies(target: Piece, pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces, stretched as one into the box of the target."""
    low, high = bounds(support([p.solids for p in pieces]))
    start, end = bounds(support([target.solids]))
    half = (end - start) / 2
    thin = half[0] < 0.5 * half[2]
    half = np.maximum(half, THINNEST * half.max())
    flat = high[2] - low[2] < 0.5 * (high[0] - low[0])
    turn = thin and flat  # a ring as the back of a chair faces forward
    if turn:
        low = np.array([low[2], low[1], -high[0]])
        high = np.array([high[2], high[1], -low[0]])
    x, y, z = (half / ((high - low) / 2)).tolist()
    px, py, pz = ((start + end) / 2 - np.array([x, y, z]) * (low + high) / 2).tolist()

    def place(solid: Solid) -> Solid:
        turned = solid.turned("y", 90) if turn else solid
        return turned.stretched(x, y, z).at(px, py, pz)

    # A mug stays hollow whatever it is made of: narrower and deeper, for round shoulders.
    sunk = -0.4 * float(half[2])
    hollows = [s.stretched(0.75, 0.75, 1).at(z=sunk) for s in target.solids if s.op == Op.CUT]
    placed = [replace(p, solids=tuple(map(place, p.solids))) for p in pieces]
    return [
        replace(p, solids=(*p.solids, *hollows)) for p in placed if not _inside(p.solids, hollows)
    ]


def _inside(solids: Sequence[Solid], hollows: Sequence[Solid]) -> bool:
    """Whether nothing of the solids is left outside the hollows."""
    if not hollows:
        return False
    points = np.concatenate([surface(solid) for solid in solids]).astype(np.float32)
    holes = pack([[[replace(solid, op=Op.ADD) for solid in hollows]]])
    return bool((distance(holes, torch.from_numpy(points)[None])[0] < 0.01).all())
