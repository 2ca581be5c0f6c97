"""The judge: what a picture shows, slot by slot, so that captions can be scored by likelihood.

A convolutional network reads the scene graph off a picture: the nouns, colours and sizes of two
things, and how they are related. A caption's score is the log-likelihood of what it says: its text
side is exact, an indicator of its words' slots, and what it leaves unsaid carries no weight. It is
never used by guidance, presets or early stopping, shares nothing with the models that are, and is
trained on all compositions, those held out from them included.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dreamlift.cameras import Cameras
from dreamlift.learn.convolution import hasten
from dreamlift.learn.loop import Training, native_dtype
from dreamlift.learn.pictures import Pool, compose
from dreamlift.learn.rough import Elsewhere, lumpy, rough
from dreamlift.toybox.captions import (
    DRAWN_NOUNS,
    DRAWN_RELATIONS,
    HELD_PAIRS,
    TRAINED_PAIRS,
    coloured,
    shape_graph,
)
from dreamlift.words import COLOURS, FRONTED, NOUNS, Graph, Thing, parse

NOTHING = "nothing"
PAINTS = (*COLOURS, "rainbow")
SLOTS: dict[str, tuple[str, ...]] = {
    "first noun": DRAWN_NOUNS, "second noun": (*DRAWN_NOUNS, NOTHING),
    "relation": (*DRAWN_RELATIONS, NOTHING),
    "first colour": PAINTS, "second colour": PAINTS,
    "first size": ("small", "large"), "second size": ("small", "large"),
}  # fmt: skip
"""What a picture is asked, and the possible answers. A colour or size is asked for where said."""
EVERY_PAIR = {r: [*TRAINED_PAIRS[r], *HELD_PAIRS[r]] for r in DRAWN_RELATIONS}
BINS = 8
"""Of azimuth, 45 degrees each; bin 0 is centred on the front, bin 2 on the left side (+90)."""


def canonical(graph: Graph) -> Graph:
    """Things that are next to one another in the order of the vocabulary: neither is the first."""
    if not graph.links or graph.links[0].relation != "next to" or len(graph.things) != 2:
        return graph

    def rank(thing: Thing) -> tuple[int, int, str]:
        paint = thing.colour or thing.pattern
        place = PAINTS.index(paint) if paint in PAINTS else len(PAINTS)
        return NOUNS.index(thing.noun), place, thing.size or ""

    a, b = sorted(graph.things, key=rank)
    return Graph((a, b), graph.links, graph.view, graph.untextured)


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


@dataclass(frozen=True)
class JudgeShape:
    """The sizes of a judge."""

    widths: tuple[int, int, int] = (32, 80, 160)
    """Channels at 32x32, 16x16 and 8x8."""
    blocks: tuple[int, int] = (2, 3)
    """Residual blocks at 16x16 and 8x8."""
    heads: int = 5


class Residual(nn.Module):
    """Two normalised 3x3 convolutions, added to what came (He et al., arXiv:1603.05027)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.between = nn.GroupNorm(8, width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        y = self.first(F.gelu(self.before(x)))
        return x + self.second(F.gelu(self.between(y)))


class Questions(nn.Module):
    """Learned questions that look where they will: one of each thing, of the relation, of the view.

    Attention pooling over the places of a map, then a small network on each answer.
    """

    def __init__(self, width: int, heads: int, places: int, n: int) -> None:
        super().__init__()
        self.heads = heads
        self.places = nn.Parameter(0.02 * torch.randn(places, width))
        self.ask = nn.Parameter(torch.randn(n, width))
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Float[Tensor, "b p w"]) -> Float[Tensor, "b n w"]:
        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

        x = x + self.places
        ask = split(self.ask.expand(len(x), -1, -1)).to(x.dtype)
        scores = ask @ split(self.key(x)).transpose(-1, -2) / ask.shape[-1] ** 0.5
        y = (scores.softmax(-1) @ split(self.value(x))).transpose(1, 2).flatten(2)
        y = self.norm(y)
        return y + self.down(F.gelu(self.up(y)))


class Judge(nn.Module):
    """Pictures to log-likelihoods of every answer; an Aligner."""

    size = 64

    def __init__(self, shape: JudgeShape) -> None:
        super().__init__()
        self.shape = shape
        a, b, c = shape.widths
        self.body = nn.Sequential(
            nn.Conv2d(3, a, 3, stride=2, padding=1),
            nn.GroupNorm(8, a),
            nn.GELU(),
            nn.Conv2d(a, b, 3, stride=2, padding=1),
            *[Residual(b) for _ in range(shape.blocks[0])],
            nn.Conv2d(b, c, 3, stride=2, padding=1),
            *[Residual(c) for _ in range(shape.blocks[1])],
            nn.GroupNorm(8, c),
        )
        self.questions = Questions(c, shape.heads, (self.size // 8) ** 2, 4)
        self.slots = nn.ModuleList(nn.Linear(c, len(values)) for values in SLOTS.values())
        self.view = nn.Linear(c, BINS)

    def forward(self, x: Float[Tensor, "b h w 3"]) -> list[Float[Tensor, "b _"]]:
        """Log-probabilities of each slot's answers, then of the bins of azimuth."""
        y = x.permute(0, 3, 1, 2)
        if y.shape[-1] != self.size:
            shrinks = y.shape[-1] > self.size
            y = F.interpolate(y, (self.size, self.size), mode="area" if shrinks else "bilinear")
        y = self.questions(self.body(2 * y - 1).flatten(2).transpose(1, 2))
        first, second, relation, view = y.unbind(1)
        asked = [first if slot[0] == "f" else second if slot[0] == "s" else relation
                 for slot in SLOTS]  # fmt: skip
        logits = [head(a) for head, a in zip(self.slots, asked, strict=True)]
        return [part.float().log_softmax(-1) for part in [*logits, self.view(view)]]

    @torch.no_grad()
    def embed_image(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        """Log-likelihoods of all answers of all slots (x: sRGB in [0, 1], any square size)."""
        return torch.cat(self(x)[:-1], -1)

    @torch.no_grad()
    def views(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b 8"]:
        """Log-likelihoods of the bins of azimuth; of objects with a front only."""
        return self(x)[-1]

    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """1 for each answer that a caption gives, so that an inner product sums what it says.

        Raises ValueError for captions with nouns or relations beyond the judge's.
        """
        return torch.stack([indicator(parse(text)) for text in texts]).to(self.view.weight)

    def save(self, folder: Path) -> None:
        """config.json and model.safetensors (half precision)."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(asdict(self.shape), indent=2) + "\n")
        state = {k: v.detach().half().contiguous().cpu() for k, v in self.state_dict().items()}
        save_file(state, folder / "model.safetensors")


def indicator(graph: Graph) -> Float[Tensor, " d"]:
    """1 for each answer that a graph gives, over all slots."""
    rows: list[Tensor] = []
    for value, values in zip(answers(graph), SLOTS.values(), strict=True):
        row = torch.zeros(len(values))
        if value >= 0:
            row[value] = 1
        rows.append(row)
    return torch.cat(rows)


def load_judge(folder: Path) -> Judge:
    """A frozen judge from a folder that `save` wrote."""
    config = json.loads((folder / "config.json").read_text())
    judge = Judge(
        JudgeShape(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})
    )
    state = load_file(folder / "model.safetensors")
    judge.load_state_dict({k: v.float() for k, v in state.items()})
    return judge.eval().requires_grad_(False)


def any_graph(rng: random.Random) -> Graph:
    """Nouns, sizes and a relation that this version can draw, held-out compositions included."""
    return shape_graph(rng, EVERY_PAIR)


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training."""

    steps: int = 1500
    batch: int = 64
    lr: float = 2e-3
    ema: float = 0.99
    pool: int = 3072
    per_step: int = 12
    seed: int = 1000


@dataclass(frozen=True)
class Exam:
    """Pictures with their answers."""

    x: Float[Tensor, "b 64 64 3"]
    slots: Int[Tensor, "b slots"]  # -1: not asked
    view: Int[Tensor, " b"]  # -1: not asked


def exam(pool: Pool, n: int, seed: int, step: int, *, roughly: bool = True) -> Exam:
    """Pictures of a pool of 128 pixels, painted by its views, averaged down, and made rough."""
    rng = random.Random(f"judge {seed} {step}")
    index = torch.tensor([rng.randrange(pool.capacity) for _ in range(n)])
    traced, cameras, scenes = pool.seen(index)
    draws = torch.Generator().manual_seed(rng.getrandbits(62))
    traced = lumpy(traced, draws) if roughly else traced
    graphs = [coloured(scene.graph, rng) for scene in scenes]
    seen = compose(traced, cameras, scenes, graphs, pool.views, rng, draws, said=0.0)
    x = F.avg_pool2d(seen.x.permute(0, 3, 1, 2), pool.size // 64).permute(0, 2, 3, 1)
    if roughly:
        x = rough(x, draws)
    slots = torch.tensor([answers(graph) for graph in seen.graphs])
    front = torch.tensor([fronted(graph) for graph in graphs])
    view = torch.where(front, azimuth_bins(cameras).cpu(), -1)
    return Exam(x, slots.to(x.device), view.to(x.device))


def marks(said: Sequence[Float[Tensor, "b _"]], truth: Exam) -> tuple[Tensor, dict[str, float]]:
    """The loss, and the share of right answers by slot where one was asked."""
    right: dict[str, float] = {}
    losses: list[Tensor] = []
    names = [*SLOTS, "view"]
    for name, part, answer in zip(names, said, [*truth.slots.unbind(1), truth.view], strict=True):
        asked = answer >= 0
        losses.append(F.nll_loss(part, answer, ignore_index=-1, reduction="sum") / len(answer))
        right[name] = float((part.argmax(-1) == answer)[asked].float().mean())
    return torch.stack(losses).sum(), right


def train(folder: Path, recipe: Recipe | None = None, *, minutes: float | None = None) -> None:
    """Train in `folder`; leaves folder/judge. Resumes what is there."""
    recipe = recipe or Recipe()
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    judge = Judge(JudgeShape()).to(device)
    if device.type == "cpu":
        hasten(judge)
    training = Training(
        judge, folder, recipe.steps, lr=recipe.lr, warmup=100, ema=recipe.ema, minutes=minutes
    )
    pool = Pool(
        recipe.pool, seed=recipe.seed, views=Elsewhere(), first=training.step, size=128,
        per_step=recipe.per_step, graphs=any_graph, device=device,
    )  # fmt: skip
    unseen = Pool(
        recipe.per_step * 16, seed=recipe.seed + 1, views=Elsewhere(), size=128,
        per_step=recipe.per_step, graphs=any_graph, device=device,
    )  # fmt: skip
    dtype = native_dtype(device)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        pool.bring(step)
        truth = exam(pool, recipe.batch, recipe.seed, step)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            said = judge(truth.x)
        value, right = marks(said, truth)
        return value, {k: right[k] for k in ("first noun", "second noun", "first colour", "view")}

    @torch.no_grad()
    def watch(step: int) -> dict[str, float]:
        truth = exam(unseen, 256, recipe.seed + 1, 0)
        value, right = marks(judge(truth.x), truth)
        return {"unseen_loss": float(value), **{f"unseen {k}": v for k, v in right.items()}}

    training.run(loss, watch, watch_every=200)
    with training.averaged():
        judge.save(folder / "judge")
