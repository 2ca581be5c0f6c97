"""A field's body on integrated frequencies, as mip-NeRF's (arXiv:2103.13415, Sec. 3.1):
`Field(body=Integrated())`."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.render.encoding import integrated, network
from dreamlift.render.volume import Points
from dreamlift.scenes.field import Body, Init, initial_raw


@final
class Integrated(Body):
    """A small network on frequencies of the position, in the mean over the section of a ray that a
    sample stands for; added to the initial field.

    Along the ray the variance is the section's own (its length squared over 12). Across, where a
    pixel's cone would widen with the distance in mip-NeRF, it is the same everywhere: `across`.
    """

    def __init__(
        self,
        octaves: int = 8,
        *,
        across: float = 0.01,
        init: Init = "fog",
        optical_depth: float = 3.0,
        width: int = 64,
        seed: int = 0,
    ) -> None:
        """`across`: a standard deviation, world units; 0 and no sections: plain frequencies.
        `width` of three hidden layers; the weights are drawn from `seed`."""
        super().__init__()
        self.octaves, self.across, self.width, self.seed = octaves, across, width, seed
        self.init: Init = init
        self.optical_depth = optical_depth
        rng = torch.Generator().manual_seed(seed)
        self.network = network((3 + 6 * octaves, width, width, width, 4), rng)

    def forward(self, points: Points) -> Float[Tensor, "n 4"]:
        """Raw density and three colour logits, as seen across."""
        return self.over(points, torch.zeros_like(points))

    def over(self, points: Points, variance: Points) -> Float[Tensor, "n 4"]:
        """The same in the mean over Gaussians of these further variances."""
        seen = integrated(points, variance + self.across**2, self.octaves)
        values = self.network(seen)
        raw = initial_raw(points, self.init, self.optical_depth)
        return torch.cat([values[:, :1] + raw[:, None], values[:, 1:]], -1)

    def fresh(self) -> "Integrated":
        """As it was drawn."""
        return Integrated(
            self.octaves,
            across=self.across,
            init=self.init,
            optical_depth=self.optical_depth,
            width=self.width,
            seed=self.seed,
        )
