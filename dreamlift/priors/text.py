"""The embedded text tower: a small transformer over the words of the embedded world.

It is trained on captions alone to say, at every word, what the caption means there
(learn/tower.py), and then frozen: a noun's feature already holds its own colour, size and place,
which is what a diffusion model needs to bind them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dreamlift.words import CONTEXT, PAD, VOCABULARY, tokens


@dataclass(frozen=True)
class TowerShape:
    """The sizes of a text tower."""

    width: int = 256
    heads: int = 4
    layers: int = 4
    context: int = CONTEXT
    vocabulary: int = VOCABULARY


class Block(nn.Module):
    """A pre-normalised transformer layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "b n w"], mask: Bool[Tensor, "b n"]) -> Tensor:
        b, n, w = x.shape
        qkv = self.qkv(self.before(x)).reshape(b, n, 3, self.heads, w // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        x = x + self.out(y.transpose(1, 2).reshape(b, n, w))
        return x + self.down(F.gelu(self.up(self.between(x))))


class TextTower(nn.Module):
    """Word ids to a feature per word."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.places = nn.Parameter(0.02 * torch.randn(shape.context, shape.width))
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, ids: Int[Tensor, "b n"], mask: Bool[Tensor, "b n"]) -> Float[Tensor, "b n w"]:
        """Features, zero where the mask is false."""
        x = self.words(ids) + self.places[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x) * mask[..., None]

    def encode(
        self, texts: Sequence[str], length: int | None = None
    ) -> tuple[Float[Tensor, "b n w"], Bool[Tensor, "b n"]]:
        """Features and mask of captions. Raises UnknownWord, ValueError."""
        ids, mask = batch(texts, length)
        device = self.places.device
        return self(ids.to(device), mask.to(device)), mask.to(device)

    def save(self, folder: Path) -> None:
        """config.json and model.safetensors (half precision)."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(asdict(self.shape), indent=2) + "\n")
        state = {k: v.detach().half().contiguous().cpu() for k, v in self.state_dict().items()}
        (folder / "model.safetensors").write_bytes(save(state))


def load_tower(folder: Path) -> TextTower:
    """A frozen tower from a folder that `save` wrote."""
    tower = TextTower(TowerShape(**json.loads((folder / "config.json").read_text())))
    state = load_file(folder / "model.safetensors")
    tower.load_state_dict({k: v.float() for k, v in state.items()})
    return tower.eval().requires_grad_(False)


def batch(
    texts: Sequence[str], length: int | None = None
) -> tuple[Int[Tensor, "b n"], Bool[Tensor, "b n"]]:
    """Word ids of captions, padded to the longest (or to `length`), and which of them are words."""
    rows = [tokens(text) for text in texts]
    n = length or max(len(row) for row in rows)
    ids = torch.full((len(rows), n), PAD)
    for row, words in zip(ids, rows, strict=True):
        row[: len(words)] = torch.tensor(words)
    return ids, ids != PAD
