"""What this version of the toybox can draw, and help with what it cannot."""

import difflib
import random
from collections.abc import Collection, Sequence
from functools import cache

from dreamlift.errors import BadInput
from dreamlift.graph import BUILT, Graph, Link
from dreamlift.toybox.dress import sweater
from dreamlift.toybox.imitate import imitation
from dreamlift.toybox.meaning import meant
from dreamlift.toybox.nouns import TOYS
from dreamlift.toybox.objects import Piece, count
from dreamlift.toybox.poses import opened
from dreamlift.toybox.roles import DRESS, MOST_SOLIDS, able, sample
from dreamlift.words import PATTERNS

MOST = {"holding": 2, "eating": 1, "riding": 1, "in": 1}
"""How many things one subject can have in a relation."""


def drawable(graph: Graph) -> None:
    """Raise BadInput (a ValueError), naming the nearest choice, for what cannot be drawn yet."""
    for thing in graph.things:
        if thing.noun not in TOYS:
            raise BadInput(
                f"There is no toy for {thing.noun!r}. Nearest: {_near(thing.noun, TOYS)}. There "
                f"are: {', '.join(TOYS)}."
            )
        if thing.pattern is not None and thing.pattern not in PATTERNS:
            raise BadInput(
                f"There is no paint for {thing.pattern!r}. There are the ten colours and: "
                f"{', '.join(PATTERNS)}."
            )
    plain = meant(graph)
    for link in plain.links:
        _check(plain, link)
    if (total := sum(weights(plain))) > MOST_SOLIDS:
        raise BadInput(
            f"The scene takes {total} solids, {MOST_SOLIDS} is the most. Name fewer or plainer "
            "things."
        )


def possible(graph: Graph) -> bool:
    """Whether a graph can be drawn; most that cannot are told without the time help takes."""
    plain = meant(graph)
    for link in plain.links:
        a, b = graph.things[link.subject].noun, graph.things[link.object].noun
        subjects, objects = able(a, b).get(link.relation, ((), ()))
        if a not in subjects or b not in objects:
            return False
    try:
        drawable(graph)
    except BadInput:
        return False
    return True


def weights(graph: Graph) -> list[int]:
    """The most solids that each thing needs; two that are one body count as one, by the first."""
    weight = [_weight(thing.noun) for thing in graph.things]
    for link in graph.links:
        a, b = graph.things[link.subject].noun, graph.things[link.object].noun
        if link.relation == "in the shape of":
            weight[link.subject], weight[link.object] = _imitating(a, b), 0
        elif link.relation == "made of":
            weight[link.object] = _topping(b)
        elif link.relation == "wearing" and b == "sweater":
            weight[link.object] = _sweater(a)
    return weight


def _check(graph: Graph, link: Link) -> None:
    a, b = graph.things[link.subject].noun, graph.things[link.object].noun
    possible = able(a, b)
    if link.relation not in possible:
        raise BadInput(
            f"There is no picture of {link.relation!r}. This version draws: {', '.join(possible)}."
        )
    for noun, nouns in zip((a, b), possible[link.relation], strict=True):
        if noun not in nouns:
            raise BadInput(
                f"There is no picture of {a!r} {link.relation} {b!r}: {noun!r} cannot take that "
                f"place. Nearest: {_near(noun, nouns)}. Possible: {', '.join(nouns)}."
            )
    if link.relation in BUILT:
        _check_body(graph, link)
    same = [k for k in graph.links if (k.relation, k.subject) == (link.relation, link.subject)]
    if link.relation in MOST and len(same) > (most := MOST[link.relation]):
        raise BadInput(f"{a!r} is {link.relation} {len(same)} things; {most} is the most.")
    worn = [graph.things[k.object].noun for k in same]
    if link.relation == "wearing" and b in DRESS and worn.count(b) > 1:
        raise BadInput(f"{a!r} is wearing {worn.count(b)} of {b!r}; 1 is the most.")


def _check_body(graph: Graph, link: Link) -> None:
    shape, body = graph.things[link.subject], graph.things[link.object]
    a, b = shape.noun, body.noun
    if link.relation == "made of" and (unseen := shape.colour or shape.pattern):
        raise BadInput(f"{a!r} made of {b!r} has the colours of {b!r} alone; leave out {unseen!r}.")
    for other in graph.links:
        if other is not link and other.relation in BUILT:
            if {other.subject, other.object} & {link.subject, link.object}:
                raise BadInput(f"One body for one shape: {b!r} or another, in the shape of {a!r}.")


def _near(noun: str, nouns: Collection[str]) -> str:
    return ", ".join(difflib.get_close_matches(noun, nouns, n=2, cutoff=0.0))


@cache
def _weight(noun: str) -> int:
    """The most solids of a noun without its details, over a few seeds."""
    toys = [TOYS[noun](random.Random(seed)) for seed in range(8)]
    return max(_bare(t.pieces) for toy in toys for t in (toy, opened(toy)))


def _bare(pieces: Sequence[Piece]) -> int:
    return count([p for p in pieces if not p.detail])


@cache
def _imitating(shape: str, body: str) -> int:
    """The most solids of one noun in the shape of another, over a few seeds."""
    draws = [random.Random(seed) for seed in range(4)]
    return max(_bare(imitation(TOYS[shape](draw), TOYS[body](draw))[0]) for draw in draws)


@cache
def _topping(noun: str) -> int:
    """The most solids that one noun adds to what is made of it, over a few seeds."""
    toys = [TOYS[noun](random.Random(seed)) for seed in range(8)]
    return max(count([p for p in toy.pieces if p.pokes and not p.detail]) for toy in toys)


@cache
def _sweater(wearer: str) -> int:
    """The most solids of a sweater that is made for a noun."""
    return _bare(sweater(sample(wearer), sample("sweater"), 1.0))
