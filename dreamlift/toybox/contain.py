"""In a container: partly hidden, wedged between its walls or standing on its floor."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from dreamlift.geometry.primitives import distance, pack
from dreamlift.toybox.bodies import WORN, draw
from dreamlift.toybox.extent import Array, size, skin
from dreamlift.toybox.place import Yard

SHOWN = (0.55, 0.68)
"""The share of its height that shows above the rim."""
STEM = (0.7, 0.8)
"""The same in a narrow neck."""
LARGEST = 1.1
"""Radius of what is in a container, relative to the container's, at most."""
DEEP = 0.015
"""How far, in world units, it may press into walls and floor."""


def fill(yard: Yard, what: int, vessel: int) -> None:
    """Put `what` into `vessel`, as large as goes in, so that its upper part is seen.

    Several things in one vessel stand side by side along its longer side.
    """
    mine = yard.stack(what)
    if mine is yard.stack(vessel):
        return
    rim, half, narrow = _berth(yard, what, vessel)
    points = _points(yard, mine)
    low, high = points[:, 2].min(), points[:, 2].max()
    foot = points[points[:, 2] <= low + (0.2 if narrow else 0.45) * (high - low), :2]
    x, y = (foot.min(0) + foot.max(0)) / 2
    base, tall = np.array([x, y, low]), float(high - low)
    walls = pack([yard.floor([vessel])])

    def clear(factor: float, share: float, back: float = 0.0) -> bool:
        """Whether nothing of it, scaled, sticks in the vessel with a share of it below the rim."""
        placed = factor * (points - base) + rim - [back, 0, share * factor * tall]
        where = torch.from_numpy(placed.astype(np.float32))[None]
        return bool(distance(walls, where)[0].min() > -DEEP)

    shown = draw(yard.seed, what, vessel, "shown").uniform(*(STEM if narrow else SHOWN))
    share = 1 - shown
    away = np.abs(foot - base[:2]) / half
    fit = 0.9 / float((np.hypot(*away.T) if half[0] == half[1] else away.max(1)).max())
    most = LARGEST * size(yard.bodies[vessel].reach) / size(yard.reach(mine))
    wedged = _largest(lambda f: clear(f, share), 0.6 * fit, 1.6 * fit)
    factor = min(wedged or fit, most) * WORN[yard.graph.things[what].size]
    back = 0.0
    if factor != wedged:  # down to the floor, or, where that is far, against the wall behind
        limit = 1.2 * share
        share = _largest(lambda s: clear(factor, s), 0.02, limit) or 0.02
        if share == limit:
            back = _largest(lambda d: clear(factor, share, d), 0.0, float(half[0])) or 0.0
    yard.rescale(mine, factor)
    yard.move(mine, rim - factor * base - [back, 0, share * factor * tall])
    yard.join(vessel, what)


def _largest(good: Callable[[float], bool], low: float, high: float) -> float | None:
    """The largest number between two that is good, up to the first that is not; None: not one."""
    best = None
    for number in np.linspace(low, high, 25).tolist():
        if not good(number):
            break
        best = number
    return best


def _berth(yard: Yard, what: int, vessel: int) -> tuple[Array, Array, bool]:
    """The middle of the part of the rim that a thing has, half its length and width; a neck?"""
    body = yard.bodies[vessel]
    well = body.toy.well
    if well is None:
        raise ValueError(f"{yard.graph.things[vessel].noun!r} has no opening.")
    all_in = [k.subject for k in yard.graph.links if k.relation == "in" and k.object == vessel]
    half = body.scale * np.array(well.half)
    longer, n = int(well.half[1] >= well.half[0]), len(all_in)
    place = body.at(well.centre)
    place[longer] += half[longer] * ((2 * all_in.index(what) + 1) / n - 1)
    half[longer] /= n
    return place, half, well.narrow


def _points(yard: Yard, stack: Sequence[int]) -> Array:
    """A few hundred points of the surface of a stack, its details left out."""
    points = skin(
        [
            solids
            for i in stack
            for p, solids in zip(yard.bodies[i].toy.pieces, yard.bodies[i].solids, strict=True)
            if not p.detail
        ]
    )
    return points[:: max(1, len(points) // 400)]
