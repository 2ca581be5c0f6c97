"""Riding, and standing left of, right of, behind."""

import numpy as np

from dreamlift.toybox.anchors import saddle
from dreamlift.toybox.bodies import draw
from dreamlift.toybox.extent import bounds, size, support
from dreamlift.toybox.place import Yard

RIDER = (0.52, 0.64)
"""Radius of who rides, relative to what it rides, when nothing is said of their sizes."""
LARGEST = 0.95
"""The same at most, whatever is said."""
SEATED = 0.06
"""How deep riders sit, relative to their height."""


def ride(yard: Yard, who: int, what: int) -> None:
    """Seat `who`, no larger than `what`, on it, facing the same way."""
    mine, theirs = yard.stack(who), yard.stack(what)
    if mine is theirs:
        return
    things, mount = yard.graph.things, yard.bodies[what]
    ratio = size(yard.bodies[who].reach) / size(mount.reach)
    if things[who].size or things[what].size:
        part = min(ratio, LARGEST)
    else:
        part = draw(yard.seed, who, what, "rider").uniform(*RIDER)
    yard.rescale(mine, part / ratio)
    low, high = bounds(yard.bodies[who].reach)
    point = saddle(mount.toy)
    floor = yard.floor([what])
    if point is None:
        low_, high_ = bounds(mount.reach)
        place = (low_ + high_) / 2
    else:
        place = mount.at(point)
        if mount.toy.seat is not None:  # below the mast
            top = float(place[2]) + 0.3 * mount.scale
            floor = [part for part in floor if support([part])[5] < top] or floor
        if mount.toy.figure is not None and mount.toy.figure.pitch >= 45:
            floor = [mount.placed(mount.toy.figure.trunk)]
    x, y, _ = place - (low + high) / 2
    yard.move(mine, [x, y, 0.0])
    yard.land(mine, floor)
    yard.move(mine, [0.0, 0.0, -SEATED * float(high[2] - low[2])])
    yard.join(what, who)


def left(yard: Yard, who: int, what: int) -> None:
    """Stand `who` at +y of `what`, which faces +x."""
    _stand(yard, who, what, 3)


def right(yard: Yard, who: int, what: int) -> None:
    """Stand `who` at -y of `what`."""
    _stand(yard, who, what, 2)


def behind(yard: Yard, who: int, what: int) -> None:
    """Stand `who` at -x of `what`."""
    _stand(yard, who, what, 0)


def _stand(yard: Yard, who: int, what: int, side: int) -> None:
    """Set the stack of `who` on the ground of the other's, past its end along DIRECTIONS[side]."""
    mine, theirs = yard.stack(who), yard.stack(what)
    if mine is theirs:
        return
    a, b = yard.reach(theirs), yard.reach(mine)
    axis, sign = side // 2, 1.0 if side % 2 else -1.0
    gap = draw(yard.seed, who, what, "gap").uniform(0.03, 0.1)
    by = np.zeros(3)
    by[axis] = sign * (a[side] + gap + b[side - int(sign)])
    by[2] = b[4] - a[4]
    yard.move(mine, by)
    yard.join(what, who)
