"""Published courses of t over a stage: lines, roots, phases, and DreamTime's shares of steps.

Each is a `times.Times`, from the first step's noise to the last one's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import Schedule
from dreamlift.guidance.times import Annealed, Times, Uniform, noise_to_signal
from dreamlift.step import Step


def falling(
    start: float,
    end: float,
    *,
    by: Literal["linear", "sqrt", "cosine"] = "linear",
    limits: tuple[float, float] = (0.0, 1.0),
) -> Annealed:
    """One t for all samples of a step, from `start` down to `end`."""
    return Annealed((start, start), (end, end), by, limits=limits)


DREAM_GAUSSIAN = falling(1.0, 0.0, limits=(20 / 999, 980 / 999))
"""t = 1 - i / N, clipped to entries 20 and 980 of its table (DreamGaussian, arXiv:2309.16653)."""

HIFA = falling(0.98, 0.3, by="sqrt")
"""t = .98 - .68 sqrt(i / N): HiFA (arXiv:2305.18766), with its code's ends."""

SDI = falling(0.98, 0.2)
"""From .98 straight to .2 (SDI, arXiv:2405.15891)."""

SJC = Uniform(10 / 999, 969 / 999)
"""Its table of sigma, highest first, without the first 30 and the last 10 (arXiv:2212.00774)."""

LUCID_DREAMER = Annealed((0.02, 0.98), (0.02, 0.5), until=0.3)
"""The upper bound falls to .5 in the first 1,500 of 5,000 steps (ISM, arXiv:2311.11284)."""


@dataclass(frozen=True)
class TwoPhase:
    """One distribution up to a progress, then another: coarse, then fine.

    ProlificDreamer (arXiv:2305.16213) takes U(.02, .98) for the first 5,000 of 25,000
    steps, then U(.02, .5); GaussianDreamer (arXiv:2310.08529) changes to U(.02, .55) at 500 of
    1,200.
    """

    first: Times = Uniform()
    then: Times = Uniform(0.02, 0.5)
    at: float = 0.2

    def __call__(self, n: int, step: Step) -> Float[Tensor, " n"]:
        return (self.first if step.progress < self.at else self.then)(n, step)


Importance: TypeAlias = Callable[[Float[Tensor, " n"]], Float[Tensor, " n"]]
"""W(t): how much of a stage's steps DreamTime spends at t in [0, 1]; of any scale."""


def plateau(t: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """DreamTime's W as published at ICLR 2024: 1 from .5 to .8, Gaussian flanks.

    Their standard deviations are .1 below and .3 above.
    """
    below, above = (0.5 - t).clamp_min(0) / 0.1, (t - 0.8).clamp_min(0) / 0.3
    return (-0.5 * (below**2 + above**2)).exp()


FAINT = 0.01
"""Of alpha: a continuous schedule ends at 0, where its ratio of noise to signal has no bound."""


def bell(schedule: Schedule, *, mean: float = 0.5, std: float = 0.125) -> Importance:
    """DreamTime's first W: sigma_t / alpha_t times a Gaussian in t; 0 where no signal is left."""

    def weighed(t: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        # In entries 1 to 1000 the Gaussian, from 0 to 999 the schedule, as the paper counts.
        at = schedule.snap(((1000 * t - 1) / 999).clamp(0, 1))
        share = noise_to_signal(schedule, at) * (-0.5 * ((t - mean) / std) ** 2).exp()
        return torch.where(schedule.alpha(at) > FAINT, share, torch.zeros_like(share))

    return weighed


@dataclass(frozen=True)
class DreamTime:
    """t falls so that every t gets its share W(t) of the steps (DreamTime, arXiv:2306.12422).

    At step i of N it is the t' above which lies i / N of W, on a grid of 1,000; nothing is drawn.
    """

    importance: Importance = plateau
    limits: tuple[float, float] = (0.02, 0.98)  # what t is clipped to; the paper has (0, 1)

    def entry(self, progress: float) -> int:
        """The t', from 1,000 at progress 0 down to 1 at progress 1."""
        grid = torch.arange(1, 1001, dtype=torch.float64) / 1000
        share = self.importance(grid)
        above = (share / share.sum()).flip(0).cumsum(0).flip(0)
        return int((above - progress).abs().argmin()) + 1

    def __call__(self, n: int, step: Step) -> Float[Tensor, " n"]:
        low, high = self.limits
        t = min(max((self.entry(step.progress) - 1) / 999, low), high)
        return torch.full((n,), t, device=step.rng.device)
