"""What is worn elsewhere than on the head: sunglasses, scarf, backpack, sweater.

Each function takes the wearer and the thing and gives the thing's pieces in the wearer's units.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from dreamlift.geometry.primitives import Kind, Solid, Vector, box, torus
from dreamlift.toybox.anchors import back, face, figure_of, middle, upward
from dreamlift.toybox.colours import Colour
from dreamlift.toybox.extent import advance, bounds, outward, size, support
from dreamlift.toybox.objects import Piece, Toy

CLOTH = 0.07
"""How thick a sweater is, in the wearer's units."""
ALIKE = 0.35
"""Colours closer than this, in every channel, look like one."""
HEM = 0.22
"""How much of the trunk a sweater leaves bare below."""


def _all(pieces: Iterable[Piece], move: Callable[[Solid], Solid]) -> tuple[Piece, ...]:
    return tuple(replace(p, solids=tuple(map(move, p.solids))) for p in pieces)


def glasses(wearer: Toy, toy: Toy, factor: float) -> tuple[Piece, ...]:
    """In front of the eyes, the temples along the head."""
    seen = face(wearer)
    scale = 2.1 * seen.half * factor  # the lenses' middles are 0.5 from the bridge
    x, _, z = seen.centre
    return _all(toy.pieces, lambda s: s.scaled(scale).at(x - 0.05 * scale, 0, z))


def scarf(wearer: Toy, toy: Toy, factor: float) -> tuple[Piece, ...]:
    """Around the neck; its ends hang down in front, clear of the chest."""
    neck = figure_of(wearer).neck
    whole = size(support([p.solids for p in wearer.pieces]))
    thick = factor * min(neck.radius / toy.rim, 0.72 * whole)
    scale = (neck.radius + 0.06 * thick) / toy.rim
    x, y, z = neck.centre

    def around(solid: Solid) -> Solid:
        if solid.kind == Kind.TORUS:
            a, b, c, e = solid.size
            solid = replace(solid, size=(a, b * thick / scale, c, e))
        ring = solid.stretched(scale, scale * neck.wide, thick)
        return ring.turned("y", neck.lean).at(x, y, z)

    low, high = bounds(support([p.solids for p in toy.pieces if p.name == "knot"]))
    knot = (low + high) / 2
    a = math.radians(neck.lean)
    reach = scale * toy.rim + thick * (float(knot[0]) - toy.rim)
    start = (x + math.cos(a) * reach, 0.0, z - math.sin(a) * reach)
    slope = _slope(wearer, start, 1.0 * thick)

    def hung(solid: Solid) -> Solid:
        end = solid.at(*(-knot)).stretched(thick, thick, 0.72 * thick)
        return end.turned("y", -slope).at(*start)

    ring = [p for p in toy.pieces if p.name == "loop"]
    ends = [p for p in toy.pieces if p.name != "loop"]
    return (*_all(ring, around), *_all(ends, hung))


def _slope(wearer: Toy, start: Vector, length: float) -> float:
    """Degrees from straight down that a line from `start` leans forward to clear the wearer."""
    parts = [p.solids for p in wearer.pieces]
    x, _, z = start
    steepest = 0.0
    for down in np.linspace(0.25, 1, 6) * length:
        for y in (-0.12 * length, 0.12 * length):
            front = outward(parts, (0.0, y, z - down), (1, 0, 0))
            steepest = max(steepest, math.degrees(math.atan2(front - x, down)))
    return min(steepest, 50.0)


def backpack(wearer: Toy, toy: Toy, factor: float) -> tuple[Piece, ...]:
    """Its straps against the back, its grip toward the neck; bands go around the trunk."""
    figure = figure_of(wearer)
    low, high = bounds(support([figure.trunk]))
    low_, high_ = bounds(support([p.solids for p in toy.pieces]))
    wide = float((high - low)[1])
    scale = 1.02 * factor * wide / float((high_ - low_)[1])
    turn = figure.pitch

    def carried(solid: Solid) -> Solid:
        return solid.scaled(scale).turned("z", 180).turned("y", turn)

    pieces = _all(toy.pieces, carried)
    x, _, z = upward(wearer)
    place = np.array(back(wearer))
    pieces = _all(pieces, lambda s: s.at(*place.tolist()))
    inward = (z, 0.0, -x)
    body = [p.solids for p in pieces if p.name == "body"]
    far = advance(body, [figure.trunk], inward) + 0.05 * scale
    shift = [far * c for c in inward]
    pieces = _all(pieces, lambda s: s.at(*shift))
    return (*pieces, *_straps(wearer, toy))


def _straps(wearer: Toy, toy: Toy) -> list[Piece]:
    """Bands around the trunk: over both shoulders, or around the belly on all fours."""
    figure = figure_of(wearer)
    colour = next(p.colour for p in toy.pieces if p.name == "straps")
    low, high = bounds(support([figure.trunk]))
    band = [swollen(solid, 0.5 * CLOTH) for solid in figure.trunk]
    x, y, z = middle(wearer)
    if figure.pitch >= 45:
        slabs = [box(0.07, 4, 4).turned("y", figure.pitch - 90).at(x, y, z)]
    else:
        slabs = [box(4, 0.06, 4).at(x, s * 0.28 * float((high - low)[1]), z) for s in (-1, 1)]
    return [Piece("band", colour, (*band, slab.keeping()), detail=True) for slab in slabs]


def swollen(solid: Solid, thick: float) -> Solid:
    """The solid with its surface moved outward, by `thick` along each of its axes."""
    a, b, c, e = solid.size
    x, y, z = (thick / np.linalg.norm(solid.linear, axis=0)).tolist()
    side = (x + y) / 2
    if solid.kind == Kind.CONE:
        size = (a + z, b + side, c + side, e + min(side, z))
    elif solid.kind == Kind.TORUS:
        size = (a, b + side, c, e)
    elif solid.kind == Kind.PYRAMID:
        size = (a + z, b + side, c, e)
    else:
        rounding = e + min(x, y, z) if solid.kind == Kind.BOX else e
        size = (a + x, b + y, c + z, rounding)
    return replace(solid, size=size)


def sweater(wearer: Toy, toy: Toy, factor: float) -> tuple[Piece, ...]:
    """Made to measure: the wearer's trunk and arms, a little swollen, in the sweater's colours."""
    figure = figure_of(wearer)
    thick = CLOTH * factor
    first, second = _colours(wearer, toy)
    up = np.array(upward(wearer))
    low = -float(support([figure.trunk], -up[None])[0])
    high = float(np.array(figure.neck.centre) @ up)
    hem = low + HEM * (high - low)
    centre = np.array(middle(wearer))

    def slab(bottom: float, top: float) -> Solid:
        """What lies between two heights along the trunk."""
        at = centre + ((bottom + top) / 2 - float(centre @ up)) * up
        flat = box(4, 4, (top - bottom) / 2).turned("y", figure.pitch)
        return flat.at(*at.tolist()).keeping()

    cloth = [swollen(solid, thick) for solid in figure.trunk]
    thicker = [swollen(solid, 1.5 * thick) for solid in figure.trunk]
    sleeves = [_sleeve(arm, centre, 0.0, 0.72, thick) for arm in figure.arms]
    cuffs = [_sleeve(arm, centre, 0.68, 0.73, 1.4 * thick) for arm in figure.arms]
    neck = figure.neck
    collar = torus(neck.radius, 0.9 * thick).stretched(1, neck.wide, 1.3).turned("y", neck.lean)
    wide = 0.09 * (high - low)
    belly = (hem + high) / 2
    return (
        Piece("body", first, (*cloth, slab(hem, high)), main=True, volume=True),
        *([Piece("sleeves", first, tuple(sleeves), main=True)] if sleeves else []),
        *([Piece("cuffs", second, tuple(cuffs))] if cuffs else []),
        Piece("hem", second, (*thicker, slab(hem, hem + wide))),
        Piece("collar", second, (collar.at(*neck.centre),)),
        Piece("stripe", second, (*thicker, slab(belly - wide / 2, belly + wide / 2)), detail=True),
    )


def _colours(wearer: Toy, toy: Toy) -> tuple[Colour, Colour]:
    """A sweater's colour and its trim's; turned about where the first is the wearer's own."""
    colour = {p.name: p.colour for p in toy.pieces}
    first, second = colour["body"], colour["cuffs"]
    skin = next(p.colour for p in wearer.pieces if p.volume)
    alike = max(abs(a - b) for a, b in zip(first, skin, strict=True)) < ALIKE
    return (second, first) if alike else (first, second)


def _sleeve(arm: Solid, centre: np.ndarray, start: float, end: float, thick: float) -> Solid:
    """The arm swollen, from one share of its length to another, as seen from the trunk."""
    longest = 2 if arm.kind == Kind.CONE else int(np.argmax(arm.size[:3]))
    axis = arm.linear[:, longest]
    half = arm.size[0] if arm.kind == Kind.CONE else arm.size[longest]
    outer = 1.0 if float((arm.offset - centre) @ axis) > 0 else -1.0
    shift = outer * half * (start + end - 1)
    length = half * (end - start)
    a, b, c, e = arm.size
    if arm.kind == Kind.CONE:
        kept = (length, b, c, min(e, 0.5 * length))
    else:
        x, y, z = (length if i == longest else r for i, r in enumerate((a, b, c)))
        kept = (x, y, z, min(e, 0.5 * length))
    return swollen(replace(arm, size=kept, offset=arm.offset + shift * axis), thick)


DRESSED: Mapping[str, Callable[[Toy, Toy, float], tuple[Piece, ...]]] = {
    "sunglasses": glasses,
    "scarf": scarf,
    "backpack": backpack,
    "sweater": sweater,
}
"""How each noun is worn: from the wearer, the thing and its size, relative to the usual one."""
