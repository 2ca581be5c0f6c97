"""What lies behind a scene, learned with it; random plain backgrounds are views.py's.

Both are called with the rays' directions, `camera.rays()[1]`, and give a picture for
Rendering.over.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dreamlift.render.encoding import frequencies, network


@final
class Environment(nn.Module):
    """A colour for every direction: a small network (DreamFusion, arXiv:2209.14988, App. A.2)."""

    def __init__(self, *, octaves: int = 4, width: int = 32, rng: torch.Generator) -> None:
        super().__init__()
        self.octaves = octaves
        self.network = network((3 + 6 * octaves, width, width, 3), rng)

    def forward(self, directions: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b h w 3"]:
        """sRGB in [0, 1] along unit directions."""
        return self.network(frequencies(directions, self.octaves)).sigmoid()


@final
class Plain(nn.Module):
    """One colour for all directions."""

    def __init__(self, rgb: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> None:
        """`rgb`: where it starts, sRGB in (0, 1)."""
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(rgb).logit(eps=1e-4))

    def forward(self, directions: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b h w 3"]:
        """sRGB in [0, 1], the same everywhere."""
        return self.logits.sigmoid().expand_as(directions)
