"""Things to carry, to store in and to play: chest, barrel, bucket, sword, shield, guitar, drum."""

import math
import random
from dataclasses import replace

import numpy as np

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
)
from dreamlift.toybox.colours import NAMED, some, vary
from dreamlift.toybox.objects import Head, Piece, Toy, Well, both, detail, main, piece, volume
from dreamlift.toybox.objects_made import WOOD

GOLD = (0.93, 0.70, 0.14)
STEEL = (0.70, 0.73, 0.78)
DARK = (0.13, 0.12, 0.14)


def a_chest(rng: random.Random) -> Toy:
    deep, wide, tall = rng.uniform(0.55, 0.62), rng.uniform(0.85, 1.0), rng.uniform(0.34, 0.42)
    wood = some(rng, (0.45, 0.25, 0.11), (0.55, 0.32, 0.14), (0.36, 0.17, 0.08))
    metal = vary(GOLD, rng)
    dome = rng.uniform(0.62, 0.8)

    def strap(y: float, half: float) -> tuple[Solid, Solid]:
        lid = cylinder(half, deep + 0.04).turned("x", 90).stretched(1, 1, dome)
        return box(deep + 0.04, half, tall + 0.02).at(0, y), lid.at(0, y, tall)

    lid = cylinder(wide, deep).turned("x", 90).stretched(1, 1, dome).at(z=tall)
    straps = [s for y in (-0.6 * wide, 0.6 * wide) for s in strap(y, 0.11)]
    seam = box(deep + 0.05, wide + 0.03, 0.06).at(z=tall - 0.02)
    lock = box(0.07, 0.17, 0.19, 0.03).at(deep + 0.05, 0, tall - 0.08)
    hole = ball(0.07).at(deep + 0.11, 0, tall - 0.08)
    pieces = (
        volume("box", wood, box(deep, wide, tall)),
        volume("lid", wood, lid),
        piece("straps", metal, *straps, seam),
        piece("lock", metal, lock),
        piece("keyhole", DARK, hole),
    )
    inner = box(deep - 0.1, wide - 0.1, tall).at(z=0.3).cutting()
    shell = box(2, 2, 1).at(z=1 + tall).keeping()

    def swung(solid: Solid) -> Solid:
        """Turned about the hinge, which is at the back."""
        return solid.at(deep, 0, -tall).turned("y", -100).at(-deep, 0, tall)

    opened = (
        volume("box", wood, box(deep, wide, tall), inner),
        volume("lid", wood, *map(swung, (lid, shell))),
        piece("straps", metal, *straps[::2], inner),
        piece("lid straps", metal, *map(swung, (*straps[1::2], shell))),
        piece("lock", metal, lock.at(z=-0.06)),
    )
    well = Well((0, 0, tall), (deep - 0.1, wide - 0.1), opened)
    return Toy(pieces, stance=0.7 * wide, well=well)


def a_barrel(rng: random.Random) -> Toy:
    h, r = rng.uniform(0.8, 0.95), rng.uniform(0.66, 0.74)
    wood = some(rng, *WOOD, (0.62, 0.40, 0.20))
    bulge = rng.uniform(1.5, 1.7) * h
    metal = some(rng, (0.30, 0.31, 0.34), (0.52, 0.54, 0.57))

    def radius(z: float) -> float:
        return r * math.sqrt(1 - (z / bulge) ** 2)

    levels = [z * h for z in (-0.84, -0.36, 0.36, 0.84)]
    hoops = [cylinder(0.07, radius(z) + 0.035, 0.01).at(z=z) for z in levels]
    top = h * rng.uniform(0.0, 0.04)
    lid = cylinder(0.06, radius(h) - 0.1).at(z=h - 0.09 + top)
    well = cylinder(0.08, radius(h) - 0.1).at(z=h).cutting()
    staves = (ellipsoid(r, r, bulge), box(2, 2, h).keeping(), well)
    pieces = (
        volume("staves", wood, *staves), piece("hoops", metal, *hoops), main("lid", wood, lid),
    )  # fmt: skip
    deep = cylinder(0.5 * h, radius(h) - 0.1).at(z=0.7 * h).cutting()
    opened = (volume("staves", wood, *staves[:2], deep), piece("hoops", metal, *hoops, deep))
    well = Well((0, 0, h), (radius(h) - 0.1, radius(h) - 0.1), opened)
    return Toy(pieces, Head((0, 0, 0.8 * h), radius(h) + 0.02, h), stance=0.4, well=well)


def a_bucket(rng: random.Random) -> Toy:
    h, r = rng.uniform(0.62, 0.72), rng.uniform(0.72, 0.8)
    foot = r * rng.uniform(0.62, 0.7)
    colour = some(
        rng, STEEL, STEEL, *(NAMED[n] for n in ("red", "blue", "yellow", "green", "pink"))
    )
    hollow = cone(h, r - 0.16, r - 0.07).at(z=1.1 * h).cutting()  # small things show
    tilt = rng.choice((-1, 1)) * rng.uniform(0, 30)
    bail = torus(r + 0.02, 0.06).turned("y", 90).stretched(1, 1, rng.uniform(0.9, 1.1))
    bail = bail.turned("y", tilt).at(z=h - 0.06)
    above = box(2, 2, 1).at(z=h + 1 - 0.12).keeping()
    pieces = (
        volume("bucket", colour, cone(h, foot, r), hollow),
        main("rim", colour, torus(r - 0.01, 0.06).at(z=h)),
        Piece("handle", vary((0.25, 0.25, 0.28), rng), (bail, above), pokes=True),
        piece("ears", vary((0.25, 0.25, 0.28), rng), *both(ball(0.1).at(0, r, h - 0.08))),
    )
    return Toy(pieces, stance=0.4, well=Well((0, 0, h + 0.06), (r - 0.12, r - 0.12)))


def a_sword(rng: random.Random) -> Toy:
    length, wide = rng.uniform(0.62, 0.75), rng.uniform(0.15, 0.19)
    thick, tip = 0.09, rng.uniform(0.16, 0.26)
    steel, gold = vary((0.78, 0.82, 0.88), rng), some(rng, GOLD, GOLD, (0.36, 0.36, 0.40))
    q = math.sqrt(2)
    blade = box(1, 1, length).turned("z", 45).stretched(thick / q, wide / q, 1).at(z=length)
    point = pyramid(tip, 1).turned("z", 45).stretched(thick / q, wide / q, 1)
    reach, droop = rng.uniform(0.4, 0.5), rng.uniform(-0.12, 0.12)
    guard = both(rod((0, 0, 0), (0, reach, droop), 0.1, 0.09))
    grip = rng.uniform(0.36, 0.44)
    leather = some(rng, (0.36, 0.18, 0.08), NAMED["red"], NAMED["blue"], DARK)
    pieces = (
        volume("blade", steel, blade, point.at(z=2 * length + tip - 0.01)),
        piece("guard", gold, *guard),
        piece("grip", leather, rod((0, 0, 0), (0, 0, -grip), 0.09)),
        piece("pommel", gold, ball(0.14).at(z=-grip - 0.08)),
    )
    return Toy(pieces, stance=0.1, grip=(0, 0, -0.5 * grip))


def _heater(wide: float, tall: float, thick: float) -> tuple[Solid, ...]:
    """A shield's outline facing x: flat above, at z = 0.4 tall, and a point below, at -0.6 tall."""
    below = 0.8 * tall
    r = (wide**2 + below**2) / (2 * wide)
    sides = [cylinder(thick, r).turned("y", 90).at(0, y * (r - wide), 0.2 * tall) for y in (-1, 1)]
    bounds = box(2 * thick, wide, 0.5 * tall).at(z=-0.1 * tall)
    return sides[0], sides[1].keeping(), bounds.keeping()


def a_shield(rng: random.Random) -> Toy:
    wide, tall = rng.uniform(0.68, 0.78), rng.uniform(1.5, 1.75)
    field = some(rng, NAMED["red"], NAMED["blue"], NAMED["green"], NAMED["purple"])
    metal, wood = some(rng, GOLD, STEEL), some(rng, *WOOD)
    rim = _heater(wide + 0.1, tall + 0.22, 0.1)
    face = [s.at(0.08) for s in _heater(wide, tall, 0.1)]
    back = [s.at(-0.08) for s in _heater(wide, tall, 0.1)]
    z = rng.uniform(0.05, 0.12) * tall
    cross = (
        box(0.05, 0.1, 0.36 * tall).at(0.17, 0, -0.06 * tall),
        box(0.05, 0.62 * wide, 0.1).at(0.17, 0, z),
    )
    boss = ellipsoid(0.16, 0.2, 0.2).at(0.16, 0, z)
    grip = torus(0.2, 0.06).turned("x", 90).at(-0.16, 0, z)
    pieces = (
        volume("face", field, *face),
        piece("rim", metal, *rim),
        piece("back", wood, *back),
        piece("emblem", metal, *cross, boss),
        detail("handle", DARK, grip),
    )
    return Toy(pieces, stance=0.1, grip=(-0.2, 0, z))


def a_guitar(rng: random.Random) -> Toy:
    low, high = rng.uniform(0.6, 0.68), rng.uniform(0.42, 0.5)
    thick, roll = rng.uniform(0.15, 0.19), rng.choice((-1, 1)) * rng.uniform(8, 18)
    wood = some(rng, (0.80, 0.42, 0.12), (0.86, 0.58, 0.24), (0.62, 0.26, 0.09))
    dark = vary((0.22, 0.12, 0.07), rng)
    waist = 0.78 * (low + high)
    neck = waist + high + rng.uniform(0.62, 0.78)

    def disc(radius: float, half: float) -> Solid:
        return cylinder(half, radius, min(0.04, 0.5 * half)).turned("y", 90)

    body = (disc(low, thick), disc(high, thick).at(z=waist).melted(0.16))
    head = box(0.08, 0.19, 0.22, 0.02).at(thick - 0.04, 0, neck + 0.14)
    board = box(0.08, 0.1, (neck - waist + 0.1) / 2).at(thick, 0, (neck + waist - 0.1) / 2)
    pegs = [box(0.05, 0.29, 0.05, 0.02).at(thick - 0.06, 0, neck + z) for z in (0.04, 0.24)]
    hole = disc(0.2, 0.04).at(thick, 0, 0.52 * waist)
    ring = disc(0.28, 0.025).at(thick, 0, 0.52 * waist)
    bridge = box(0.05, 0.28, 0.065).at(thick, 0, -0.3 * low)
    parts = (
        volume("body", wood, *body),
        piece("neck", dark, board, bridge),
        piece("head", dark, head),
        detail("pegs", (0.92, 0.9, 0.84), *pegs),
        piece("rosette", vary((0.97, 0.88, 0.62), rng), ring),
        piece("hole", (0.05, 0.04, 0.04), hole),
    )
    turned = tuple(replace(p, solids=tuple(s.turned("x", roll) for s in p.solids)) for p in parts)
    return Toy(turned, stance=0.2)


def a_drum(rng: random.Random) -> Toy:
    r, h = rng.uniform(0.78, 0.9), rng.uniform(0.42, 0.58)
    shell = some(rng, NAMED["red"], NAMED["red"], NAMED["blue"], NAMED["green"])
    gold = vary(GOLD, rng)
    hoops = [cylinder(0.1, r + 0.05, 0.03).at(z=z * h) for z in (-1, 1)]
    skin = cylinder(0.03, r - 0.03).at(z=h + 0.1)
    lean = 0.72 * (h - 0.08) / r
    cords: list[Solid] = []
    for i in range(4):
        a = math.pi / 2 * i
        tilt = np.array([[1, 0, 0], [0, 1, 0], [lean * math.cos(a), lean * math.sin(a), 1.0]])
        cords.append(replace(torus(r, 0.05), linear=tilt))
    spread, top = rng.uniform(15, 32), h + 0.18
    stick = rod((0.5, 0, top), (-0.85, 0, top), 0.055, 0.065)
    bead = ball(0.11).at(0.53, 0, top + 0.02)
    sticks = both(*(s.turned("z", spread).at(0, 0.1, 0) for s in (stick, bead)))
    pieces = (
        volume("shell", shell, cylinder(h, r)),
        piece("hoops", gold, *hoops),
        piece("skin", vary((0.96, 0.94, 0.88), rng), skin),
        detail("cords", vary((0.96, 0.94, 0.88), rng), *cords),
        Piece("sticks", vary((0.72, 0.50, 0.28), rng), sticks, pokes=True),
    )
    return Toy(pieces, stance=0.45)
