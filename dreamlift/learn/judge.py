"""The judge: what a picture shows, slot by slot, so that captions can be scored by likelihood.

A convolutional network reads the scene graph off a picture: the nouns, colours and sizes of two
things, and how they are related. A caption's score is the log-likelihood of what it says: its text
side is exact, an indicator of its words' slots, and what it leaves unsaid carries no weight. It is
never used by guidance, presets or early stopping, shares no weights with the models that are, and
is trained on all compositions, those held out from them included.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dreamlift.grammar import parse
from dreamlift.learn.ahead import Ahead
from dreamlift.learn.convolution import hasten
from dreamlift.learn.exam import (
    GRID,
    SHARES,
    WIDE_SHARES,
    Exam,
    Reading,
    any_graph,
    asked,
    exam,
    marks,
)
from dreamlift.learn.loop import LAST, Stop, Training
from dreamlift.learn.pictures import Pool
from dreamlift.learn.rough import Elsewhere
from dreamlift.learn.slots import BESIDE, BINS, BUILDS, LINKS, PAINTS, ROLES, WEAVES, indicator
from dreamlift.priors.eyes import Eye, Residual, sized
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.seen import EVERYTHING, seen
from dreamlift.words import NOUNS

NEVER = -6e4
"""The log-odds of what a judge was never shown."""


@dataclass(frozen=True)
class JudgeShape:
    """The sizes of a judge."""

    widths: tuple[int, int, int, int] = (32, 80, 160, 96)
    """Channels at 32x32, 16x16 and 8x8, and on the way back at 16x16."""
    blocks: tuple[int, int, int] = (2, 3, 1)
    """Residual blocks at 16x16, 8x8 and again at 16x16."""
    heads: int = 4


class Judge(nn.Module):
    """Pictures to log-likelihoods of every answer; an Aligner."""

    size = 64

    def __init__(self, shape: JudgeShape) -> None:
        super().__init__()
        self.shape = shape
        self.seen = EVERYTHING
        """What it was shown; captions of anything else are refused."""
        a, b, c, d = shape.widths
        self.fine = nn.Sequential(
            nn.Conv2d(3, a, 3, stride=2, padding=1),
            nn.GroupNorm(8, a),
            nn.GELU(),
            nn.Conv2d(a, b, 3, stride=2, padding=1),
            *[Residual(b) for _ in range(shape.blocks[0])],
        )
        self.coarse = nn.Sequential(
            nn.Conv2d(b, c, 3, stride=2, padding=1),
            *[Residual(c) for _ in range(shape.blocks[1])],
        )
        self.back, self.across = nn.Conv2d(c, d, 1), nn.Conv2d(b, d, 1)
        self.out = nn.Sequential(*[Residual(d) for _ in range(shape.blocks[2])], nn.GroupNorm(8, d))
        self.places = nn.Parameter(0.1 * torch.randn(GRID**2, d))
        self.questions = nn.Parameter(torch.randn(2 + len(ROLES), d))
        self.roles, self.nouns = nn.Embedding(len(ROLES), d), nn.Embedding(len(NOUNS), d)
        self.scene, self.thing = Eye(d, shape.heads), Eye(d, shape.heads)
        self.relation, self.view = nn.Linear(d, len(LINKS)), nn.Linear(d, BINS)
        self.noun = nn.Linear(d, len(NOUNS))
        self.colour, self.sizes = nn.Linear(d, len(PAINTS)), nn.Linear(d, len(BUILDS))
        self.weave = nn.Linear(d, len(WEAVES))
        self.local = nn.Linear(d, len(NOUNS) + len(PAINTS) + len(ROLES) + 1)

    def map(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b p d"]:
        """What it makes of every place of pictures (sRGB in [0, 1], any square size)."""
        fine = self.fine(2 * sized(x, self.size).permute(0, 3, 1, 2) - 1)
        back = F.interpolate(self.back(self.coarse(fine)), scale_factor=2, mode="nearest")
        return self.out(back + self.across(fine)).flatten(2).transpose(1, 2) + self.places

    def forward(
        self, x: Float[Tensor, "b h w 3"], nouns: Int[Tensor, "#b q"], roles: Int[Tensor, "#b q"]
    ) -> Reading:
        """All that is read off pictures (sRGB in [0, 1], any square size), of nouns in roles."""
        y = self.map(x)
        answers, sought = self.scene(self.questions[None], y)
        relation = self.relation(answers[:, 0]).float().log_softmax(-1)
        view = self.view(answers[:, 1]).float().log_softmax(-1)
        there = self.noun(answers[:, 2:]).float()
        beside = there[:, BESIDE]
        in_role = there.log_softmax(-1)
        in_role = torch.cat(
            [in_role[:, :BESIDE], F.logsigmoid(beside)[:, None], in_role[:, BESIDE + 1 :]], 1
        )
        things, looks = self.thing(self.nouns(nouns) + self.roles(roles), y)
        local = self.local(y).float().split([len(NOUNS), len(PAINTS), len(ROLES) + 1], -1)
        noun, paint, role = (part.log_softmax(-1) for part in local)
        heads = (self.colour, self.sizes, self.weave)
        colour, size, weave = (head(things).float().log_softmax(-1) for head in heads)
        return Reading(
            relation, in_role, F.logsigmoid(-beside), colour, size, weave, view, noun, paint, role,
            sought[:, 2:], looks,
        )  # fmt: skip

    def read(self, x: Float[Tensor, "b h w 3"]) -> Reading:
        """All that can be read: of every noun in every role, roles first."""
        n, device = len(NOUNS), x.device
        roles = torch.arange(len(ROLES), device=device).repeat_interleave(n)[None]
        return self(x, torch.arange(n, device=device).repeat(len(ROLES))[None], roles)

    @torch.no_grad()
    def embed_image(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        """Log-likelihoods of all answers (x: sRGB in [0, 1], any square size)."""
        read = self.read(x)
        one = read.relation.new_ones(len(x), 1)
        parts = (read.relation, read.nouns, read.absent, read.colours, read.sizes, read.weaves, one)
        return torch.cat([part.flatten(1) for part in parts], -1)

    @torch.no_grad()
    def features(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        """What pictures look like to it, for `metrics.kernel_distance`: the mean over its map,
        normalised (mean 0, mean square 1)."""
        return F.layer_norm(self.map(x).float().mean(1), (self.shape.widths[-1],))

    @torch.no_grad()
    def views(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b 8"]:
        """Log-likelihoods of the bins of azimuth; of objects with a front only."""
        return self.read(x).view

    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """1 for each answer that a caption gives, so that an inner product sums what it says.

        Raises ValueError for captions of what the judge was never shown.
        """
        for text in texts:
            self.seen.refuse(text, "judge")
        return torch.stack([indicator(parse(text)) for text in texts]).to(self.places)

    def save(self, folder: Path) -> None:
        """config.json, vocabulary.json and model.safetensors (half precision)."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (("config", self.shape), ("vocabulary", self.seen)):
            (folder / f"{name}.json").write_text(json.dumps(asdict(content), indent=2) + "\n")
        state = {k: v.detach().half().contiguous().cpu() for k, v in self.state_dict().items()}
        (folder / "model.safetensors").write_bytes(save(state))


def load_judge(folder: Path) -> Judge:
    """A frozen judge from a folder that `save` wrote."""
    config = json.loads((folder / "config.json").read_text())
    shape = JudgeShape(tuple(config["widths"]), tuple(config["blocks"]), int(config["heads"]))
    judge = Judge(shape)
    state = load_file(folder / "model.safetensors")
    judge.load_state_dict({k: v.float() for k, v in state.items()})
    judge.seen = seen(folder)
    return judge.eval().requires_grad_(False)


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training."""

    steps: int = 7000
    batch: int = 64
    lr: float = 2e-3
    ema: float = 0.997
    pool: int = 3072
    per_step: int = 12
    side: int = 96
    """Pictures are traced at this side, and averaged down to 64."""
    seed: int = 1000
    begin: Path | None = None
    """A folder of a judge to begin with; None: from noise."""
    adam: float = 1.0
    """The share of the steps that AdamW takes alone, first; in the others Muon takes matrices."""
    wide: bool = False
    """Whether relations are drawn as is best for the whole toybox."""


SHIPPED = Path(__file__).parents[1] / "weights" / "judge"
WHOLE = Recipe(steps=18_000, seed=3000, begin=SHIPPED, adam=13_000 / 18_000, wide=True)
"""The judge that ships, of the first world, taught on."""


def train(folder: Path, recipe: Recipe | None = None, *, stop: Stop = LAST) -> None:
    """Train in `folder`; leaves folder/judge. Resumes what is there."""
    recipe = recipe or Recipe()
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    judge = Judge(JudgeShape()).to(device)
    if recipe.begin is not None:
        judge.load_state_dict(load_judge(recipe.begin).state_dict())
        with torch.no_grad():  # what it was never shown begins at even odds
            for name, value in judge.named_parameters():
                if name.endswith("bias"):
                    value[value < NEVER / 2] = 0.0
    if device.type == "cpu" and torch.get_num_threads() > 1:
        hasten(judge)
    muon = round(recipe.adam * recipe.steps) if recipe.adam < 1 else None
    training = Training(
        judge, folder, recipe.steps, lr=recipe.lr, warmup=50, ema=recipe.ema, muon=muon, stop=stop
    )
    graphs = partial(any_graph, shares=WIDE_SHARES if recipe.wide else SHARES)

    def pool(capacity: int, seed: int, first: int) -> Pool:
        return Pool(
            capacity, seed=seed, views=Elsewhere(side=recipe.side), first=first, size=recipe.side,
            per_step=recipe.per_step, per_scene=2, graphs=graphs, device=device,
        )  # fmt: skip

    seen = pool(recipe.pool, recipe.seed, training.step)
    unseen = exam(pool(recipe.per_step * 16, recipe.seed + 1, 0), 256, recipe.seed + 1, 0)
    dtype = best_dtype(device)

    def made(step: int) -> Exam:
        seen.bring(step)
        return exam(seen, recipe.batch, recipe.seed, step)

    ahead = Ahead(made)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        truth = ahead(step)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            read = judge(truth.x, *asked(truth))
        value, right = marks(read, truth)
        return value, {
            k: right[k] for k in ("relation", "first noun", "second noun", "first colour")
        }

    @torch.no_grad()
    def watch(step: int) -> dict[str, float]:
        value, right = marks(judge(unseen.x, *asked(unseen)), unseen)
        return {"unseen_loss": float(value), **{f"unseen {k}": v for k, v in right.items()}}

    training.run(loss, watch, watch_every=200)
    with training.averaged():
        judge.save(folder / "judge")
