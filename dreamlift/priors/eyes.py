"""Layers that look at pictures: of the embedded CLIP, and of the judge of other weights."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

GRID = 16
"""Places along the side of a map."""


def sized(x: Float[Tensor, "b h w 3"], size: int) -> Float[Tensor, "b s s 3"]:
    """Square pictures, of the side that is looked at."""
    if x.shape[1:3] == (size, size):
        return x
    mode = "area" if x.shape[1] > size else "bilinear"
    return F.interpolate(x.permute(0, 3, 1, 2), (size, size), mode=mode).permute(0, 2, 3, 1)


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


class Eye(nn.Module):
    """Looks at a map for what it is asked: attention over its places, then a small network."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(
        self, ask: Float[Tensor, "#b n w"], x: Float[Tensor, "b p w"]
    ) -> tuple[Float[Tensor, "b n w"], Float[Tensor, "b n p"]]:
        """Answers, and where each question looked (mean over heads)."""

        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

        query = split(ask.to(x.dtype))
        scores = query @ split(self.key(x)).transpose(-1, -2) / query.shape[-1] ** 0.5
        looks = scores.float().softmax(-1)
        y = (looks.to(x.dtype) @ split(self.value(x))).transpose(1, 2).flatten(2)
        y = self.norm(y + ask)
        return y + self.down(F.gelu(self.up(y))), looks.mean(1)
