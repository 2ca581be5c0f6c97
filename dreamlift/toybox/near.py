"""Captions near one another: colours or roles swapped, a word changed.

They are what an aligner must tell a true caption from, and what it learns by.
"""

import random
from collections.abc import Iterator, Sequence

from dreamlift.grammar import Graph, Link, Thing
from dreamlift.toybox.captions import TAUGHT_NOUNS
from dreamlift.toybox.drawable import possible
from dreamlift.toybox.meaning import BUILT
from dreamlift.words import COLOURS, NOUNS, PATTERNS, SIZES

RELATED = (
    "on top of", "next to", "wearing", "in the shape of", "holding", "eating", "riding", "in",
    "made of",
)  # fmt: skip
"""Relations that a changed caption may have."""


def neighbours(
    graph: Graph,
    rng: random.Random,
    *,
    nouns: Sequence[str] = NOUNS,
    relations: Sequence[str] = RELATED,
) -> Iterator[Graph]:
    """Endless graphs near one, each visibly different; new words are among `nouns` and `relations`.

    No word is only left out or only added; a noun that changes may gain a colour or a size.
    """
    while True:
        things = list(graph.things)
        links = list(graph.links)
        for _ in range(rng.choice((1, 1, 2, 3))):
            _change(things, links, rng, nouns, relations)
        other = Graph(tuple(things), tuple(links), graph.view, graph.untextured)
        if other != graph and _sensible(other):
            yield other


def _change(
    things: list[Thing],
    links: list[Link],
    rng: random.Random,
    nouns: Sequence[str],
    relations: Sequence[str],
) -> None:
    kinds = ["noun", "noun", "colour", "size", "pattern"]
    if links:
        kinds += ["swap colours", "swap colours", "swap roles", "swap roles", "relation"]
    kind = rng.choice(kinds)
    i = rng.randrange(len(things))
    t = things[i]
    if kind == "noun" and (t.noun != "stilts" or not links):
        # Half of them of the first world, whose shapes are the most alike.
        some = TAUGHT_NOUNS if rng.random() < 0.5 else nouns
        noun = rng.choice([n for n in some if n not in (t.noun, "stilts")])
        colour = t.colour if t.colour or t.pattern or rng.random() < 0.7 else rng.choice(COLOURS)
        size = t.size if t.size or rng.random() < 0.8 else rng.choice(SIZES[:2])
        things[i] = Thing(noun, colour, size, t.pattern)
    elif kind == "colour" and t.colour:
        things[i] = Thing(t.noun, rng.choice(COLOURS), t.size, t.pattern)
    elif kind == "size" and t.size:
        things[i] = Thing(t.noun, t.colour, rng.choice(SIZES), t.pattern)
    elif kind == "pattern" and t.pattern:
        woven = t.pattern in ("striped", "spotted", "checkered")
        pattern = rng.choice(PATTERNS if woven else (None, *PATTERNS))
        colour = t.colour if woven or pattern else rng.choice(COLOURS)
        things[i] = Thing(t.noun, colour, t.size, pattern)
    elif kind == "swap colours" and len(things) > 1:
        a, b = things[0], things[1]
        things[0] = Thing(a.noun, b.colour, a.size, b.pattern)
        things[1] = Thing(b.noun, a.colour, b.size, a.pattern)
    elif kind == "swap roles" and len(things) > 1:
        things[0], things[1] = things[1], things[0]
    elif kind == "relation" and links and "stilts" not in (things[0].noun, things[-1].noun):
        link = links[0]
        links[0] = Link(rng.choice(relations), link.subject, link.object)


def _sensible(graph: Graph) -> bool:
    """Whether the toybox could draw it, and it looks like what it says."""
    if not possible(graph):
        return False
    built = [graph.things[k.subject] for k in graph.links if k.relation in BUILT]
    return not any(thing.colour or thing.pattern for thing in built)
