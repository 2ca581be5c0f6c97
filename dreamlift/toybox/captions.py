"""Which scenes the embedded world is made of: random graphs for pictures and for text.

Held-out compositions (`words.held`) are never drawn, whatever the colours, sizes and relation.
"""

import random
from collections.abc import Mapping, Sequence

from dreamlift.graph import Graph, Link, Thing, clothed
from dreamlift.toybox.meaning import shows_held
from dreamlift.words import COLOURS, NOUNS, PATTERNS, RELATIONS, SIZES, VIEWS, held

TAUGHT_NOUNS = NOUNS[:17]
"""What the models of this version are shown; the toybox has toys for every noun."""
TAUGHT_PATTERNS = ("rainbow",)
SHAPES = ("chair", "table", "mug", "snowman", "frog", "hat")
BODIES = tuple(n for n in TAUGHT_NOUNS if n not in ("chair", "table", "stilts"))
SOLIDS = TAUGHT_NOUNS[:6]
"""Nouns that are nothing but a shape: their colour is nearly always said."""
DRAWN_RELATIONS = ("on top of", "next to", "wearing", "on stilts", "in the shape of")
HATS = ("hat", "santa hat")
_RELATION_WEIGHTS = (0.42, 0.18, 0.18, 0.08, 0.14)
_STANDERS = tuple(n for n in TAUGHT_NOUNS if n not in ("stilts", *HATS))
_HEADLESS = ("chair", "table", "ring")


def pairs(relation: str) -> list[tuple[str, str]]:
    """The (subject, object) nouns that a relation joins in this version, held-out ones included."""
    if relation == "on stilts":
        return [(a, "stilts") for a in _STANDERS]
    if relation == "wearing":
        return [(a, b) for a in _STANDERS if a not in _HEADLESS for b in HATS]
    if relation == "in the shape of":
        return [(a, b) for a in SHAPES for b in BODIES if a != b]
    if relation in ("on top of", "next to"):
        return [(a, b) for a in TAUGHT_NOUNS for b in TAUGHT_NOUNS if "stilts" not in (a, b)]
    raise ValueError(f"This version draws {', '.join(DRAWN_RELATIONS)}; not {relation!r}.")


TRAINED_PAIRS = {r: [p for p in pairs(r) if not held(*p)] for r in DRAWN_RELATIONS}
HELD_PAIRS = {r: [p for p in pairs(r) if held(*p)] for r in DRAWN_RELATIONS}


def coloured(graph: Graph, rng: random.Random) -> Graph:
    """The graph with colours said, or not, of its things."""
    shaped = [link.subject for link in graph.links if link.relation == "in the shape of"]
    things = list(graph.things)
    for i, thing in enumerate(things):
        share = 0.9 if thing.noun in SOLIDS else 0.4 if thing.noun == "stilts" else 0.45
        if i in shaped or rng.random() > share:
            continue
        rainbow = rng.random() < 0.06
        colour = None if rainbow else rng.choice(COLOURS)
        things[i] = Thing(thing.noun, colour, thing.size, "rainbow" if rainbow else None)
    return Graph(tuple(things), graph.links, graph.view, graph.untextured)


def shape_graph(
    rng: random.Random, among: Mapping[str, Sequence[tuple[str, str]]] = TRAINED_PAIRS
) -> Graph:
    """Nouns, sizes and a relation that this version can draw, pairs drawn from `among`."""
    if rng.random() < 0.4:
        return Graph((Thing(rng.choice(TAUGHT_NOUNS), size=_small_or_large(rng)),))
    relation = rng.choices(DRAWN_RELATIONS, _RELATION_WEIGHTS)[0]
    a, b = rng.choice(among[relation])
    first, second = _small_or_large(rng), _small_or_large(rng)
    if relation in ("on stilts", "in the shape of"):
        second = None
    elif rng.random() < 0.12:
        first, second = ("small", "large") if rng.random() < 0.6 else ("large", "small")
    return Graph((Thing(a, size=first), Thing(b, size=second)), (Link(relation, 0, 1),))


def _small_or_large(rng: random.Random) -> str | None:
    return rng.choice(SIZES[:2]) if rng.random() < 0.2 else None


def picture_graph(rng: random.Random) -> Graph:
    """A scene that this version can draw, with its colours; no view, textured."""
    return coloured(shape_graph(rng), rng)


def _any_thing(rng: random.Random) -> Thing:
    colour = rng.choice(COLOURS) if rng.random() < 0.55 else None
    size = rng.choice(SIZES) if rng.random() < 0.25 else None
    pattern = rng.choice(PATTERNS) if rng.random() < 0.15 else None
    noun = rng.choice(TAUGHT_NOUNS if rng.random() < 0.5 else NOUNS)
    return Thing(noun, colour, size, pattern)


def text_graph(rng: random.Random) -> Graph:
    """Any sentence of the whole vocabulary, held-out compositions left out, for text models."""
    view = rng.choice(VIEWS) if rng.random() < 0.6 else None
    untextured = rng.random() < 0.15
    things = [_any_thing(rng)]
    links: list[Link] = []
    for _ in range(rng.choices((0, 1, 2), (0.25, 0.6, 0.15))[0]):
        subject = links[-1].object if links and rng.random() < 0.5 else 0
        relation = rng.choice(tuple(RELATIONS) if rng.random() < 0.5 else DRAWN_RELATIONS)
        other = _any_thing(rng)
        if (relation == "on stilts") != (other.noun == "stilts"):
            other, relation = Thing("stilts", other.colour), "on stilts"
        more = [*links, Link(relation, subject, len(things))]
        if not shows_held(Graph((*things, other), tuple(more))):
            links, things = more, [*things, other]
    if len(links) == 2 and not _readable(links):
        things, links = things[:2], links[:1]
    if untextured:
        things = [Thing(t.noun, size=t.size) for t in things]
    return Graph(tuple(clothed(things, links)), tuple(links), view, untextured)


def _readable(links: list[Link]) -> bool:
    """Whether a sentence can say both links: a chain, or one relation to two things."""
    first, second = links
    return second.subject == first.object or (
        first.relation == second.relation and first.relation != "on stilts"
    )
