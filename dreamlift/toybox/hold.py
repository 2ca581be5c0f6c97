"""Holding and eating: small things in a hand, before a chest, at a mouth."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dreamlift.geometry.primitives import Solid, Vector, ball
from dreamlift.toybox.anchors import figure_of, mouth
from dreamlift.toybox.bodies import WORN, draw
from dreamlift.toybox.extent import Array, advance, bounds, size, skin, support
from dreamlift.toybox.objects import count
from dreamlift.toybox.place import Yard
from dreamlift.toybox.roles import MOST_SOLIDS

HELD = (0.46, 0.54)
"""Radius of what is held, relative to who holds it."""
GRIPPED = (0.62, 0.72)
"""The same of what has a grip, such as a sword."""
EATEN = (0.9, 1.1)
"""Radius of what is eaten, relative to a fifth of who eats it and half its head."""
SINK = 0.02
"""How deep, in world units, a thing is pressed against what holds it."""


def hold(yard: Yard, who: int, what: int) -> None:
    """Put `what` into the left hand of `who`, a second thing into the right, or at its chest."""
    holder, grip = yard.bodies[who], yard.bodies[what].toy.grip
    figure = figure_of(holder.toy)
    both = [k.object for k in yard.graph.links if k.relation == "holding" and k.subject == who]
    side = -1.0 if both.index(what) % 2 else 1.0
    _shrink(yard, who, what, HELD if grip is None else GRIPPED, size(holder.reach))
    x, y, z = figure.hand
    if figure.pitch >= 90:  # between the forelegs, on the ground
        z = -9.0
    if y:
        hand = holder.at((x, side * y, z))
        fist = [(ball(SINK).at(*hand.tolist()),)]
        _bring(yard, who, what, hand, (1.0, 0.45 * side, 0.0), fist, grip)
    else:
        y = 0.0 if grip is None and len(both) == 1 else figure.neck.radius
        hand = holder.at((x, side * y, z))
        _bring(yard, who, what, hand, (1.0, 0.0, 0.0), yard.solids([who]), grip)


def eat(yard: Yard, who: int, what: int) -> None:
    """Put `what` to the mouth of `who`, a bite taken out of it."""
    eater = yard.bodies[who]
    tip, head = eater.at(mouth(eater.toy)), eater.toy.head
    broad = 0.0 if head is None else eater.scale * head.radius
    _shrink(yard, who, what, EATEN, 0.2 * size(eater.reach) + 0.6 * broad)
    lips = [(ball(SINK).at(*tip.tolist()),)]
    _bring(yard, who, what, tip, (1.0, 0.0, 0.0), lips, None, high=0.65)  # the eyes stay in sight
    _bite(yard, who, what)


def _shrink(yard: Yard, who: int, what: int, share: tuple[float, float], unit: float) -> None:
    """Give the stack of `what` its radius: a share of a unit."""
    stack = yard.stack(what)
    part = draw(yard.seed, who, what, "held").uniform(*share) * WORN[yard.graph.things[what].size]
    yard.rescale(stack, part * unit / size(yard.reach(stack)))


def _bring(
    yard: Yard,
    who: int,
    what: int,
    place: Array,
    direction: Vector,
    target: Sequence[Sequence[Solid]],
    grip: Vector | None,
    high: float = 0.5,
) -> None:
    """Move the stack of `what`, from far along a direction, toward a place until it touches.

    What has a grip comes with its grip level with the place, all else with a point of its near
    side, at `high` of its height. Nothing goes below the ground of `who`.
    """
    mine, theirs = yard.stack(what), yard.stack(who)
    if mine is theirs:
        return
    ground = -float(yard.reach(theirs)[4])
    d = np.array(direction) / np.linalg.norm(direction)
    near = _near(skin(yard.solids(mine)), d, high)
    point = near if grip is None else yard.bodies[what].at(grip)
    yard.move(mine, place - point)
    low, _ = bounds(yard.reach(mine))
    yard.move(mine, [0.0, 0.0, max(0.0, ground - float(low[2]))])
    if grip is None or not direction[1]:
        far = advance(yard.solids(mine), target, (-d).tolist())
        yard.move(mine, -(far + SINK) * d)
    yard.join(who, what)


def _near(points: Array, direction: Array, high: float) -> Array:
    """Of the points on the side away from a direction, the one nearest to a line through all."""
    low, top = points.min(0), points.max(0)
    away = points - (low + (top - low) * [0.5, 0.5, high])
    along = away @ direction
    across = np.linalg.norm(away - along[:, None] * direction, axis=1)
    return points[np.argmin(across + np.where(along > 0, 9.0, 0.0))]


def _bite(yard: Yard, who: int, what: int) -> None:
    """Cut a mouthful out of the upper corner in front, where the scene has solids to spare.

    What is swallowed whole, such as the tip of a banana, is gone.
    """
    body, side = yard.bodies[what], draw(yard.seed, who, what, "bite").choice((-1, 1))
    low, high = bounds(body.hull)
    points = skin([p.solids for p in body.toy.pieces if not p.detail])
    corner = points[np.argmax((points / (high - low)) @ [0.6, side * 0.7, 0.6])]
    wide = 0.6 * float((high - low).min()) / 2
    hole = ball(wide).at(*corner.tolist())
    low_, high_ = bounds(support([(hole,)]))

    def bitten(solids: tuple[Solid, ...]) -> bool:
        start, end = bounds(support([solids]))
        return bool((start < high_).all() and (end > low_).all())

    def swallowed(solids: tuple[Solid, ...]) -> bool:
        crust = skin([solids])
        return len(crust) > 0 and bool((np.linalg.norm(crust - corner, axis=1) < 1.03 * wide).all())

    left = [
        (replace(p, solids=(*p.solids, hole.cutting())) if bitten(p.solids) else p, thing)
        for p, thing in zip(body.toy.pieces, body.things, strict=True)
        if not (bitten(p.solids) and swallowed(p.solids))
    ]
    pieces, things = tuple(p for p, _ in left), tuple(thing for _, thing in left)
    others = [p for i, b in yard.bodies.items() if i != what for p in b.toy.pieces]
    if count([p for p in (*others, *pieces) if not p.detail]) <= MOST_SOLIDS:
        yard.bodies[what] = replace(body, toy=replace(body.toy, pieces=pieces), things=things)
