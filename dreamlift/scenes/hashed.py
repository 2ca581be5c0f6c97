"""A field's body on Instant-NGP's hash encoding (arXiv:2201.05989): `Field(body=Hashed())`."""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dreamlift.render.encoding import network
from dreamlift.render.grid import HALF
from dreamlift.render.hashgrid import Layout, encode
from dreamlift.render.volume import Points
from dreamlift.scenes.field import Body, Init, initial_raw

SMALL = Layout(levels=12, log_size=17, growth=(512 / 16) ** (1 / 11))
"""Up to 512 vertices a side, a quarter of the paper's table."""


@final
class Hashed(Body):
    """A small network on a hash encoding of the position, added to the initial field."""

    numbers: Int[Tensor, " n"]

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
        numbers = [
            *(layout.levels, layout.features, layout.log_size, layout.coarsest, layout.growth),
            *(float(init == "blob"), optical_depth, float(seed)),
        ]
        # Double precision as whole numbers, which every device holds.
        said = torch.tensor(numbers, dtype=torch.float64).view(torch.int64)
        self.register_buffer("numbers", said)
        rng = torch.Generator().manual_seed(seed)
        drawn = torch.rand(layout.starts[-1], layout.features, generator=rng)
        self.table = nn.Parameter(1e-4 * (2 * drawn - 1))
        self.network = network((layout.levels * layout.features, 64, 4), rng)

    def forward(self, points: Points) -> Float[Tensor, "n 4"]:
        """Raw density and three colour logits; points of the cube [-1.25, 1.25]^3."""
        unit = (points / (2 * HALF) + 0.5).clamp(0, 1)
        values = self.network(encode(self.table, unit, self.layout))
        raw = initial_raw(points, self.init, self.optical_depth)
        return torch.cat([values[:, :1] + raw[:, None], values[:, 1:]], -1)

    @staticmethod
    def of(numbers: Int[Tensor, " n"]) -> "Hashed":
        """As it was drawn whose state has these `numbers`."""
        levels, features, log_size, coarsest, growth, blob, depth, seed = (
            numbers.cpu().view(torch.float64).tolist()
        )
        layout = Layout(int(levels), int(features), int(log_size), int(coarsest), growth)
        init: Init = "blob" if blob else "fog"
        return Hashed(layout, init=init, optical_depth=depth, seed=int(seed))

    def fresh(self) -> "Hashed":
        """As it was drawn."""
        return Hashed(self.layout, init=self.init, optical_depth=self.optical_depth, seed=self.seed)
