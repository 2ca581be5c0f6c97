"""Where an optimisation stands: the only clock that schedules, guidance and scenes read."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Step:
    """One step of a stage. Every random draw of a run comes from `rng`, so a run is its seed."""

    index: int  # 0, 1, ..., total - 1
    total: int
    rng: torch.Generator

    @property
    def progress(self) -> float:
        """Fraction of the stage done, in [0, 1)."""
        return self.index / self.total


def linear(progress: float, start: float, end: float) -> float:
    """Straight line from `start` at progress 0 to `end` at progress 1; constant outside [0, 1]."""
    return start + (end - start) * min(max(progress, 0.0), 1.0)


def cosine(progress: float, start: float, end: float) -> float:
    """Half a cosine from `start` at progress 0 to `end` at progress 1; constant outside [0, 1]."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))


def exponential(progress: float, start: float, end: float) -> float:
    """Geometric line between two positive numbers; constant outside [0, 1]. From 0 it stays 0."""
    if start == 0:
        return 0.0
    return start * (end / start) ** min(max(progress, 0.0), 1.0)


def falling(rates: tuple[float, float], group: str = "all") -> Callable[[Step], dict[str, float]]:
    """An optimiser's rate for one of its groups, along the geometric line from first to last."""
    return lambda step: {group: exponential(step.progress, *rates)}
