"""Which sentence is said from which side: view-dependent prompts (DreamFusion, Sec. 3.1).

Without them every side of an animal becomes its front. At azimuth +90 one sees the object's left
side; the two sides are kept apart, for a plain "side view" is two mirror images at once.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.prior import Condition, Prior, Prompt, View
from dreamlift.scene import Shot
from dreamlift.untextured import untextured
from dreamlift.views import OVERHEAD, Direction, direction

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

AZIMUTHS: Mapping[Direction, float] = {
    "front": 0.0,
    "left side": 90.0,
    "back": 180.0,
    "right side": -90.0,
}
"""Where each side is seen squarely, in degrees."""

Shares: TypeAlias = Callable[
    [Float[Tensor, " b"], Float[Tensor, " b"]], Mapping[Direction, Float[Tensor, " b"]]
]
"""How much of each side a camera at (azimuth, elevation), in degrees, shows; others have 0."""

RAMP = 30.0
"""Degrees of elevation over which an interpolated prompt turns to "overhead view"."""


def sided(text: str) -> dict[Direction, str]:
    """The sentence for each side; to override one: `{**sided(text), "back": "a frog's back"}`."""
    return {side: f"{text}, {side} view" for side in DIRECTIONS}


def nearest(
    azimuth: Float[Tensor, " b"], elevation: Float[Tensor, " b"]
) -> dict[Direction, Float[Tensor, " b"]]:
    """Weight 1 for the closest side, 0 for the others (DreamFusion, App. A.2); degrees."""
    cameras = zip(azimuth.tolist(), elevation.tolist(), strict=True)
    seen = [direction(az, el) for az, el in cameras]
    return {side: azimuth.new_tensor([float(s == side) for s in seen]) for side in DIRECTIONS}


def overhead(elevation: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """The share of "overhead": 0 at 45 degrees, 1 at 75."""
    return ((elevation - OVERHEAD) / RAMP + 0.5).clamp(0, 1)


def interpolated(
    azimuth: Float[Tensor, " b"], elevation: Float[Tensor, " b"]
) -> dict[Direction, Float[Tensor, " b"]]:
    """Weights that fall linearly from each side to its neighbours and sum to 1; degrees.

    "overhead" takes over linearly in the `RAMP` degrees around 60, the other sides share the rest.
    """
    above = overhead(elevation)
    weights: dict[Direction, Tensor] = {}
    for side, squarely in AZIMUTHS.items():
        away = ((azimuth - squarely + 180) % 360 - 180).abs()
        weights[side] = (1 - above) * (1 - away / 90).clamp_min(0)
    return {**weights, "overhead": above}


class Sentence:
    """One sentence for every camera; the empty one is the null prompt of guidance, in whose place a
    `negative` one is said."""

    def __init__(self, prior: Prior, text: str | Prompt, *, negative: bool = False) -> None:
        """`text`: or all that is said, pictures too."""
        said = text if isinstance(text, Prompt) else Prompt(text, negative=negative)
        self._prior = prior
        self._embedding = prior.embed(said)

    def __call__(self, shot: Shot) -> Condition:
        everywhere = torch.ones_like(shot.cameras.azimuth)
        return self._prior.condition([(self._embedding, everywhere)], shot)


class Directed:
    """A sentence for each side, and another where the light shows no texture.

    `untextured` sentences have no colour words; without them textureless pictures are told the
    same as the others. Each distinct text is embedded once, here, with the pictures that are
    `seen`, for priors that are told any. `shares` says which sides a camera shows, if neither the
    nearest nor interpolated ones are meant.
    """

    def __init__(
        self,
        prior: Prior,
        texts: Mapping[Direction, str],
        *,
        untextured: Mapping[Direction, str] | None = None,
        interpolate: bool = False,
        shares: Shares | None = None,
        seen: tuple[View, ...] = (),
    ) -> None:
        untextured = texts if untextured is None else untextured
        for name, given in (("texts", texts), ("untextured", untextured)):
            missing = [side for side in DIRECTIONS if side not in given]
            if missing:
                raise ValueError(
                    f"`{name}` needs a sentence for each of {', '.join(DIRECTIONS)}; it has none "
                    f"for {', '.join(missing)}. Start from {{**sided(text), ...}}."
                )
        distinct = dict.fromkeys([*texts.values(), *untextured.values()])
        embedded = {text: prior.embed(Prompt(text, seen)) for text in distinct}
        self._prior = prior
        self._weights: Shares = shares or (interpolated if interpolate else nearest)
        self._textured = [embedded[texts[side]] for side in DIRECTIONS]
        self._untextured = [embedded[untextured[side]] for side in DIRECTIONS]

    def __call__(self, shot: Shot) -> Condition:
        shares = self._weights(shot.cameras.azimuth, shot.cameras.elevation)
        nothing = torch.zeros_like(shot.cameras.azimuth)
        weights = [shares.get(side, nothing) for side in DIRECTIONS]
        mix = list(zip(self._textured, weights, strict=True))
        if shot.light is not None:
            blank = shot.light.textureless.to(weights[0])
            mix = [(said, w * (1 - blank)) for said, w in mix]
            bare = zip(self._untextured, weights, strict=True)
            mix += [(said, w * blank) for said, w in bare]
        return self._prior.condition(mix, shot)


def about(
    prior: Prior, text: str, *, interpolate: bool = False, seen: tuple[View, ...] = ()
) -> Directed:
    """An object, from its every side, and without colour words where its texture is not shown."""
    bare = sided(untextured(text))
    return Directed(prior, sided(text), untextured=bare, interpolate=interpolate, seen=seen)


def every(text: str) -> list[str]:
    """All that may be said of an object: plainly, from its every side, untextured, and nothing."""
    bare = untextured(text)
    return list(dict.fromkeys([text, *sided(text).values(), *sided(bare).values(), bare, ""]))
