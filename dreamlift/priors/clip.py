"""The embedded CLIP: pictures and captions of the embedded world in one space (arXiv:2103.00020).

Of a picture a convolutional map is asked learned questions; their answers together are its vector.
Of a caption the frozen text tower, whose every word already knows its thing, a small network on
each word, and their mean. Both ends are unit vectors. Guidance may follow its gradient: only the
tower is frozen.
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

from dreamlift.priors.eyes import GRID, Eye, Residual, sized
from dreamlift.priors.seen import plainly, refuse, unseen
from dreamlift.priors.text import TextTower, load_tower

WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True)
class ClipShape:
    """The sizes of a CLIP."""

    size: int = 64
    """Pixels of the side of a picture."""
    widths: tuple[int, int, int, int] = (32, 80, 192, 112)
    """Channels at 32x32, 16x16 and 8x8, and on the way back at 16x16."""
    blocks: tuple[int, int, int] = (1, 3, 1)
    """Residual blocks at 16x16, 8x8 and again at 16x16."""
    heads: int = 4
    questions: int = 24
    """What a picture is asked; its vector is made of the answers."""
    said: int = 48
    """Of each answer, what its vector is made of."""
    space: int = 512
    """Dimensions of the common space."""


class ImageTower(nn.Module):
    """Pictures to vectors: a map of 16x16 places, learned questions about it, and their answers."""

    def __init__(self, shape: ClipShape) -> None:
        super().__init__()
        self.size = shape.size
        a, b, c, d = shape.widths
        self.fine = nn.Sequential(
            nn.Conv2d(3, a, 3, stride=2, padding=1),
            nn.GroupNorm(8, a),
            nn.GELU(),
            nn.Conv2d(a, b, 3, stride=2, padding=1),
            *[Residual(b) for _ in range(shape.blocks[0])],
        )
        self.coarse = nn.Sequential(
            nn.Conv2d(b, c, 3, stride=2, padding=1), *[Residual(c) for _ in range(shape.blocks[1])]
        )
        self.back, self.across = nn.Conv2d(c, d, 1), nn.Conv2d(b, d, 1)
        self.last = nn.Sequential(
            *[Residual(d) for _ in range(shape.blocks[2])], nn.GroupNorm(8, d)
        )
        self.places = nn.Parameter(0.1 * torch.randn(GRID**2, d))
        self.questions = nn.Parameter(torch.randn(shape.questions, d))
        self.eye = Eye(d, shape.heads)
        self.say = nn.Linear(d, shape.said)
        self.up = nn.Linear(shape.questions * shape.said, shape.space)
        self.down = nn.Linear(shape.space, shape.space)

    def look(
        self, x: Float[Tensor, "b h w 3"]
    ) -> tuple[Float[Tensor, "b p d"], Float[Tensor, "b q d"], Float[Tensor, "b q p"]]:
        """The map of pictures (sRGB in [0, 1], any square size), the answers to the questions, and
        where each of them looked."""
        fine = self.fine(2 * sized(x, self.size).permute(0, 3, 1, 2) - 1)
        back = F.interpolate(self.back(self.coarse(fine)), scale_factor=2, mode="nearest")
        y = self.last(back + self.across(fine)).flatten(2).transpose(1, 2) + self.places
        return y, *self.eye(self.questions[None], y)

    def vector(self, answers: Float[Tensor, "b q d"]) -> Float[Tensor, "b s"]:
        """What answers say together."""
        return self.down(F.gelu(self.up(self.say(answers).flatten(1))))

    def forward(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b s"]:
        return self.vector(self.look(x)[1])


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
    config = json.loads((folder / "config.json").read_text())
    config.update(widths=tuple(config["widths"]), blocks=tuple(config["blocks"]))
    clip = Clip(ClipShape(**config), tower)
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
