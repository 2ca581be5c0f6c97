"""Toys with their places, and the moves that relations mean: wear, walk, put, set beside."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dreamlift.geometry.primitives import Solid, box, cylinder
from dreamlift.graph import BUILT, Graph
from dreamlift.toybox.bodies import SIZES, STRETCH, WORN, Body, body_of, draw, stretched
from dreamlift.toybox.colours import named, some
from dreamlift.toybox.dress import DRESSED
from dreamlift.toybox.extent import Array, bounds, drop, radius, support
from dreamlift.toybox.imitate import imitation
from dreamlift.toybox.material import clad
from dreamlift.toybox.nouns import TOYS
from dreamlift.toybox.objects import Toy, piece, volume
from dreamlift.toybox.objects_made import WOOD
from dreamlift.toybox.poses import opened, reaching

RIDER = (0.55, 0.72)
"""Radii of a thing on top of another when nothing is said of either's size."""


class Yard:
    """Toys being put together: a body for each thing, and stacks of bodies that move as one."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self.graph, self.seed = graph, seed
        self.bodies: dict[int, Body] = {}
        self.stacks: list[list[int]] = []
        self.hatted: set[int] = set()
        used = {k.object for k in graph.links if k.relation in BUILT}
        for i in range(len(graph.things)):
            if i not in used:
                self.bodies[i] = self._start(i)
                self.stacks.append([i])

    def _toy(self, index: int) -> Toy:
        thing = self.graph.things[index]
        toy = TOYS[thing.noun](draw(self.seed, index, thing.noun))
        toy = stretched(toy, *STRETCH[thing.size]) if thing.size in STRETCH else toy
        for link in self.graph.links:
            if link.relation == "holding" and link.subject == index:
                toy = reaching(toy)
            if link.relation == "in" and link.object == index:
                toy = opened(toy)
        return toy

    def _start(self, index: int) -> Body:
        """The thing at the size it has alone, standing on the ground at the origin."""
        toy, things = self._toy(index), None
        for link in self.graph.links:
            if link.relation == "in the shape of" and link.subject == index:
                pieces, n = imitation(toy, self._toy(link.object))
                toy = replace(toy, pieces=pieces)
                things = [link.object] * n + [index] * (len(pieces) - n)
            if link.relation == "made of" and link.subject == index:
                rng = draw(self.seed, index, link.object, "made of")
                pieces, n = clad(toy, self._toy(link.object), rng)
                toy = replace(toy, pieces=pieces)
                things = [link.object] * n + [index] * (len(pieces) - n)
        body = body_of(toy, things or [index] * len(toy.pieces))
        low, high = bounds(body.hull)
        size = draw(self.seed, index, "size").uniform(*self._sizes(index))
        body = body.scaled(size / radius(body.hull, (low + high) / 2))
        return body.moved([0, 0, -body.scale * low[2]])

    def _sizes(self, index: int) -> tuple[float, float]:
        things = self.graph.things
        rides = [k for k in self.graph.links if k.relation == "on top of" and k.subject == index]
        if rides and not (things[index].size or things[rides[0].object].size):
            return RIDER
        return SIZES[things[index].size]

    def stack(self, index: int) -> list[int]:
        return next(stack for stack in self.stacks if index in stack)

    def reach(self, stack: Sequence[int]) -> Array:
        return np.max([self.bodies[i].reach for i in stack], axis=0)

    def solids(self, stack: Sequence[int]) -> list[tuple[Solid, ...]]:
        return [solids for i in stack for solids in self.bodies[i].solids]

    def floor(self, stack: Sequence[int]) -> list[tuple[Solid, ...]]:
        """What others rest on: all but what pokes into them."""
        return [
            solids
            for i in stack
            for p, solids in zip(self.bodies[i].toy.pieces, self.bodies[i].solids, strict=True)
            if not p.pokes
        ]

    def move(self, stack: Sequence[int], by: Array | Sequence[float]) -> None:
        for i in stack:
            self.bodies[i] = self.bodies[i].moved(by)

    def join(self, a: int, b: int) -> None:
        one, other = self.stack(a), self.stack(b)
        if one is not other:
            self.stacks.remove(other)
            one.extend(other)

    def rescale(self, stack: Sequence[int], factor: float) -> None:
        """Scale the stack about the origin."""
        for i in stack:
            self.bodies[i] = self.bodies[i].scaled(factor)

    def wear(self, who: int, what: int) -> None:
        """Dress `who` in `what`, or put it on its head; a second hat goes on top of the first."""
        wearer, worn = self.bodies[who], self.bodies[what]
        thing = self.graph.things[what]
        if thing.noun in DRESSED:
            pieces = DRESSED[thing.noun](wearer.toy, worn.toy, WORN[thing.size])
            fitted = body_of(replace(worn.toy, pieces=pieces), [what] * len(pieces))
            self.bodies[what] = replace(fitted, scale=wearer.scale, shift=wearer.shift)
            self.join(who, what)
            return
        head, brim = wearer.toy.head, worn.toy.brim
        if head is None or brim is None:
            noun = self.graph.things[who].noun
            raise ValueError(f"{noun!r} has no head to wear something on.")
        scale = wearer.scale * head.radius / brim.radius * WORN[self.graph.things[what].size]
        z = max(wearer.scale * head.centre[2], wearer.scale * head.top - 0.92 * scale * brim.room)
        x, y = wearer.scale * head.centre[0], wearer.scale * head.centre[1]
        shift = wearer.shift + np.array([x, y, z - scale * brim.z])
        self.bodies[what] = replace(worn, scale=scale, shift=shift)
        if who in self.hatted:
            self.move([what], [0, 0, drop(self.solids([what]), self.floor(self.stack(who)))])
        self.hatted.add(who)
        self.join(who, what)

    def walk(self, who: int, stilts: int) -> None:
        """Put poles under the feet of `who`, one ahead of the other."""
        body, rng = self.bodies[who], draw(self.seed, stilts, "walking")
        apart = body.scale * body.toy.stance
        r, half = rng.uniform(0.05, 0.065), rng.uniform(0.45, 0.6)
        ahead = rng.choice((-1, 1)) * rng.uniform(0.06, 0.1)
        feet = [(side * ahead, side * apart) for side in (-1, 1)]
        poles = [cylinder(half, r, 0.02).at(x, y) for x, y in feet]
        rests = [box(0.16, 0.11, 0.04, 0.02).at(x + 0.03, y, half - 0.04) for x, y in feet]
        wood = some(rng, *WOOD)
        toy = Toy((volume("poles", wood, *poles), piece("foot rests", named("brown", rng), *rests)))
        self.bodies[stilts] = body_of(toy, (stilts, stilts)).moved([0, 0, half])
        self.put(who, stilts)

    def put(self, rider: int, below: int) -> None:
        """Set the rider's stack on the other's, above its axis or on its seat; several, in a row.

        Of no said size, a rider shrinks until it stands on top, or grows until a ring holds it;
        a small one on a large ring goes to its rim, at -y.
        """
        mine, theirs = self.stack(rider), self.stack(below)
        if mine is theirs:
            return
        links = [k for k in self.graph.links if (k.relation, k.object) == ("on top of", below)]
        if len(links) > 1:
            self.share(below, [k.subject for k in links])
            return
        target = self.bodies[below]
        place = self._seat(rider, below) if len(theirs) == 1 else None
        floor = self.floor(theirs)
        if place is not None and target.toy.seat is not None:
            top = float(target.at(target.toy.seat.centre)[2]) + 0.3 * target.scale
            floor = [part for part in floor if support([part])[5] < top] or floor
        low, high = bounds(self.bodies[rider].reach)
        x, y, _ = (target.shift if place is None else place) - (low + high) / 2
        self.move(mine, [x, y, 0.0])
        self.land(mine, floor)
        free = not (self.graph.things[rider].size or self.graph.things[below].size)
        before = {i: self.bodies[i] for i in mine}
        for _ in range(3):
            if free and self._straddles(mine, theirs):
                self.resize(mine, 0.8, floor)
        if self._straddles(mine, theirs):  # around a cone: as well as it can
            self.bodies.update(before)
        for _ in range(6):
            if free and target.toy.rim and self._fell(mine):
                self.resize(mine, 1.2, floor)
        if target.toy.rim and self._fell(mine):
            self.move(mine, [0.0, -target.toy.rim * target.scale, 0.0])
            self.land(mine, floor)
        self.join(below, rider)

    def share(self, below: int, riders: Sequence[int]) -> None:
        """Set the stacks of several riders in a row on the longer side of what is below, or across
        its seat: smaller by one factor, if they must be to find room, so that sizes stay."""
        body, stacks = self.bodies[below], [self.stack(rider) for rider in riders]
        low, high = bounds(body.reach)
        along, floor = int(np.argmax((high - low)[:2])), self.floor([below])
        middle, span = (low + high) / 2, float((high - low)[along])
        if (seat := body.toy.seat) is not None:
            top = float(body.at(seat.centre)[2]) + 0.3 * body.scale
            lower = [part for part in floor if support([part])[5] < top]
            if lower and len(lower) < len(floor):  # there is a back
                along, floor, middle = 1, lower, body.at(seat.centre)
                span = 2 * float(seat.half) * body.scale
        boxes = [bounds(self.reach(stack)) for stack in stacks]
        widths = [float((corner - foot)[along]) for foot, corner in boxes]
        factor = min(1.0, 0.95 * span / sum(widths))
        begin = middle[along] - span / 2
        for stack, width in zip(stacks, widths, strict=True):
            self.rescale(stack, factor)
            foot, corner = bounds(self.reach(stack))
            place = middle.copy()
            place[along] = begin + span * width / sum(widths) / 2
            begin += span * width / sum(widths)
            x, y, _ = place - (foot + corner) / 2
            self.move(stack, [x, y, 0.0])
            self.land(stack, floor)
        for rider in riders:
            self.join(below, rider)

    def land(self, stack: Sequence[int], floor: Sequence[Sequence[Solid]]) -> None:
        """Let the stack sink, or rise, until it touches the floor."""
        self.move(stack, [0, 0, drop(self.solids(stack), floor)])

    def resize(self, stack: Sequence[int], factor: float, floor: Sequence[Sequence[Solid]]) -> None:
        """Scale the stack about its first toy's axis, and let it land again."""
        place = self.bodies[stack[0]].shift * np.array([1.0, 1.0, 0.0])
        for i in stack:
            self.bodies[i] = self.bodies[i].moved(-place).scaled(factor).moved(place)
        self.land(stack, floor)

    def _straddles(self, rider: Sequence[int], below: Sequence[int]) -> bool:
        """Whether the rider's legs stand around what it is on."""
        low, high = bounds(self.reach(rider))
        low_, high_ = bounds(self.reach(below))
        wide = (high - low)[:2].max() > 0.7 * (high_ - low_)[:2].max()
        return bool(wide and high_[2] - low[2] > 0.4 * (high - low)[2])

    def _fell(self, stack: Sequence[int]) -> bool:
        """Whether the stack stands on the ground."""
        return float(self.reach(stack)[4]) > -0.05

    def _seat(self, rider: int, below: int) -> Array | None:
        """Where on a seat the rider's middle goes, clear of the back; None: it does not fit.

        A rider of no said size is made to fit.
        """
        target, things = self.bodies[below], self.graph.things
        seat = target.toy.seat
        if seat is None:
            return None
        half = seat.half * target.scale
        low, high = bounds(self.bodies[rider].reach)
        deep, wide = float(high[0] - low[0]) / 2, float((high - low)[:2].max()) / 2
        if wide > half and not (things[rider].size or things[below].size):
            for i in self.stack(rider):
                self.bodies[i] = self.bodies[i].scaled(half / wide)
            deep, wide = deep * half / wide, half
        if wide > 1.2 * half:
            return None
        centre = target.at(seat.centre)
        centre[0] += max(0.0, deep + 0.02 - half)
        return centre

    def beside(self, left: int, right: int) -> None:
        """Set the right one's stack on the ground beside the left one's, toward +y."""
        mine, theirs = self.stack(left), self.stack(right)
        if mine is theirs:
            return
        a, b = self.reach(mine), self.reach(theirs)
        gap = draw(self.seed, left, right, "gap").uniform(0.03, 0.1)
        self.move(theirs, [0.0, a[3] + gap + b[2], b[4] - a[4]])
        self.join(left, right)
