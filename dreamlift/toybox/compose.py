"""From what a caption means to one placed object: a toy for each thing, put where relations say.

The whole stands upright, faces +x, has its bounding box's centre at the origin and fits in the
ball of radius 1.05. A thing's size is the radius of the ball around it, in world units.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dreamlift.geometry.primitives import Solid
from dreamlift.toybox.around import behind, left, ride, right
from dreamlift.toybox.bodies import draw
from dreamlift.toybox.colours import Colour
from dreamlift.toybox.contain import fill
from dreamlift.toybox.drawable import drawable
from dreamlift.toybox.extent import DIRECTIONS, bounds, radius, support
from dreamlift.toybox.hold import eat, hold
from dreamlift.toybox.meaning import meant
from dreamlift.toybox.objects import count
from dreamlift.toybox.place import Yard
from dreamlift.toybox.roles import MOST_SOLIDS
from dreamlift.words import Graph

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
    def heights(self) -> tuple[tuple[float, float], ...]:
        """The lowest and highest z of every thing, world units; (0, 0) for one without parts."""
        return tuple(
            _height([part.solids for part in self.parts if part.thing == i])
            for i in range(len(self.graph.things))
        )


def _height(solids: Sequence[Sequence[Solid]]) -> tuple[float, float]:
    if not solids:
        return 0.0, 0.0
    down, up = support(solids, DIRECTIONS[4:6]).tolist()
    return -down, up


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
