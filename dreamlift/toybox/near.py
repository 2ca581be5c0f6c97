"""Captions near one another: colours or roles swapped, a word changed.

They are what an aligner must tell a true caption from, and what it learns by.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dreamlift.graph import BUILT, Graph, Link, Thing
from dreamlift.toybox.captions import TAUGHT_NOUNS, TAUGHT_PATTERNS
from dreamlift.toybox.drawable import possible
from dreamlift.words import COLOURS, NOUNS, PATTERNS, SIZES, WOVEN

RELATED = (
    "on top of", "next to", "wearing", "in the shape of", "holding", "eating", "riding", "in",
    "made of",
)  # fmt: skip
"""Relations that a changed caption may have."""


@dataclass(frozen=True)
class Known:
    """Words that a changed caption may gain: those of whoever reads it."""

    nouns: tuple[str, ...] = NOUNS
    relations: tuple[str, ...] = RELATED
    patterns: tuple[str, ...] = PATTERNS
    sizes: tuple[str, ...] = SIZES


EVERY = Known()
FIRST = Known(TAUGHT_NOUNS, RELATED[:4], TAUGHT_PATTERNS, SIZES[:2])
"""Of the first world, which the first judge was shown."""


def neighbours(graph: Graph, rng: random.Random, known: Known = EVERY) -> Iterator[Graph]:
    """Endless graphs near one, each another, in its own words and `known` ones.

    No word is only left out or only added; a noun that changes may gain a colour or a size.
    """
    while True:
        things = list(graph.things)
        links = list(graph.links)
        for _ in range(rng.choice((1, 1, 2, 3))):
            _change(things, links, rng, known)
        other = Graph(tuple(things), tuple(links), graph.view, graph.untextured)
        if other != graph and _sensible(other):
            yield other


def _change(things: list[Thing], links: list[Link], rng: random.Random, known: Known) -> None:
    kinds = ["noun", "noun", "colour", "size", "pattern"]
    if links:
        kinds += ["swap colours", "swap colours", "swap roles", "swap roles", "relation"]
    kind = rng.choice(kinds)
    i = rng.randrange(len(things))
    t = things[i]
    if kind == "noun" and (t.noun != "stilts" or not links):
        # Half of them of the first world, whose shapes are the most alike.
        first = [noun for noun in TAUGHT_NOUNS if noun in known.nouns]
        some = first if first and rng.random() < 0.5 else known.nouns
        noun = rng.choice([n for n in some if n not in (t.noun, "stilts")] or [t.noun])
        colour = t.colour if t.colour or t.pattern or rng.random() < 0.7 else rng.choice(COLOURS)
        size = t.size if t.size or rng.random() < 0.8 else rng.choice(known.sizes[:2])
        things[i] = Thing(noun, colour, size, t.pattern)
    elif kind == "colour" and t.colour:
        things[i] = replace(t, colour=rng.choice(COLOURS))
    elif kind == "size" and t.size:
        things[i] = replace(t, size=rng.choice(known.sizes))
    elif kind == "pattern" and t.pattern:
        woven = t.pattern in WOVEN
        pattern = rng.choice(known.patterns if woven else (None, *known.patterns))
        if pattern is None:
            things[i] = replace(t, colour=rng.choice(COLOURS), pattern=None)
        else:
            things[i] = replace(t, colour=t.colour if pattern in WOVEN else None, pattern=pattern)
    elif kind == "swap colours" and len(things) > 1:
        a, b = things[0], things[1]
        things[0] = replace(a, colour=b.colour, pattern=b.pattern)
        things[1] = replace(b, colour=a.colour, pattern=a.pattern)
    elif kind == "swap roles" and len(things) > 1:
        things[0], things[1] = things[1], things[0]
    elif kind == "relation" and links and "stilts" not in (things[0].noun, things[-1].noun):
        links[0] = replace(links[0], relation=rng.choice(known.relations))


def _sensible(graph: Graph) -> bool:
    """Whether the toybox could draw it, and it looks like what it says."""
    if not possible(graph):
        return False
    built = [graph.things[k.subject] for k in graph.links if k.relation in BUILT]
    return not any(thing.colour or thing.pattern for thing in built)
