"""Perp-Neg: away from other sides, without leaving the prompt (arXiv:2304.04968).

A view prompt alone asks for a back; a prior that prefers faces shows a face all the same. The
sentences of the other sides are therefore negated, each after what it shares with the wanted one
has been taken out of it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import per_sample
from dreamlift.guidance.prompts import Directed, overhead
from dreamlift.guidance.scores import Told, asked, limited
from dreamlift.prior import Prior
from dreamlift.scene import Shot
from dreamlift.views import Direction

Away: TypeAlias = Callable[[Shot], Float[Tensor, " b"]]
"""How much a sentence is negated at each camera: 0 or less."""

NEGLIGIBLE = 1e-4
"""A negative whose weights are all nearer to 0 is not evaluated."""


def perpendicular(
    delta: Float[Tensor, "b *z"], main: Float[Tensor, "b *z"]
) -> Float[Tensor, "b *z"]:
    """Of `delta` what is orthogonal to `main`, each sample by itself; all of it where main is 0."""
    inner = (delta * main).flatten(1).sum(1)
    share = inner / main.square().flatten(1).sum(1).clamp_min(1e-6)
    return delta - per_sample(share, delta) * main


@dataclass(frozen=True)
class PerpNeg:
    """eps_null + scale (d_y + sum_i w_i d_i_perp), d = eps - eps_null, w_i <= 0.

    With all w = 0 it is `scores.cfg` of the same scale. The prior is asked once. `unlike` makes
    the negatives.
    """

    prior: Prior
    y: Told
    null: Told
    negatives: Mapping[Told, Away]
    scale: float
    clamp: float | None = None  # keep the clean sample it implies in [-clamp, clamp]; None: raw

    def __call__(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot
    ) -> Float[Tensor, "b c y x"]:
        asked(self, z_t, t, shot)
        weights = {told: away(shot) for told, away in self.negatives.items()}
        if any((w > 0).any() for w in weights.values()):
            raise ValueError("Perp-Neg negates: its weights are 0 or less. Turn their sign.")
        weights = {told: w for told, w in weights.items() if (w < -NEGLIGIBLE).any()}
        told = [self.null, self.y, *weights]
        eps_null, eps_y, *others = self.prior.eps(z_t, t, *(said(shot) for said in told))
        main = toward = eps_y - eps_null
        for weight, other in zip(weights.values(), others, strict=True):
            away = perpendicular(other - eps_null, main)
            toward = toward + per_sample(weight.to(z_t), z_t) * away
        eps = eps_null + self.scale * toward
        return limited(self.prior, z_t, t, eps, self.clamp)


def from_front(
    azimuth: Float[Tensor, " b"], elevation: Float[Tensor, " b"], *, strength: float = 2.0
) -> Float[Tensor, " b"]:
    """The weight of "front", 0 or less: none around the front, all of it from behind.

    -strength exp(-2 r), r the share of the front in the interpolated prompt, but 0 where r > .8
    and -strength from 90 degrees on (the paper's code). It fades as "overhead"
    takes over.
    """
    r = (1 - _turned(azimuth) / 90).clamp_min(0)
    return -strength * torch.where(r > 0.8, 0.0, (-2 * r).exp()) * (1 - overhead(elevation))


def from_side(
    azimuth: Float[Tensor, " b"], elevation: Float[Tensor, " b"], *, strength: float = 2.0
) -> Float[Tensor, " b"]:
    """The weight of "side", 0 or less: only close to the front and, half of it, the back.

    -strength exp(-10 (1 - r)) for r >= .2, and from 90 degrees on -strength / 2 exp(-10 r) for
    r <= .8, r then the share of the side. It fades as "overhead" takes over.
    """
    away = _turned(azimuth)
    front, side = 1 - away / 90, 2 - away / 90
    ahead = torch.where(front < 0.2, 0.0, (-10 * (1 - front)).exp())
    behind = torch.where(side > 0.8, 0.0, 0.5 * (-10 * side).exp())
    return -strength * torch.where(away < 90, ahead, behind) * (1 - overhead(elevation))


def _turned(azimuth: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Degrees away from the front, in [0, 180]."""
    return ((azimuth + 180) % 360 - 180).abs()


class Strength:
    """How strongly other sides are negated; a stage that keeps it can be firmer about it."""

    def __init__(self, value: float, most: float = math.inf) -> None:
        self.value, self.most = value, most

    def __float__(self) -> float:
        return self.value

    def firmer(self) -> bool:
        """Twice as strong from here on, `most` at most; whether that is any stronger."""
        before = self.value
        self.value = max(before, min(2 * before, self.most))
        return self.value > before

    def state_dict(self) -> dict[str, Any]:
        return {"strength": self.value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value = float(state_dict["strength"])


def _front(
    azimuth: Float[Tensor, " b"], elevation: Float[Tensor, " b"]
) -> dict[Direction, Float[Tensor, " b"]]:
    return {"front": torch.ones_like(azimuth)}


def _sides(
    azimuth: Float[Tensor, " b"], elevation: Float[Tensor, " b"]
) -> dict[Direction, Float[Tensor, " b"]]:
    """Both sides as one prompt, for they are negated where both are as far: (1 +- sin) / 2."""
    left = (1 + torch.deg2rad(azimuth).sin()) / 2
    return {"left side": left, "right side": 1 - left}


def unlike(
    prior: Prior,
    texts: Mapping[Direction, str],
    *,
    untextured: Mapping[Direction, str] | None = None,
    strength: float | Strength = 2.0,
) -> dict[Told, Away]:
    """What `PerpNeg` negates: the front, and the sides, each with its weight at a camera.

    `texts` are those of the prompt, or negatives of one's own for some sides:
    `{**sided(text), "front": "a face"}`. The prompt itself should be interpolated.
    """

    def weighed(weight: Callable[..., Tensor]) -> Away:
        def away(shot: Shot) -> Tensor:
            cameras = shot.cameras
            return weight(cameras.azimuth, cameras.elevation, strength=float(strength))

        return away

    return {
        Directed(prior, texts, untextured=untextured, shares=shares): weighed(weight)
        for shares, weight in ((_front, from_front), (_sides, from_side))
    }
