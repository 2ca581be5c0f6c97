"""Random scenes of the whole toybox: every noun, pattern, size and relation, one thing or two.

Held-out compositions (`words.held`) are never drawn. Three scenes in ten are of the first world
(captions.py), so that what a model learned there is kept.
"""

import random
from collections.abc import Sequence

from dreamlift.graph import BUILT, Graph, Link, Thing
from dreamlift.toybox import captions
from dreamlift.toybox.captions import SOLIDS
from dreamlift.toybox.drawable import possible
from dreamlift.toybox.meaning import shows_held
from dreamlift.toybox.roles import (
    BODIES,
    HANDY,
    MATERIALS,
    MOUNTS,
    SHAPES,
    STEMS,
    able,
    figures,
    made,
    standing,
    wearers,
    worn,
)
from dreamlift.words import COLOURS, NOUNS, PATTERNS, SIZES, WOVEN

FIRST = 0.3
"""The share of scenes of the first world."""
ALONE = 0.45
"""The share of scenes of one thing."""
FOOD = (
    "hamburger", "mushroom", "egg", "apple", "banana", "strawberry", "ice cream", "donut", "cake",
    "leaf", "flower", "pumpkin", "avocado", "fish",
)  # fmt: skip
RELATIONS = {
    "on top of": 0.22, "next to": 0.1, "wearing": 0.16, "on stilts": 0.04, "in the shape of": 0.1,
    "holding": 0.09, "eating": 0.06, "riding": 0.08, "in": 0.09, "with": 0.03, "made of": 0.04,
    "left of": 0.02, "right of": 0.02, "behind": 0.02,
}  # fmt: skip
"""How often each is drawn among scenes of two things."""


def wide_graph(rng: random.Random) -> Graph:
    """Nouns, sizes and a relation of the whole toybox."""
    if rng.random() < FIRST:
        return captions.shape_graph(rng)
    if rng.random() < ALONE:
        return Graph((Thing(rng.choice(NOUNS), size=any_size(rng)),))
    relation = rng.choices(tuple(RELATIONS), tuple(RELATIONS.values()))[0]
    while True:
        a, b = pair(relation, rng)
        graph = sized(a, relation, b, rng)
        if a != b and possible(graph) and not shows_held(graph):
            return graph


def sized(a: str, relation: str, b: str, rng: random.Random) -> Graph:
    """A scene of two nouns, sizes said of a fifth of them."""
    first, second = Thing(a, size=any_size(rng)), Thing(b, size=any_size(rng))
    if relation in ("on stilts", *BUILT):
        second = Thing(b)
    return Graph((first, second), (Link(relation, 0, 1),))


def pair(relation: str, rng: random.Random) -> tuple[str, str]:
    """Two nouns that a relation may join, the likelier ones more often; not all can be drawn."""
    match relation:
        case "on stilts":
            return rng.choice(standing()), "stilts"
        case "in the shape of":
            return rng.choice(SHAPES), rng.choice(BODIES)
        case "made of":
            return rng.choice(made()), rng.choice(MATERIALS)
        case "wearing":
            b = rng.choice([noun for noun in worn("frog") if noun != "ring"])
            some = [noun for noun in figures() if noun in wearers(b)]
            return _mostly(some, wearers(b), rng), b
        case "holding":
            return rng.choice(figures()), _mostly(HANDY, standing(), rng)
        case "eating":
            return rng.choice(figures()), _mostly(FOOD, standing(), rng)
        case "riding":
            return rng.choice(figures()), rng.choice((*figures(), *MOUNTS))
        case "in":
            a = _mostly(STEMS if rng.random() < 0.5 else figures(), standing(), rng)
            vessels = tuple(able(a, "vase")["in"][1])
            return (a, rng.choice(vessels)) if vessels else (a, a)
        case "with":
            a, b = pair(rng.choice(("wearing", "holding", "in")), rng)
            return (b, a) if b in able(a, b)["in"][1] else (a, b)
        case _:
            return rng.choice(standing()), rng.choice(standing())


def _mostly(some: Sequence[str], every: Sequence[str], rng: random.Random) -> str:
    return rng.choice(some if rng.random() < 0.7 else every)


def any_size(rng: random.Random) -> str | None:
    """A size, of a fifth of the things."""
    return rng.choice(SIZES) if rng.random() < 0.2 else None


def wide_coloured(graph: Graph, rng: random.Random) -> Graph:
    """The graph with colours and patterns said, or not, of its things; of glasses, their lenses."""
    built = [k.subject for k in graph.links if k.relation in BUILT]
    things = list(graph.things)
    for i, thing in enumerate(things):
        if i in built:
            continue
        colour = pattern = None
        if rng.random() < (0.9 if thing.noun in SOLIDS else 0.45):
            colour = rng.choice(COLOURS)
        if rng.random() < 0.15:
            pattern = rng.choice(PATTERNS)
            colour = colour if pattern in WOVEN else None
        lenses: tuple[str | None, str | None] = (None, None)
        if thing.noun == "sunglasses" and rng.random() < 0.4:
            lenses = (rng.choice(COLOURS), rng.choice(COLOURS))
        things[i] = Thing(thing.noun, colour, thing.size, pattern, lenses)
    return Graph(tuple(things), graph.links, graph.view, graph.untextured)
