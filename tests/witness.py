"""An analytic judge for tests, and objects that are wrong in a known way.

The judge measures colours and outlines, and is told two nouns: it reads which colour is above and
which below, whether the object is taller than wide, and calls its nouns those that it was told
unless the outline is thinner than any of theirs. Its pictures are those of evaluate.look.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.evaluate.judging import WEIGHTS
from dreamlift.evaluate.look import BACKGROUND
from dreamlift.geometry.mesh import Surface
from dreamlift.grammar import parse
from dreamlift.priors.seen import seen
from dreamlift.toybox.colours import NAMED
from dreamlift.words import COLOURS

FACE = torch.tensor([0.91, 0.39, 0.03])
"""The colour of a snowman's nose."""

meaning = cache(parse)


class Witness:
    """Log-likelihoods of: upper colour, lower colour, on top of or not, first and second noun."""

    seen = seen(WEIGHTS)

    def __init__(self, prompt: str) -> None:
        self.nouns = [thing.noun for thing in parse(prompt).things]

    def embed_image(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        return torch.stack([self._read(picture) for picture in x])

    def _read(self, x: Float[Tensor, "h w 3"]) -> Float[Tensor, " d"]:
        mask = ((x - BACKGROUND).abs() > 0.06).any(-1)
        rows, columns = (mask.any(1 - axis).nonzero()[:, 0] for axis in (0, 1))
        if len(rows) < 4:
            return torch.full((26,), -3.0)  # nothing to see: every answer is as good
        tall, wide = len(rows), int(columns[-1] - columns[0]) + 1
        third = tall // 3
        upper, lower = x[rows[0] : rows[0] + third], x[rows[-1] - third + 1 : rows[-1] + 1]
        inside = mask[rows[0] : rows[0] + third], mask[rows[-1] - third + 1 : rows[-1] + 1]
        colours = [self._colours(part[m]) for part, m in zip((upper, lower), inside, strict=True)]
        stacked = 0.95 if tall > 1.2 * wide else 0.05
        known = 0.9 if wide > 0.3 * tall else 0.05
        said = torch.tensor([stacked, 1 - stacked, known, 1 - known, known, 1 - known]).log()
        return torch.cat([*colours, said])

    def _colours(self, pixels: Float[Tensor, "n 3"]) -> Float[Tensor, "10"]:
        """Log-shares of the ten colours, told by their ratios: half light changes nothing."""
        centres = torch.tensor([NAMED[name] for name in COLOURS])
        ratios = [c / c.amax(-1, keepdim=True).clamp_min(1e-3) for c in (pixels, centres)]
        nearest = torch.cdist(*ratios).argmin(-1)
        share = torch.bincount(nearest, minlength=10) / len(pixels)
        return (0.01 + 0.9 * share).log()

    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return torch.stack([self._said(text) for text in texts])

    def _said(self, text: str) -> Float[Tensor, " d"]:
        graph = meaning(text)
        first, second = graph.things[0], graph.things[-1]
        row = torch.zeros(26)
        for start, thing in ((0, first), (10, second)):
            if thing.colour:
                row[start + COLOURS.index(thing.colour)] = 1
        row[20 if graph.links and graph.links[0].relation == "on top of" else 21] = 1
        for at, thing, noun in ((22, first, self.nouns[0]), (24, second, self.nouns[-1])):
            row[at if thing.noun == noun else at + 1] = 1
        return row

    def views(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b 8"]:
        """The front is where the nose is seen, and not from its side; all else is the back."""
        ratio = x / x.amax(-1, keepdim=True).clamp_min(1e-3)
        nose = ((ratio - FACE / FACE.amax()).norm(dim=-1) < 0.15) & (x.amax(-1) > 0.3)
        nose[:, :, :26] = nose[:, :, 38:] = False
        seen = nose.flatten(1).sum(1) >= 2
        out = torch.full((len(x), 8), 0.01)
        out[torch.arange(len(x)), torch.where(seen, 0, 4)] = 0.93
        return out.log()


def swapped(parts: Sequence[Surface]) -> list[Surface]:
    """The two things in each other's colours."""
    upper, lower = parts
    assert upper.colors is not None
    assert lower.colors is not None
    a = lower.colors[:1].expand_as(upper.colors)
    b = upper.colors[:1].expand_as(lower.colors)
    return [replace(upper, colors=a), replace(lower, colors=b)]


def flattened(parts: Sequence[Surface]) -> list[Surface]:
    """A billboard: right from the front, a hand's breadth thick."""
    flat = torch.tensor([0.03, 1.0, 1.0])
    return [replace(part, vertices=part.vertices * flat, normals=None) for part in parts]
