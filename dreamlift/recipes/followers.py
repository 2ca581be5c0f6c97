"""What the papers share that change DreamFusion's guidance and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from dreamlift.fit import Observer
from dreamlift.guidance import Guidance
from dreamlift.prior import Prior
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scenes.field import Field

F = TypeVar("F", bound="Follower")


@dataclass(frozen=True)
class Follower(ABC):
    """DreamFusion with another guidance: its cameras, lights, field and regularisers."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 500
    """Optimiser steps."""
    batch: int = 1
    """Views per step."""

    @abstractmethod
    def guidance(self, prior: Prior) -> Guidance:
        """What the prior says of a picture."""

    def full(self: F) -> F:
        """More steps, of two views each."""
        return replace(self, steps=1500, batch=2)

    def field(self) -> DreamFusion:
        """Whose cameras, lights, field and regularisers these are."""
        return DreamFusion(self.prompt, self.seed, self.steps, self.batch)

    def made(self, run: Run) -> Field:
        """The field of a finished run."""
        return self.field().made(run)

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Field:
        """Make the field, or load it where the run has it."""
        return self.field().follow(self.guidance(prior), run, prior, observers, device=device)
