"""Distributions of the noise level t in [0, 1], and weights w(t) of what is learned there.

Both are half of what distinguishes one implementation of score distillation from another, so a
recipe names them. Every t is drawn from the step's generator and snapped once to the prior's
schedule; alpha, sigma and the network all see the snapped value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import Schedule
from dreamlift.prior import Prior
from dreamlift.step import Step, cosine, linear


@runtime_checkable
class Times(Protocol):
    """A distribution of t, which may move with the step's progress."""

    def __call__(self, n: int, step: Step) -> Float[Tensor, " n"]:
        """`n` independent draws from `step.rng`, on its device."""
        ...


def _between(low: float, high: float, n: int, step: Step) -> Float[Tensor, " n"]:
    return low + (high - low) * torch.rand(n, generator=step.rng, device=step.rng.device)


@dataclass(frozen=True)
class Uniform:
    """t ~ U(low, high), the same throughout: DreamFusion's U(.02, .98) (arXiv:2209.14988)."""

    low: float = 0.02
    high: float = 0.98

    def __call__(self, n: int, step: Step) -> Float[Tensor, " n"]:
        return _between(self.low, self.high, n, step)


@dataclass(frozen=True)
class Annealed:
    """t ~ U(low, high), both moving from `start` to `end` as the stage proceeds: coarse to fine.

    Paint-it (arXiv:2312.11360) is Annealed((.3, .98), (.2, .5), by="sqrt"). Where low is high,
    t is not drawn but follows; `courses` has such, and others' distributions.
    """

    start: tuple[float, float] = (0.02, 0.98)  # (low, high) at progress 0
    end: tuple[float, float] = (0.02, 0.5)  # (low, high) at progress `until`, and after it
    by: Literal["linear", "sqrt", "cosine", "step"] = "linear"  # step: at once, at `until`
    until: float = 1.0
    limits: tuple[float, float] = (0.0, 1.0)  # what both are clipped to

    def bounds(self, progress: float) -> tuple[float, float]:
        """(low, high) at a progress in [0, 1]."""
        move = cosine if self.by == "cosine" else linear
        done = max(progress, 0.0) / self.until
        along = {"sqrt": done**0.5, "step": float(done >= 1)}.get(self.by, done)
        least, most = self.limits
        low, high = (move(along, *ends) for ends in zip(self.start, self.end, strict=True))
        return min(max(low, least), most), min(max(high, least), most)

    def __call__(self, n: int, step: Step) -> Float[Tensor, " n"]:
        return _between(*self.bounds(step.progress), n, step)


def draw(
    times: Times, prior: Prior, like: Float[Tensor, "b c y x"], step: Step
) -> Float[Tensor, " b"]:
    """A snapped t for each sample; the `prior.views` pictures of a group share theirs."""
    b = len(like)
    if b % prior.views:
        raise ValueError(
            f"This prior denoises {prior.views} views of an object together; a batch of {b} is no "
            f"multiple of that. Draw shots of {prior.views} n cameras."
        )
    t = times(b // prior.views, step).to(like.device).repeat_interleave(prior.views)
    return prior.schedule.snap(t)


Weight: TypeAlias = Callable[[Schedule, Float[Tensor, " b"]], Float[Tensor, " b"]]
"""w(t), given the schedule and a snapped t."""


def sigma_squared(schedule: Schedule, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """w(t) = sigma_t^2 = 1 - alpha_bar_t: DreamFusion, Sec. 3."""
    return schedule.sigma(t) ** 2


def uniform(schedule: Schedule, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """w(t) = 1, which DreamFusion found to perform similarly."""
    return torch.ones_like(t)


def alpha_sigma_squared(schedule: Schedule, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """w(t) = alpha_t sigma_t^2, Latent-NeRF's and Fantasia3D's sqrt(alpha_bar) (1 - alpha_bar)."""
    return schedule.alpha(t) * schedule.sigma(t) ** 2


def noise_to_signal(schedule: Schedule, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """w(t) = sigma_t / alpha_t: ISM's sqrt((1 - alpha_bar) / alpha_bar).

    It turns a difference of noises into one of clean samples, z - z_hat: SDI's loss.
    """
    return schedule.sigma(t) / schedule.alpha(t)


def inverse_variance(schedule: Schedule, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """w(t) = 1 / sigma_t^2: a strategy of Fantasia3D for appearance (arXiv:2303.13873)."""
    return schedule.sigma(t) ** -2
