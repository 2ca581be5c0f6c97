"""A toy with its place and its size."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dreamlift.geometry.primitives import Solid, Vector
from dreamlift.toybox.extent import DIRECTIONS, Array, support
from dreamlift.toybox.objects import Brim, Figure, Head, Neck, Piece, Seat, Toy, Well

SIZES: dict[str | None, tuple[float, float]] = {
    "small": (0.45, 0.54), None: (0.77, 0.9), "large": (0.99, 1.03), "tall": (0.9, 1.0),
    "fat": (0.82, 0.92),
}  # fmt: skip
"""Radii of the ball around a thing, in world units, by the word for its size."""
WORN: dict[str | None, float] = {"small": 0.72, "large": 1.36, "tall": 1.1, "fat": 1.2, None: 1.0}
"""The size of what is worn or held, relative to who wears or holds it."""
STRETCH: dict[str | None, tuple[float, float]] = {"tall": (0.78, 1.4), "fat": (1.25, 0.82)}
"""Sideways and upright factors."""


def draw(seed: int, *words: object) -> random.Random:
    """Random numbers for one purpose."""
    return random.Random("|".join(map(str, (seed, *words))))


@dataclass(frozen=True)
class Body:
    """A toy with its place: world = scale x toy + shift. Each piece knows its thing."""

    toy: Toy
    things: tuple[int, ...]  # one for each piece
    hull: Array  # the toy's support, in its own units
    scale: float = 1.0
    shift: Array = field(default_factory=lambda: np.zeros(3))

    def moved(self, by: Array | Sequence[float]) -> "Body":
        return replace(self, shift=self.shift + np.asarray(by))

    def scaled(self, factor: float) -> "Body":
        """About the world's origin."""
        return replace(self, shift=self.shift * factor, scale=self.scale * factor)

    def at(self, point: Sequence[float]) -> Array:
        """Where a point of the toy is in the world."""
        return self.scale * np.asarray(point) + self.shift

    @property
    def reach(self) -> Array:
        """Its support in the world."""
        return self.scale * self.hull + DIRECTIONS @ self.shift

    @property
    def solids(self) -> list[tuple[Solid, ...]]:
        return [self.placed(p.solids) for p in self.toy.pieces]

    def placed(self, solids: Iterable[Solid]) -> tuple[Solid, ...]:
        """Solids in the toy's units, where they are in the world."""
        return tuple(_placed(s, self.scale, self.shift) for s in solids)


def _placed(solid: Solid, scale: float, shift: Array) -> Solid:
    return replace(
        solid,
        linear=scale * solid.linear,
        offset=scale * solid.offset + shift,
        blend=scale * solid.blend,
    )


def body_of(toy: Toy, things: Iterable[int]) -> Body:
    """The toy, measured, where it was authored."""
    return Body(toy, tuple(things), support([p.solids for p in toy.pieces]))


def stretched(toy: Toy, wide: float, tall: float) -> Toy:
    """The toy with its sides and its height scaled apart."""
    h, b, s, f, w = toy.head, toy.brim, toy.seat, toy.figure, toy.well

    def at(p: Vector) -> Vector:
        return p[0] * wide, p[1] * wide, p[2] * tall

    def all_of(solids: Iterable[Solid]) -> tuple[Solid, ...]:
        return tuple(s.stretched(wide, wide, tall) for s in solids)

    def each(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
        return tuple(replace(p, solids=all_of(p.solids)) for p in pieces)

    return Toy(
        each(toy.pieces),
        h and Head(at(h.centre), h.radius * wide, h.top * tall),
        b and Brim(b.z * tall, b.radius * wide, b.room * tall),
        s and Seat(at(s.centre), s.half * wide),
        toy.stance * wide,
        toy.rim * wide,
        f and Figure(
            Neck(at(f.neck.centre), f.neck.radius * wide, f.neck.wide, f.neck.lean),
            at(f.hand), all_of(f.trunk), all_of(f.arms), f.mouth and at(f.mouth), f.pitch,
        ),
        w and Well(at(w.centre), (w.half[0] * wide, w.half[1] * wide), each(w.opened), w.narrow),
        toy.grip and at(toy.grip),
        toy.saddle and at(toy.saddle),
    )  # fmt: skip
