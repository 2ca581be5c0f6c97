"""The judge: what a picture shows, slot by slot, so that captions can be scored by likelihood.

A convolutional network reads the scene graph off a picture: the nouns, colours and sizes of two
things, and how they are related. A caption's score is the log-likelihood of what it says: its text
side is exact, an indicator of its words' slots, and what it leaves unsaid carries no weight. It is
never used by guidance, presets or early stopping, shares nothing with the models that are, and is
trained on all compositions, those held out from them included.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dreamlift.learn.ahead import Ahead
from dreamlift.learn.convolution import hasten
from dreamlift.learn.exam import GRID, Exam, Reading, any_graph, exam, marks
from dreamlift.learn.loop import Training, native_dtype
from dreamlift.learn.pictures import Pool
from dreamlift.learn.rough import Elsewhere
from dreamlift.learn.slots import BINS, PAINTS, SLOTS, indicator
from dreamlift.toybox.captions import DRAWN_NOUNS
from dreamlift.words import parse


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

    def __init__(self, width: int, heads: int, n: int) -> None:
        super().__init__()
        self.heads = heads
        self.ask = nn.Parameter(torch.randn(n, width))
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(
        self, x: Float[Tensor, "b p w"]
    ) -> tuple[Float[Tensor, "b n w"], Float[Tensor, "b n p"]]:
        """Answers, and where each question looked (mean over heads)."""

        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

        ask = split(self.ask.expand(len(x), -1, -1)).to(x.dtype)
        scores = ask @ split(self.key(x)).transpose(-1, -2) / ask.shape[-1] ** 0.5
        looks = scores.float().softmax(-1)
        y = (looks.to(x.dtype) @ split(self.value(x))).transpose(1, 2).flatten(2)
        y = self.norm(y)
        return y + self.down(F.gelu(self.up(y))), looks.mean(1)


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
        self.places = nn.Parameter(0.1 * torch.randn(GRID**2, c))
        self.questions = Questions(c, shape.heads, 4)
        self.slots = nn.ModuleList(nn.Linear(c, len(values)) for values in SLOTS.values())
        self.view = nn.Linear(c, BINS)
        self.local = nn.Linear(c, len(DRAWN_NOUNS) + len(PAINTS) + 3)

    def forward(self, x: Float[Tensor, "b h w 3"]) -> Reading:
        """All that is read off pictures (sRGB in [0, 1], any square size)."""
        y = x.permute(0, 3, 1, 2)
        if y.shape[-1] != self.size:
            shrinks = y.shape[-1] > self.size
            y = F.interpolate(y, (self.size, self.size), mode="area" if shrinks else "bilinear")
        y = self.body(2 * y - 1).flatten(2).transpose(1, 2) + self.places
        answers, looks = self.questions(y)
        first, second, relation, view = answers.unbind(1)
        asked = [first if slot[0] == "f" else second if slot[0] == "s" else relation
                 for slot in SLOTS]  # fmt: skip
        slots = [head(a).float().log_softmax(-1) for head, a in zip(self.slots, asked, strict=True)]
        local = self.local(y).float().split([len(DRAWN_NOUNS), len(PAINTS), 3], -1)
        noun, paint, role = (part.log_softmax(-1) for part in local)
        view = self.view(view).float().log_softmax(-1)
        return Reading(slots, view, noun, paint, role, looks[:, :2])

    @torch.no_grad()
    def embed_image(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        """Log-likelihoods of all answers of all slots (x: sRGB in [0, 1], any square size)."""
        return torch.cat(list(self(x).slots), -1)

    @torch.no_grad()
    def views(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b 8"]:
        """Log-likelihoods of the bins of azimuth; of objects with a front only."""
        return self(x).view

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


def load_judge(folder: Path) -> Judge:
    """A frozen judge from a folder that `save` wrote."""
    config = json.loads((folder / "config.json").read_text())
    shape = JudgeShape(tuple(config["widths"]), tuple(config["blocks"]), int(config["heads"]))
    judge = Judge(shape)
    state = load_file(folder / "model.safetensors")
    judge.load_state_dict({k: v.float() for k, v in state.items()})
    return judge.eval().requires_grad_(False)


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training."""

    steps: int = 1500
    batch: int = 64
    lr: float = 2e-3
    ema: float = 0.99
    pool: int = 3072
    per_step: int = 12
    side: int = 128
    """Pictures are traced at this side, and averaged down to 64."""
    seed: int = 1000


def train(folder: Path, recipe: Recipe | None = None, *, minutes: float | None = None) -> None:
    """Train in `folder`; leaves folder/judge. Resumes what is there."""
    recipe = recipe or Recipe()
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    judge = Judge(JudgeShape()).to(device)
    if device.type == "cpu" and torch.get_num_threads() > 1:
        hasten(judge)
    training = Training(
        judge, folder, recipe.steps, lr=recipe.lr, warmup=50, ema=recipe.ema, minutes=minutes
    )

    def pool(capacity: int, seed: int, first: int) -> Pool:
        return Pool(
            capacity, seed=seed, views=Elsewhere(side=recipe.side), first=first, size=recipe.side,
            per_step=recipe.per_step, graphs=any_graph, device=device,
        )  # fmt: skip

    seen = pool(recipe.pool, recipe.seed, training.step)
    unseen = exam(pool(recipe.per_step * 16, recipe.seed + 1, 0), 256, recipe.seed + 1, 0)
    dtype = native_dtype(device)

    def made(step: int) -> Exam:
        seen.bring(step)
        return exam(seen, recipe.batch, recipe.seed, step)

    ahead = Ahead(made)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        truth = ahead(step)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            read = judge(truth.x)
        value, right = marks(read, truth)
        return value, {k: right[k] for k in ("first noun", "second noun", "first colour")}

    @torch.no_grad()
    def watch(step: int) -> dict[str, float]:
        value, right = marks(judge(unseen.x), unseen)
        return {"unseen_loss": float(value), **{f"unseen {k}": v for k, v in right.items()}}

    training.run(loss, watch, watch_every=200)
    with training.averaged():
        judge.save(folder / "judge")
