"""Pictures with questions: what the judge is trained and tested on."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.learn.pictures import Pool, compose
from dreamlift.learn.rough import lumpy, rough
from dreamlift.learn.slots import SLOTS, answers, azimuth_bins, fronted
from dreamlift.toybox.captions import (
    DRAWN_NOUNS,
    DRAWN_RELATIONS,
    HELD_PAIRS,
    TRAINED_PAIRS,
    coloured,
    shape_graph,
)
from dreamlift.toybox.lists import canonical
from dreamlift.words import Graph

EVERY_PAIR = {r: [*TRAINED_PAIRS[r], *HELD_PAIRS[r]] for r in DRAWN_RELATIONS}
SHARES: dict[str | None, float] = {
    None: 0.22, "on top of": 0.28, "next to": 0.14, "wearing": 0.11, "on stilts": 0.05,
    "in the shape of": 0.2,
}  # fmt: skip
"""Of the relations among the pictures: more of what is hard to tell."""
GRID = 8
"""Places along the side of the judge's map."""
SEEN = 0.4
"""The share of a place that a thing covers where it is asked for there."""


def any_graph(rng: random.Random) -> Graph:
    """Nouns, sizes and a relation that this version can draw, held-out compositions included."""
    wanted = rng.choices(list(SHARES), list(SHARES.values()))[0]
    while True:
        graph = shape_graph(rng, EVERY_PAIR)
        if wanted == (graph.links[0].relation if graph.links else None):
            return graph


@dataclass(frozen=True)
class Exam:
    """Pictures with their answers, and where their things are."""

    x: Float[Tensor, "b 64 64 3"]
    slots: Int[Tensor, "b slots"]  # -1: not asked
    view: Int[Tensor, " b"]  # -1: not asked
    things: Float[Tensor, "b 2 p"]  # the share of each place that the first and second cover


@dataclass(frozen=True)
class Reading:
    """What a network reads off pictures; log-probabilities."""

    slots: Sequence[Float[Tensor, "b _"]]  # as in SLOTS
    view: Float[Tensor, "b bins"]
    noun: Float[Tensor, "b p nouns"]  # at each place
    paint: Float[Tensor, "b p paints"]
    role: Float[Tensor, "b p 3"]  # the first thing, the second or neither
    looks: Float[Tensor, "b 2 p"]  # where it looked for the first and second; probabilities


def exam(pool: Pool, n: int, seed: int, step: int, *, roughly: bool = True) -> Exam:
    """Pictures of a pool, painted by its views, averaged down to 64 pixels, and made rough."""
    rng = random.Random(f"exam {seed} {step}")
    index = torch.tensor([rng.randrange(pool.capacity) for _ in range(n)])
    traced, cameras, scenes = pool.seen(index)
    draws = torch.Generator().manual_seed(rng.getrandbits(62))
    traced = lumpy(traced, draws) if roughly else traced
    graphs = [coloured(scene.graph, rng) for scene in scenes]
    seen = compose(traced, cameras, scenes, graphs, pool.views, rng, draws, said=0.0)
    x = torch.cat([seen.x.permute(0, 3, 1, 2), _in_order(seen.things, graphs)], 1)
    x = F.adaptive_avg_pool2d(x, 64)
    x = rough(x, draws) if roughly else x
    slots = torch.tensor([answers(graph) for graph in seen.graphs])
    front = torch.tensor([fronted(graph) for graph in graphs])
    view = torch.where(front, azimuth_bins(cameras).cpu(), -1)
    things = F.adaptive_avg_pool2d(x[:, 3:], GRID).flatten(2)
    return Exam(x[:, :3].permute(0, 2, 3, 1), slots.to(x.device), view.to(x.device), things)


def _in_order(
    things: Float[Tensor, "b 2 h w"], graphs: Sequence[Graph]
) -> Float[Tensor, "b 2 h w"]:
    """Masks of the things as `canonical` orders them."""
    turned = torch.tensor([canonical(graph).things != graph.things for graph in graphs])
    return torch.where(turned.to(things.device)[:, None, None, None], things.flip(1), things)


def marks(read: Reading, truth: Exam) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """The loss, and the share of right answers by slot where one was asked."""
    right: dict[str, float] = {}
    losses: list[Tensor] = []
    asked = [*truth.slots.unbind(1), truth.view]
    for name, said, answer in zip([*SLOTS, "view"], [*read.slots, read.view], asked, strict=True):
        losses.append(F.nll_loss(said, answer, ignore_index=-1, reduction="sum") / len(answer))
        hits = (said.argmax(-1) == answer).sum()
        right[name] = float(hits / (answer >= 0).sum().clamp_min(1))
    return torch.stack(losses).sum() + places(read, truth), right


def places(read: Reading, truth: Exam) -> Float[Tensor, ""]:
    """What every place shows, and where one looks for a thing: help in learning, never asked later.

    One thing in the shape of another has no place of its own: there it is only looked at.
    """
    named = dict(zip(SLOTS, truth.slots.unbind(1), strict=True))
    apart = named["relation"] != DRAWN_RELATIONS.index("in the shape of")
    losses: list[Tensor] = []
    for k, word in enumerate(("first", "second")):
        seen = truth.things[:, k] > SEEN
        inside = (read.looks[:, k] * truth.things[:, k]).sum(-1).clamp(1e-3, 1)
        losses.append(0.3 * (-inside.log())[seen.any(-1)].sum() / len(seen))
        here = seen & apart[:, None] & (named[f"{word} noun"] < len(DRAWN_NOUNS))[:, None]
        role = torch.full_like(named["relation"], k)
        asked = ((read.noun, named[f"{word} noun"]), (read.role, role),
                 (read.paint, named[f"{word} colour"]))  # fmt: skip
        for said, answer in asked:
            counted = here & (answer >= 0)[:, None]
            share = counted / counted.sum(1, keepdim=True).clamp_min(1)
            index = answer.clamp(0, said.shape[-1] - 1)[:, None, None].expand(-1, said.shape[1], 1)
            losses.append(-(said.gather(-1, index)[..., 0] * share).sum() / len(seen))
    bare = truth.things.sum(1) < SEEN
    share = bare / bare.sum(1, keepdim=True).clamp_min(1)
    losses.append(-(read.role[..., 2] * share).sum() / len(bare))
    return torch.stack(losses).sum()
