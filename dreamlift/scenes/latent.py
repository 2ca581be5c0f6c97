"""A radiance field whose colours are latents of Stable Diffusion (Latent-NeRF, arXiv:2211.07600).

What it renders is given to the denoiser as it is: no picture is encoded, and no gradient passes
through an encoder. A linear map shows roughly what its latents look like, and makes a field of
colours of it.
"""

from functools import partial
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamlift.render.grid import density_of, lookup
from dreamlift.render.occupancy import decay, occupancy
from dreamlift.render.volume import BALL, Matter, Points, RayIntegrals, march
from dreamlift.scene import Rendering, Scene, Shot
from dreamlift.scenes.field import (
    REFRESH,
    Field,
    Grid,
    Init,
    initial_raw,
    nests,
    pictured,
    rays_of,
)
from dreamlift.step import Step

TO_RGB = (
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
)
"""Latents (scaled as the denoiser takes them) times this are about 2 sRGB - 1: Latent-NeRF's
matrix, of the autoencoder that Stable Diffusion 1 and 2 share."""


def to_rgb(z: Float[Tensor, "*s 4"]) -> Float[Tensor, "*s 3"]:
    """About what latents look like: sRGB, which may leave [0, 1]."""
    return (z @ z.new_tensor(TO_RGB) + 1) / 2


def from_rgb(rgb: Float[Tensor, "*s 3"]) -> Float[Tensor, "*s 4"]:
    """The shortest latents that `to_rgb` takes for these colours."""
    return (2 * rgb - 1) @ torch.linalg.pinv(rgb.new_tensor(TO_RGB))


@final
class LatentField(Scene[RayIntegrals]):
    """A density and four latent channels in the ball of radius 1.2; without light, in plain torch.

    A rendering's colour is a latent picture times alpha, of any size.
    """

    seen: Float[Tensor, "n n n"]
    occupied: Bool[Tensor, "n n n"]

    def __init__(
        self,
        *,
        init: Init = "blob",
        optical_depth: float = 3.0,
        samples: int = 48,
        resolution: int = 65,
        levels: int = 3,
    ) -> None:
        """As of a `Field`; its latents begin at 0, which is a middling grey."""
        super().__init__()
        nests(resolution)

        raw = partial(initial_raw, init=init, optical_depth=optical_depth)
        self.body = Grid(resolution, raw, levels, channels=4)
        self.samples = samples
        self.register_buffer("seen", torch.zeros(32, 32, 32))
        self.register_buffer("occupied", torch.ones(32, 32, 32, dtype=torch.bool))

    def query(self, points: Points) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 4"]]:
        """Density per world unit, 0 outside the ball, and latents."""
        return self._seen(self.body.dense(), points)

    def _seen(
        self, dense: Float[Tensor, "x y z 5"], points: Points
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 4"]]:
        values = lookup(dense, points)
        within = points.square().sum(-1) < BALL**2
        return density_of(values[:, 0]) * within, values[:, 1:]

    def density(self, points: Points) -> Float[Tensor, " n"]:
        return self.query(points)[0]

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[RayIntegrals]:
        if shot.light is not None:
            raise ValueError("Latents cannot be lit: draw shots without a light.")
        rays, dense = rays_of(shot, self.samples, rng), self.body.dense()
        m = march(lambda points: Matter(*self._seen(dense, points)), rays, occupied=self.occupied)
        return pictured(m, shot)

    def field(self) -> Field:
        """The same density with the colours that `to_rgb` gives its latents, on one level."""
        dense = self.body.dense().detach()
        rgb = to_rgb(dense[..., 1:]).clamp(0.02, 0.98).logit()
        grid = torch.cat([dense[..., :1], rgb], -1)
        return Field.of(grid, self.seen, self.occupied, samples=self.samples)

    def adapt(
        self, step: Step, view: Rendering[RayIntegrals], optimizer: torch.optim.Optimizer
    ) -> None:
        """Look, once in a while, which cells are too thin to be worth sampling."""
        if (step.index + 1) % REFRESH == 0:
            with torch.no_grad():
                sample = 2 * BALL / self.samples
                depth = density_of(self.body.densest(len(self.seen))) * sample
                self.seen.copy_(decay(self.seen, depth))
                self.occupied.copy_(occupancy(self.seen))
