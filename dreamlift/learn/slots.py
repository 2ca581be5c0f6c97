"""What a picture of the embedded world is asked, and what a caption answers: slots of a graph."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.toybox.captions import DRAWN_NOUNS, DRAWN_RELATIONS
from dreamlift.toybox.lists import canonical
from dreamlift.words import COLOURS, FRONTED, Graph, Thing

NOTHING = "nothing"
PAINTS = (*COLOURS, "rainbow")
SLOTS: dict[str, tuple[str, ...]] = {
    "first noun": DRAWN_NOUNS, "second noun": (*DRAWN_NOUNS, NOTHING),
    "relation": (*DRAWN_RELATIONS, NOTHING),
    "first colour": PAINTS, "second colour": PAINTS,
    "first size": ("small", "large"), "second size": ("small", "large"),
}  # fmt: skip
"""The questions, and the possible answers. A colour or size is asked for where one is said."""
BINS = 8
"""Of azimuth, 45 degrees each; bin 0 is centred on the front, bin 2 on the left side (+90)."""


def answers(graph: Graph) -> list[int]:
    """What a graph says in each slot; -1 where it says nothing. Raises ValueError."""
    if len(graph.things) > 2:
        raise ValueError(f"The judge reads two things at most; here are {len(graph.things)}.")
    graph = canonical(graph)
    first, second = graph.things[0], graph.things[1] if graph.links else Thing(NOTHING)
    relation = graph.links[0].relation if graph.links else NOTHING
    said = (
        first.noun, second.noun, relation, first.colour or first.pattern,
        second.colour or second.pattern, first.size, second.size,
    )  # fmt: skip
    out: list[int] = []
    for (slot, values), value in zip(SLOTS.items(), said, strict=True):
        if value is not None and value not in values:
            raise ValueError(f"The judge knows no {slot} {value!r}; it knows: {', '.join(values)}.")
        out.append(-1 if value is None else values.index(value))
    return out


def fronted(graph: Graph) -> bool:
    """Whether the picture shows where the front is: the subject has one, or what it is put with."""
    shaped = any(link.relation == "in the shape of" for link in graph.links)
    return any(thing.noun in FRONTED for thing in graph.things[: 1 if shaped else None])


def azimuth_bins(cameras: Cameras) -> Int[Tensor, " b"]:
    """Each camera's bin of azimuth."""
    width = 360 / BINS
    return ((cameras.azimuth + width / 2) % 360 / width).long().clamp_max(BINS - 1)


def indicator(graph: Graph) -> Float[Tensor, " d"]:
    """1 for each answer that a graph gives, over all slots."""
    rows: list[Tensor] = []
    for value, values in zip(answers(graph), SLOTS.values(), strict=True):
        row = torch.zeros(len(values))
        if value >= 0:
            row[value] = 1
        rows.append(row)
    return torch.cat(rows)
