"""Train `clip`: contrastively, against the batch and against near captions of each picture.

InfoNCE both ways (Radford et al., arXiv:2103.00020), and for each picture some hard negatives:
colours swapped, order swapped, one word changed, another view. A caption that is true of a picture,
or may be (it leaves unsaid what the other says), is no negative of it. Which is on which is learned
slowly from captions alone, so what the picture is asked is marked as well (learn/reader.py).
Held-out compositions are in neither pictures nor captions.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from dreamlift.graph import Graph, Thing
from dreamlift.learn.ahead import Ahead
from dreamlift.learn.convolution import hasten
from dreamlift.learn.exam import WIDE_SHARES, Exam, any_graph, exam
from dreamlift.learn.loop import LAST, Stop, Training
from dreamlift.learn.pictures import Pool
from dreamlift.learn.reader import Reader
from dreamlift.phrases import colourless, fitting, phrase
from dreamlift.priors.clip import Clip, ClipShape
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.seen import EVERYTHING
from dreamlift.priors.text import load_tower
from dreamlift.toybox.lists import read_as
from dreamlift.toybox.meaning import shows_held
from dreamlift.toybox.near import neighbours
from dreamlift.toybox.wide import wide_graph
from dreamlift.views import Views, direction
from dreamlift.words import CONTEXT, VIEWS, split


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training."""

    steps: int = 4000
    batch: int = 64
    hard: int = 3
    """Near captions of each picture."""
    said: float = 0.3
    """Share of captions that name the view."""
    lr: float = 2e-3
    ema: float = 0.997
    pool: int = 2048
    per_step: int = 8
    muon: int | None = 100
    """The step from which on Muon takes the matrices."""
    seed: int = 2000


def trained_graph(rng: random.Random) -> Graph:
    """A scene of the whole toybox that is not held out; half of them of what is hard to tell."""
    if rng.random() < 0.5:
        return wide_graph(rng)
    while True:
        graph = any_graph(rng, WIDE_SHARES)
        if not shows_held(graph):
            return graph


def excludes(other: Graph, graph: Graph) -> bool:
    """Whether what a caption says cannot be true of a picture that another is true of.

    Unsaid is unknown: "a red mug" may be true of the picture of "a mug".
    """
    if other.untextured != graph.untextured or not _agree(other.view, graph.view):
        return True
    a, b = _read(other), _read(graph)
    if len(a.things) != len(b.things) or a.links != b.links:
        return True
    beside = any(link.relation == "next to" for link in a.links)
    orders = (b.things, b.things[::-1]) if beside else (b.things,)
    return all(any(map(_differ, a.things, order)) for order in orders)


_read = lru_cache(1024)(read_as)


def _agree(a: str | None, b: str | None) -> bool:
    return a is None or b is None or a == b


def _differ(a: Thing, b: Thing) -> bool:
    paints = a.colour or a.pattern, b.colour or b.pattern
    return a.noun != b.noun or not _agree(*paints) or not _agree(a.size, b.size)


def negatives(graph: Graph, view: str, n: int, rng: random.Random) -> list[Graph]:
    """n near graphs that are false of the picture; now and then only the view is another."""
    out: list[Graph] = []
    near = neighbours(Graph(graph.things, graph.links), rng)
    while len(out) < n:
        if graph.view is not None and rng.random() < 0.2:
            side = rng.choice([v for v in VIEWS if v != view])
            turned = Graph(graph.things, graph.links, side, graph.untextured)
            out += [turned] * readable(turned)
            continue
        other = next(near)
        other = Graph(other.things, other.links, graph.view)
        other = colourless(other) if graph.untextured else other
        if excludes(other, graph) and not shows_held(other) and readable(other):
            out.append(other)
    return out


@dataclass(frozen=True)
class Quiz:
    """Captions of an exam's pictures, and which are false of which.

    The first b captions are the pictures' own; then come `hard` of each picture in turn.
    """

    truth: Exam
    texts: Sequence[str]
    false: Bool[Tensor, "b n"]


def quiz(truth: Exam, hard: int, rng: random.Random) -> Quiz:
    """Captions for a batch of pictures."""
    b, graphs = len(truth.graphs), [sayable(graph) for graph in truth.graphs]
    azimuth, elevation = truth.cameras.azimuth.tolist(), truth.cameras.elevation.tolist()
    seen = [f"{direction(az, el)} view" for az, el in zip(azimuth, elevation, strict=True)]
    shown = [
        Graph(g.things, g.links, view, g.untextured) for g, view in zip(graphs, seen, strict=True)
    ]
    texts = [fitting(graph, rng) for graph in graphs]
    false = torch.zeros(b, b * (1 + hard), dtype=torch.bool)
    for i, graph in enumerate(shown):
        false[i, :b] = torch.tensor([excludes(other, graph) for other in graphs])
        near = negatives(graphs[i], seen[i], hard, rng)
        texts += [fitting(other, rng) for other in near]
        false[i, b + i * hard : b + (i + 1) * hard] = True
    return Quiz(truth, texts, false)


def readable(graph: Graph) -> bool:
    """Whether the tower can read it, said plainly."""
    return len(split(phrase(graph))) <= CONTEXT


def sayable(graph: Graph) -> Graph:
    """The graph, without the colours of its lenses where it has too many words for the tower."""
    if readable(graph):
        return graph
    return replace(graph, things=tuple(replace(t, lenses=(None, None)) for t in graph.things))


def contrast(
    images: Float[Tensor, "b d"],
    captions: Float[Tensor, "n d"],
    false: Bool[Tensor, "b n"],
    sharpness: Float[Tensor, ""],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """InfoNCE both ways over what is false, and how often a picture's own caption comes first."""
    b = len(images)
    scores = sharpness.exp().clamp_max(100.0) * images @ captions.T
    own = torch.eye(b, scores.shape[1], dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill(~(false | own), float("-inf"))
    truth = torch.arange(b, device=scores.device)
    loss = F.cross_entropy(scores, truth) + F.cross_entropy(scores[:, :b].T, truth)
    return loss / 2, (scores.argmax(1) == truth).float().mean()


def train(folder: Path, tower: Path, recipe: Recipe | None = None, *, stop: Stop = LAST) -> None:
    """Train in `folder` on the tower of folder `tower`; leaves folder/clip. Resumes."""
    recipe = recipe or Recipe()
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reader = Reader(Clip(ClipShape(), load_tower(tower))).to(device)
    clip = reader.clip
    if device.type == "cpu" and torch.get_num_threads() > 1:
        hasten(reader)
    training = Training(
        reader, folder, recipe.steps, lr=recipe.lr, warmup=100, ema=recipe.ema,
        muon=recipe.muon, stop=stop,
    )  # fmt: skip
    pool = partial(
        Pool, views=Views(), per_step=recipe.per_step, per_scene=2, graphs=trained_graph,
        device=device,
    )  # fmt: skip
    seen = pool(recipe.pool, seed=recipe.seed, first=training.step)

    def made(of: Pool, n: int, step: int) -> Quiz:
        truth = exam(of, n, of.seed, step, said=recipe.said)
        return quiz(truth, recipe.hard, random.Random(f"clip {of.seed} {step}"))

    def next_made(step: int) -> Quiz:
        seen.bring(step)
        return made(seen, recipe.batch, step)

    unseen = made(pool(16 * recipe.per_step, seed=recipe.seed + 1), 192, 0)
    ahead = Ahead(next_made)

    def score(asked: Quiz, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            y, answers, looks = clip.image.look(asked.truth.x)
            images = F.normalize(clip.image.vector(answers).float(), dim=-1)
            captions, false = clip.embed_text(asked.texts), asked.false.to(device)
            marked = reader.marks(y, answers, looks, asked.truth)
        return marked, *contrast(images, captions, false, clip.sharpness)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        marked, value, right = score(ahead(step), best_dtype(device))
        return marked + value, {"contrast": float(value.detach()), "right": float(right)}

    @torch.no_grad()
    def watch(step: int) -> dict[str, float]:
        marked, value, right = score(unseen, torch.float32)
        return {
            "unseen_marked": float(marked), "unseen_contrast": float(value),
            "unseen_right": float(right),
        }  # fmt: skip

    training.run(loss, watch, watch_every=200)
    with training.averaged():
        reader.save(folder / "clip")
    known = json.dumps(asdict(EVERYTHING), indent=2) + "\n"
    (folder / "clip" / "vocabulary.json").write_text(known)
