"""Schedules of other priors: rectified flow, and tables of variances to whose entries t snaps."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import Schedule


@dataclass(frozen=True)
class Flow:
    """Rectified flow: alpha = 1 - t, sigma = t (arXiv:2209.03003)."""

    def alpha(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return 1 - t

    def sigma(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return t

    def snap(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return t


@dataclass(frozen=True)
class Table:
    """A discrete schedule: entry i of `n` stands for t = i / (n - 1); alpha_bar from betas."""

    alpha_bar: Float[Tensor, " n"]  # cumulative products of 1 - beta, in (0, 1)

    def index(self, t: Float[Tensor, " b"]) -> Tensor:
        """The table's integer timestep for each t."""
        return (t * (len(self.alpha_bar) - 1)).round().long()

    def alpha(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return self.alpha_bar.to(t)[self.index(t)].sqrt()

    def sigma(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return (1 - self.alpha_bar.to(t)[self.index(t)]).sqrt()

    def snap(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return self.index(t).to(t) / (len(self.alpha_bar) - 1)


def scaled_linear(start: float = 0.00085, end: float = 0.012, steps: int = 1000) -> Table:
    """Stable Diffusion's table: the square roots of beta are evenly spaced."""
    betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    return Table((1 - betas).cumprod(0).float())


def added_variance(
    schedule: Schedule, s: Float[Tensor, " b"], t: Float[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """Of the noise on the way from z_s to z_t, t >= s: sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2.

    DDPM's beta where alpha^2 + sigma^2 = 1.
    """
    kept = schedule.alpha(t) / schedule.alpha(s)
    return (schedule.sigma(t) ** 2 - (kept * schedule.sigma(s)) ** 2).clamp_min(0)
