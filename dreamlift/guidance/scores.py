"""A score is a prior that has been told what to want: eps_hat(z_t; t, c). Guidance adds scores.

Classifier-free guidance, negative prompts and their kin differ only in their weights, so each is
a `Mix`: the prior is asked once, for all of its conditions in one batch. What is no weighted sum
stands beside it: `rescale.Rescaled`, `perpneg.PerpNeg`.
"""

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import clamp_x0, per_sample
from dreamlift.prior import Condition, Latents, Prior
from dreamlift.scene import Shot

Told: TypeAlias = Callable[[Shot], Condition]
"""What a prior is told about a shot: `prompts.Sentence`, `prompts.Directed` or any function."""

Share: TypeAlias = float | Callable[[Float[Tensor, " b"], Shot], Float[Tensor, " b"]]
"""The weight of a condition: a number, or one for each sample from its t and its camera."""


@runtime_checkable
class Score(Protocol):
    """A noise prediction at each camera of a shot."""

    @property
    def prior(self) -> Prior: ...

    def __call__(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot
    ) -> Float[Tensor, "b c y x"]: ...


@dataclass(frozen=True)
class Question:
    """What a score was asked: the noise in z_t, at noise level t in [0, 1], in each shot."""

    score: Score
    z_t: Float[Tensor, "b c y x"]
    t: Float[Tensor, " b"]
    shot: Shot


_heard: ContextVar[list[Question] | None] = ContextVar("heard", default=None)


@contextmanager
def overhearing() -> Generator[list[Question]]:
    """All that scores are asked inside, by this thread; whoever listens for long empties it."""
    heard: list[Question] = []
    before = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(before)


def asked(score: Score, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot) -> None:
    """Said by a score that is about to ask its prior: whoever is overhearing takes it down."""
    heard = _heard.get()
    if heard is not None:
        heard.append(Question(score, z_t.detach(), t, shot))


@dataclass(frozen=True)
class Mix:
    """The weighted sum of a prior's noise predictions, from one batched evaluation.

    A condition of weight 0 (for all samples) is not evaluated. Weights that sum to 1 give a noise
    prediction.
    """

    prior: Prior
    weights: Mapping[Told, Share]
    clamp: float | None = None  # keep the clean sample it implies in [-clamp, clamp]; None: raw

    def __post_init__(self) -> None:
        if not any(self.weights.values()):
            raise ValueError(
                f"A mix of {len(self.weights)} conditions, none with a weight other than 0, says "
                "nothing. Give at least one condition a weight."
            )

    def __call__(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot
    ) -> Float[Tensor, "b c y x"]:
        asked(self, z_t, t, shot)
        shares = {told: w(t, shot) if callable(w) else w for told, w in self.weights.items()}
        given = {told: w for told, w in shares.items() if _given(w)}
        if not given:
            return torch.zeros_like(z_t)
        first, *others = self.prior.eps(z_t, t, *(told(shot) for told in given))
        factors = [
            per_sample(w.to(z_t), z_t) if isinstance(w, Tensor) else w for w in given.values()
        ]
        # Differences from the first: at a scale of 100 a plain weighted sum would lose two digits.
        exact = math.fsum(w for w in factors if not isinstance(w, Tensor))
        eps = sum((w for w in factors if isinstance(w, Tensor)), start=exact) * first
        for other, factor in zip(others, factors[1:], strict=True):
            eps = eps + factor * (other - first)
        return limited(self.prior, z_t, t, eps, self.clamp)


def together(*shares: tuple[Told, Share]) -> Mapping[Told, Share]:
    """Weights of conditions for a `Mix`; those of one that comes twice are added."""
    weights: dict[Told, Share] = {}
    for told, share in shares:
        weights[told] = _sum(weights[told], share) if told in weights else share
    return weights


def _sum(a: Share, b: Share) -> Share:
    if not callable(a) and not callable(b):
        return a + b

    def of(x: Share, t: Float[Tensor, " b"], shot: Shot) -> Float[Tensor, " b"]:
        return x(t, shot) if callable(x) else torch.full_like(t, x)

    return lambda t, shot: of(a, t, shot) + of(b, t, shot)


def _given(share: float | Tensor) -> bool:
    """Whether any sample has a share other than 0."""
    return bool(share.any()) if isinstance(share, Tensor) else share != 0


def limited(
    prior: Prior,
    z_t: Float[Tensor, "b c y x"],
    t: Float[Tensor, " b"],
    eps: Float[Tensor, "b c y x"],
    clamp: float | None,
) -> Float[Tensor, "b c y x"]:
    """eps, its clean sample kept in [-clamp, clamp] where a clamp is given.

    Latents are no pictures: for a prior of them there is nothing to clamp.
    """
    if clamp is None or isinstance(prior, Latents):
        return eps
    return clamp_x0(prior.schedule, z_t, t, eps, clamp)


def composed(
    prior: Prior, null: Told, others: Mapping[Told, float], *, clamp: float | None = None
) -> Mix:
    """eps_null + sum_i s_i (eps_i - eps_null): what is wanted, and with s_i < 0 what is not.

    Composable diffusion's conjunction and negation (arXiv:2206.01714).
    """
    return Mix(prior, together((null, 1 - math.fsum(others.values())), *others.items()), clamp)


def cfg(prior: Prior, y: Told, null: Told, scale: float, *, clamp: float | None = None) -> Mix:
    """Classifier-free guidance, eps_null + scale (eps_y - eps_null), arXiv:2207.12598.

    Scale 1 is no guidance (eps_y, and null is not evaluated) and scale 0 is the null prompt alone.
    Where a paper writes eps_y + s (eps_y - eps_null), our scale is its s + 1. A negative prompt as
    Stable Diffusion's users know it is a `null` that says something.
    """
    return composed(prior, null, {y: scale}, clamp=clamp)
