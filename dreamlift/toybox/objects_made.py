"""Things that people make: traffic cone, mug, chair, table, hamburger, hats, stilts."""

import math
import random

from dreamlift.geometry.primitives import box, cone, cylinder, ellipsoid, rod, torus
from dreamlift.toybox.colours import NAMED, named, some, vary
from dreamlift.toybox.objects import (
    Brim,
    Head,
    Piece,
    Seat,
    Toy,
    Well,
    both,
    detail,
    main,
    piece,
    volume,
)  # fmt: skip

WOOD = ((0.55, 0.33, 0.15), (0.72, 0.50, 0.28), (0.40, 0.22, 0.12))


def a_traffic_cone(rng: random.Random) -> Toy:
    h, bottom, top = rng.uniform(0.85, 1.05), rng.uniform(0.48, 0.56), rng.uniform(0.09, 0.14)
    orange, white = vary((1.0, 0.38, 0.03), rng), vary((0.95, 0.95, 0.95), rng)

    def radius(z: float) -> float:
        return bottom + (top - bottom) * (z + h) / (2 * h)

    stripes: list[Piece] = []
    for centre in (-0.12, 0.42) if rng.random() < 0.75 else (0.1,):
        half = rng.uniform(0.12, 0.15)
        z = centre * h
        band = cone(half, radius(z - half) + 0.02, radius(z + half) + 0.02).at(z=z)
        stripes.append(piece("stripe", white, band))
    side = rng.uniform(0.72, 0.82)
    base = box(side, side, 0.08, 0.03).at(z=-h - 0.04)
    body = cone(h, bottom, top, 0.02)
    pieces = (main("base", orange, base), volume("cone", orange, body), *stripes)
    return Toy(pieces, Head((0, 0, 0.45 * h), 0.34, h), stance=0.5)


def a_mug(rng: random.Random) -> Toy:
    h, r = rng.uniform(0.85, 1.1), rng.uniform(0.75, 0.9)
    foot = r * rng.uniform(0.85, 1.0)
    wall = rng.uniform(0.09, 0.13)
    colour = some(rng)
    floor = h * rng.uniform(0.5, 0.6)  # high enough that small things in it can be seen
    hollow = cone(h, r - wall, r - wall + 0.02).at(z=h + floor).cutting()
    body = volume("body", colour, cone(h, foot, r, 0.05), hollow)
    loop = torus(0.46 * h, rng.uniform(0.11, 0.15)).stretched(1, 1, 1.15).turned("y", 90)
    place = -(foot + r) / 2 - 0.08
    outside = cone(h, foot - 0.04, r - 0.04).cutting()
    handle = main("handle", colour, loop.at(y=place), outside)
    well = Well((0, 0, h), (r - wall, r - wall))
    return Toy((body, handle), Head((0, 0, h - 0.03), r * 1.02, h), stance=0.45, well=well)


def a_chair(rng: random.Random) -> Toy:
    half, thick = rng.uniform(0.5, 0.58), rng.uniform(0.05, 0.08)
    leg, tall = rng.uniform(0.07, 0.1), rng.uniform(0.4, 0.5)
    up = rng.uniform(0.5, 0.68)
    wood = some(rng, *WOOD, *NAMED.values())
    seat = box(half, half, thick, 0.03)
    x = half - leg
    legs = [
        cone(tall, leg * 0.75, leg).at(sx * x, sy * x, -tall) for sx in (-1, 1) for sy in (-1, 1)
    ]
    lean = rng.uniform(0, 8)
    if rng.random() < 0.55:
        back = [box(leg, half, up, 0.03)]
    else:
        slats = [box(leg * 0.7, half, 0.1, 0.02).at(z=z * up) for z in (0.1, 0.82)]
        posts = both(box(leg, leg, up).at(y=half - leg))
        back = [*slats, *posts]
    back = [s.at(z=up).turned("y", -lean).at(-x, 0, thick * 0.5) for s in back]
    cushion = some(rng) if rng.random() < 0.3 else None
    pieces = (
        volume("seat", wood, seat), volume("back", wood, *back), main("legs", wood, *legs),
        *([detail("cushion", cushion, box(half * 0.85, half * 0.85, 0.05, 0.05)
                 .at(0.08, 0, thick + 0.02))] if cushion else []),
    )  # fmt: skip
    top = thick + (0.07 if cushion else 0)
    return Toy(pieces, seat=Seat((leg, 0, top), half - leg), stance=x)


def a_table(rng: random.Random) -> Toy:
    x = rng.uniform(0.75, 1.0)
    y = x * rng.uniform(0.85, 1.25)
    thick, tall, leg = rng.uniform(0.06, 0.1), rng.uniform(0.42, 0.58), rng.uniform(0.07, 0.1)
    wood = some(rng, *WOOD, *NAMED.values())
    if round_ := rng.random() < 0.4:
        top = cylinder(thick, 1.0, 0.02).stretched(x, y, 1)
    else:
        top = box(x, y, thick, 0.03)
    inset = 0.62 if round_ else 0.88
    legs = [
        cone(tall, leg * 0.75, leg).at(sx * x * inset, sy * y * inset, -tall)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    pieces = (volume("top", wood, top), main("legs", wood, *legs))
    return Toy(pieces, stance=y * inset)


def a_hamburger(rng: random.Random) -> Toy:
    bun = vary((0.85, 0.55, 0.22), rng)
    dome, flat = rng.uniform(0.5, 0.65), rng.uniform(0.14, 0.2)
    bottom = cylinder(flat, 0.95, 0.12).at(z=flat)
    z = 2 * flat
    layers = [volume("bottom bun", bun, bottom)]
    patty = rng.uniform(0.11, 0.15)
    layers.append(
        piece("patty", vary((0.30, 0.15, 0.07), rng), cylinder(patty, 1.02, 0.1).at(z=z + patty))
    )
    z += 2 * patty
    cheese = box(0.82, 0.82, 0.035, 0.01).turned("z", rng.uniform(30, 60)).at(z=z)
    layers.append(piece("cheese", vary((1.0, 0.78, 0.12), rng), cheese))
    tomato = cylinder(0.05, 0.97, 0.04).at(z=z + 0.08)
    layers.append(piece("tomato", vary((0.86, 0.13, 0.09), rng), tomato))
    z += 0.16
    green = vary((0.35, 0.75, 0.18), rng)
    leaf = [ellipsoid(1.12, 0.8, 0.07).turned("z", a).at(z=z) for a in (0, 60, 120)]
    layers.append(piece("lettuce", green, *leaf))
    z += 0.03
    top = ellipsoid(1.0, 1.0, dome).at(z=z)
    over = box(2, 2, 1).at(z=z + 1).keeping().melted(0.05)
    layers.append(volume("top bun", bun, top, over))
    seeds = []
    for i in range(7):
        tilt, turn = (0.0, 0) if i == 0 else (rng.uniform(28, 42), i * 60 + rng.uniform(-12, 12))
        a, b = math.radians(tilt), math.radians(turn)
        x, y = math.sin(a) * math.cos(b), math.sin(a) * math.sin(b)
        seed = ellipsoid(0.085, 0.06, 0.045).turned("y", tilt * dome).turned("z", turn)
        seeds.append(seed.at(x, y, z + dome * math.cos(a)))
    layers.append(detail("sesame", vary((0.97, 0.90, 0.68), rng), *seeds))
    return Toy(tuple(layers), Head((0, 0, z + 0.7 * dome), 0.68, z + dome), stance=0.5)


def a_hat(rng: random.Random) -> Toy:
    r = 0.62
    brim = rng.uniform(0.98, 1.2)
    band_colour = some(rng)
    if rng.random() < 0.5:
        room = rng.uniform(0.75, 1.05)
        colour = some(rng, NAMED["black"], NAMED["black"], NAMED["brown"], NAMED["purple"])
        crown = [cone(room / 2, r, r * rng.uniform(0.95, 1.12), 0.04).at(z=room / 2)]
        plate = cylinder(0.045, brim * 0.95, 0.04)
    else:
        room = rng.uniform(0.5, 0.65)
        colour = some(rng, (0.90, 0.76, 0.46), (0.90, 0.76, 0.46), NAMED["brown"], NAMED["pink"])
        crown = [ellipsoid(r, r, room), box(2, 2, 1).at(z=0.98).keeping()]
        wide = brim * 1.15
        plate = cone(0.06, wide, r, 0.03).at(z=-0.02)
    band = cylinder(0.09, r + 0.025, 0.02).at(z=0.13)
    pieces = (
        volume("crown", colour, *crown),
        main("brim", colour, plate),
        piece("band", band_colour, band),
    )
    return Toy(
        pieces, Head((0, 0, room - 0.05), r * 0.6, room), Brim(-0.04, r * 0.97, room), stance=0.4
    )


def a_santa_hat(rng: random.Random) -> Toy:
    r, tall = 0.62, rng.uniform(0.85, 1.05)
    side = rng.choice((-1, 1))
    red = vary((0.85, 0.05, 0.08), rng)
    white = vary((0.96, 0.96, 0.96), rng, 0.5)
    droop = rng.uniform(0.35, 0.6)
    bend = (0.0, side * 0.18, tall)
    tip = (0.0, side * (0.18 + 0.55), tall - droop + 0.25)
    body = (
        cone(tall / 2, r, 0.25, 0.02).at(z=tall / 2),
        rod((0.0, side * 0.05, tall * 0.9), bend, 0.24, 0.2).melted(0.1),
        rod(bend, tip, 0.2, 0.09).melted(0.1),
    )
    brim = torus(r, rng.uniform(0.15, 0.19))
    pompom = ellipsoid(0.2, 0.2, 0.2).at(*tip)
    pieces = (
        volume("hat", red, *body), piece("brim", white, brim), piece("pompom", white, pompom),
    )  # fmt: skip
    return Toy(pieces, None, Brim(-0.12, r * 0.97, tall), stance=0.4)


def some_stilts(rng: random.Random) -> Toy:
    wood = some(rng, *WOOD)
    apart, r = rng.uniform(0.27, 0.35), rng.uniform(0.06, 0.075)
    foot = rng.uniform(-0.5, -0.3)
    ahead = rng.choice((-1, 1)) * rng.uniform(0.1, 0.16)
    poles = [cylinder(1.0, r, 0.02).at(side * ahead, side * apart) for side in (-1, 1)]
    rests = [box(0.16, 0.09, 0.06, 0.02).at(side * ahead + 0.13, side * apart, foot)
             for side in (-1, 1)]  # fmt: skip
    pieces = (volume("poles", wood, *poles), piece("foot rests", named("brown", rng), *rests))
    return Toy(pieces, stance=apart)
