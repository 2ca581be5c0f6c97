"""A prior known in closed form, so that guidance is tested exactly, on a CPU, without weights.

The oracle believes that what a shot c shows is Gaussian around the true picture of c:
p(z | c) = N(mu_c, s^2 I). Its optimal denoiser is
eps*(z_t; t) = sigma_t (z_t - alpha_t mu_c) / (alpha_t^2 s^2 + sigma_t^2).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import Cosine, Schedule, per_sample
from dreamlift.prior import Condition, Embedding, Prompt
from dreamlift.scene import Rendering, Shot

Truth: TypeAlias = Callable[[Shot], Rendering[Any]]
"""What a shot shows, without its background: `scene.render` of a known scene, or any function."""


def picture(rgb: Float[Tensor, "h w 3"]) -> Truth:
    """A truth that is the same opaque picture (sRGB in [0, 1]) for every camera."""

    def truth(shot: Shot) -> Rendering[None]:
        color = rgb.expand(len(shot), *rgb.shape)
        return Rendering(color, torch.ones_like(color[..., :1]), None)

    return truth


@dataclass(frozen=True)
class Oracle:
    """The closed-form prior of a known world, where every sentence means the same truth.

    It is told the whole shot, so its mean is lit and stands before the same background as what is
    scored. The null prompt means the truth too, and guidance of any scale changes nothing, unless
    `grey` gives it a mean of its own: guidance s then aims at null + s (truth - null).
    """

    truth: Truth
    std: float = 0.1  # s, in units of z, where white - black = 2
    grey: float | None = None  # the null prompt's plain picture, sRGB in [0, 1]
    schedule: Schedule = Cosine()
    size: int = 64
    views: int = 1

    def encode(
        self, x: Float[Tensor, "b h w 3"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """Pictures in [0, 1] to [-1, 1]."""
        return x.permute(0, 3, 1, 2) * 2 - 1

    def decode(self, z: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b h w 3"]:
        """The inverse of `encode`."""
        return (z.permute(0, 2, 3, 1) + 1) / 2

    def embed(self, prompt: Prompt) -> Embedding:
        """1 where the prompt means the truth, 0 where it means grey."""
        return {"named": torch.tensor(float(prompt.text != "" or self.grey is None))}

    def condition(
        self, mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], shot: Shot
    ) -> Condition:
        """The mean of z for this shot; the truth and the grey are mixed as the prompts are."""
        named = torch.stack([w * embedding["named"].to(w) for embedding, w in mix]).sum(0)
        null = torch.stack([w for _, w in mix]).sum(0) - named
        grey = (2 * (self.grey or 0.0) - 1) * null[:, None, None, None]
        if not named.any():
            size = shot.cameras.height, shot.cameras.width
            return {"mean": grey.expand(-1, 3, *size)}
        with torch.no_grad():
            view = self.truth(shot)
            seen = view.color if shot.background is None else view.over(shot.background)
            return {"mean": named[:, None, None, None] * self.encode(seen) + grey}

    def eps(
        self, z_t: Float[Tensor, "b 3 h w"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b 3 h w"], ...]:
        """eps* under each condition."""
        alpha = per_sample(self.schedule.alpha(t), z_t)
        sigma = per_sample(self.schedule.sigma(t), z_t)
        variance = alpha**2 * self.std**2 + sigma**2
        return tuple(sigma * (z_t - alpha * told["mean"]) / variance for told in conditions)
