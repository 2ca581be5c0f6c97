"""A prior with several modes, known in closed form: where coverage can be counted exactly.

p(z | y) = sum_k w_k N(m_k, s^2 I) over the pictures m_k that y names, whose exact denoiser is
eps*(z_t; t) = sum_k r_k sigma_t (z_t - alpha_t m_k) / (alpha_t^2 s^2 + sigma_t^2), r_k the share of
mode k in z_t. With s = 0 it is the exact noise predictor of a handful of pictures.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import Cosine, Schedule, per_sample
from dreamlift.prior import Condition, Embedding, Prior, Prompt
from dreamlift.scene import Shot


def mixture_eps(
    schedule: Schedule,
    z_t: Float[Tensor, "b c y x"],
    t: Float[Tensor, " b"],
    modes: Float[Tensor, "k c y x"],
    weights: Float[Tensor, "b k"],
    std: float,
) -> Float[Tensor, "b c y x"]:
    """eps* of a mixture of Gaussians of one spread; `weights` need not sum to 1."""
    alpha, sigma = per_sample(schedule.alpha(t), z_t), per_sample(schedule.sigma(t), z_t)
    variance = alpha**2 * std**2 + sigma**2
    away = z_t[:, None] - alpha[:, None] * modes
    closeness = -away.square().flatten(2).sum(-1) / (2 * variance.flatten(1))
    share = (weights.log() + closeness).softmax(-1)
    return sigma / variance * torch.einsum("bk,bkcyx->bcyx", share, away)


@dataclass(frozen=True)
class Mixture:
    """A world of a few pictures: a prompt means those under its name, "" all of them.

    Sentences are mixed by adding up what they say of each picture.
    """

    pictures: Mapping[str, Float[Tensor, "_ h w 3"]]  # sRGB, the same from every camera
    std: float = 0.1  # s, in units of z, where white - black = 2
    schedule: Schedule = Cosine()
    size: int = 64
    views: int = 1

    @property
    def modes(self) -> Float[Tensor, "k 3 h w"]:
        return self.encode(torch.cat([*self.pictures.values()]))

    def encode(
        self, x: Float[Tensor, "b h w 3"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """Pictures in [0, 1] to [-1, 1]."""
        return x.permute(0, 3, 1, 2) * 2 - 1

    def decode(self, z: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b h w 3"]:
        """The inverse of `encode`."""
        return (z.permute(0, 2, 3, 1) + 1) / 2

    def embed(self, prompt: Prompt) -> Embedding:
        """Equal weights of the pictures that are meant. Raises ValueError for other names."""
        if prompt.text and prompt.text not in self.pictures:
            raise ValueError(f"{prompt.text!r} is none of {', '.join(self.pictures)}.")
        said = [float(prompt.text in ("", name)) for name in self.pictures]
        counts = [len(pictures) for pictures in self.pictures.values()]
        weights = torch.tensor(said).repeat_interleave(torch.tensor(counts))
        return {"weights": weights / weights.sum()}

    def condition(
        self, mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], shot: Shot
    ) -> Condition:
        """The weight of each picture, for each camera."""
        return {"weights": torch.stack([w[:, None] * said["weights"] for said, w in mix]).sum(0)}

    def eps(
        self, z_t: Float[Tensor, "b 3 h w"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b 3 h w"], ...]:
        """eps* under each condition."""
        modes = self.modes.to(z_t)
        return tuple(
            mixture_eps(self.schedule, z_t, t, modes, told["weights"].to(z_t), self.std)
            for told in conditions
        )


@dataclass(frozen=True)
class Crowd:
    """The exact score of the pictures at hand: VSD's student, perfect at once and never taught."""

    prior: Prior
    shown: Callable[[], Float[Tensor, "k c y x"]]  # what the particles show now

    def __call__(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot
    ) -> Float[Tensor, "b c y x"]:
        modes = self.shown().detach()
        even = z_t.new_ones(len(z_t), len(modes))
        return mixture_eps(self.prior.schedule, z_t, t, modes, even, 0.0)
