"""Train `text-to-image`: a small diffusers UNet over unshuffled pictures, told by a frozen tower.

v-prediction with a cosine schedule; noise levels centred high, where layout and binding live;
captions dropped for classifier-free guidance, cameras dropped beside view words; each word's
attention grounded in what it names. First at half resolution (three times the pictures an hour),
then at full.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dreamlift.cameras import Cameras, orbit
from dreamlift.diffusion import Cosine, add_noise, ddim, eps_from_v, velocity
from dreamlift.grammar import owners
from dreamlift.learn.binding import PROMPTS, binding
from dreamlift.learn.convolution import hasten
from dreamlift.learn.grounding import Attend, attend, grounding
from dreamlift.learn.loop import LAST, Stop, Training
from dreamlift.learn.pictures import FIRST_WORLD, Pictures, Pool
from dreamlift.learn.together import ALONE, Together
from dreamlift.phrases import fitting
from dreamlift.priors.pixel import CAMERA_NUMBERS, best_dtype, camera_numbers
from dreamlift.priors.seen import EVERYTHING, Seen
from dreamlift.priors.text import TextTower, load_tower
from dreamlift.toybox.captions import coloured, shape_graph
from dreamlift.toybox.wide import wide_coloured, wide_graph
from dreamlift.views import Views

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

SHIPPED = Path(__file__).parents[1] / "weights" / "text-to-image"
CLOCK = 999.0
"""The network reads t as this times t, as diffusers' networks do."""


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training."""

    steps: int = 16_000
    half: float = 0.3169
    """The share of the steps at half resolution, first."""
    batch: int = 32
    lr: float = 5e-4
    warmup: int = 500
    fall: float = 0.3
    """The share of the steps, the last, over which the rate falls."""
    adam: float = 1.0
    """The share of the steps that AdamW takes alone, first; in the others Muon takes matrices."""
    ema: float = 0.998
    caption_dropout: float = 0.1
    camera_share: float = 0.85
    """Captioned pictures whose camera is told."""
    ground: float = 0.05
    """Weight of the token-grounding loss."""
    pool: int = 12_288
    """Traced pictures at hand."""
    per_step: int = 8
    """Of them new at every step."""
    seed: int = 0
    world: Literal["first", "whole"] = "first"
    """What is drawn: the first 17 nouns and five relations, or everything (toybox/wide.py)."""
    begin: Path | None = None
    """A folder whose unet/ is begun with; None: from noise."""

    @property
    def ships(self) -> str:
        """What the weights are called."""
        return "text-to-image" if self.world == "first" else "whole"

    def further(self, begin: Path, steps: int = 2500) -> "Recipe":
        """Goes on from trained weights: full size, Muon, a rate that falls from the first step."""
        return replace(
            self, steps=steps, half=0.0, adam=0.0, lr=3e-4, warmup=100, fall=1.0, begin=begin
        )

    def part(self, place: Together) -> "Recipe":
        """What one of several processes does of every step, with a pool of its own."""
        n = place.count
        return replace(
            self, batch=self.batch // n, pool=self.pool // n, per_step=max(4, self.per_step // n),
            seed=self.seed + (place.rank << 40),
        )  # fmt: skip


WHOLE = Recipe(steps=22_600, half=2400 / 22_600, adam=10_200 / 22_600, world="whole", begin=SHIPPED)
"""The whole toybox, begun with the first world."""


def make_unet(channels: tuple[int, ...] = (64, 128, 192)) -> "UNet2DConditionModel":
    """The network: 12x32x32 in and out, attention to words at 16x16 and 8x8."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=32,
        in_channels=12,
        out_channels=12,
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=256,
        attention_head_dim=cast(Any, tuple(c // 32 for c in channels)),
        use_linear_projection=True,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=CAMERA_NUMBERS,
    )


def noise_levels(n: int, rng: torch.Generator) -> Float[Tensor, " n"]:
    """t in (0, 1): a quarter uniform, the rest logistic-normal around 0.67."""
    u = torch.rand(n, generator=rng)
    high = torch.sigmoid(0.7 + torch.randn(n, generator=rng))
    uniform = torch.rand(n, generator=rng) < 0.25
    return torch.where(uniform, u, high).clamp(1e-3, 1 - 1e-3)


def wording(pictures: Pictures, rng: random.Random, dropout: float) -> list[str]:
    """A caption for each picture; dropped ones are empty."""
    texts: list[str] = []
    for graph in pictures.graphs:
        text = fitting(graph, rng)
        texts.append("" if rng.random() < dropout else text)
    return texts


def owned(texts: Sequence[str], length: int) -> Int[Tensor, "b n"]:
    """For each word the index of its thing; -1: none."""
    rows = torch.full((len(texts), length), -1)
    for row, text in zip(rows, texts, strict=True):
        if text:
            said = owners(text)
            row[: len(said)] = torch.tensor(said)
    return rows


class Teacher:
    """The loss of one step: pictures from the pool, noised, told, denoised."""

    def __init__(
        self, network: nn.Module, tower: TextTower, pool: Pool, recipe: Recipe, maps: list[Attend]
    ) -> None:
        self.network, self.tower, self.pool, self.recipe = network, tower, pool, recipe
        self.maps, self.schedule = maps, Cosine()
        self.device = pool.device
        self.dtype = best_dtype(pool.device)

    def __call__(self, step: int) -> tuple[Tensor, dict[str, float]]:
        recipe = self.recipe
        self.pool.bring(step)
        pictures = self.pool.draw(recipe.batch, step)
        rng = random.Random(f"words {recipe.seed} {step}")
        texts = wording(pictures, rng, recipe.caption_dropout)
        draws = torch.Generator().manual_seed(rng.getrandbits(62))
        x = pictures.x.permute(0, 3, 1, 2)
        if step < recipe.half * recipe.steps:
            x = F.avg_pool2d(x, 2)
        z = F.pixel_unshuffle(2 * x - 1, 2)
        t = noise_levels(len(z), draws).to(self.device)
        noise = torch.randn(z.shape, generator=draws).to(self.device)
        named = torch.tensor([text != "" for text in texts], device=self.device)
        told = (torch.rand(len(z), generator=draws) < recipe.camera_share).to(self.device) & named
        camera = camera_numbers(pictures.cameras) * told[:, None]
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            with torch.no_grad():
                words, mask = self.tower.encode(texts)
            v = self.network(
                add_noise(self.schedule, z, t, noise),
                CLOCK * t,
                words,
                class_labels=camera,
                encoder_attention_mask=mask,
                return_dict=False,
            )[0]
        error = F.mse_loss(v.float(), velocity(self.schedule, z, t, noise))
        owner = owned(texts, words.shape[1]).to(self.device)
        kept = [keep.maps for keep in self.maps]
        off = [grounding(m, pictures.things, owner, named) for m in kept if m is not None]
        ground = torch.stack(off).mean()
        said = {"mse": float(error.detach()), "ground": float(ground.detach())}
        return error + recipe.ground * ground, said


@torch.no_grad()
def sample(
    network: nn.Module,
    tower: TextTower,
    prompts: Sequence[str],
    *,
    cameras: Cameras | None = None,
    scale: float = 3.0,
    steps: int = 20,
    side: int = 32,
    seed: int = 0,
) -> Float[Tensor, "b h w 3"]:
    """DDIM pictures of prompts at guidance `scale`; z has `side` x `side` places."""
    schedule, device = Cosine(), next(network.parameters()).device
    dtype = best_dtype(device)
    words, mask = tower.encode([*prompts, *[""] * len(prompts)])
    camera = torch.zeros(2 * len(prompts), CAMERA_NUMBERS, device=device)
    if cameras is not None:
        camera[: len(prompts)] = camera_numbers(cameras).to(device)

    def eps(z: Tensor, t: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            v = network(
                torch.cat([z, z]),
                CLOCK * torch.cat([t, t]),
                words,
                class_labels=camera,
                encoder_attention_mask=mask,
                return_dict=False,
            )[0]
        said, null = (eps_from_v(schedule, z, t, part) for part in v.float().chunk(2))
        return null + scale * (said - null)

    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(len(prompts), 12, side, side, generator=rng).to(device)
    times = torch.linspace(0.995, 0.0, steps + 1).clamp_min(1e-3).tolist()
    z = ddim(schedule, eps, z, times, clamp=1.0)
    return ((F.pixel_shuffle(z, 2).permute(0, 2, 3, 1) + 1) / 2).clamp(0, 1)


SHEET = (
    "a red cube", "a yellow cone", "a blue ring", "a traffic cone", "a mug", "a chair",
    "a snowman", "a frog", "a hamburger", "a santa hat", "a green ball on top of a pink cylinder",
    "a frog on top of a red cube", "a snowman wearing a santa hat", "a pumpkin on stilts",
    "a red mug next to a blue ball", "a chair in the shape of a hamburger",
)  # fmt: skip
"""Trained compositions, for looking at a training as it goes."""


WIDE_SHEET = (
    "a cat", "a red car", "a teapot", "a palm tree", "a striped penguin", "a golden crown",
    "a guitar", "a wooden boat", "a pig wearing a sweater", "a rabbit wearing a crown",
    "a cactus in a blue pot", "a rabbit eating a banana", "a penguin riding a surfboard",
    "a teddy bear holding a green umbrella", "a dragon on top of a castle tower",
    "a bucket with a pink flower",
)  # fmt: skip
"""The same of the whole toybox."""


def fits(folder: Path) -> bool:
    """Whether a folder holds weights of this network, and a tower that tells it."""
    with torch.device("meta"):
        unet = make_unet()
    own = cast(nn.Module, unet).state_dict()
    try:
        with safe_open(folder / "unet" / "diffusion_pytorch_model.safetensors", "pt") as file:
            held = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
        width = load_tower(folder / "tower").shape.width
    except (OSError, SafetensorError, ValueError, TypeError, RuntimeError):
        return False
    told = width == unet.config["cross_attention_dim"]
    return told and held == {name: tuple(value.shape) for name, value in own.items()}


def pooled(recipe: Recipe, first: int, device: torch.device) -> Pool:
    """Pictures of the recipe's world, as they are at step `first`."""
    wide = recipe.world == "whole"
    return Pool(
        recipe.pool, seed=recipe.seed, views=Views(), first=first, per_step=recipe.per_step,
        graphs=wide_graph if wide else shape_graph, paint=wide_coloured if wide else coloured,
        device=device,
    )  # fmt: skip


def train(
    folder: Path,
    tower: Path,
    recipe: Recipe | None = None,
    *,
    stop: Stop = LAST,
    together: Together = ALONE,
) -> None:
    """Train in `folder` with the tower of folder `tower`; leaves folder/RECIPE.SHIPS. Resumes."""
    recipe = recipe or Recipe()
    first = recipe.world == "first"
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    unet = make_unet()
    network = cast(nn.Module, unet).to(device)
    if device.type == "cpu" and torch.get_num_threads() > 1:
        hasten(network)
    encoder = load_tower(tower).to(device)
    if recipe.begin is not None:
        begun = load_file(recipe.begin / "unet" / "diffusion_pytorch_model.safetensors")
        network.load_state_dict({k: v.float() for k, v in begun.items()})
    muon = round(recipe.adam * recipe.steps) if recipe.adam < 1 else None
    training = Training(
        network,
        folder,
        recipe.steps,
        lr=recipe.lr,
        warmup=recipe.warmup,
        fall=recipe.fall,
        ema=recipe.ema,
        muon=muon,
        stop=stop,
        together=together,
    )
    own = recipe.part(together)
    pool = pooled(own, training.step, device)
    teacher = Teacher(network, encoder, pool, own, attend(network))

    def watch(step: int) -> dict[str, float]:
        side = 16 if step < recipe.half * recipe.steps else 32
        n = len(PROMPTS)
        front = orbit(torch.zeros(n), torch.full((n,), 15.0))
        seen = sample(network, encoder, PROMPTS, cameras=front, side=side)
        score = binding(seen.cpu(), PROMPTS)
        looks = sample(network, encoder, SHEET, side=side, seed=1)
        rows = [seen[:8], looks]
        if not first:
            rows.append(sample(network, encoder, WIDE_SHEET, side=side, seed=1))
        save_sheet(folder / f"samples_{step:06d}.png", torch.cat(rows).cpu())
        return {"both": score.both, "order": score.order, "bound": score.bound}

    training.run(teacher, watch, watch_every=1000)
    with training.averaged():
        ship(unet, encoder, folder / recipe.ships, FIRST_WORLD if first else EVERYTHING)


def save_sheet(path: Path, pictures: Float[Tensor, "b h w 3"]) -> None:
    """Write a sheet of samples, where pictures can be written."""
    if find_spec("PIL") is not None:
        from dreamlift.io.images import contact_sheet, save_png

        save_png(path, contact_sheet(pictures, columns=8))


def ship(unet: Any, tower: TextTower, folder: Path, seen: Seen = EVERYTHING) -> None:
    """Write what the embedded prior loads: unet/ (half precision), scheduler/, tower/, words."""
    folder.mkdir(parents=True, exist_ok=True)
    half = make_unet(tuple(unet.config["block_out_channels"]))
    half.load_state_dict(unet.state_dict())
    half.save_config(folder / "unet")
    state = {k: v.detach().half().contiguous() for k, v in half.state_dict().items()}
    (folder / "unet/diffusion_pytorch_model.safetensors").write_bytes(save(state))
    tower.save(folder / "tower")
    scheduler = {
        "_class_name": "Cosine",
        "num_train_timesteps": int(CLOCK) + 1,
        "prediction_type": "v_prediction",
    }
    for name, content in (("scheduler/scheduler_config", scheduler), ("vocabulary", asdict(seen))):
        path = folder / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n")
