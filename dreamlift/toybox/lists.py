"""The frozen lists of prompts, and the captions that each is told apart from.

`TUNE` alone may be looked at in sweeps, presets and early stops; `REPORT` is run for a release,
never in a sweep. Both were written before any model was scored on them. Half of REPORT is held-out
compositions (`words.held`: subject and object in that order, whatever relation, colours and sizes).
Beside one another neither thing is the subject, so a held-out "next to" has been seen in training
with its two things the other way round; on top of and in the shape of have not.
"""

import random
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Literal, TypeAlias

from dreamlift.grammar import parse
from dreamlift.graph import Graph, Link, Thing
from dreamlift.phrases import colourless, phrase
from dreamlift.toybox.meaning import meant, shows_held
from dreamlift.toybox.near import EVERY, Known, neighbours
from dreamlift.toybox.usual import colour_of
from dreamlift.words import COLOURS, NOUNS, PATTERNS

Category: TypeAlias = Literal["single", "trained pair", "held-out pair"]

TUNE = (
    "a red ball",
    "a green cube",
    "a blue cylinder",
    "an orange cone",
    "a purple ring",
    "a mug",
    "a table",
    "a santa hat",
    "a red cube on top of a blue cylinder",
    "a blue cylinder on top of a red cube",
    "a yellow ball on top of a purple cube",
    "a green ball on top of a pink cylinder",
    "a brown mug on top of a yellow cube",
    "a small white cube on top of a large green cylinder",
    "a purple frog on top of an orange cube",
    "a frog on top of a hamburger",
    "a snowman on top of a table",
    "a red mug next to a blue ball",
    "a pumpkin next to a black hat",
    "a pumpkin wearing a santa hat",
    "a ball wearing a blue hat",
    "a chair on stilts",
    "a mug in the shape of a pumpkin",
    "a table in the shape of a hamburger",
)
"""Trained compositions only."""

SINGLES = (
    "a traffic cone",
    "a DSLR photo of a delicious hamburger",
    "a snowman",
    "a frog",
    "a pumpkin",
    "a blue ring",
    "a yellow cone",
    "a red mug",
    "a purple chair",
    "a pink pyramid",
)
TRAINED = (
    "a small red cube is sitting on top of a large blue cube",
    "a snowman wearing a santa hat",
    "a frog wearing a purple hat",
    "a snowman on stilts",
    "a yellow ball on top of a red cylinder",
    "a black pyramid on top of a white cube",
    "a hamburger on top of a table",
    "a frog on top of a pumpkin",
    "a green mug next to an orange cone",
    "a chair in the shape of a hamburger",
)
HELD_OUT = (
    "a frog on stilts",
    "a blue ball on top of a yellow mug",
    "an orange ball on top of a table",
    "a pink ball on top of a pumpkin",
    "a blue cone on top of a hamburger",
    "a chair on top of a purple cube",
    "a frog on top of a chair",
    "a pumpkin on top of a blue cube",
    "a hamburger on top of a red ball",
    "a snowman on top of a hamburger",
    "a green frog on top of a traffic cone",
    "a santa hat on top of a white table",
    "a red ball next to a table",
    "a snowman next to a mug",
    "a pumpkin next to a green cube",
    "a frog next to a traffic cone",
    "a chair in the shape of a santa hat",
    "a snowman in the shape of a hamburger",
    "a frog in the shape of a traffic cone",
    "a snowman in the shape of a blue mug",
)
REPORT = (*SINGLES, *TRAINED, *HELD_OUT)
"""Of a release; its parts are its categories."""

AMONG = 256
"""How many captions a prompt is told apart from, itself among them."""
ASIDE = ("left of", "right of", "behind")
"""Seen from some side, these are next to one another; which it is cannot be told."""


def category(prompt: str) -> Category:
    """What kind of composition a prompt names; with several relations, one held out is enough.

    As it is said, and as it is built: a vase with a flower is a flower in a vase.
    """
    graph = parse(prompt)
    if not graph.links:
        return "single"
    return "held-out pair" if shows_held(graph) else "trained pair"


def canonical(graph: Graph) -> Graph:
    """The graph as it is built: "with" and "in" read by their nouns (toybox/meaning.py), and things
    next to one another in the vocabulary's order.

    Of those neither is the first: seen from behind they have changed places.
    """
    if len(graph.links) != 1:
        return graph
    link = meant(graph).links[0]
    things = graph.things[link.subject], graph.things[link.object]
    if link.relation == "next to":
        things = min(things, things[::-1], key=lambda pair: [*map(_rank, pair)])
    return Graph(things, (Link(link.relation, 0, 1),), graph.view, graph.untextured)


def _rank(thing: Thing) -> tuple[int, int, int, str, str]:
    paints, patterns = (None, *COLOURS), (None, *PATTERNS)
    looks = paints.index(thing.colour), patterns.index(thing.pattern)
    return NOUNS.index(thing.noun), *looks, thing.size or "", str(thing.lenses)


def read_as(graph: Graph) -> Graph:
    """What can be told of a graph by pictures from all sides: `canonical`, and that left of, right
    of and behind are next to."""
    links = [replace(k, relation="next to") if k.relation in ASIDE else k for k in graph.links]
    return canonical(replace(graph, links=tuple(links)))


def distinct(graphs: Sequence[Graph]) -> list[Graph]:
    """The graphs without those that mean the same as an earlier one."""
    found: dict[Graph, Graph] = {}
    for graph in graphs:
        found.setdefault(read_as(graph), graph)
    return list(found.values())


def _only_adds(other: Graph, graph: Graph) -> bool:
    """Whether the first graph says all that the second says, or it is usually so: both as they are
    read, of the same things. A frog on a red cube is also a green frog on a cube."""
    if other.links != graph.links:
        return False
    return all(
        b.noun == a.noun
        and b.colour in (None, a.colour, colour_of(a))
        and b.size in (None, a.size)
        and b.pattern in (None, a.pattern)
        for a, b in zip(other.things, graph.things, strict=True)
    )


@cache
def among(prompt: str, count: int = AMONG, known: Known = EVERY) -> tuple[str, ...]:
    """A prompt and its frozen neighbours, `count` captions that all mean something else.

    Colours or roles swapped, a word changed into a known one, up to three times over; plainly
    worded, the prompt first. Fewer where a thousand draws in a row bring nothing new.
    """
    graph = parse(prompt)
    graph = Graph(graph.things, graph.links)
    near = neighbours(graph, random.Random(zlib.crc32(phrase(graph).encode())), known)
    own = read_as(graph)
    found = {own: phrase(graph)}
    stale = 0
    while len(found) < count and stale < 1000:
        other = next(near)
        key = read_as(other)
        met = key in found or _only_adds(key, own) or _only_adds(own, key)
        stale = stale + 1 if met else 0
        if not met:
            found[key] = phrase(other)
    return tuple(found.values())


def shapes_among(prompt: str, count: int = AMONG, known: Known = EVERY) -> tuple[str, ...]:
    """`among` without colours, said to be untextured, and without what then means the same."""
    graphs = [colourless(parse(text)) for text in among(prompt, count, known)]
    return tuple(phrase(graph) for graph in distinct(graphs))
