"""Teach the text tower language alone: from a caption, say the scene graph at every word.

Each word that names or describes a thing must tell that thing's noun, colour, size, pattern, its
place in the sentence and its relations as subject and as object; the mean feature must tell the
view and whether the object is untextured. The heads are thrown away afterwards.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dreamlift.grammar import owners
from dreamlift.graph import Graph
from dreamlift.learn.loop import LAST, Stop, Training
from dreamlift.phrases import phrase
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.text import TextTower, TowerShape, batch
from dreamlift.toybox.captions import picture_graph, text_graph
from dreamlift.words import COLOURS, CONTEXT, NOUNS, PATTERNS, RELATIONS, SIZES, VIEWS, split

SLOTS: dict[str, tuple[str, ...]] = {
    "noun": NOUNS, "colour": COLOURS, "size": SIZES, "pattern": PATTERNS,
    "place": ("first", "second", "third", "fourth"),
    "as subject": tuple(RELATIONS), "as object": tuple(RELATIONS),
}  # fmt: skip
"""What every word of a thing must tell; index len(values) says "nothing is said"."""


def truth(graph: Graph, index: int) -> list[int]:
    """The slots of one thing, in the order of SLOTS."""
    thing = graph.things[index]
    subject = next((k.relation for k in graph.links if k.subject == index), None)
    object_ = next((k.relation for k in graph.links if k.object == index), None)
    place = SLOTS["place"][index]
    said = (thing.noun, thing.colour, thing.size, thing.pattern, place, subject, object_)
    return [
        len(values) if value is None else values.index(value)
        for value, values in zip(said, SLOTS.values(), strict=True)
    ]


@dataclass(frozen=True)
class Sentences:
    """A batch of captions with their answers; -1 where a word belongs to no thing."""

    ids: Int[Tensor, "b n"]
    words: Int[Tensor, "b n k"]
    view: Int[Tensor, " b"]
    untextured: Int[Tensor, " b"]


def sentences(n: int, rng: random.Random) -> Sentences:
    """Half of them of the kind that has pictures, half of the whole vocabulary."""
    texts: list[str] = []
    graphs: list[Graph] = []
    while len(texts) < n:
        graph = (picture_graph if rng.random() < 0.4 else text_graph)(rng)
        text = phrase(graph, rng)
        if len(split(text)) <= CONTEXT:
            texts.append(text)
            graphs.append(graph)
    ids, _ = batch(texts)
    words = torch.full((*ids.shape, len(SLOTS)), -1)
    for i, (text, graph) in enumerate(zip(texts, graphs, strict=True)):
        for j, owner in enumerate(owners(text)):
            if owner >= 0:
                words[i, j] = torch.tensor(truth(graph, owner))
    view = [len(VIEWS) if g.view is None else VIEWS.index(g.view) for g in graphs]
    blank = [int(g.untextured) for g in graphs]
    return Sentences(ids, words, torch.tensor(view), torch.tensor(blank))


class Reader(nn.Module):
    """A tower and the heads that question it."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.tower = TextTower(shape)
        self.heads = nn.ModuleList(nn.Linear(shape.width, len(v) + 1) for v in SLOTS.values())
        self.view = nn.Linear(shape.width, len(VIEWS) + 1)
        self.untextured = nn.Linear(shape.width, 2)

    def forward(self, data: Sentences) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """The mean cross-entropy, and the share of slots told right."""
        mask = data.ids != 0
        features = self.tower(data.ids, mask)
        owned = data.words[..., 0] >= 0
        rows, answers = features[owned], data.words[owned]
        losses: list[Tensor] = []
        right: list[Tensor] = []
        for head, answer in zip(self.heads, answers.unbind(-1), strict=True):
            logits = head(rows).float()
            losses.append(F.cross_entropy(logits, answer))
            right.append((logits.argmax(-1) == answer).float().mean())
        pooled = features.sum(1) / mask.sum(1, keepdim=True)
        for head, answer in ((self.view, data.view), (self.untextured, data.untextured)):
            losses.append(F.cross_entropy(head(pooled).float(), answer))
        return torch.stack(losses).mean(), {"right": float(torch.stack(right).mean())}


def train(
    folder: Path, *, steps: int = 3000, size: int = 256, seed: int = 0, stop: Stop = LAST
) -> None:
    """Train a tower in `folder` and leave its weights in folder/tower. Resumes what is there."""
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reader = Reader(TowerShape()).to(device)
    training = Training(reader, folder, steps, lr=1e-3, warmup=200, ema=0.995, stop=stop)
    dtype = best_dtype(device)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        data = sentences(size, random.Random(f"tower {seed} {step}"))
        moved = Sentences(*(getattr(data, k).to(device) for k in data.__dataclass_fields__))
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            return reader(moved)

    def watch(step: int) -> dict[str, float]:
        data = sentences(1000, random.Random(f"tower unseen {seed}"))
        with torch.no_grad():
            value, said = reader(
                Sentences(*(getattr(data, k).to(device) for k in data.__dataclass_fields__))
            )
        return {"unseen_loss": float(value), "unseen_right": said["right"]}

    training.run(loss, watch, watch_every=500)
    with training.averaged():
        reader.tower.save(folder / "tower")
