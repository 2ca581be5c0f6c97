"""Colouring toys: a palette for the parts of a built scene, and the colours of traced pixels.

Shape and colour are drawn apart, so that a scene traced once can be painted many times: make a
`palette` for the built object and a graph with the same nouns and other colours, then `colour` the
traced part numbers.
"""

import random
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from dreamlift.toybox.colours import NAMED, Colour, named
from dreamlift.toybox.compose import Built, Part
from dreamlift.words import Graph

PATTERNS = ("rainbow",)
"""The patterns that this version paints."""
RAINBOW = ("purple", "blue", "green", "yellow", "orange", "red")
"""From the bottom of a thing to its top."""


def rainbow(height: Float[Tensor, "*s"]) -> Float[Tensor, "*s 3"]:
    """The colour at a height in [0, 1] of a rainbow thing: six bands, softly joined."""
    bands = torch.tensor([NAMED[name] for name in RAINBOW], device=height.device)
    place = height.clamp(0, 1).float() * len(RAINBOW) - 0.5
    place = place.clamp(0, len(RAINBOW) - 1)
    low = place.floor().clamp_max(len(RAINBOW) - 2)
    share = ((place - low - 0.5) * 2.5 + 0.5).clamp(0, 1)[..., None]
    index = low.long()
    return bands[index] * (1 - share) + bands[index + 1] * share


def palette(built: Built, graph: Graph, rng: random.Random) -> Float[Tensor, "parts 3"]:
    """sRGB of every part: what the graph says of its thing, or its own colour.

    `graph` has the nouns of `built.graph`; its colours may be others. Parts of one thing share one
    draw of a colour word.
    """
    said = {i: named(thing.colour, rng) for i, thing in enumerate(graph.things) if thing.colour}
    return torch.tensor([_painted(part, said.get(part.thing)) for part in built.parts])


def _painted(part: Part, said: Colour | None) -> Colour:
    return said if part.main and said else part.colour


def rainbows(built: Built, graph: Graph) -> Bool[Tensor, " parts"]:
    """Which parts are painted as a rainbow."""
    return torch.tensor(
        [p.main and graph.things[p.thing].pattern == "rainbow" for p in built.parts]
    )


def spans(built: Built) -> Float[Tensor, "parts 2"]:
    """The lowest and highest z, world units, of the thing that each part belongs to."""
    return torch.tensor([built.heights[part.thing] for part in built.parts])


def level(
    part: Integer[Tensor, "b *s"], z: Float[Tensor, "b *s"], spans: Float[Tensor, "b parts 2"]
) -> Float[Tensor, "b *s"]:
    """How high in its thing a point lies, in [0, 1], from its part's number and world height."""
    low, high = _look_up(part, spans).unbind(-1)
    return ((z - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)


def colour(
    part: Integer[Tensor, "b *s"],
    height: Float[Tensor, "b *s"],
    palette: Float[Tensor, "b parts 3"],
    rainbows: Bool[Tensor, "b parts"],
) -> Float[Tensor, "b *s 3"]:
    """The albedo of traced pixels: sRGB in [0, 1], from part numbers and heights in [0, 1]."""
    plain = _look_up(part, palette)
    if not bool(rainbows.any()):
        return plain
    return torch.where(_look_up(part, rainbows[..., None]), rainbow(height), plain)


def _look_up(part: Tensor, table: Tensor) -> Tensor:
    """Rows of each picture's table by part number; numbers past its end read its last row."""
    b, parts, c = table.shape
    index = part.reshape(b, -1).long().clamp_max(parts - 1)
    rows = table.gather(1, index[..., None].expand(b, index.shape[1], c))
    return rows.reshape(*part.shape, c)


def stacked(tables: Sequence[Float[Tensor, "_ c"]]) -> Float[Tensor, "b parts c"]:
    """Tables of several scenes as one batch: shorter ones repeat their last row."""
    most = max(len(table) for table in tables)
    return torch.stack(
        [torch.cat([table, table[-1:].expand(most - len(table), -1)]) for table in tables]
    )
