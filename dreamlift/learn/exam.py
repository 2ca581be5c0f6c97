"""Pictures with questions: what the judge and the CLIP are trained and tested on."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.graph import BUILT, Graph, Thing
from dreamlift.learn.pictures import Pool, compose
from dreamlift.learn.rough import lumpy, rough
from dreamlift.learn.slots import (
    BESIDE,
    LINKS,
    PLAYED,
    ROLES,
    WEAVES,
    answers,
    azimuth_bins,
    fronted,
)
from dreamlift.priors.eyes import GRID
from dreamlift.toybox.drawable import possible
from dreamlift.toybox.lists import read_as
from dreamlift.toybox.wide import any_size, pair, sized, wide_coloured
from dreamlift.words import NOUNS

SHARES: dict[str | None, float] = {
    None: 0.2, "on top of": 0.2, "next to": 0.11, "wearing": 0.1, "on stilts": 0.04,
    "in the shape of": 0.11, "holding": 0.06, "eating": 0.04, "riding": 0.05, "in": 0.06,
    "made of": 0.03,
}  # fmt: skip
"""Of the relations among the pictures: more of what is hard to tell in the first world."""
WIDE_SHARES: dict[str | None, float] = {
    None: 0.1, "on top of": 0.13, "next to": 0.11, "wearing": 0.11, "on stilts": 0.04,
    "in the shape of": 0.07, "holding": 0.12, "eating": 0.1, "riding": 0.09, "in": 0.08,
    "made of": 0.05,
}  # fmt: skip
"""The same of the whole toybox, where what is held and eaten is mistaken the most."""
SEEN = 0.4
"""The share of a place that a thing covers where it is asked for there."""


def any_graph(rng: random.Random, shares: dict[str | None, float] = SHARES) -> Graph:
    """Nouns, sizes and a relation of the whole toybox, held-out compositions included."""
    relation = rng.choices(list(shares), list(shares.values()))[0]
    while relation is not None:
        a, b = pair(relation, rng)
        if a == b and relation != "next to":
            continue
        graph = sized(a, relation, b, rng)
        if possible(graph):
            return graph
    return Graph((Thing(rng.choice(NOUNS), size=any_size(rng)),))


@dataclass(frozen=True)
class Exam:
    """Pictures with their answers, and where their things are."""

    x: Float[Tensor, "b 64 64 3"]
    slots: Int[Tensor, "b slots"]  # as in SLOTS; -1: not asked
    view: Int[Tensor, " b"]  # -1: not asked
    things: Float[Tensor, "b 2 p"]  # the share of each place that the first and second cover
    graphs: Sequence[Graph]  # view and untextured filled in
    cameras: Cameras


@dataclass(frozen=True)
class Reading:
    """What a network reads off pictures; log-probabilities. Colours and sizes of asked things."""

    relation: Float[Tensor, "b links"]  # as in LINKS
    nouns: Float[Tensor, "b roles nouns"]  # beside: whether one is there
    absent: Float[Tensor, "b nouns"]  # beside: whether none is there
    colours: Float[Tensor, "b q paints"]
    sizes: Float[Tensor, "b q 4"]
    weaves: Float[Tensor, "b q 4"]
    view: Float[Tensor, "b bins"]
    noun: Float[Tensor, "b p nouns"]  # at each place
    paint: Float[Tensor, "b p paints"]
    role: Float[Tensor, "b p roles_and_none"]
    sought: Float[Tensor, "b roles p"]  # where it looked for a role; probabilities
    looks: Float[Tensor, "b q p"]  # and for the asked things


def exam(
    pool: Pool, n: int, seed: int, step: int, *, roughly: bool = True, said: float = 0.0
) -> Exam:
    """Pictures of a pool, painted by its views, averaged down to 64 pixels, and made rough; the
    view is said of the share `said` of their graphs."""
    rng = random.Random(f"exam {seed} {step}")
    index = torch.tensor([rng.randrange(pool.capacity) for _ in range(n)])
    traced, cameras, scenes = pool.seen(index)
    draws = torch.Generator().manual_seed(rng.getrandbits(62))
    traced = lumpy(traced, draws) if roughly else traced
    graphs = [wide_coloured(scene.graph, rng) for scene in scenes]
    seen = compose(traced, cameras, scenes, graphs, pool.views, rng, draws, said=said)
    x = torch.cat([seen.x.permute(0, 3, 1, 2), _in_order(seen.things, seen.graphs)], 1)
    x = F.adaptive_avg_pool2d(x, 64)
    x = rough(x, draws) if roughly else x
    slots = torch.tensor([told(graph) for graph in seen.graphs])
    front = torch.tensor([fronted(graph) for graph in graphs])
    view = torch.where(front, azimuth_bins(cameras).cpu(), -1)
    things = F.adaptive_avg_pool2d(x[:, 3:], GRID).flatten(2)
    return Exam(
        x[:, :3].permute(0, 2, 3, 1),
        slots.to(x.device),
        view.to(x.device),
        things,
        seen.graphs,
        cameras,
    )


def _in_order(
    things: Float[Tensor, "b 2 h w"], graphs: Sequence[Graph]
) -> Float[Tensor, "b 2 h w"]:
    """Masks of the things as `read_as` orders them."""
    turned = torch.tensor([read_as(graph).things != graph.things for graph in graphs])
    return torch.where(turned.to(things.device)[:, None, None, None], things.flip(1), things)


def told(graph: Graph) -> list[int]:
    """`answers`, and that what has no pattern is plain; of what is built of another, nothing."""
    row, plain = answers(graph), WEAVES.index("plain")
    built = LINKS[row[2]] in BUILT
    if not graph.untextured:
        for k in range(built, len(graph.things)):
            row[7 + k] = plain if row[7 + k] < 0 else row[7 + k]
    return row


def asked(truth: Exam) -> tuple[Int[Tensor, "b 2"], Int[Tensor, "b 2"]]:
    """Noun and role of the two things; a lone thing is asked for twice."""
    first, second, relation = truth.slots[:, :3].unbind(1)
    second = torch.where(second < len(NOUNS), second, first)
    return torch.stack([first, second], 1), PLAYED.to(relation.device)[relation]


def marks(read: Reading, truth: Exam) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """The loss, and the share of right answers by slot where one was asked."""
    right: dict[str, float] = {}
    losses: list[Tensor] = []
    nouns, roles = asked(truth)
    pair = truth.slots[:, 1] < len(NOUNS)
    beside = (roles[:, 0] == BESIDE)[:, None]
    chosen = read.nouns.gather(1, roles[..., None].expand(-1, -1, read.nouns.shape[-1]))
    n = len(nouns)

    def mark(name: str, said: Tensor, answer: Tensor, counted: Tensor) -> None:
        off = F.nll_loss(said, torch.where(counted, answer, -1), ignore_index=-1, reduction="sum")
        losses.append(off / n)
        hits = (said.argmax(-1) == answer) & counted
        right[name] = float(hits.sum() / counted.sum().clamp_min(1))

    mark("relation", read.relation, truth.slots[:, 2], truth.slots[:, 2] >= 0)
    for k, word in enumerate(("first", "second")):
        there = pair if k else torch.ones_like(pair)
        mark(f"{word} noun", chosen[:, k], nouns[:, k], there & ~beside[:, 0])
        mark(
            f"{word} colour", read.colours[:, k], truth.slots[:, 3 + k], truth.slots[:, 3 + k] >= 0
        )
        mark(f"{word} size", read.sizes[:, k], truth.slots[:, 5 + k], truth.slots[:, 5 + k] >= 0)
        mark(
            f"{word} pattern", read.weaves[:, k], truth.slots[:, 7 + k], truth.slots[:, 7 + k] >= 0
        )
    mark("view", read.view, truth.view, truth.view >= 0)
    present = torch.zeros_like(read.absent).scatter(1, nouns, 1.0)
    neither = -(present * read.nouns[:, BESIDE] + (1 - present) * read.absent)
    losses.append((neither * beside).sum() / n)
    found = (read.nouns[:, BESIDE] > read.absent) == present.bool()
    right["beside"] = float((found.all(1) & beside[:, 0]).sum() / beside.sum().clamp_min(1))
    return torch.stack(losses).sum() + places(read, truth), right


def places(read: Reading, truth: Exam) -> Float[Tensor, ""]:
    """What every place shows, and where one looks for a thing: help in learning, never asked later.

    What is built of another has no place of its own: there it is only looked at.
    """
    _, roles = asked(truth)
    alone = truth.slots[:, 1] == len(NOUNS)
    sought = read.sought.gather(1, roles[..., None].expand(-1, -1, read.sought.shape[-1]))
    losses: list[Tensor] = []
    for k in range(2):
        seen = truth.things[:, k] > SEEN
        seen = seen & ~alone[:, None] if k else seen
        for looks in (read.looks, sought):
            losses.append((missed(looks[:, k], truth.things[:, k]) * seen.any(-1)).mean())
    return torch.stack(losses).sum() + everywhere(read.noun, read.paint, read.role, truth)


def missed(looks: Float[Tensor, "b p"], thing: Float[Tensor, "b p"]) -> Float[Tensor, " b"]:
    """A fifth of -log of how much of a look is at a thing."""
    return -0.2 * (looks * thing).sum(-1).clamp(1e-3, 1).log()


def everywhere(
    noun: Float[Tensor, "b p nouns"],
    paint: Float[Tensor, "b p paints"],
    role: Float[Tensor, "b p roles_and_none"],
    truth: Exam,
) -> Float[Tensor, ""]:
    """What every place shows, from log-probabilities: the mean over each thing's places, and over
    those of nothing."""
    nouns, roles = asked(truth)
    built = truth.slots.new_tensor([LINKS.index(relation) for relation in BUILT])
    apart = ~torch.isin(truth.slots[:, 2], built)
    alone = truth.slots[:, 1] == len(NOUNS)
    losses: list[Tensor] = []
    for k in range(2):
        here = (truth.things[:, k] > SEEN) & apart[:, None]
        here = here & ~alone[:, None] if k else here
        for said, answer in (
            (noun, nouns[:, k]),
            (role, roles[:, k]),
            (paint, truth.slots[:, 3 + k]),
        ):
            counted = here & (answer >= 0)[:, None]
            share = counted / counted.sum(1, keepdim=True).clamp_min(1)
            index = answer.clamp_min(0)[:, None, None].expand(-1, said.shape[1], 1)
            losses.append(-(said.gather(-1, index)[..., 0] * share).sum() / len(here))
    bare = truth.things.sum(1) < SEEN
    share = bare / bare.sum(1, keepdim=True).clamp_min(1)
    losses.append(-(role[..., len(ROLES)] * share).sum() / len(bare))
    return torch.stack(losses).sum()
