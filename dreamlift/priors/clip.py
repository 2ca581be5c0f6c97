"""The embedded CLIP: pictures and captions of the embedded world in one space (arXiv:2103.00020).

A patch transformer for pictures; for captions the frozen text tower, whose every word already knows
its thing, a small network on each word, and their mean. Both ends are unit vectors. Guidance may
follow its gradient: only the tower is frozen.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dreamlift.priors.seen import plainly, refuse, unseen
from dreamlift.priors.text import TextTower, load_tower

WEIGHTS = Path(__file__).parents[1] / "weights"

PLACES = 64
"""Patches of a picture: 8x8."""


@dataclass(frozen=True)
class ClipShape:
    """The sizes of a CLIP."""

    size: int = 64
    """Pixels of the side of a picture."""
    width: int = 192
    layers: int = 5
    heads: int = 6
    space: int = 256
    """Dimensions of the common space."""
    looks: int = 4
    """Learned questions that a picture's vector is made of."""


class Layer(nn.Module):
    """A pre-normalised transformer layer over patches.

    Attention is written out: on a CPU the fused one's bfloat16 gradient is several times slower.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        qkv = self.qkv(self.before(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        shares = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        x = x + self.out((shares @ v).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.between(x))))


class ImageTower(nn.Module):
    """Pictures to vectors: three strided convolutions, a transformer, attention pooling."""

    def __init__(self, shape: ClipShape) -> None:
        super().__init__()
        w = shape.width
        self.stem = nn.Sequential(
            nn.Conv2d(3, w // 6, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(w // 6, w // 2, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(w // 2, w, 3, stride=2, padding=1),
        )
        self.places = nn.Parameter(0.02 * torch.randn(PLACES, w))
        self.layers = nn.Sequential(*[Layer(w, shape.heads) for _ in range(shape.layers)])
        self.norm = nn.LayerNorm(w)
        self.ask = nn.Linear(w, shape.looks)
        self.out = nn.Linear(w * shape.looks, shape.space)

    def forward(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        y = self.stem(2 * x.permute(0, 3, 1, 2) - 1).flatten(2).transpose(1, 2)
        y = self.norm(self.layers(y + self.places))
        looks = self.ask(y).softmax(1).transpose(1, 2) @ y
        return self.out(looks.flatten(1))


class CaptionHead(nn.Module):
    """Words of the frozen tower to a vector: a small network on each, and their mean."""

    def __init__(self, width: int, space: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * space)
        self.down = nn.Linear(2 * space, space)

    def forward(
        self, words: Float[Tensor, "n l w"], mask: Bool[Tensor, "n l"]
    ) -> Float[Tensor, "n d"]:
        y = F.gelu(self.up(words)) * mask[..., None]
        return self.down(y.sum(1) / mask.sum(1, keepdim=True))


class Clip(nn.Module):
    """Both towers; an Aligner."""

    def __init__(self, shape: ClipShape, tower: TextTower) -> None:
        super().__init__()
        self.shape = shape
        self.tower = tower.eval().requires_grad_(False)
        self.image = ImageTower(shape)
        self.caption = CaptionHead(tower.shape.width, shape.space)
        self.sharpness = nn.Parameter(torch.tensor(2.3))
        """The logarithm of the inverse temperature."""
        self.strange: frozenset[str] = frozenset()
        """Words that it was never shown."""

    def embed_image(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        """Unit vectors of pictures (sRGB in [0, 1], any square size), differentiably."""
        size = self.shape.size
        if x.shape[1:3] != (size, size):
            mode = "area" if x.shape[1] > size else "bilinear"
            y = F.interpolate(x.permute(0, 3, 1, 2), (size, size), mode=mode)
            x = y.permute(0, 2, 3, 1)
        return F.normalize(self.image(x).float(), dim=-1)

    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Unit vectors of captions. Raises UnknownWord, ValueError."""
        for text in texts:
            refuse(text, self.strange, "CLIP")
        with torch.no_grad():
            words, mask = self.tower.encode([plainly(text) for text in texts])
        return F.normalize(self.caption(words, mask).float(), dim=-1)

    def save(self, folder: Path) -> None:
        """config.json and model.safetensors (half precision), without the text tower."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(asdict(self.shape), indent=2) + "\n")
        state = {
            k: v.detach().half().contiguous().cpu()
            for k, v in self.state_dict().items()
            if not k.startswith("tower.")
        }
        (folder / "model.safetensors").write_bytes(save(state))


def load_clip(folder: Path, tower: TextTower) -> Clip:
    """A frozen CLIP from a folder that `save` wrote, on the text tower it was trained with."""
    clip = Clip(ClipShape(**json.loads((folder / "config.json").read_text())), tower)
    state = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
    clip.load_state_dict({**clip.state_dict(), **state})
    clip.strange = unseen(folder)
    return clip.eval().requires_grad_(False)


def embedded_clip(*, device: torch.device | str = "cpu", folder: Path = WEIGHTS) -> Clip:
    """The CLIP that ships inside. Raises FileNotFoundError where it is not installed."""
    if not (folder / "clip" / "model.safetensors").is_file():
        raise FileNotFoundError(
            f"The embedded CLIP is not in {folder / 'clip'}. Install the package again, or train "
            "it with `dreamlift train clip`."
        )
    clip = load_clip(folder / "clip", load_tower(folder / "text-to-image" / "tower"))
    return clip.to(device)
