"""Train `clip`: contrastively, against the batch and against near captions of each picture.

InfoNCE both ways (Radford et al., arXiv:2103.00020), and for each picture some hard negatives:
colours swapped, order swapped, one word changed, another view. A caption that is true of a picture,
or may be (it leaves unsaid what the other says), is no negative of it. Held-out compositions are
in neither pictures nor captions.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from dreamlift.grammar import Graph, Thing
from dreamlift.learn.convolution import hasten
from dreamlift.learn.loop import LAST, Stop, Training, native_dtype
from dreamlift.learn.pictures import FIRST_WORLD, Pictures, Pool
from dreamlift.phrases import colourless, fitting
from dreamlift.priors.clip import Clip, ClipShape
from dreamlift.priors.text import load_tower
from dreamlift.toybox.lists import canonical
from dreamlift.toybox.near import FIRST, neighbours
from dreamlift.views import Views, direction
from dreamlift.words import VIEWS, held


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training."""

    steps: int = 3900
    batch: int = 64
    hard: int = 4
    """Near captions of each picture."""
    said: float = 0.3
    """Share of captions that name the view."""
    lr: float = 1e-3
    ema: float = 0.99
    pool: int = 6144
    per_step: int = 16
    seed: int = 2000


def excludes(other: Graph, graph: Graph) -> bool:
    """Whether what a caption says cannot be true of a picture that another is true of.

    Unsaid is unknown: "a red mug" may be true of the picture of "a mug".
    """
    if other.untextured != graph.untextured or not _agree(other.view, graph.view):
        return True
    a, b = canonical(other), canonical(graph)
    if len(a.things) != len(b.things) or a.links != b.links:
        return True
    return any(map(_differ, a.things, b.things))


def _agree(a: str | None, b: str | None) -> bool:
    return a is None or b is None or a == b


def _differ(a: Thing, b: Thing) -> bool:
    paints = a.colour or a.pattern, b.colour or b.pattern
    return a.noun != b.noun or not _agree(*paints) or not _agree(a.size, b.size)


def negatives(graph: Graph, view: str, n: int, rng: random.Random) -> list[Graph]:
    """n near graphs that are false of the picture; now and then only the view is another."""
    out: list[Graph] = []
    near = neighbours(Graph(graph.things, graph.links), rng, FIRST)
    while len(out) < n:
        if graph.view is not None and rng.random() < 0.2:
            other = rng.choice([v for v in VIEWS if v != view])
            out.append(Graph(graph.things, graph.links, other, graph.untextured))
            continue
        other = next(near)
        other = Graph(other.things, other.links, graph.view)
        other = colourless(other) if graph.untextured else other
        pairs = ((other.things[k.subject].noun, other.things[k.object].noun) for k in other.links)
        if excludes(other, graph) and not any(held(a, b) for a, b in pairs):
            out.append(other)
    return out


@dataclass(frozen=True)
class Quiz:
    """Pictures, captions, and which captions are false of which pictures.

    The first b captions are the pictures' own; then come `hard` of each picture in turn.
    """

    x: Float[Tensor, "b h w 3"]
    texts: Sequence[str]
    false: Bool[Tensor, "b n"]


def quiz(pictures: Pictures, hard: int, rng: random.Random) -> Quiz:
    """A batch of pictures with its captions."""
    b = len(pictures.graphs)
    azimuth, elevation = pictures.cameras.azimuth.tolist(), pictures.cameras.elevation.tolist()
    seen = [f"{direction(az, el)} view" for az, el in zip(azimuth, elevation, strict=True)]
    truths = [
        Graph(g.things, g.links, view, g.untextured)
        for g, view in zip(pictures.graphs, seen, strict=True)
    ]
    texts = [fitting(graph, rng) for graph in pictures.graphs]
    false = torch.zeros(b, b * (1 + hard), dtype=torch.bool)
    for i, truth in enumerate(truths):
        false[i, :b] = torch.tensor([excludes(other, truth) for other in pictures.graphs])
        near = negatives(pictures.graphs[i], seen[i], hard, rng)
        texts += [fitting(graph, rng) for graph in near]
        false[i, b + i * hard : b + (i + 1) * hard] = True
    return Quiz(pictures.x, texts, false)


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
    clip = Clip(ClipShape(), load_tower(tower)).to(device)
    if device.type == "cpu" and torch.get_num_threads() > 1:
        hasten(clip)
    training = Training(
        clip, folder, recipe.steps, lr=recipe.lr, warmup=100, ema=recipe.ema, stop=stop
    )
    pool = Pool(
        recipe.pool, seed=recipe.seed, views=Views(), first=training.step,
        per_step=recipe.per_step, device=device,
    )  # fmt: skip
    dtype = native_dtype(device)

    def score(asked: Quiz) -> tuple[Tensor, Tensor]:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            images, captions = clip.embed_image(asked.x), clip.embed_text(asked.texts)
        return contrast(images, captions, asked.false.to(device), clip.sharpness)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        pool.bring(step)
        rng = random.Random(f"clip {recipe.seed} {step}")
        value, right = score(
            quiz(pool.draw(recipe.batch, step, said=recipe.said), recipe.hard, rng)
        )
        return value, {"right": float(right)}

    @cache
    def unseen() -> Quiz:
        fresh = Pool(256, seed=recipe.seed + 1, views=Views(), device=device)
        rng = random.Random(f"clip unseen {recipe.seed}")
        return quiz(fresh.draw(192, 0, said=recipe.said), recipe.hard, rng)

    @torch.no_grad()
    def watch(step: int) -> dict[str, float]:
        value, right = score(unseen())
        return {"unseen_loss": float(value), "unseen_right": float(right)}

    training.run(loss, watch, watch_every=200)
    with training.averaged():
        clip.save(folder / "clip")
    known = json.dumps(asdict(FIRST_WORLD), indent=2) + "\n"
    (folder / "clip" / "vocabulary.json").write_text(known)
