"""How well a network tells a toy's caption from 255 near ones, by true renders of it.

For every graph of a category four pictures are taken from the views that recipes render from; their
scores are added, and the caption wins where it comes first among `lists.among` (untextured:
`lists.shapes_among`).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.graph import Graph, Link, Thing
from dreamlift.phrases import phrase
from dreamlift.prior import Reads
from dreamlift.toybox.drawable import possible
from dreamlift.toybox.lists import Category, among, shapes_among
from dreamlift.toybox.near import RELATED
from dreamlift.toybox.scenes import toy_scene
from dreamlift.toybox.wide import pair, wide_coloured
from dreamlift.views import Views
from dreamlift.words import NOUNS, held

CATEGORIES: tuple[Category, ...] = ("single", "trained pair", "held-out pair")


@dataclass(frozen=True)
class Retrieval:
    """Top-1 shares over `count` graphs of one category."""

    count: int
    textured: float
    untextured: float
    chance: float  # of the textured


def examples(category: Category, count: int, seed: int) -> list[Graph]:
    """Frozen random graphs of a category, with colours as captions say them; relations in turn."""
    rng = random.Random(f"retrieval {category} {seed}")
    relations = [*RELATED, "on stilts"]
    out: list[Graph] = []
    while len(out) < count:
        graph = Graph((Thing(rng.choice(NOUNS)),))
        if category != "single":
            relation = relations[len(out) % len(relations)]
            a, b = pair(relation, rng)
            graph = Graph((Thing(a), Thing(b)), (Link(relation, 0, 1),))
            if held(a, b) != (category == "held-out pair") or a == b or not possible(graph):
                continue
        out.append(wide_coloured(graph, rng))
    return out


def pictures(graph: Graph, seed: int, *, views: int, untextured: bool) -> Float[Tensor, "v h w 3"]:
    """True renders of a graph's toy, from the views that recipes render from."""
    rng = torch.Generator().manual_seed(seed)
    shot = Views().draw(views, rng, shading="textureless" if untextured else "lit")
    seen = toy_scene(graph, seed).render(shot)
    return seen.color if shot.background is None else seen.over(shot.background)


def first(reads: Reads, x: Float[Tensor, "v h w 3"], captions: Sequence[str]) -> bool:
    """Whether the first caption has the highest score, summed over the pictures."""
    return int(reads(x, captions).sum(0).argmax()) == 0


def retrieval(
    reads: Reads, category: Category, *, count: int = 40, views: int = 4, seed: int = 0
) -> Retrieval:
    """Top-1 in a category, textured and untextured."""
    right = [0, 0]
    sizes: list[int] = []
    for i, graph in enumerate(examples(category, count, seed)):
        text = phrase(graph)
        near = (among(text), shapes_among(text))
        sizes.append(len(near[0]))
        for blank in (False, True):
            x = pictures(graph, 1_000_000 + 1000 * seed + i, views=views, untextured=blank)
            right[blank] += first(reads, x, near[blank])
    chance = sum(1 / size for size in sizes) / len(sizes)
    return Retrieval(count, right[0] / count, right[1] / count, chance)


def table(reads: Reads, *, count: int = 40, seed: int = 0) -> str:
    """The figures of all categories, as a Markdown table."""
    rows = ["| among 256 captions | textured | untextured |", "| --- | --- | --- |"]
    for category in CATEGORIES:
        got = retrieval(reads, category, count=count, seed=seed)
        rows.append(f"| {category} | {100 * got.textured:.0f} % | {100 * got.untextured:.0f} % |")
    return "\n".join(rows)
