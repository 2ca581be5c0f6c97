"""Things to eat: avocado, egg and eggshell, fruit, ice cream, donut, cake."""

import math
import random

from dreamlift.geometry.primitives import (
    Solid,
    ball,
    box,
    cone,
    cylinder,
    ellipsoid,
    rod,
    torus,
)  # fmt: skip
from dreamlift.toybox.colours import NAMED, some, vary
from dreamlift.toybox.objects import Head, Piece, Toy, Well, detail, main, piece, volume

BROWN = (0.36, 0.21, 0.10)
GREEN = (0.25, 0.58, 0.14)
CREAM = (0.97, 0.93, 0.80)
SHELL = ((0.96, 0.93, 0.88), (0.93, 0.80, 0.62), (0.85, 0.68, 0.44))


def an_avocado(rng: random.Random) -> Toy:
    low, high = rng.uniform(0.6, 0.68), rng.uniform(0.34, 0.4)
    tall, deep = rng.uniform(0.62, 0.78), rng.uniform(0.75, 0.9)

    def pear(less: float, front: float) -> tuple[Solid, ...]:
        """The half fruit without its outermost `less`, cut at x = front."""
        body = ball(low - less).at(z=-0.28), ball(high - less).at(z=tall - 0.28).melted(0.45)
        half = box(2, 2, 2).at(x=front - 2).keeping()
        return *(solid.stretched(deep, 1, 1) for solid in body), half

    stone = ball(rng.uniform(0.26, 0.3)).stretched(0.8, 1, 1.05).at(0.0, 0, -0.28)
    pieces = (
        volume("skin", some(rng, (0.14, 0.30, 0.10), (0.20, 0.36, 0.10)), *pear(0, 0)),
        piece("flesh", vary((0.66, 0.80, 0.28), rng), *pear(0.09, 0.02)),
        piece("heart", vary((0.93, 0.92, 0.55), rng), *pear(0.19, 0.04)),
        piece("stone", some(rng, (0.42, 0.22, 0.09), (0.50, 0.28, 0.12)), stone),
    )
    top = tall - 0.28 + high
    return Toy(pieces, Head((-0.1, 0, top - 0.2), 0.3, top), stance=0.3)


def an_egg(rng: random.Random) -> Toy:
    shell, r, tall = some(rng, *SHELL), rng.uniform(0.66, 0.74), rng.uniform(0.62, 0.72)
    body = ellipsoid(r, r, 0.66), ellipsoid(0.72 * r, 0.72 * r, 0.55).at(z=tall - 0.2).melted(0.5)
    top = tall + 0.36
    return Toy((volume("egg", shell, *body),), Head((0, 0, top - 0.32), 0.44, top), stance=0.3)


def an_eggshell(rng: random.Random) -> Toy:
    shell, wall = some(rng, *SHELL), 0.09
    r, h, start = rng.uniform(0.78, 0.86), rng.uniform(0.9, 1.0), rng.uniform(0, 36)
    edge, n = rng.uniform(0.2, 0.42), 5
    notches = [
        box(2, 0.2, 0.2).turned("x", 45).stretched(1, 1, rng.uniform(0.9, 1.2))
        .at(z=edge + 0.06).turned("z", start + 180 / n * i).cutting() for i in range(n)
    ]  # fmt: skip
    body = (
        ellipsoid(r, r, h),
        box(1, 1, 1).at(z=edge - 1).keeping(),
        ellipsoid(r - wall, r - wall, h - 0.45).at(z=0.05).cutting(),
    )
    flesh = ellipsoid(0.78 * r, 0.78 * r, 0.2).at(z=-0.4)
    pieces = (
        volume("shell", shell, *body, *notches),
        piece("inside", vary((0.98, 0.96, 0.92), rng, 0.5), flesh),
    )
    return Toy(pieces, stance=0.3, well=Well((0, 0, edge), (0.9 * r - wall, 0.9 * r - wall)))


def an_apple(rng: random.Random) -> Toy:
    skin = some(rng, NAMED["red"], (0.80, 0.06, 0.10), (0.45, 0.72, 0.12), (0.86, 0.20, 0.10))
    wide, low = rng.uniform(0.4, 0.45), rng.uniform(-0.52, -0.42)
    body = (
        torus(0.38, wide).stretched(1, 1, 1.15).at(z=0.12),
        torus(0.2, 0.34).at(z=low).melted(0.4),
    )
    lean, turn = rng.uniform(0.08, 0.2), rng.uniform(0, 360)
    stem = rod((0, 0, 0.25), (lean, 0, 1.0), 0.075, 0.09).turned("z", turn)
    leaf = ellipsoid(0.3, 0.18, 0.07).at(x=0.3).turned("y", -15).turned("z", turn + 130)
    pieces = (
        volume("apple", skin, *body),
        Piece("stem", vary(BROWN, rng), (stem,), pokes=True),
        Piece("leaf", vary(GREEN, rng), (leaf.at(z=0.7),), pokes=True),
    )
    return Toy(pieces, Head((0, 0, 0.42), 0.68, 1.0), stance=0.35)


def a_banana(rng: random.Random) -> Toy:
    skin = some(rng, (1.0, 0.80, 0.08), (1.0, 0.80, 0.08), (0.86, 0.82, 0.14))
    r, a = rng.uniform(0.2, 0.26), rng.uniform(48, 62)
    turn = rng.choice((-1, 1)) * rng.uniform(22, 34)

    def at(degrees: float) -> tuple[float, float, float]:
        """On the arc, seen from its lowest point."""
        x = math.radians(degrees)
        return 0.0, math.sin(x), -math.cos(x)

    _, y, z = at(a)
    middle = torus(1, r).turned("y", 90), box(r, y + 0.1, 1).at(z=z - 0.97).keeping()
    ends = [rod(at(s * (a - 12)), at(s * (a + 14)), 0.95 * r, 0.13) for s in (-1, 1)]
    body = *middle, *(end.melted(0.03) for end in ends)
    stem = rod(at(-a - 14), at(-a - 34), 0.12, 0.1)
    tip = rod(at(a + 13), at(a + 20), 0.13, 0.1)
    pieces = (
        volume("banana", skin, *(s.turned("z", turn) for s in body)),
        piece("stem", vary((0.45, 0.42, 0.12), rng), stem.turned("z", turn)),
        piece("tip", vary((0.25, 0.15, 0.07), rng), tip.turned("z", turn)),
    )
    return Toy(pieces, stance=0.3)


def a_strawberry(rng: random.Random) -> Toy:
    red = some(rng, (0.88, 0.06, 0.10), (0.92, 0.14, 0.12))
    wide, tall = rng.uniform(0.64, 0.72), rng.uniform(1.0, 1.25)
    lower = ellipsoid(wide, wide, tall), box(1, 1, tall).at(z=-tall).keeping()
    body = *lower, ellipsoid(wide, wide, 0.46)
    seeds: list[Solid] = []
    for i in range(9):
        z = tall * (-0.1 if i < 5 else -0.55)
        seed = ellipsoid(0.08, 0.06, 0.09).at(wide * math.sqrt(1 - (z / tall) ** 2), 0, z)
        seeds.append(seed.turned("z", 72 * i + 20 if i < 5 else 90 * i))
    sepal = ellipsoid(0.36, 0.18, 0.08).at(x=0.36).turned("y", 18)
    green = vary(GREEN, rng)
    sepals = [sepal.turned("z", 72 * i + 20).at(z=0.54) for i in range(5)]
    stem = rod((0, 0, 0.45), (rng.uniform(-0.15, 0.15), 0, 0.8), 0.08)
    pieces = (
        volume("strawberry", red, *body),
        detail("seeds", vary((0.98, 0.85, 0.35), rng), *seeds),
        Piece("sepals", green, tuple(sepals)),
        Piece("stem", green, (stem,), pokes=True),
    )
    return Toy(pieces, Head((0, 0, 0.3), 0.56, 0.52), stance=0.2)


def an_ice_cream(rng: random.Random) -> Toy:
    flavours = (NAMED["pink"], (0.97, 0.92, 0.72), (0.62, 0.90, 0.72), (0.42, 0.24, 0.13))
    first, waffle = some(rng, *flavours), some(rng, (0.87, 0.62, 0.30), (0.80, 0.52, 0.24))
    r, tall = rng.uniform(0.5, 0.56), rng.uniform(0.6, 0.72)
    scoops = [ball(0.98 * r).at(z=0.28)]
    if rng.random() < 0.5:
        scoops.append(ball(0.78 * r).at(z=0.28 + 1.05 * r))
    top = 0.28 + r + (0.78 * r + 0.05 * r if len(scoops) > 1 else 0)
    ribs = [
        rod((0.1, 0, -2 * tall), (r, 0, -0.02), 0.06, 0.045).turned("z", 60 * i) for i in range(6)
    ]
    ribs += [torus(r * z, 0.045).at(z=2 * tall * (z - 1)) for z in (0.4, 0.72)]
    pieces = (
        volume("scoops", first, *scoops, torus(0.82 * r, 0.15).at(z=0.04).melted(0.08)),
        Piece("cone", waffle, (cone(tall, 0.08, r, 0.03).at(z=-tall),), volume=True),
        detail("waffle", (0.62 * waffle[0], 0.6 * waffle[1], 0.55 * waffle[2]), *ribs),
        Piece("cherry", vary((0.82, 0.03, 0.10), rng), (ball(0.16).at(z=top + 0.06),), pokes=True),
    )
    head = Head((0, 0, top - 0.3), 0.42, top + 0.2)
    return Toy(pieces, head, stance=0.2, grip=(0, 0, -1.2 * tall))


def a_donut(rng: random.Random) -> Toy:
    dough = some(rng, (0.80, 0.52, 0.24), (0.86, 0.62, 0.34))
    icing = some(
        rng, NAMED["pink"], NAMED["pink"], NAMED["pink"], (0.38, 0.20, 0.10), NAMED["white"]
    )
    tube = rng.uniform(0.31, 0.37)
    top = torus(0.68, tube + 0.035), box(2, 2, 1).at(z=1.08).keeping()
    wave = [ball(0.15).at(0.57 + tube, 0, 0.04).turned("z", 60 * i) for i in range(6)]
    colours = rng.sample([NAMED[n] for n in ("yellow", "blue", "green", "red", "purple")], 3)
    sprinkles: list[Piece] = []
    for k, colour in enumerate(colours):
        some_rods: list[Solid] = []
        for i in range(3):
            a, out = math.radians(rng.uniform(-35, 35)), tube + 0.05
            s = rod((-0.11, 0, 0), (0.11, 0, 0), 0.055).turned("z", rng.uniform(0, 180))
            s = s.at(0.68 + out * math.sin(a), 0, out * math.cos(a))
            some_rods.append(s.turned("z", 120 * i + 40 * k + rng.uniform(-8, 8)))
        sprinkles.append(detail("sprinkles", vary(colour, rng), *some_rods))
    pieces = (
        Piece("dough", dough, (torus(0.68, tube),), volume=True),
        main("icing", icing, *top, *wave),
        *sprinkles,
    )
    return Toy(pieces, stance=0.4, rim=0.68)


def a_cake(rng: random.Random) -> Toy:
    sponge = some(rng, NAMED["pink"], CREAM, (0.45, 0.25, 0.13), (0.70, 0.55, 0.90))
    icing = vary((0.97, 0.96, 0.94), rng, 0.5)
    r, h, n = rng.uniform(0.8, 0.9), rng.uniform(0.34, 0.42), rng.choice((3, 4))
    drips = [
        rod((r - 0.03, 0, h), (r - 0.03, 0, h - rng.uniform(0.25, 0.5)), 0.12)
        .turned("z", 51.4 * i) for i in range(7)
    ]  # fmt: skip
    places = [(0.42 * math.cos(6.283 * i / n), 0.42 * math.sin(6.283 * i / n)) for i in range(n)]
    candles = [cylinder(0.22, 0.065).at(x, y, h + 0.25) for x, y in places]
    flames = [ellipsoid(0.08, 0.08, 0.13).at(x, y, h + 0.57) for x, y in places]
    pieces = (
        volume("cake", sponge, cylinder(h, r, 0.06)),
        piece("icing", icing, cylinder(0.09, r + 0.03, 0.06).at(z=h)),
        detail("drips", icing, *drips),
        Piece("candles", some(rng, NAMED["blue"], NAMED["red"], NAMED["green"]), tuple(candles),
              pokes=True),
        Piece("flames", vary((1.0, 0.72, 0.08), rng), tuple(flames), pokes=True),
    )  # fmt: skip
    return Toy(pieces, Head((0, 0, h), 0.7, h + 0.09), stance=0.4)
