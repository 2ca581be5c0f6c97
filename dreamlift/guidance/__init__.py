"""Guidance says how a picture should change: a scalar whose gradient in z is the way down.

Every guidance is called as `guidance(z, shot, step)` and takes z, what the recipe encoded; the
scalar's gradient is grad_i / b for sample i, summed over its pixels. Its `.gradient` is a pure
function: no randomness, no autograd. `scores` are what is asked of a prior, `times` and `courses`
at which noise levels; edits (`dds`, `pds`) take the original beside z.
"""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from dreamlift.scene import Shot
from dreamlift.step import Step

Guidance: TypeAlias = Callable[[Tensor, Shot, Step], Tensor]
