"""A field's body on Instant-NGP's hash encoding (arXiv:2201.05989): `Field(body=Hashed())`."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dreamlift.render.encoding import network
from dreamlift.render.grid import HALF, raw_of
from dreamlift.render.hashgrid import Layout, encode
from dreamlift.render.volume import Points
from dreamlift.scenes.field import Body, Init, initial_density

SMALL = Layout(levels=12, log_size=17, growth=(512 / 16) ** (1 / 11))
"""Up to 512 vertices a side, a quarter of the paper's table."""


@final
class Hashed(Body):
    """A small network on a hash encoding of the position, added to the initial field."""

    def __init__(
        self,
        layout: Layout = SMALL,
        *,
        init: Init = "fog",
        optical_depth: float = 3.0,
        seed: int = 0,
    ) -> None:
        """The table is drawn from U(-1e-4, 1e-4), it and the network's weights from `seed`."""
        super().__init__()
        self.layout = layout
        self.init: Init = init
        self.optical_depth = optical_depth
        self.seed = seed
        rng = torch.Generator().manual_seed(seed)
        drawn = torch.rand(layout.starts[-1], layout.features, generator=rng)
        self.table = nn.Parameter(1e-4 * (2 * drawn - 1))
        self.network = network((layout.levels * layout.features, 64, 4), rng)

    def forward(self, points: Points) -> Float[Tensor, "n 4"]:
        """Raw density and three colour logits; points of the cube [-1.25, 1.25]^3."""
        unit = (points / (2 * HALF) + 0.5).clamp(0, 1)
        values = self.network(encode(self.table, unit, self.layout))
        raw = raw_of(initial_density(points, self.init, self.optical_depth))
        return torch.cat([values[:, :1] + raw[:, None], values[:, 1:]], -1)

    def fresh(self) -> "Hashed":
        """As it was drawn."""
        return Hashed(self.layout, init=self.init, optical_depth=self.optical_depth, seed=self.seed)
