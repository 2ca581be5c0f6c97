"""What a picture of the embedded world is asked, and what a caption answers: slots of a graph.

Things are asked for by the role they play: what lies on top of something is another question than
what wears something. Beside one another neither thing is first, so there each noun is asked for by
itself: is one there?
"""

import math
from itertools import accumulate, pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.graph import BUILT, Graph, Thing
from dreamlift.toybox.lists import read_as
from dreamlift.words import COLOURS, FRONTED, NOUNS, WOVEN
from dreamlift.words import SIZES as BUILDS

NOTHING = "nothing"
PAINTS = (*COLOURS, "rainbow", "wooden", "stone", "golden")
"""A thing has one of these, or the colours of its kind."""
WEAVES = (*WOVEN, "plain")
"""Patterns that a colour can have; "plain" is never said."""
LINKS = (
    "on top of", "next to", "wearing", "on stilts", "in the shape of", "holding", "eating",
    "riding", "in", "made of", NOTHING,
)  # fmt: skip
SLOTS: dict[str, tuple[str, ...]] = {
    "first noun": NOUNS, "second noun": (*NOUNS, NOTHING), "relation": LINKS,
    "first colour": PAINTS, "second colour": PAINTS, "first size": BUILDS, "second size": BUILDS,
    "first pattern": WEAVES, "second pattern": WEAVES,
}  # fmt: skip
"""The questions, and the possible answers. What is not said of a thing is not asked."""
ROLES = (
    "upper", "lower", "beside", "wearer", "worn", "stilted", "stilts", "shape", "body", "alone",
    "holder", "held", "eater", "food", "rider", "mount", "content", "vessel", "made", "material",
)  # fmt: skip
"""The parts that things play."""
PLAYED = torch.tensor([
    [0, 1], [2, 2], [3, 4], [5, 6], [7, 8], [10, 11], [12, 13], [14, 15], [16, 17], [18, 19],
    [9, 9],
])  # fmt: skip
"""Roles of the first and second thing, by relation as in LINKS."""
BESIDE = ROLES.index("beside")
BINS = 8
"""Of azimuth, 45 degrees each; bin 0 is centred on the front, bin 2 on the left side (+90)."""
LOOKS = (len(PAINTS), len(BUILDS), len(WEAVES))
"""Possible colours, sizes and patterns."""
_N, _R = len(NOUNS), len(ROLES)
SIZES = (len(LINKS), _R * _N, _N, *(_R * _N * n for n in LOOKS), 1)
"""Of a reading's parts: relation, noun in a role, noun not beside, its colour, its size, its
pattern, a 1."""
OFFSETS = [0, *accumulate(SIZES)]


def answers(graph: Graph) -> list[int]:
    """What a graph says in each slot; -1 where it says nothing. Raises ValueError."""
    if len(graph.things) > 2:
        raise ValueError(f"Of a picture two things at most are read; here are {len(graph.things)}.")
    graph = read_as(graph)
    first, second = graph.things[0], graph.things[1] if graph.links else Thing(NOTHING)
    relation = graph.links[0].relation if graph.links else NOTHING
    said = (
        first.noun, second.noun, relation, _paint(first), _paint(second), first.size, second.size,
        _weave(first), _weave(second),
    )  # fmt: skip
    out: list[int] = []
    for (slot, values), value in zip(SLOTS.items(), said, strict=True):
        if value is not None and value not in values:
            raise ValueError(f"No {slot} {value!r} is read; there are: {', '.join(values)}.")
        out.append(-1 if value is None else values.index(value))
    return out


def _paint(thing: Thing) -> str | None:
    return thing.pattern if thing.pattern in PAINTS else thing.colour


def _weave(thing: Thing) -> str | None:
    return thing.pattern if thing.pattern in WEAVES else None


def fronted(graph: Graph) -> bool:
    """Whether the picture shows where the front is: the subject has one, or what it is put with."""
    built = any(link.relation in BUILT for link in graph.links)
    return any(thing.noun in FRONTED for thing in graph.things[: 1 if built else None])


def azimuth_bins(cameras: Cameras) -> Int[Tensor, " b"]:
    """Each camera's bin of azimuth."""
    width = 360 / BINS
    return ((cameras.azimuth + width / 2) % 360 / width).long().clamp_max(BINS - 1)


def indicator(graph: Graph) -> Float[Tensor, " d"]:
    """How often a graph gives each answer, over a reading's parts (SIZES, in this order).

    Two of one noun beside each other share their questions, in either order: what is unlike about
    them is so twice as likely, and the 1 is counted log 2 times.
    """
    first, second, relation, *looks = answers(graph)
    row = torch.zeros(OFFSETS[-1])
    link, noun, absent, colour, size, weave, one = (row[a:b] for a, b in pairwise(OFFSETS))
    link[relation] = 1
    things = [first] if LINKS[relation] == NOTHING else [first, second]
    beside = BESIDE in PLAYED[relation]
    for k, thing in enumerate(things):
        query = int(PLAYED[relation, k]) * _N + thing
        noun[query] = 1
        for part, said, n in zip((colour, size, weave), looks[k::2], LOOKS, strict=True):
            if said >= 0:
                part[query * n + said] += 1
    if beside:
        absent[[i for i in range(_N) if i not in things]] = 1
        if first == second:
            pairs = (looks[i : i + 2] for i in range(0, len(looks), 2))
            one += math.log(2) * sum(a != b and min(a, b) >= 0 for a, b in pairs)
    return row
