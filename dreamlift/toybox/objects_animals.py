"""Animals: pig, rabbit, corgi, cat, penguin, fish, chick, snail, hedgehog, peacock."""

import math
import random

from dreamlift.geometry.primitives import (
    ball,
    box,
    cone,
    cylinder,
    ellipsoid,
    rod,
    torus,
)  # fmt: skip
from dreamlift.toybox.colours import Colour, some, vary
from dreamlift.toybox.objects import (
    Figure,
    Head,
    Neck,
    Piece,
    Toy,
    both,
    detail,
    main,
    piece,
    volume,
)  # fmt: skip

BLACK = (0.06, 0.06, 0.06)
WHITE = (0.96, 0.96, 0.95)
BEAK = (1.0, 0.55, 0.05)


def eyes(x: float, y: float, z: float, radius: float, colour: Colour = BLACK) -> Piece:
    """Two balls, at y and -y."""
    return piece("eyes", colour, *both(ball(radius).at(x, y, z)))


def pupils(x: float, y: float, z: float, radius: float) -> Piece:
    """Two black balls, at y and -y."""
    return piece("pupils", BLACK, *both(ball(radius).at(x, y, z)))


def a_pig(rng: random.Random) -> Toy:
    pink = some(rng, (0.98, 0.62, 0.68), (0.97, 0.72, 0.70), (0.93, 0.54, 0.60))
    dark = vary((0.88, 0.36, 0.46), rng)
    long, fat = rng.uniform(0.58, 0.76), rng.uniform(0.46, 0.56)
    leg = rng.uniform(0.16, 0.24)
    x, z = 0.8 * long, 0.24
    body = ellipsoid(long, fat, 0.96 * fat)
    head = ellipsoid(0.4, 0.43, 0.4).at(x, 0, z).melted(0.08)
    ear = cone(0.18, 0.18, 0.03, 0.02).stretched(0.45, 1, 1).turned("y", 30).turned("x", -28)
    nostril = ellipsoid(0.05, 0.05, 0.07).at(x + 0.55, 0.08, z - 0.06)
    legs = [
        s for sx in (-0.5, 0.42)
        for s in both(cone(leg, 0.13, 0.16, 0.03).at(sx * long, 0.52 * fat, -0.75 * fat - leg))
    ]  # fmt: skip
    tail = torus(0.12, 0.055).turned("y", 90).turned("z", 40).at(-long - 0.05, 0, 0.16)
    pieces = (
        volume("body", pink, body, head),
        main("legs", pink, *legs),
        piece("snout", dark, cylinder(0.15, 0.2, 0.04).turned("y", 90).at(x + 0.4, 0, z - 0.06)),
        main("ears", dark, *both(ear.at(x, 0.27, z + 0.4))),
        eyes(x + 0.32, 0.22, z + 0.18, 0.075),
        detail("nostrils", vary((0.45, 0.10, 0.16), rng), *both(nostril)),
        main("tail", dark, tail),
    )
    neck = Neck((0.45 * long, 0, 0.1), 0.5, lean=70)
    figure = Figure(neck, (x, 0, -fat), (body,), tuple(legs[2:]), pitch=90)
    top = Head((x - 0.05, 0, z + 0.26), 0.33, z + 0.4)
    return Toy(pieces, top, stance=0.52 * fat, figure=figure)


def a_rabbit(rng: random.Random) -> Toy:
    fur = some(rng, (0.93, 0.92, 0.90), (0.62, 0.60, 0.60), (0.62, 0.42, 0.26), (0.85, 0.68, 0.47))
    pink, white = vary((0.98, 0.60, 0.66), rng), vary(WHITE, rng, 0.5)
    fat, tall, ear = rng.uniform(0.4, 0.56), rng.uniform(0.42, 0.6), rng.uniform(0.34, 0.54)
    splay, z = rng.uniform(4, 26), tall + 0.12
    outer = ellipsoid(0.11, 0.17, ear).at(z=0.85 * ear)
    inner = ellipsoid(0.06, 0.1, 0.75 * ear).at(0.08, 0, 0.85 * ear)
    ears = [s.turned("y", -8).turned("x", -splay).at(0.06, 0.17, z + 0.26) for s in (outer, inner)]
    haunch = ellipsoid(0.3, 0.16, 0.28).at(-0.12, fat - 0.06, 0.3 - tall)
    foot = ellipsoid(0.28, 0.14, 0.1).at(0.2, 0.25, 0.05 - tall)
    paw = rod((0.2, 0.16, 0.1), (0.32, 0.14, 0.14 - tall), 0.11)
    pieces = (
        volume("body", fur, ellipsoid(0.44, fat, tall).at(-0.1, 0, 0)),
        volume("head", fur, ellipsoid(0.4, 0.43, 0.38).at(0.12, 0, z)),
        main("legs", fur, *both(haunch, foot, paw)),
        main("ears", fur, *both(ears[0])),
        piece("inner ears", pink, *both(ears[1])),
        piece("tail", white, ball(0.23).at(-0.56, 0, 0.26 - tall)),
        piece("muzzle", white, ellipsoid(0.14, 0.21, 0.13).at(0.43, 0, z - 0.11)),
        piece("nose", pink, ellipsoid(0.07, 0.09, 0.07).at(0.55, 0, z - 0.02)),
        eyes(0.4, 0.23, z + 0.11, 0.085),
    )
    neck = Neck((0.02, 0, z - 0.26), 0.33, lean=12)
    figure = Figure(neck, (0.36, 0, 0.05), (pieces[0].solids[0],), both(paw))
    return Toy(pieces, Head((0.12, 0, z + 0.23), 0.36, z + 0.38), stance=0.25, figure=figure)


def a_corgi(rng: random.Random) -> Toy:
    coat = some(rng, (0.90, 0.50, 0.16), (0.82, 0.42, 0.14), (0.92, 0.60, 0.28))
    white, pink = vary(WHITE, rng, 0.5), vary((0.96, 0.45, 0.50), rng)
    long, ear, leg = rng.uniform(0.36, 0.58), rng.uniform(0.22, 0.32), rng.uniform(0.12, 0.21)
    x = long + 0.14
    lobe = cone(ear, 0.22, 0.05, 0.03).stretched(0.45, 1, 1).turned("x", -18)
    legs = [
        s for sx in (-long, 0.9 * long)
        for s in both(cone(leg, 0.13, 0.15, 0.04).at(sx, 0.21, -0.26 - leg))
    ]  # fmt: skip
    pieces = (
        volume("body", coat, rod((-long, 0, 0), (0.7 * long, 0, 0.03), 0.38, 0.38)),
        volume("head", coat, ellipsoid(0.38, 0.42, 0.37).at(x, 0, 0.54)),
        piece("legs", white, *legs),
        piece("chest", white, ellipsoid(0.36, 0.33, 0.4).at(0.82 * long, 0, -0.04)),
        piece("muzzle", white, ellipsoid(0.3, 0.21, 0.16).at(x + 0.3, 0, 0.42)),
        piece("blaze", white, ellipsoid(0.14, 0.08, 0.32).turned("y", -20).at(x + 0.24, 0, 0.64)),
        piece("nose", BLACK, ellipsoid(0.09, 0.1, 0.08).at(x + 0.58, 0, 0.47)),
        main("ears", coat, *both(lobe.at(x - 0.04, 0.27, 0.78 + ear))),
        eyes(x + 0.3, 0.2, 0.64, 0.08),
        piece("rump", white, ellipsoid(0.16, 0.28, 0.28).at(-long - 0.3, 0, -0.08)),
        main("tail", coat, ball(0.13).at(-long - 0.34, 0, 0.22)),
        detail("tongue", pink, ellipsoid(0.1, 0.08, 0.06).at(x + 0.5, 0, 0.28)),
    )
    neck = Neck((0.85 * long, 0, 0.23), 0.38, lean=38)
    trunk = pieces[0].solids
    figure = Figure(neck, (x, 0, -0.35), trunk, tuple(legs[2:]), pitch=90)
    return Toy(pieces, Head((x - 0.06, 0, 0.8), 0.31, 0.91), stance=0.21, figure=figure)


def a_cat(rng: random.Random) -> Toy:
    coat = some(rng, (0.93, 0.55, 0.18), (0.52, 0.52, 0.55), (0.13, 0.12, 0.13), (0.90, 0.76, 0.55))
    white, pink = vary(WHITE, rng, 0.5), vary((0.96, 0.50, 0.56), rng)
    long, leg, up = rng.uniform(0.32, 0.44), rng.uniform(0.18, 0.25), rng.uniform(0.75, 1.0)
    curl = rng.uniform(-0.25, 0.25)
    x = long + 0.1
    lobe = cone(0.2, 0.21, 0.03, 0.02).stretched(0.5, 1, 1).turned("x", -14)
    legs = [
        s for sx in (-long, 0.85 * long)
        for s in both(cone(leg, 0.11, 0.12, 0.04).at(sx, 0.16, -0.18 - leg))
    ]  # fmt: skip
    bend = (-long - 0.34, 0.0, 0.62 * up)
    tail = (
        rod((-long - 0.1, 0, 0.05), bend, 0.11, 0.1),
        rod(bend, (-long - 0.24, curl, up + 0.05), 0.1).melted(0.03),
    )
    pieces: list[Piece] = [
        volume("body", coat, rod((-long, 0, 0), (0.8 * long, 0, 0.02), 0.29, 0.29)),
        volume("head", coat, ellipsoid(0.38, 0.45, 0.38).at(x, 0, 0.44)),
        main("legs", coat, *legs),
        main("ears", coat, *both(lobe.at(x - 0.02, 0.28, 0.84))),
        main("tail", coat, *tail),
        eyes(x + 0.29, 0.19, 0.52, 0.11, some(rng, (0.60, 0.85, 0.15), (0.98, 0.80, 0.10))),
        pupils(x + 0.36, 0.2, 0.52, 0.06),
        piece("muzzle", white, ellipsoid(0.13, 0.19, 0.12).at(x + 0.28, 0, 0.3)),
        piece("nose", pink, ellipsoid(0.06, 0.07, 0.05).at(x + 0.39, 0, 0.37)),
    ]
    if max(coat) > 0.3:
        r, g, b = coat
        bands = [cylinder(0.06, 0.302, 0.01).turned("y", 90).at(s * long) for s in (-0.75, -0.05)]
        pieces.append(detail("bands", (0.55 * r, 0.55 * g, 0.55 * b), *bands))
    neck = Neck((0.95 * long, 0, 0.17), 0.31, lean=38)
    figure = Figure(neck, (x, 0, -0.3), pieces[0].solids, tuple(legs[2:]), pitch=90)
    head = Head((x - 0.03, 0, 0.7), 0.36, 0.82)
    return Toy(tuple(pieces), head, stance=0.16, figure=figure)


def a_penguin(rng: random.Random) -> Toy:
    black = some(rng, (0.10, 0.10, 0.12), (0.16, 0.19, 0.27))
    white, orange = vary(WHITE, rng, 0.5), vary(BEAK, rng)
    fat, tall = rng.uniform(0.42, 0.52), rng.uniform(0.54, 0.68)
    lift, z = rng.uniform(12, 40), tall + 0.12
    flipper = ellipsoid(0.18, 0.08, 0.36).at(z=-0.3).turned("x", lift).at(-0.04, fat - 0.08, 0.3)
    belly = ellipsoid(0.8 * fat, 0.86 * fat, 0.92 * tall).at(0.3 * fat, 0, -0.04)
    pieces = (
        volume("body", black, ellipsoid(fat, fat, tall)),
        volume("head", black, ball(0.4).at(0.02, 0, z)),
        piece("belly", white, belly),
        piece("face", white, *both(ellipsoid(0.22, 0.19, 0.24).at(0.2, 0.16, z - 0.02))),
        main("flippers", black, *both(flipper)),
        main("tail", black, cone(0.14, 0.14, 0.04).turned("y", -115).at(-fat, 0, -0.75 * tall)),
        piece("beak", orange, cone(0.16, 0.13, 0.03, 0.02).turned("y", 95).at(0.5, 0, z - 0.06)),
        piece("feet", orange, *both(ellipsoid(0.28, 0.18, 0.09).at(0.18, 0.2, -0.97 * tall))),
        eyes(0.38, 0.16, z + 0.07, 0.075),
    )
    a = math.radians(lift)
    tip = (-0.04, fat - 0.08 + 0.55 * math.sin(a), 0.3 - 0.55 * math.cos(a))
    neck = Neck((0.01, 0, z - 0.27), 0.38)
    figure = Figure(neck, tip, (pieces[0].solids[0], belly), both(flipper))
    return Toy(pieces, Head((0, 0, z + 0.19), 0.38, z + 0.4), stance=0.2, figure=figure)


def a_fish(rng: random.Random) -> Toy:
    skin = some(rng, (0.98, 0.48, 0.06), (0.15, 0.40, 0.90), (0.92, 0.18, 0.16), (0.98, 0.82, 0.15))
    white, pink = vary(WHITE, rng, 0.5), vary((0.96, 0.42, 0.48), rng)
    tall, wide = rng.uniform(0.42, 0.54), rng.uniform(0.26, 0.33)
    tail = cone(0.24, 0.5, 0.1, 0.03).stretched(1, 0.16, 1).turned("y", 90).at(-0.85, 0, 0)
    notch = ball(0.24).at(-1.18, 0, 0).cutting()
    bands: list[Piece] = []
    for x in (-0.36, 0.18) if rng.random() < 0.6 else (0.1,):
        share = math.sqrt(1 - (x / 0.72) ** 2)
        disc = cylinder(0.065, 1.0, 0.02).turned("y", 90)
        disc = disc.stretched(1, share * wide + 0.025, share * tall + 0.025)
        bands.append(piece("stripe", white, disc.at(x)))
    dorsal = ellipsoid(0.36, 0.06, 0.26).turned("y", -18).at(-0.08, 0, 0.88 * tall)
    keel = ellipsoid(0.2, 0.06, 0.18).turned("y", 30).at(-0.2, 0, -0.9 * tall)
    flap = ellipsoid(0.2, 0.06, 0.13).at(-0.14, 0, 0).turned("z", -40).turned("y", 20)
    pieces = (
        volume("body", skin, ellipsoid(0.72, wide, tall)),
        main("fins", skin, dorsal, keel, *both(flap.at(0.08, wide - 0.04, -0.12))),
        main("tail", skin, tail, notch),
        *bands,
        eyes(0.45, 0.66 * wide, 0.14, 0.13, white),
        pupils(0.49, 0.66 * wide + 0.08, 0.15, 0.08),
        piece("lips", pink, torus(0.09, 0.055).turned("y", 90).at(0.69, 0, -0.08)),
    )
    neck = Neck((0.2, 0, 0), 0.98 * tall, 1.05 * wide / tall, lean=90)
    trunk, hand = (pieces[0].solids[0],), (-0.02, wide + 0.08, -0.09)
    figure = Figure(neck, hand, trunk, mouth=(0.74, 0, 0.01), pitch=90)
    return Toy(pieces, Head((0.1, 0, 0.8 * tall), 0.3, tall), stance=0.2, figure=figure)


def a_chick(rng: random.Random) -> Toy:
    down = some(rng, (1.0, 0.86, 0.18), (1.0, 0.80, 0.25), (0.99, 0.90, 0.42))
    orange = vary(BEAK, rng)
    fat, z = rng.uniform(0.48, 0.64), rng.uniform(0.52, 0.64)
    leg = fat + rng.uniform(0.06, 0.2)
    wing = ellipsoid(0.3, 0.1, 0.2).turned("y", 25).at(-0.08, fat - 0.02, 0.0)
    shank = rod((0, 0.2, -0.3), (0.02, 0.2, -leg), 0.06)
    toes = ellipsoid(0.2, 0.15, 0.06).at(0.1, 0.2, -leg - 0.02)
    curl = ellipsoid(0.06, 0.05, 0.14).at(z=z + 0.44)
    tuft = (curl.turned("y", -3).at(0.02), curl.turned("y", 2).at(0.13))
    tail = cone(0.18, 0.18, 0.05, 0.04).turned("y", -35).at(0.05 - fat, 0, 0.3)
    pieces = (
        volume("body", down, ellipsoid(fat, fat, 0.92 * fat)),
        volume("head", down, ball(0.4).at(0.14, 0, z)),
        main("wings", down, *both(wing)),
        main("tail", down, tail),
        Piece("tuft", down, tuft, main=True, pokes=True),
        piece("beak", orange, cone(0.13, 0.12, 0.02, 0.02).turned("y", 95).at(0.58, 0, z - 0.04)),
        piece("legs", orange, *both(shank, toes)),
        eyes(0.44, 0.21, z + 0.1, 0.075),
    )
    neck = Neck((0.08, 0, z - 0.25), 0.39, lean=10)
    hand = (0.14, fat + 0.03, -0.1)
    figure = Figure(neck, hand, (pieces[0].solids[0],), both(wing))
    return Toy(pieces, Head((0.1, 0, z + 0.23), 0.34, z + 0.4), stance=0.2, figure=figure)


def a_snail(rng: random.Random) -> Toy:
    shell = some(rng, (0.66, 0.36, 0.16), (0.82, 0.50, 0.20), (0.80, 0.30, 0.25))
    skin = some(rng, (0.88, 0.78, 0.55), (0.78, 0.80, 0.55), (0.80, 0.68, 0.55))
    swirl = vary((0.97, 0.88, 0.66), rng)
    big, wide = rng.uniform(0.48, 0.64), rng.uniform(0.33, 0.42)
    up, out = rng.uniform(0.42, 0.64), rng.uniform(0.2, 0.38)
    z = big - 0.42
    rings = [
        torus(r * big, 0.05).turned("x", 90).at(x, y * wide, z)
        for r, x, y in ((0.68, -0.15, 0.72), (0.33, -0.08, 0.93))
    ]
    stalk = rod((0.74, 0.08, 0.05), (0.84, out, up), 0.06, 0.11)
    pieces = (
        volume("shell", shell, ellipsoid(big, wide, big).at(-0.15, 0, z)),
        piece("swirl", swirl, *both(*rings)),
        piece("foot", skin, ellipsoid(0.88, 0.28, 0.15).at(0.0, 0, -0.44)),
        piece("neck", skin, rod((0.5, 0, -0.38), (0.76, 0, 0.0), 0.19, 0.18)),
        piece("stalks", skin, *both(stalk)),
        eyes(0.89, out, up, 0.115, vary(WHITE, rng, 0.5)),
        pupils(0.97, out + 0.01, up + 0.01, 0.07),
    )
    neck = Neck((0.66, 0, -0.15), 0.21, lean=34)
    figure = Figure(neck, (0.8, 0, -0.3), mouth=(0.89, 0, 0.0))
    head = Head((-0.15, 0, z + 0.6 * big), 0.42, z + big)
    return Toy(pieces, head, stance=0.2, figure=figure)


def a_hedgehog(rng: random.Random) -> Toy:
    brown = some(rng, (0.36, 0.23, 0.14), (0.45, 0.30, 0.18), (0.30, 0.24, 0.22))
    tan = some(rng, (0.93, 0.76, 0.54), (0.88, 0.68, 0.45))
    long, tall, sharp = rng.uniform(0.62, 0.84), rng.uniform(0.48, 0.66), rng.uniform(0.34, 0.46)
    spine = cone(sharp, 0.4, 0.01).at(z=0.56 + sharp)
    shift = rng.uniform(-6, 6)
    middle = [spine.turned("y", -a + shift) for a in (-18, 22, 62, 100)]
    sides = both(*(spine.turned("x", -52).turned("y", -a + shift) for a in (-22, 28, 78)))
    dome = [s.stretched(long, 0.58, tall).at(-0.12) for s in (ball(0.88), *middle, *sides)]
    pieces = (
        volume("spines", brown, *dome),
        piece("face", tan, cone(0.3, 0.36, 0.08, 0.06).turned("y", 98).at(0.58, 0, -0.14)),
        piece("belly", tan, ellipsoid(0.52, 0.38, 0.22).at(0.06, 0, -0.9 * tall + 0.14)),
        piece("nose", BLACK, ball(0.1).at(0.9, 0, -0.18)),
        detail("ears", tan, *both(ball(0.12).at(0.42, 0.33, 0.16))),
        eyes(0.6, 0.21, 0.06, 0.08),
    )
    neck = Neck((0.42, 0, -0.12), 0.42, lean=95)
    trunk = (ellipsoid(0.9 * long, 0.54, 0.9 * tall).at(-0.12),)
    figure = Figure(neck, (0.6, 0, -0.35), trunk, mouth=(0.98, 0, -0.22), pitch=90)
    return Toy(pieces, Head((0.0, 0, 0.5 * tall), 0.45, tall), stance=0.25, figure=figure)


def a_peacock(rng: random.Random) -> Toy:
    blue = some(rng, (0.05, 0.25, 0.80), (0.04, 0.38, 0.72), (0.16, 0.16, 0.70))
    green = some(rng, (0.10, 0.55, 0.30), (0.20, 0.60, 0.20), (0.05, 0.52, 0.42))
    gold, sky = vary((0.96, 0.76, 0.14), rng), vary((0.10, 0.30, 0.90), rng)
    reach, spread = rng.uniform(0.88, 1.12), rng.uniform(26, 29)
    lean, tall = rng.uniform(4, 22), rng.uniform(0.24, 0.46)
    spot = cylinder(0.085, 0.15, 0.02).turned("y", 90).at(z=0.82 * reach)
    spots = [spot.turned("x", spread * i) for i in (-3, -2, -1, 0, 1, 2, 3)]
    fan = [cylinder(0.05, reach, 0.03).turned("y", 90), box(1, 2, 1).at(z=0.75).keeping()]
    fan, spots = ([s.turned("y", -lean).at(-0.32, 0, -0.2) for s in part] for part in (fan, spots))
    neck = rod((0.22, 0, -0.3), (0.38, 0, tall), 0.21, 0.13)
    shank = rod((0.02, 0.12, -0.5), (0.04, 0.12, -0.88), 0.05)
    pieces = (
        main("fan", green, *fan),
        piece("spots", sky, *spots),
        volume("body", blue, ellipsoid(0.44, 0.3, 0.32).at(0, 0, -0.36), neck.melted(0.1)),
        main("head", blue, ball(0.19).at(0.4, 0, tall + 0.08)),
        piece("beak", gold, cone(0.12, 0.1, 0.02).turned("y", 95).at(0.65, 0, tall + 0.06)),
        eyes(0.52, 0.1, tall + 0.15, 0.065, WHITE),
        piece("legs", gold, *both(shank)),
        detail(
            "crest",
            sky,
            cone(0.11, 0.03, 0.11, 0.01).stretched(1, 0.45, 1).at(0.37, 0, tall + 0.34),
        ),
    )
    figure = Figure(Neck((0.3, 0, 0.02), 0.19, lean=22), (0.42, 0, -0.35), pieces[2].solids)
    head = Head((0.4, 0, tall + 0.16), 0.19, tall + 0.27)
    return Toy(pieces, head, stance=0.12, figure=figure)
