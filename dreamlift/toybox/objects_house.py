"""Buildings and what stands at home: house, tower, lighthouse, fountain, armchair, lamp, book."""

import math
import random
from dataclasses import replace

from dreamlift.geometry.primitives import Solid, ball, box, cone, cylinder, ellipsoid, rod, torus
from dreamlift.toybox.colours import NAMED, named, some, vary
from dreamlift.toybox.objects import Head, Piece, Seat, Toy, both, detail, main, piece, volume
from dreamlift.toybox.objects_made import WOOD

STONE = ((0.60, 0.60, 0.62), (0.74, 0.66, 0.52), (0.48, 0.47, 0.50))
WATER = (0.30, 0.68, 0.95)
GLASS = (0.22, 0.42, 0.62)
GOLD = (0.93, 0.70, 0.14)
DARK = (0.13, 0.12, 0.14)


def a_house(rng: random.Random) -> Toy:
    deep, wide, tall = rng.uniform(0.65, 0.85), rng.uniform(0.68, 0.82), rng.uniform(0.4, 0.5)
    rise, eave = rng.uniform(0.55, 0.75), 0.16
    out, q = deep + rng.uniform(0.26, 0.34), math.sqrt(2)
    walls = some(
        rng, (0.96, 0.90, 0.74), (0.95, 0.95, 0.95), (0.93, 0.77, 0.45), (0.95, 0.72, 0.66)
    )
    roof = some(rng, (0.72, 0.16, 0.10), (0.72, 0.16, 0.10), (0.42, 0.24, 0.14), (0.25, 0.3, 0.42))
    gable = box(deep, 1.0, 1.0).turned("x", 45)
    gable = gable.stretched(1, wide / q, rise / q).at(z=tall)
    slope = math.degrees(math.atan2(rise, wide))
    length = (wide + eave) / math.cos(math.radians(slope))
    slab = box(deep + 0.14, length / 2 + 0.04, 0.07, 0.02).turned("x", -slope)
    slab = slab.at(0, (wide + eave) / 2, tall + rise * (1 - (wide + eave) / wide / 2) + 0.05)
    chimney = box(0.13, 0.13, 0.4).at(-0.35 * deep, 0.5 * wide, tall + 0.62 * rise)
    low = -tall
    porch = box(out / 2, 0.25, 0.36).at(out / 2, 0, low + 0.36)
    hood = box(out / 2 + 0.05, 1.0, 1.0).turned("x", 45).stretched(1, 0.36 / q, 0.24 / q)
    door = box(0.05, 0.16, 0.3, 0.02).at(out, 0, low + 0.3)
    front = both(box(0.04, 0.13, 0.15).at(deep, 0.68 * wide, low + 0.5))
    sides = [box(0.15, wide + 0.04, 0.15).at(x * deep, 0, low + 0.5) for x in (-0.45, 0.45)]
    back = box(0.04, 0.3, 0.15).at(-deep, 0, low + 0.5)
    attic = cylinder(0.05, 0.15).turned("y", 90).at(deep, 0, tall + 0.32)
    pieces = (
        volume("walls", walls, box(deep, wide, tall), gable, porch),
        piece("roof", roof, *both(slab), hood.at(out / 2, 0, low + 0.7)),
        Piece("chimney", vary((0.50, 0.20, 0.15), rng), (chimney,), pokes=True),
        piece("door", some(rng, *WOOD, NAMED["red"], NAMED["green"]), door),
        detail("knob", GOLD, ball(0.045).at(out + 0.06, 0.1, low + 0.33)),
        piece("windows", vary(GLASS, rng), *front, *sides, back, attic),
    )
    return Toy(pieces, stance=wide)


def a_castle_tower(rng: random.Random) -> Toy:
    stone = some(rng, *STONE)
    r, h = rng.uniform(0.46, 0.54), rng.uniform(0.8, 1.0)
    top = r + rng.uniform(0.14, 0.18)
    crown = cylinder(0.24, top, 0.01).at(z=h + 0.24)
    well = cylinder(0.24, top - 0.14).at(z=h + 0.38).cutting()
    turn = rng.uniform(0, 60)
    gaps = [box(2, 0.13, 0.14).at(z=h + 0.4).turned("z", turn + 60 * i).cutting() for i in range(3)]
    door = (
        box(0.08, 0.19, 0.24).at(r - 0.01, 0, 0.24 - h),
        cylinder(0.08, 0.19).turned("y", 90).at(r - 0.01, 0, 0.48 - h),
    )
    slit = box(0.05, 0.07, 0.17)
    slits = [slit.at(r, 0, 0.3)] + [
        slit.at(r, 0, z).turned("z", a) for a, z in ((90, -0.25), (180, 0.2), (-90, 0.15))
    ]
    mast, side = h + rng.uniform(0.95, 1.15), rng.choice((-1, 1))
    pole = rod((0, 0, h), (0, 0, mast), 0.045)
    flag = box(0.04, 0.26, 0.17).at(0, side * 0.26, mast - 0.17)
    flare = cone(0.12, r, top).at(z=h - 0.11)
    pieces = (
        volume("walls", stone, cone(h, r + 0.07, r)),
        main("battlements", stone, flare, crown, well, *gaps),
        piece("door", vary((0.36, 0.20, 0.09), rng), *door),
        piece("windows", DARK, *slits),
        Piece("pole", DARK, (pole,), pokes=True),
        Piece("flag", some(rng, NAMED["red"], NAMED["blue"], NAMED["yellow"]), (flag,), pokes=True),
    )
    return Toy(pieces, stance=0.4)


def a_lighthouse(rng: random.Random) -> Toy:
    h, bottom, top = rng.uniform(0.85, 1.05), rng.uniform(0.42, 0.48), rng.uniform(0.27, 0.31)
    colour = some(rng, NAMED["red"], NAMED["red"], NAMED["blue"], NAMED["black"])
    white = vary((0.95, 0.95, 0.95), rng)

    def radius(z: float) -> float:
        return bottom + (top - bottom) * (z + h) / (2 * h)

    n = rng.choice((2, 3))
    half = h / (2 * n + 1)
    bands = [
        cone(half, radius(z - half) + 0.02, radius(z + half) + 0.02).at(z=z)
        for z in (h * (4 * i + 2 - 2 * n) / (2 * n + 1) for i in range(n))
    ]
    door = box(0.06, 0.12, 0.2, 0.02).at(bottom - 0.02, 0, 0.2 - h)
    lamp = h + 0.1 + 0.18
    roof = (cone(0.16, top + 0.07, 0.05, 0.02).at(z=lamp + 0.34), ball(0.08).at(z=lamp + 0.52))
    rock = ellipsoid(rng.uniform(0.72, 0.85), rng.uniform(0.62, 0.72), 0.26)
    lumps = ellipsoid(0.4, 0.35, 0.24).at(-0.35, rng.choice((-0.3, 0.3)), 0.04 - h).melted(0.1)
    pieces = (
        piece("rock", vary((0.42, 0.38, 0.34), rng), rock.at(z=-h - 0.04), lumps),
        volume("tower", colour, cone(h, bottom, top)),
        piece("bands", white, *bands),
        piece("door", DARK, door),
        piece("gallery", DARK, cylinder(0.06, top + 0.16, 0.02).at(z=h + 0.05)),
        piece("light", vary((1.0, 0.88, 0.30), rng), cylinder(0.2, top - 0.03).at(z=lamp)),
        main("roof", colour, *roof),
    )
    return Toy(pieces, Head((0, 0, lamp + 0.2), top + 0.07, lamp + 0.6), stance=0.4)


def a_fountain(rng: random.Random) -> Toy:
    stone = some(rng, *STONE, (0.88, 0.86, 0.82))
    wide, tall = rng.uniform(0.95, 1.1), rng.uniform(0.75, 0.95)
    bowl = rng.uniform(0.5, 0.58)
    basin = (
        cylinder(0.2, wide, 0.06).at(z=0.2),
        cylinder(0.2, wide - 0.14).at(z=0.34).cutting(),
    )
    upper = (cone(0.13, 0.16, bowl, 0.03).at(z=tall), torus(bowl - 0.05, 0.06).at(z=tall + 0.12))
    stem = cone(tall / 2, 0.22, 0.13).at(z=tall / 2)
    pools = [cylinder(0.03, r).at(z=z) for r, z in ((wide - 0.1, 0.27), (bowl - 0.06, tall + 0.13))]
    n, turn = rng.choice((5, 6)), rng.uniform(0, 60)
    out = (wide + bowl) / 4
    arc = torus(out - 0.04, 0.07).turned("x", 90)
    arc = arc.stretched(1, 1, (tall + 0.05) / out).at(out, 0, 0.28)
    arcs = [arc.turned("z", turn + 360 * i / n) for i in range(n)]
    above = box(2, 2, 1).at(z=1.28).keeping()
    plume = rng.uniform(0.3, 0.45)
    spout = (
        ellipsoid(0.16, 0.16, plume).at(z=tall + plume),
        ball(0.11).at(z=tall + 2 * plume - 0.06).melted(0.1),
    )
    water, foam = vary(WATER, rng), vary((0.70, 0.90, 1.0), rng)
    pieces = (
        volume("basin", stone, *basin),
        main("stem", stone, stem, *upper),
        piece("water", water, *pools),
        piece("jets", foam, *arcs, above),
        Piece("spout", foam, spout, pokes=True),
    )
    return Toy(pieces, stance=0.5)


def an_armchair(rng: random.Random) -> Toy:
    colour = some(rng)
    half, arm = rng.uniform(0.42, 0.52), rng.uniform(0.17, 0.2)
    deep, up = rng.uniform(0.55, 0.62), rng.uniform(0.62, 0.78)
    lean = rng.uniform(4, 10)
    seat = box(deep, half + 0.05, 0.2, 0.04).at(0, 0, -0.2)
    cushion = box(deep - 0.06, half, 0.12, 0.1).at(0.12, 0, 0.06)
    back = box(0.19, half + 0.14, up, 0.16).turned("y", -lean).at(-deep + 0.08, 0, up - 0.38)
    high = rng.uniform(0.27, 0.34)
    arms = both(
        box(deep + 0.05, arm * 0.8, 0.34, 0.04).at(0.02, half + arm, -0.06),
        cylinder(deep + 0.08, arm, 0.06).turned("y", 90).at(0.04, half + arm, high),
    )
    feet = [cone(0.1, 0.06, 0.09).at(x * (deep - 0.1), y * (half + arm * 0.8), -0.48)
            for x in (-1, 1) for y in (-1, 1)]  # fmt: skip
    pillow = box(0.09, 0.24, 0.24, 0.09).turned("x", 45).turned("y", -lean - 8)
    pieces = (
        volume("seat", colour, seat, cushion),
        volume("back", colour, back), main("arms", colour, *arms),
        piece("feet", some(rng, *WOOD), *feet),
        *([detail("pillow", some(rng), pillow.at(-deep + 0.38, 0, 0.42))]
          if rng.random() < 0.3 else []),
    )  # fmt: skip
    return Toy(pieces, seat=Seat((0.12, 0, 0.18), half), stance=half + arm)


def a_lamp(rng: random.Random) -> Toy:
    cream = (0.98, 0.90, 0.62)
    shade = some(rng, cream, cream, (0.95, 0.55, 0.30), (0.55, 0.75, 0.85))
    wide, narrow, h = rng.uniform(0.68, 0.8), rng.uniform(0.34, 0.42), rng.uniform(0.4, 0.48)
    tall = rng.uniform(0.5, 0.65)
    hollow = cone(h, wide - 0.06, narrow - 0.06).at(z=-0.06).cutting()
    foot = -tall - h
    base: tuple[Solid, ...] = (cone(0.09, 0.5, 0.4, 0.05).at(z=foot),)
    if rng.random() < 0.6:
        base = (*base, ellipsoid(0.3, 0.3, 0.36).at(z=foot + 0.38))
    wood = some(rng, *WOOD, NAMED["blue"], NAMED["red"], NAMED["green"], NAMED["white"])
    metal = vary((0.62, 0.52, 0.30), rng)
    pieces = (
        volume("shade", shade, cone(h, wide, narrow), hollow),
        main("base", wood, *base),
        piece("stem", metal, rod((0, 0, foot), (0, 0, h + 0.02), 0.07)),
        piece("bulb", (1.0, 0.96, 0.72), ball(0.24).at(z=-0.5 * h)),
        detail("knob", metal, ball(0.08).at(z=h + 0.08)),
    )
    return Toy(pieces, Head((0, 0, 0.45 * h), narrow, h), stance=0.3)


def a_book(rng: random.Random) -> Toy:
    colour = some(rng, *(NAMED[n] for n in ("red", "blue", "green", "brown", "purple", "black")))
    w, h, t = rng.uniform(0.58, 0.68), rng.uniform(0.8, 0.92), rng.uniform(0.2, 0.26)
    turn = rng.uniform(24, 36)
    boards = [box(0.05, w, h, 0.02).at(x) for x in (-t, t)]
    spine = cylinder(h, t + 0.05, 0.02).stretched(1, 0.6, 1).at(0, 0.02 - w)
    pages = box(t - 0.03, w - 0.04, h - 0.09).at(0, -0.04)
    lines = ((0.6, 0.58), (0.38, 0.36))
    title = [box(0.03, half * w, 0.06).at(t + 0.05, 0, z * h) for z, half in lines]
    mark = cylinder(0.03, 0.24 * w).turned("y", 90).at(t + 0.05, 0, -0.35 * h)
    band = cylinder(0.04, t + 0.075).stretched(1, 0.62, 1).at(0, 0.02 - w)
    ribbon = box(0.05, 0.05, 0.16).at(0, 0.4 * w, -h)
    gold = vary(GOLD, rng)
    pieces = (
        volume("cover", colour, *boards, spine),
        piece("pages", vary((0.97, 0.94, 0.84), rng), pages),
        piece("title", gold, *title, mark),
        detail("bands", gold, *(band.at(z=z * h) for z in (-0.6, 0.6))),
        detail("ribbon", named("red", rng), ribbon),
    )
    turned = [replace(p, solids=tuple(s.turned("z", turn) for s in p.solids)) for p in pieces]
    return Toy(tuple(turned), stance=0.4)
