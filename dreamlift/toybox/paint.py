"""Colouring toys: paint for the parts of a built scene, and the colours of traced pixels.

Shape and colour are drawn apart, so that a scene traced once can be painted many times: make a
`coat` for the built object and a graph with the same nouns and other colours and patterns, then
`colour` the traced part numbers and points.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from dreamlift.graph import Graph
from dreamlift.toybox.colours import named
from dreamlift.toybox.compose import Built
from dreamlift.toybox.patterns import PATTERNS, Pattern
from dreamlift.words import LENSES

WORDS = tuple(PATTERNS)
"""In a part's paint the first is 1; 0 is plain."""


@dataclass(frozen=True)
class Coat:
    """The paint of every part of a built scene, or of a batch of scenes."""

    base: Float[Tensor, "*b parts 3"]  # sRGB
    pattern: Int[Tensor, "*b parts 1"]  # its number; the rest only matters where there is one
    inks: Float[Tensor, "*b parts 2 3"]  # sRGB
    box: Float[Tensor, "*b parts 2 3"]  # lowest corner and sides, world units
    turn: Float[Tensor, "*b parts 3 4"]  # from the place in the box, each side 1, to q

    def to(self, device: torch.device | str) -> "Coat":
        """The same paint on another device."""
        return Coat(*(table.to(device) for table in self.tables()))

    def tables(self) -> list[Tensor]:
        """All of it, in order."""
        return [self.base, self.pattern, self.inks, self.box, self.turn]


def coat(built: Built, graph: Graph, rng: random.Random) -> Coat:
    """The paint of every part: what the graph says of its thing, or its own colour.

    `graph` has the nouns of `built.graph`; its colours and patterns may be others. Main parts of
    one thing share one draw of a colour and of a pattern.
    """
    said = {i: named(thing.colour, rng) for i, thing in enumerate(graph.things) if thing.colour}
    base = torch.tensor([said.get(p.thing, p.colour) if p.main else p.colour for p in built.parts])
    for k, part in enumerate(built.parts):
        for lens, word in zip(LENSES, graph.things[part.thing].lenses, strict=True):
            if word is not None and part.name == lens:
                base[k] = torch.tensor(named(word, rng))
    n = len(base)
    painted = Coat(
        base,
        torch.zeros(n, 1, dtype=torch.int32),
        torch.zeros(n, 2, 3),
        torch.zeros(n, 2, 3),
        torch.zeros(n, 3, 4),
    )
    for i, thing in enumerate(graph.things):
        mine = [k for k, part in enumerate(built.parts) if part.main and part.thing == i]
        if thing.pattern is not None and mine:
            pattern = PATTERNS[thing.pattern]
            painted.pattern[mine] = 1 + WORDS.index(thing.pattern)
            if i not in said and (own := pattern.own(rng)) is not None:
                base[mine] = torch.tensor(own)
            inks = pattern.inks(rng)
            painted.inks[mine] = torch.tensor([inks((r, g, b)) for r, g, b in base[mine].tolist()])
            _fit(painted, pattern, built, i, mine, rng)
    return painted


def _fit(
    coat: Coat, pattern: Pattern, built: Built, thing: int, mine: list[int], rng: random.Random
) -> None:
    """Draw where a pattern lies in a thing, and note it for its main parts."""
    if pattern.box == "part":
        boxes = built.boxes[mine]
    else:
        boxes = built.box(thing, main=pattern.box == "main")[None]
    low, high = torch.from_numpy(boxes).float().unbind(1)
    coat.box[mine] = torch.stack([low, (high - low).clamp_min(1e-6)], 1)
    coat.turn[mine] = torch.from_numpy(pattern.turn(boxes[:, 1] - boxes[:, 0], rng)).float()


def colour(
    part: Integer[Tensor, "b *s"],
    point: Float[Tensor, "b *s 3"],
    coat: Coat,
    seen: Bool[Tensor, "b *s"] | None = None,
) -> Float[Tensor, "b *s 3"]:
    """The albedo of points of surfaces: sRGB in [0, 1], from part numbers and world places.

    What is not `seen` has some colour, and takes no time.
    """
    rgb = look_up(part, coat.base)
    if not bool(coat.pattern.any()):
        return rgb
    which = look_up(part, coat.pattern)[..., 0]
    which = which if seen is None else which * seen
    for number in coat.pattern.unique().tolist():
        if number == 0:
            continue
        here = (which == number).nonzero(as_tuple=True)
        row = here[0], part[here].long().clamp_max(coat.base.shape[1] - 1)
        low, sides = coat.box[row].unbind(1)
        turn = coat.turn[row]
        place = ((point[here] - low) / sides).float()
        q = (turn[..., :3] * place[:, None]).sum(-1) + turn[..., 3]
        rgb[here] = PATTERNS[WORDS[number - 1]].paint(q, rgb[here], coat.inks[row])
    return rgb


def look_up(part: Integer[Tensor, "b *s"], table: Tensor) -> Tensor:
    """Rows of each picture's table by part number; numbers past its end read its last row."""
    b, parts, c = table.shape
    index = part.reshape(b, -1).long().clamp_max(parts - 1)
    rows = table.gather(1, index[..., None].expand(b, index.shape[1], c))
    return rows.reshape(*part.shape, c)


def stacked(coats: Sequence[Coat]) -> Coat:
    """The paint of several scenes as one batch: shorter tables repeat their last row."""
    counts = torch.tensor([len(coat.base) for coat in coats])
    ends = counts.cumsum(0)[:, None]
    index = torch.minimum(ends - counts[:, None] + torch.arange(int(counts.max())), ends - 1)
    tables = zip(*(coat.tables() for coat in coats), strict=True)
    return Coat(*(torch.cat(table)[index] for table in tables))
