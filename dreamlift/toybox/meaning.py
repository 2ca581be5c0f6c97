"""What a caption's links come down to: who does it, and what "with" and "in" mean of nouns."""

from dataclasses import replace

from dreamlift.graph import BUILT, Graph, Link
from dreamlift.toybox.roles import (
    BOARDS,
    HANDY,
    SEATS,
    TABLES,
    able,
    figures,
    vessels,
    wearers,
    worn,
)
from dreamlift.words import held

PLAIN = ("on top of", "next to", "on stilts", "left of", "right of", "behind")
"""Relations that anything can be in: what another has is where that one is."""
HAD = ("wearing", "holding", "eating")
"""Of what another has about it."""


def bearer(graph: Graph, index: int) -> int:
    """Who is meant by a thing: by stilts, who walks on them; by a body, what is built from it."""
    for link in graph.links:
        if link.relation in ("on stilts", *BUILT) and link.object == index:
            return bearer(graph, link.subject)
    return index


def meant(graph: Graph) -> Graph:
    """The graph in the relations that are built.

    What is said of a thing that cannot do it is said of who has it: "a frog wearing a hat riding a
    pig". "In" and "with" are read by their nouns: in a sweater is wearing it, in an armchair is on
    it; a vase with a flower has it in it, a snowman with a hat wears it, a bear with a book holds
    it, a table with a mug has it on it, and a house with a tree stands beside a small one.
    """
    things, links = list(graph.things), list[Link]()
    for link in graph.links:
        if link.relation in BUILT:
            links.append(link)
            continue
        who = _doer(graph, link)
        a, b = graph.things[who].noun, graph.things[link.object].noun
        relation, turned = link.relation, False
        if relation == "with":
            relation, turned = _with(a, b)
            if relation == "next to" and things[link.object].size is None:
                things[link.object] = replace(things[link.object], size="small")
        elif relation == "in" and b in worn(a) and a in wearers(b):
            relation = "wearing"
        elif relation == "in" and b in SEATS:
            relation = "on top of"
        elif relation == "on top of" and b in BOARDS and a in figures():
            relation = "riding"
        first, second = (link.object, who) if turned else (who, link.object)
        links.append(Link(relation, first, second))
    return Graph(tuple(things), tuple(links), graph.view, graph.untextured)


def _doer(graph: Graph, link: Link) -> int:
    """Who a link is about: the thing named before it, or who has that, if it cannot be."""
    start = index = bearer(graph, link.subject)
    if link.relation in PLAIN:
        has = [k.subject for k in graph.links if k.object == index and _had(graph, k)]
        return _doer(graph, replace(link, subject=has[0])) if has else start
    other = graph.things[link.object].noun
    while not _can(graph, index, link.relation, other):
        above = [k.subject for k in graph.links if k.object == index and k.relation not in BUILT]
        if not above:
            return start
        index = bearer(graph, above[0])
    return index


def _had(graph: Graph, link: Link) -> bool:
    """Whether it is said what another has about it: a corgi with a hat, not a table with a mug."""
    a, b = graph.things[link.subject].noun, graph.things[link.object].noun
    return link.relation in HAD or (link.relation == "with" and _with(a, b)[0] in HAD)


def _can(graph: Graph, index: int, relation: str, other: str) -> bool:
    noun = graph.things[index].noun
    dressed = any(k.relation == "wearing" and k.object == index for k in graph.links)
    if relation == "wearing":
        return noun in wearers(other)
    if relation == "with":
        return not dressed
    return not dressed and noun in able(noun, other)[relation][0]


def _with(a: str, b: str) -> tuple[str, bool]:
    """How the first noun has the second, and whether the second is that relation's subject."""
    if a in figures() and b in worn(a):
        return "wearing", False
    if a in vessels(b):
        return "in", True
    if a in figures() and b in HANDY:
        return "holding", False
    if a in wearers(b) and b in worn(a) and b != "ring":
        return "wearing", False
    if a in TABLES:
        return "on top of", True
    return "next to", False


def shows_held(graph: Graph) -> bool:
    """Whether a held-out composition is said, or built: a chest with a tree has it in a chest."""
    links = [*graph.links, *meant(graph).links]
    return any(held(graph.things[k.subject].noun, graph.things[k.object].noun) for k in links)
