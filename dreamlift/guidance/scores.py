"""A score is a prior that has been told what to want: eps_hat(z_t; t, c). Guidance adds scores.

Classifier-free guidance, negative prompts and their kin differ only in their weights, so each is
a `Mix`: the prior is asked once, for all of its conditions in one batch.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import clamp_x0
from dreamlift.prior import Condition, Latents, Prior
from dreamlift.scene import Shot

Told: TypeAlias = Callable[[Shot], Condition]
"""What a prior is told about a shot: `prompts.Sentence`, `prompts.Directed` or any function."""


@runtime_checkable
class Score(Protocol):
    """A noise prediction at each camera of a shot."""

    @property
    def prior(self) -> Prior: ...

    def __call__(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot
    ) -> Float[Tensor, "b c y x"]: ...


@dataclass(frozen=True)
class Mix:
    """The weighted sum of a prior's noise predictions, from one batched evaluation.

    A condition of weight 0 is not evaluated. Weights that sum to 1 give a noise prediction.
    Latents are no pictures: for a prior of them there is nothing to clamp.
    """

    prior: Prior
    weights: Mapping[Told, float]
    clamp: float | None = None  # keep the clean picture it implies in [-clamp, clamp]; None: raw

    def __post_init__(self) -> None:
        if not any(self.weights.values()):
            raise ValueError(
                f"A mix of {len(self.weights)} conditions, none with a weight other than 0, says "
                "nothing. Give at least one condition a weight."
            )

    def __call__(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot
    ) -> Float[Tensor, "b c y x"]:
        weights = {told: weight for told, weight in self.weights.items() if weight != 0}
        first, *others = self.prior.eps(z_t, t, *(told(shot) for told in weights))
        # Differences from the first: at a scale of 100 a plain weighted sum would lose two digits.
        eps = math.fsum(weights.values()) * first
        for other, weight in zip(others, list(weights.values())[1:], strict=True):
            eps = eps + weight * (other - first)
        if self.clamp is None or isinstance(self.prior, Latents):
            return eps
        return clamp_x0(self.prior.schedule, z_t, t, eps, self.clamp)


def cfg(prior: Prior, y: Told, null: Told, scale: float, *, clamp: float | None = None) -> Mix:
    """Classifier-free guidance, eps_null + scale (eps_y - eps_null), arXiv:2207.12598.

    Scale 1 is no guidance (eps_y, and null is not evaluated) and scale 0 is the null prompt alone.
    Where a paper writes eps_y + s (eps_y - eps_null), our scale is its s + 1.
    """
    return Mix(prior, {null: 1 - scale, y: scale}, clamp)
