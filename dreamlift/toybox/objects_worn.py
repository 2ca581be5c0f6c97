"""Things to wear or carry, a teapot, and signs: crown, sunglasses, scarf, star, heart, moon."""

import math
import random

from dreamlift.geometry.primitives import (
    Solid,
    ball,
    box,
    cone,
    cylinder,
    ellipsoid,
    pyramid,
    rod,
    torus,
)  # fmt: skip
from dreamlift.toybox.colours import NAMED, Colour, named, some, vary
from dreamlift.toybox.objects import Brim, Head, Piece, Toy, both, detail, main, piece, volume

GOLD = (0.98, 0.72, 0.10)
WHITE = (0.96, 0.96, 0.94)


def two(rng: random.Random) -> tuple[Colour, Colour]:
    """One of the loud colours, and white or yellow beside it."""
    first = rng.choice(("red", "blue", "green", "purple", "orange", "pink"))
    return named(first, rng), some(rng, WHITE, WHITE, NAMED["yellow"])


def a_teapot(rng: random.Random) -> Toy:
    colour, second = two(rng)
    wide, tall = rng.uniform(0.6, 0.8), rng.uniform(0.48, 0.7)
    body = ellipsoid(wide, wide, tall), cylinder(0.06, 0.42, 0.02).at(z=-0.94 * tall)
    end = (0.0, wide + rng.uniform(0.42, 0.5), 0.5 * tall + 0.12)
    bend = (0.0, wide + 0.2, -0.02)
    spout = rod((0, 0.7 * wide, -0.2), bend, 0.2, 0.15), rod(bend, end, 0.15, 0.1).melted(0.06)
    loop = torus(0.36, 0.085).stretched(1, 0.95, 1.05 * tall / 0.55).turned("y", 90)
    lid = ellipsoid(0.42, 0.42, 0.2).at(z=0.86 * tall), torus(0.4, 0.06).at(z=0.84 * tall)
    knob = ball(0.13).at(z=0.86 * tall + 0.28)
    pieces = (
        volume("body", colour, *body),
        main("spout", colour, *spout),
        main("handle", colour, loop.at(y=-wide - 0.08, z=0.04)),
        main("lid", colour, *lid),
        Piece("knob", second, (knob,), pokes=True),
    )
    return Toy(pieces, Head((0, 0, 0.8 * tall), 0.44, tall + 0.06), stance=0.3)


def a_backpack(rng: random.Random) -> Toy:
    colour, second = some(rng), vary((0.16, 0.15, 0.17), rng)
    if max(colour) < 0.3:
        second = vary((0.65, 0.62, 0.55), rng)
    w, h, deep = rng.uniform(0.52, 0.6), rng.uniform(0.4, 0.55), rng.uniform(0.3, 0.36)
    body = (
        box(deep, w, h, 0.12).at(z=-0.2),
        cylinder(deep, w, 0.12).turned("y", 90).at(z=h - 0.22),
    )
    low = -0.2 - h
    pocket = box(0.15, 0.76 * w, 0.3, 0.1).at(deep + 0.08, 0, low + 0.38)
    flap = box(0.17, 0.82 * w, 0.09, 0.05).at(deep + 0.1, 0, low + 0.62)
    zipper = torus(0.72 * w, 0.05).turned("y", 90), box(1, 1, 1).at(z=1).keeping()
    buckle = box(0.06, 0.08, 0.1, 0.02).at(deep + 0.26, 0, low + 0.5)
    straps = torus(0.5, 0.1).turned("x", 90).stretched(0.55, 1, 1.15).at(-deep + 0.05, 0.28, 0)
    grip = torus(0.16, 0.055).turned("y", 90).at(z=w + h - 0.17)
    sides = ellipsoid(0.2, 0.14, 0.3).at(0, w, low + 0.36)
    pieces = (
        volume("body", colour, *body),
        main("pocket", colour, pocket),
        main("side pockets", colour, *both(sides)),
        piece("straps", second, *both(straps.at(z=0.05))),
        Piece("grip", second, (grip,), pokes=True),
        piece("flap", second, flap),
        detail("zip", second, *(s.at(deep, 0, h - 0.2) for s in zipper)),
        detail("buckle", vary(GOLD, rng), buckle),
    )
    top = w + h - 0.22
    return Toy(pieces, Head((0, 0, top - 0.22), 0.42, top), stance=0.4)


def a_crown(rng: random.Random) -> Toy:
    gold, n = vary(GOLD, rng), rng.choice((3, 4, 5))
    low, high, h = 0.7, rng.uniform(0.78, 0.95), rng.uniform(0.4, 0.52)
    half = math.pi * high / (2 * n) * 0.96
    cuts = [
        box(2, 1, 1).turned("x", 45).stretched(1, half / 1.414, 0.75 * h).at(z=1.06 * h + 0.02)
        .turned("z", 180 / n * (i + 0.5)).cutting() for i in range(n)
    ]  # fmt: skip
    hollow = cone(1.2 * h, low - 0.1 - 0.1 * (high - low), high - 0.1 + 0.1 * (high - low))
    ring = cone(h, low, high, 0.02)
    jewel = rng.sample(("red", "blue", "green", "purple"), 2)
    tips = [ball(0.1).at(high - 0.05, 0, h + 0.04).turned("z", 180 / n * i) for i in range(2 * n)]
    m = 5 if n == 5 else 7 - n
    gem = ball(0.13).at(low + 0.3 * (high - low), 0, -0.5 * h)
    gems = [gem.turned("z", 360 / m * i) for i in range(m)]
    rim = torus(low, 0.08).at(z=-h + 0.04)
    pieces = (
        volume("crown", gold, ring, hollow.cutting(), *cuts),
        main("rim", gold, rim),
        detail("jewels", named(jewel[0], rng), *gems),
    )
    if n < 5:
        pieces = (*pieces, detail("pearls", named(jewel[1], rng), *tips))
    return Toy(pieces, None, Brim(-h, low * 0.93, 4.0), stance=0.5, rim=0.9 * high)


def some_sunglasses(rng: random.Random) -> Toy:
    frame = some(rng, *(NAMED[n] for n in ("black", "red", "blue", "orange", "white", "pink")))
    dark = some(rng, (0.08, 0.08, 0.10), (0.08, 0.12, 0.22))
    if max(frame) < 0.3:
        dark = vary((0.30, 0.34, 0.42), rng)
    wide, tall, apart = rng.uniform(0.37, 0.48), rng.uniform(0.32, 0.48), 0.5
    flat = rng.uniform(0.6, 1.0) * tall
    rim = cylinder(0.08, 1.0, 0.03).turned("y", 90).stretched(1, wide + 0.07, tall + 0.07)
    lens = cylinder(0.1, 1.0, 0.03).turned("y", 90).stretched(1, wide - 0.03, tall - 0.03)
    under = box(1, 2, 2).keeping()
    bridge = rod((0, -0.2, 0.14), (0, 0.2, 0.14), 0.08)
    hinge = (-0.02, apart + wide, 0.18)
    ear = (-rng.uniform(0.8, 1.1), apart + wide, 0.14)
    temple = rod(hinge, ear, 0.075), rod(ear, (ear[0] - 0.25, apart + wide, -0.15), 0.075)
    left = lens.at(y=apart), under.at(z=flat - 0.03 - 2)
    right = lens.at(y=-apart), under.at(z=flat - 0.03 - 2)
    pieces = (
        volume("frame", frame, *both(rim.at(y=apart)), under.at(z=flat + 0.07 - 2), bridge),
        main("temples", frame, *both(*temple)),
        piece("left lens", dark, *left),
        piece("right lens", dark, *right),
    )
    return Toy(pieces, stance=0.4)


def a_scarf(rng: random.Random) -> Toy:
    colour, second = two(rng)
    r, thick = rng.uniform(0.42, 0.5), rng.uniform(0.18, 0.21)
    loop = torus(r, thick).stretched(1, 1, 1.35)
    over = torus(r, thick).stretched(1, 1, 1.3).turned("y", 14).turned("x", 12).at(z=0.16)
    knot = ellipsoid(0.2, 0.26, 0.24).at(r + 0.14, 0.05, 0.0)
    tails: list[Solid] = []
    stripes: list[Solid] = []
    fringe: list[Solid] = []
    for side, long in ((1, rng.uniform(0.6, 0.7)), (-1, rng.uniform(0.45, 0.55))):

        def hung(solid: Solid, side: int = side) -> Solid:
            return solid.turned("x", 13 * side).at(r + 0.2 - 0.06 * side, 0.12 * side, -0.05)

        tails.append(hung(box(0.1, 0.25, long, 0.05).at(z=-long)))
        stripes += [hung(box(0.12, 0.27, 0.09, 0.03).at(z=-long * s)) for s in (1.0, 1.6)]
        fringe += [
            hung(rod((0, y, -2 * long + 0.05), (0, y, -2 * long - 0.16), 0.06))
            for y in (-0.17, 0, 0.17)
        ]  # fmt: skip
    pieces = (
        volume("loop", colour, loop, over),
        main("knot", colour, knot),
        main("tails", colour, *tails),
        piece("stripes", second, *stripes),
        detail("fringe", second, *fringe),
    )
    return Toy(pieces, stance=0.3, rim=r)


def a_sweater(rng: random.Random) -> Toy:
    colour, second = two(rng)
    w, h, thick = rng.uniform(0.46, 0.54), rng.uniform(0.52, 0.62), rng.uniform(0.19, 0.22)
    out = rng.uniform(0.28, 0.42)
    body = box(0.28, w, h, 0.16), box(0.24, 0.36, 0.2, 0.15).at(z=h - 0.1).melted(0.1)
    hand = (0.22, w + out, -h + 0.2)
    sleeve = rod((0, w - 0.12, h - 0.2), hand, thick + 0.03, thick - 0.02)
    slope = math.degrees(math.atan2(out + 0.12, 2 * h - 0.4))
    cuff = cylinder(0.1, thick + 0.01, 0.04).turned("x", slope).at(*hand)
    hem = box(0.3, w + 0.02, 0.12, 0.06).at(z=-h + 0.08)
    neck = torus(0.22, 0.1).stretched(0.85, 1.1, 1.1).at(z=h + 0.08)
    hole = ellipsoid(0.16, 0.2, 0.08).at(z=h + 0.08)
    motif = box(0.06, 0.14, 0.14, 0.02).turned("x", 45).at(x=0.28, z=0.1)
    shown = [motif.at(y=y) for y in (-0.26, 0.0, 0.26)]
    pieces = (
        volume("body", colour, *body),
        volume("sleeves", colour, *both(sleeve)),
        piece("cuffs", second, *both(cuff)),
        piece("hem", second, hem),
        piece("collar", second, neck),
        piece("hole", (0.12, 0.10, 0.10), hole),
        detail("pattern", second, *shown),
    )
    return Toy(pieces, stance=0.3)


def an_umbrella(rng: random.Random) -> Toy:
    colour = two(rng)[0]
    second = vary(WHITE, rng, 0.5) if rng.random() < 0.5 else None
    tall, turn = rng.uniform(0.5, 0.62), rng.uniform(0, 45)
    rib = ellipsoid(1.0, 0.52, tall)
    over, under = box(2, 2, 1).at(z=1).keeping(), ellipsoid(0.9, 0.9, tall - 0.1).cutting()
    ribs = [[rib.turned("z", turn + 90 * i + a) for i in (0, 1)] for a in (0, 45)]
    canopy = [[*pair, over, under] for pair in ribs]
    pole = cylinder(0.65, 0.065).at(z=-0.15)
    hook = (
        torus(0.19, 0.08).turned("y", 90).at(y=0.19, z=-0.8),
        box(1, 1, 1).at(z=-1.8).keeping(),
    )
    grip = rod((0, 0, -0.82), (0, 0, -0.6), 0.08)
    pieces = (
        volume("canopy", colour, *canopy[0]),
        Piece("canopy", second or colour, tuple(canopy[1]), main=second is None, volume=True),
        piece("pole", vary((0.35, 0.34, 0.33), rng), pole),
        piece("handle", vary((0.45, 0.26, 0.12), rng), *hook, grip),
        Piece("tip", vary((0.35, 0.34, 0.33), rng), (cone(0.1, 0.06, 0.05).at(z=tall + 0.06),),
              pokes=True),
    )  # fmt: skip
    return Toy(pieces, stance=0.2, grip=(0, 0, -0.62))


def a_star(rng: random.Random) -> Toy:
    gold = some(rng, GOLD, (1.0, 0.82, 0.12))
    fat, deep = rng.uniform(0.42, 0.58), rng.uniform(0.75, 1.0)
    ray = pyramid(0.52, fat / 1.414).turned("z", 45).stretched(deep, 1, 1).at(z=0.48)
    rays = [ray.turned("x", 72 * i) for i in range(5)]
    return Toy((volume("star", gold, *rays),), Head((0, 0, 0.62), 0.2, 1.0), stance=0.5)


def a_heart(rng: random.Random) -> Toy:
    red = some(rng, NAMED["red"], NAMED["red"], (0.95, 0.25, 0.50))
    deep, low, r = rng.uniform(0.65, 0.9), rng.uniform(0.75, 0.95), rng.uniform(0.46, 0.5)
    turn = math.degrees(math.atan2(0.42, low + 0.3))
    long = math.hypot(0.42, low + 0.3) / 2 - 0.03
    point = cone(long, 0.05, 0.97 * r, 0.04).at(z=-long).turned("x", -turn)
    body = [s.at(y=0.42, z=0.3).stretched(deep, 1, 1).melted(0.1) for s in (ball(r), point)]
    return Toy((volume("heart", red, *both(*body)),), stance=0.2)


def a_moon(rng: random.Random) -> Toy:
    pale = some(rng, (0.99, 0.90, 0.45), (0.99, 0.93, 0.65))
    bite, side = rng.uniform(0.42, 0.55), rng.choice((-1, 1))
    roll = rng.uniform(5, 28) * side
    disc = ellipsoid(0.34, 1.0, 1.0)
    hole = cylinder(1, rng.uniform(0.76, 0.82)).turned("y", 90).at(y=bite * side).cutting()
    tips = box(1, 1, 1).at(y=-0.3 * side).keeping()
    craters = [
        cylinder(0.26, r).turned("y", 90).at(y=-0.72 * side).turned("x", a)
        for a, r in ((-32, 0.1), (4, 0.14), (38, 0.08))
    ]
    pieces = (
        volume("moon", pale, disc, *(s.turned("x", roll) for s in (tips, hole))),
        detail("craters", (0.84 * pale[0], 0.8 * pale[1], 0.75 * pale[2]),
               *(s.turned("x", roll) for s in craters)),
    )  # fmt: skip
    return Toy(pieces, stance=0.2)
