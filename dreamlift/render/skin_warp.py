"""The fast twin of render/skin.py and of grid.density_of: how much a section of a ray absorbs."""

# pyright: reportUntypedFunctionDecorator=false

from typing import no_type_check

import warp as wp

from dreamlift.render.grid import STEEPNESS
from dreamlift.render.skin import Kind
from dreamlift.render.start_warp import start

start()
wp.set_module_options({"enable_backward": False})

LAWS: dict[Kind | None, int] = {None: 0, "volsdf": 1, "neus": 2}
"""What the kernels call them; None is a density's raw value."""

_STEEPNESS = wp.constant(STEEPNESS)


@no_type_check
@wp.struct
class Section:
    """What one section of a ray absorbs, and how that changes."""

    thickness: float  # optical
    slope: float  # d thickness / d raw
    tilt: float  # d thickness / d rise
    widen: float  # d thickness / d width


@no_type_check
@wp.func
def sigmoid(x: float):
    return 1.0 / (1.0 + wp.exp(-x))


@no_type_check
@wp.func
def softplus(x: float):
    return wp.max(x, 0.0) + wp.log(1.0 + wp.exp(-wp.abs(x)))


@no_type_check
@wp.func
def absorb(law: int, width: float, raw: float, rise: float, step: float):
    """A section of length `step`, `raw` at its middle, which rises by `rise` along the ray."""
    s = Section()
    if law == 0:
        s.thickness = step * _STEEPNESS * softplus(raw)
        s.slope = step * _STEEPNESS * sigmoid(raw)
    elif law == 1:
        e = 0.5 * wp.exp(-wp.abs(raw) / width)
        density = wp.where(raw <= 0.0, e, 1.0 - e) / width
        s.thickness = step * density
        s.slope = step * e / (width * width)
        s.widen = -step * (density + raw * e / (width * width)) / width
    else:
        half = 0.5 * step * rise
        last, first = (raw + half) / width, (raw - half) / width
        thickness = softplus(last) - softplus(first)
        if thickness > 0.0:
            a, b = sigmoid(last), sigmoid(first)
            s.thickness = thickness
            s.slope = (a - b) / width
            s.tilt = 0.5 * step * (a + b) / width
            s.widen = (b * first - a * last) / width
    return s
