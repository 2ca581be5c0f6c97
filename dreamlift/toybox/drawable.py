"""What this version of the toybox can draw, and help with what it cannot."""

import difflib
import random
from collections.abc import Collection
from functools import cache

from dreamlift.errors import BadInput
from dreamlift.toybox.imitate import imitation
from dreamlift.toybox.nouns import TOYS
from dreamlift.toybox.objects import Toy, count
from dreamlift.words import PATTERNS, Graph, Link

MOST_SOLIDS = 40
"""Tracing costs in proportion to the solids of a scene."""
SHAPES = ("chair", "table", "mug", "snowman", "frog", "hat")
"""Nouns with a silhouette of their own, in which something else can be built."""
BODIES = (
    "cube", "ball", "cylinder", "cone", "ring", "pyramid", "traffic cone", "mug", "snowman", "frog",
    "pumpkin", "hamburger", "hat", "santa hat",
)  # fmt: skip
"""Nouns whose body something else can be built from."""


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
    for link in graph.links:
        _check(graph, link)
    if (total := sum(weights(graph))) > MOST_SOLIDS:
        raise BadInput(
            f"The scene takes {total} solids, {MOST_SOLIDS} is the most. Name fewer or plainer "
            "things."
        )


def weights(graph: Graph) -> list[int]:
    """The most solids that each thing needs; an imitation counts as one, by its first thing."""
    weight = [_weight(thing.noun) for thing in graph.things]
    for link in graph.links:
        if link.relation == "in the shape of":
            a, b = graph.things[link.subject].noun, graph.things[link.object].noun
            weight[link.subject], weight[link.object] = _imitating(a, b), 0
    return weight


def bearer(graph: Graph, index: int) -> int:
    """Who is meant by a thing: by stilts, who walks on them; by a body, what is built from it."""
    for link in graph.links:
        if link.relation in ("on stilts", "in the shape of") and link.object == index:
            return bearer(graph, link.subject)
    return index


def _check(graph: Graph, link: Link) -> None:
    shaping = link.relation == "in the shape of"
    who = link.subject if shaping else bearer(graph, link.subject)
    a, b = graph.things[who].noun, graph.things[link.object].noun
    able = _able(a)
    if link.relation not in able:
        raise BadInput(
            f"There is no picture of {link.relation!r} yet. This version draws: {', '.join(able)}."
        )
    for noun, nouns in zip((a, b), able[link.relation], strict=True):
        if noun not in nouns:
            raise BadInput(
                f"There is no picture of {a!r} {link.relation} {b!r}: {noun!r} cannot take that "
                f"place. Nearest: {_near(noun, nouns)}. Possible: {', '.join(nouns)}."
            )
    shapes = [k for k in graph.links if k.relation == "in the shape of"]
    if shaping and any(
        k is not link and {k.subject, k.object} & {who, link.object} for k in shapes
    ):
        raise BadInput(f"One body for one shape: {b!r} or another, in the shape of {a!r}.")


def _able(subject: str) -> dict[str, tuple[Collection[str], Collection[str]]]:
    """The relations, and the nouns that can be their subjects and objects."""
    standing = [noun for noun in TOYS if noun != "stilts"]
    wearers = [noun for noun in TOYS if _sample(noun).head]
    hats = [noun for noun in TOYS if _sample(noun).brim]
    bodies = [noun for noun in BODIES if noun != subject]
    return {
        "on top of": (standing, standing),
        "next to": (TOYS, TOYS),
        "wearing": (wearers, hats),
        "on stilts": (standing, ["stilts"]),
        "in the shape of": (SHAPES, bodies),
    }


def _near(noun: str, nouns: Collection[str]) -> str:
    return ", ".join(difflib.get_close_matches(noun, nouns, n=2, cutoff=0.0))


@cache
def _sample(noun: str) -> Toy:
    return TOYS[noun](random.Random(0))


@cache
def _weight(noun: str) -> int:
    """The most solids of a noun without its details, over a few seeds."""
    toys = [TOYS[noun](random.Random(seed)) for seed in range(8)]
    return max(count([p for p in toy.pieces if not p.detail]) for toy in toys)


@cache
def _imitating(shape: str, body: str) -> int:
    """The most solids of one noun in the shape of another, over a few seeds."""
    draws = [random.Random(seed) for seed in range(4)]
    made = [imitation(TOYS[shape](draw), TOYS[body](draw))[0] for draw in draws]
    return max(count([p for p in pieces if not p.detail]) for pieces in made)
