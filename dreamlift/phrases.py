"""Captions for scene graphs: the plain one, or one of the many ways to say it."""

import random
import re
from dataclasses import replace

from dreamlift.graph import Graph, Link, Thing
from dreamlift.words import (
    CONTEXT,
    DECORATION,
    LENSES,
    NEUTRAL,
    RELATIONS,
    SYNONYMS,
    UNTEXTURED,
    a,
    split,
)


def _name(thing: Thing, rng: random.Random | None, article: bool = True) -> str:
    noun = thing.noun
    others = [s for s, n in SYNONYMS.items() if n == noun]
    if rng is not None and others and rng.random() < 0.15:
        noun = rng.choice(others)
    said = [w for w in (thing.size, thing.colour, thing.pattern) if w]
    named = " ".join([*said, noun])
    if noun == "sunglasses":
        pair = article and (rng is None or rng.random() < 0.5)
        named = f"a pair of {named}" if pair else named
    elif noun != "stilts" and article:
        named = a(named)
    lenses = [f", {lens} is {c}" for lens, c in zip(LENSES, thing.lenses, strict=True) if c]
    return named + "".join(lenses)


def phrase(graph: Graph, rng: random.Random | None = None) -> str:
    """A caption for a graph: the plain one, or with `rng` one of the many ways to say it."""
    text = _name(graph.subject, rng)
    last: Link | None = None
    for link in graph.links:
        other = graph.things[link.object]
        way = RELATIONS[link.relation][0] if rng is None else rng.choice(RELATIONS[link.relation])
        if last is not None and link.subject not in (last.subject, last.object):
            raise ValueError(
                f"{link.relation!r} of {graph.things[link.subject].noun!r} cannot be said: a "
                "relation is of the thing before it, or of whom the relation before it was."
            )
        if last is not None and link.subject == last.subject and link.relation != last.relation:
            text += ","
        if link.relation == "on stilts":
            text += f" {way}".replace("stilts", _name(other, rng))
        elif last is not None and (last.relation, last.subject) == (link.relation, link.subject):
            text += f", {_name(other, rng, article=rng is None or rng.random() < 0.5)}"
        else:
            text += f" {way} {_name(other, rng)}"
        last = link
    if graph.untextured:
        bare = re.sub(r"^an? ", "", text)
        text = a(f"{UNTEXTURED} {bare}")
    if rng is not None:
        text = _decorate(text, rng)
    return f"{text}, {graph.view}" if graph.view else text


def fitting(graph: Graph, rng: random.Random) -> str:
    """One of the many ways to say a graph; the plain one where that has too many words to read."""
    text = phrase(graph, rng)
    return text if len(split(text)) <= CONTEXT else phrase(graph)


def _decorate(text: str, rng: random.Random) -> str:
    """Add words of real prompts that change nothing."""
    if rng.random() < 0.12:
        first, _, rest = text.partition(" ")
        if first in ("a", "an"):
            text = a(f"{rng.choice(DECORATION[5:12])} {rest}")
    if rng.random() < 0.15:
        text = f"{rng.choice(NEUTRAL)} {text}"
    if rng.random() < 0.08:
        text = f"{text}, {rng.choice(DECORATION[:5])}"
    return text


def colourless(graph: Graph) -> Graph:
    """The graph without colours and patterns: what an untextured picture can show."""
    things = tuple(Thing(thing.noun, size=thing.size) for thing in graph.things)
    return replace(graph, things=things, untextured=True)
