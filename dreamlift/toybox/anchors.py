"""Where others meet a figure: its eyes, mouth, back and saddle, found from its own pieces."""

import math
from dataclasses import dataclass

import numpy as np

from dreamlift.geometry.primitives import Vector
from dreamlift.toybox.extent import bounds, outward, support
from dreamlift.toybox.objects import Figure, Toy

MOUTHS = ("mouth", "beak", "snout", "muzzle", "lips", "smile")
"""Pieces at whose end a figure eats."""
EYES = ("eyes", "pupils")


@dataclass(frozen=True)
class Face:
    """Two eyes: the point between them, level with the foremost of them, and half their gap."""

    centre: Vector
    half: float


def figure_of(toy: Toy) -> Figure:
    """Its figure; ValueError for what has none."""
    if toy.figure is None:
        raise ValueError(f"A toy of {[p.name for p in toy.pieces]} is no figure.")
    return toy.figure


def face(toy: Toy) -> Face:
    """Where glasses sit."""
    seen = [p.solids for p in toy.pieces if p.name in EYES]
    low, high = bounds(support(seen))
    y = float(np.mean([abs(solid.offset[1]) for part in seen for solid in part]))
    return Face((float(high[0]), 0.0, float(low[2] + high[2]) / 2), y)


def mouth(toy: Toy) -> Vector:
    """Where food touches: its figure's mouth, or the tip of the piece that is one."""
    if (figure := figure_of(toy)).mouth is not None:
        return figure.mouth
    for name in MOUTHS:
        for p in toy.pieces:
            if p.name == name:
                low, high = bounds(support([p.solids]))
                return float(high[0]), 0.0, float(low[2] + high[2]) / 2
    raise ValueError(f"None of {[p.name for p in toy.pieces]} is a mouth.")


def middle(toy: Toy) -> Vector:
    """The middle of the trunk."""
    low, high = bounds(support([figure_of(toy).trunk]))
    x, y, z = ((low + high) / 2).tolist()
    return x, y, z


def upward(toy: Toy) -> Vector:
    """The trunk's direction from hip to neck."""
    a = math.radians(figure_of(toy).pitch)
    return math.sin(a), 0.0, math.cos(a)


def back(toy: Toy) -> Vector:
    """Where a backpack lies: on the trunk, away from the belly."""
    x, _, z = upward(toy)
    start, away = middle(toy), (-z, 0.0, x)
    far = outward([figure_of(toy).trunk], start, away)
    return start[0] + far * away[0], 0.0, start[2] + far * away[2]


def saddle(toy: Toy) -> Vector | None:
    """Where a rider sits: on a trunk on all fours, on the head of who stands upright."""
    figure, head = toy.figure, toy.head
    if figure is not None and figure.trunk and figure.pitch >= 45:
        start = middle(toy)
        return start[0], 0.0, start[2] + outward([figure.trunk], start, (0, 0, 1))
    if figure is not None and head is not None:
        return head.centre[0], head.centre[1], head.top
    return toy.saddle or (toy.seat and toy.seat.centre)
