"""A prior with several modes, in closed form: what covers them and what collapses is exact.

p(z | c) = sum_k pi_k(c) N(mu_k, s_k^2 I). Noised to t it is a mixture again, of means alpha mu_k
and variances V_k = (alpha s_k)^2 + sigma^2, and its optimal denoiser is
eps*(z_t; t) = sigma sum_k r_k (z_t - alpha mu_k) / V_k, r the probabilities of the modes given z_t.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.diffusion import Cosine, Schedule
from dreamlift.prior import Condition, Embedding, Prior, Prompt
from dreamlift.scene import Shot


def mixture_eps(
    schedule: Schedule,
    z_t: Float[Tensor, "b c y x"],
    t: Float[Tensor, " b"],
    means: Float[Tensor, "k c y x"],
    shares: Float[Tensor, "b k"],
    stds: Float[Tensor, " k"],
) -> Float[Tensor, "b c y x"]:
    """eps* of a mixture; the shares of a sample need not sum to 1."""
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    variance = (alpha[:, None] * stds) ** 2 + sigma[:, None] ** 2  # b k
    away = (z_t[:, None] - alpha[:, None, None, None, None] * means).flatten(2)
    fit = -0.5 * (away.square().sum(2) / variance + away.shape[2] * variance.log())
    pull = sigma[:, None, None] * away / variance[..., None]
    likely = (shares.log() + fit).softmax(1)
    return (likely[..., None] * pull).sum(1).reshape(z_t.shape)


@dataclass(frozen=True)
class Mixture:
    """A few pictures, each with a spread, and of each sentence how often it means which of them."""

    means: Float[Tensor, "k c y x"]  # mu_k, in units of z
    stds: Float[Tensor, " k"]  # s_k
    said: Mapping[str, Sequence[float]]  # pi_k of every text, "" among them; they sum to 1
    schedule: Schedule = Cosine()
    views: int = 1

    @property
    def size(self) -> int:
        return self.means.shape[-1]

    def encode(
        self, x: Float[Tensor, "b h w 3"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """Pictures in [0, 1] to [-1, 1]."""
        return x.permute(0, 3, 1, 2) * 2 - 1

    def decode(self, z: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b h w 3"]:
        """The inverse of `encode`."""
        return (z.permute(0, 2, 3, 1) + 1) / 2

    def embed(self, prompt: Prompt) -> Embedding:
        """The modes' probabilities."""
        if prompt.text not in self.said:
            known = ", ".join(map(repr, self.said))
            raise ValueError(f"This mixture knows {known}, and no {prompt.text!r}.")
        return {"shares": torch.tensor(self.said[prompt.text])}

    def condition(
        self, mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], shot: Shot
    ) -> Condition:
        """Sentences mixed are probabilities mixed."""
        return {"shares": torch.stack([w[:, None] * e["shares"].to(w) for e, w in mix]).sum(0)}

    def eps(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b c y x"], ...]:
        """eps* under each condition."""
        means, stds = self.means.to(z_t), self.stds.to(t)
        return tuple(
            mixture_eps(self.schedule, z_t, t, means, told["shares"].to(t), stds)
            for told in conditions
        )

    def sample(self, text: str, n: int, rng: torch.Generator) -> Float[Tensor, "n c y x"]:
        """n exact samples of what a text means."""
        shares = self.embed(Prompt(text))["shares"]
        mode = torch.multinomial(shares, n, replacement=True, generator=rng)
        noise = torch.randn(n, *self.means.shape[1:], generator=rng)
        return self.means[mode] + self.stds[mode][:, None, None, None] * noise

    def nearest(self, z: Float[Tensor, "n c y x"]) -> Int[Tensor, " n"]:
        """The mode to whose mean each z is nearest, in its standard deviations."""
        away = (z[:, None] - self.means).flatten(2).square().sum(2)
        return (away / self.stds**2).argmin(1)


@dataclass(frozen=True)
class Crowd:
    """The exact score of the pictures at hand: VSD's student, perfect at once and never taught."""

    prior: Prior
    shown: Callable[[], Float[Tensor, "k c y x"]]  # what the particles show now

    def __call__(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot
    ) -> Float[Tensor, "b c y x"]:
        means = self.shown().detach()
        even, none = z_t.new_ones(len(z_t), len(means)), z_t.new_zeros(len(means))
        return mixture_eps(self.prior.schedule, z_t, t, means, even, none)
