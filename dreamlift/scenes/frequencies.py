"""A field's body on frequency encodings, as in DreamFusion (arXiv:2209.14988, Sec. 3.1):
`Field(body=Frequencies())`."""

from collections.abc import Callable
from functools import partial
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.render.encoding import frequencies, network
from dreamlift.render.volume import Points
from dreamlift.scenes.field import Body, initial_raw


@final
class Frequencies(Body):
    """A small network on frequencies of the position, added to what the field begins with."""

    def __init__(
        self,
        raw: Callable[[Points], Tensor] | None = None,
        *,
        octaves: int = 6,
        seed: int = 0,
    ) -> None:
        """`raw`: the raw density, or depth, to begin with (None: fog); the weights are drawn from
        `seed`."""
        super().__init__()
        self.raw = raw or partial(initial_raw, init="fog", optical_depth=3.0)
        self.octaves, self.seed = octaves, seed
        rng = torch.Generator().manual_seed(seed)
        self.network = network((3 + 6 * octaves, 64, 64, 64, 4), rng)

    def forward(self, points: Points) -> Float[Tensor, "n 4"]:
        """Raw density and three colour logits."""
        values = self.network(frequencies(points, self.octaves))
        return torch.cat([values[:, :1] + self.raw(points)[:, None], values[:, 1:]], -1)

    def fresh(self) -> "Frequencies":
        """As it was drawn."""
        return Frequencies(self.raw, octaves=self.octaves, seed=self.seed)
