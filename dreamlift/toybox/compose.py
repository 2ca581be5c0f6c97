"""From what a caption means to one placed object: a toy for each thing, put where relations say.

The whole stands upright, faces +x, has its bounding box's centre at the origin and fits in the
ball of radius 1.05. A thing's size is the radius of the ball around it, in world units.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from dreamlift.geometry.primitives import Solid
from dreamlift.graph import Graph
from dreamlift.toybox.around import behind, left, ride, right
from dreamlift.toybox.bodies import draw
from dreamlift.toybox.colours import Colour
from dreamlift.toybox.contain import fill
from dreamlift.toybox.drawable import drawable
from dreamlift.toybox.extent import DIRECTIONS, Array, bounds, radius, support
from dreamlift.toybox.hold import eat, hold
from dreamlift.toybox.meaning import meant
from dreamlift.toybox.objects import count
from dreamlift.toybox.place import Yard
from dreamlift.toybox.roles import MOST_SOLIDS

WHOLE = (0.97, 1.03)
"""Radii to which what is larger is shrunk."""
MOVES: Mapping[str, Callable[[Yard, int, int], None]] = {
    "wearing": Yard.wear, "holding": hold, "eating": eat, "in": fill, "on stilts": Yard.walk,
    "riding": ride, "on top of": Yard.put, "next to": Yard.beside, "left of": left,
    "right of": right, "behind": behind,
}  # fmt: skip
"""What each relation does to its subject and object, in the order in which it is done."""


@dataclass(frozen=True)
class Part:
    """A named piece of one thing of the graph."""

    name: str
    thing: int  # index into graph.things
    main: bool  # takes the thing's colour and pattern when one is said
    colour: Colour  # its own sRGB colour otherwise, varied by the seed
    solids: tuple[Solid, ...]


@dataclass(frozen=True)
class Built:
    """A graph's object: its parts, in the order of the tracer's part numbers."""

    graph: Graph
    parts: tuple[Part, ...]

    @property
    def solids(self) -> list[tuple[Solid, ...]]:
        """Each part's solids: one scene, as `primitives.pack` takes it."""
        return [part.solids for part in self.parts]

    @cached_property
    def boxes(self) -> Float[Array, "parts 2 3"]:
        """The lowest and the highest corner of every part, world units."""
        hulls = [support([part.solids], DIRECTIONS[:6]) for part in self.parts]
        return np.array([bounds(hull) for hull in hulls])

    def box(self, thing: int, *, main: bool = False) -> Float[Array, "2 3"]:
        """The box around a thing, or around its main parts; of no size where there are none."""
        its = [p.thing == thing and (p.main or not main) for p in self.parts]
        if not any(its):
            return np.zeros((2, 3))
        return np.stack([self.boxes[its, 0].min(0), self.boxes[its, 1].max(0)])

    @cached_property
    def heights(self) -> tuple[tuple[float, float], ...]:
        """The lowest and highest z of every thing, world units."""
        boxes = [self.box(i) for i in range(len(self.graph.things))]
        return tuple((float(low[2]), float(high[2])) for low, high in boxes)


def build(graph: Graph, seed: int) -> Built:
    """The object that a graph means; one seed is one object, whatever its colours and view.

    Raises BadInput, a ValueError, for what `drawable` refuses.
    """
    drawable(graph)
    plain = meant(graph)
    yard = Yard(plain, seed)
    for relation, move in MOVES.items():
        for link in plain.links:
            if link.relation == relation:
                move(yard, link.subject, link.object)
    bodies = [yard.bodies[i] for i in sorted(yard.bodies)]
    hull = np.max([body.reach for body in bodies], axis=0)
    low, high = bounds(hull)
    centre = (low + high) / 2
    factor = min(1.0, draw(seed, "whole").uniform(*WHOLE) / radius(hull, centre))
    bodies = [body.moved(-centre).scaled(factor) for body in bodies]
    crowded = sum(count(body.toy.pieces) for body in bodies) > MOST_SOLIDS
    parts = [
        Part(p.name, thing, p.main, p.colour, solids)
        for body in bodies
        for p, thing, solids in zip(body.toy.pieces, body.things, body.solids, strict=True)
        if not (crowded and p.detail)
    ]
    return Built(graph, tuple(parts))
