"""Guidance says how a picture should change: a scalar whose gradient in z is the way down.

Every guidance is called as `guidance(z, shot, step)` and takes z, what the recipe encoded; the
scalar's gradient is grad_i / b for sample i, summed over its pixels. Its `.gradient` is a pure
function: no randomness, no autograd. `scores` are what is asked of a prior, `times` and `courses`
at which noise levels; edits (`dds`, `pds`) take the original beside z.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from dreamlift.prior import Prior
from dreamlift.scene import Shot
from dreamlift.step import Step

Guidance: TypeAlias = Callable[[Tensor, Shot, Step], Tensor]


@runtime_checkable
class OfPictures(Protocol):
    """A guidance that looks at the pictures x themselves too, not at z alone: HiFA's."""

    def of_pictures(self, x: Tensor, shot: Shot, step: Step) -> Tensor: ...


def guided(guidance: Guidance, prior: Prior, x: Tensor, shot: Shot, step: Step) -> Tensor:
    """What a guidance says of pictures x (b h w 3, sRGB in [0, 1])."""
    if isinstance(guidance, OfPictures):
        return guidance.of_pictures(x, shot, step)
    return guidance(prior.encode(x), shot, step)
