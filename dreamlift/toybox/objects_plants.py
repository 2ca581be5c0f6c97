"""Plants, and what they grow in: pot, cactus, vase, flower, tree, mushroom, leaves, palm tree."""

import math
import random

from dreamlift.geometry.primitives import Solid, ball, box, cone, cylinder, ellipsoid, rod, torus
from dreamlift.toybox.colours import NAMED, some, vary
from dreamlift.toybox.objects import Head, Piece, Seat, Toy, Well, both, detail, piece, volume

BARK = ((0.40, 0.24, 0.12), (0.50, 0.33, 0.18), (0.34, 0.22, 0.15))
GREEN = ((0.16, 0.52, 0.13), (0.28, 0.62, 0.16), (0.10, 0.42, 0.20))
PETALS = tuple(NAMED[name] for name in ("pink", "red", "purple", "white", "orange", "blue"))
YELLOW = (0.98, 0.80, 0.10)


def a_pot(rng: random.Random) -> Toy:
    clay = some(rng, (0.78, 0.38, 0.20), (0.70, 0.33, 0.18), (0.85, 0.50, 0.32))
    h, r = rng.uniform(0.6, 0.85), rng.uniform(0.72, 0.85)
    foot, lip = r * rng.uniform(0.6, 0.75), rng.uniform(0.16, 0.22)
    body = cone(h, foot, r, 0.03)
    rim = cylinder(lip, r + 0.13, 0.05).at(z=h - lip + 0.05)
    hollow = cylinder(h, r - 0.04, 0.02).at(z=1.6 * h)
    soil = ellipsoid(r - 0.02, r - 0.02, 0.14).at(z=0.88 * h - 0.06)
    pieces = (
        volume("pot", clay, body, rim, hollow.cutting()),
        piece("soil", vary((0.20, 0.12, 0.07), rng), soil),
    )
    well = Well((0, 0, h + 0.05), (r - 0.04, r - 0.04))
    return Toy(pieces, Head((0, 0, h), r + 0.1, h + 0.05), stance=0.4, well=well)


def a_cactus(rng: random.Random) -> Toy:
    green = some(rng, (0.20, 0.55, 0.22), (0.30, 0.60, 0.20), (0.16, 0.48, 0.30))
    r, h, turn = rng.uniform(0.28, 0.34), rng.uniform(0.95, 1.1), rng.choice((0, 180))
    arms: list[Solid] = []
    for side in (-1, 1):
        low, high = rng.uniform(-0.35, 0.15), rng.uniform(0.25, 0.5)
        out, thick = rng.uniform(0.6, 0.7), rng.uniform(0.16, 0.19)
        spread = rng.uniform(52, 68)
        elbow = (out, 0.0, low + 0.06)
        arm = rod((0, 0, low), elbow, thick), rod(elbow, (out, 0, low + high), thick, thick * 0.95)
        arms += [solid.turned("z", turn + side * spread) for solid in arm]
    spines = [
        ball(0.055).at(r, 0, h * (z + 0.16 * (i % 2))).turned("z", 60 * i + turn)
        for i in range(6)
        for z in (0.5, -0.75)
    ]
    bloom = ellipsoid(0.2, 0.2, 0.14).at(z=h + 0.1)
    pieces = (
        volume("stem", green, rod((0, 0, -h), (0, 0, h - 0.05), 0.94 * r, r)),
        volume("arms", green, *arms),
        detail("spines", vary((0.95, 0.93, 0.70), rng), *spines),
        Piece("bloom", some(rng, NAMED["pink"], NAMED["red"], YELLOW), (bloom,), pokes=True),
    )
    return Toy(pieces, Head((0, 0, h - 0.12), 0.98 * r, h + 0.05), stance=0.2)


def a_vase(rng: random.Random) -> Toy:
    name = rng.choice(("blue", "white", "green", "purple", "red", "pink", "orange"))
    colour, second = some(rng, NAMED[name]), YELLOW if name != "white" else NAMED["blue"]
    belly, tall = rng.uniform(0.6, 0.7), rng.uniform(0.6, 0.7)
    neck, lip = rng.uniform(0.2, 0.27), rng.uniform(0.42, 0.5)
    top = tall + rng.uniform(0.35, 0.5)
    body = (
        ellipsoid(belly, belly, tall),
        cone(0.1, 0.42, 0.36, 0.03).at(z=-tall).melted(0.08),
        cone(0.4, neck + 0.12, neck).at(z=top - 0.4).melted(0.15),
        cone(0.1, neck, lip, 0.03).at(z=top).melted(0.06),
        cone(0.1, neck - 0.06, lip - 0.06).at(z=top + 0.001).cutting(),
        cylinder(0.3, neck - 0.06).at(z=top - 0.3).cutting(),
    )
    waist = ellipsoid(belly + 0.025, belly + 0.025, tall + 0.025)
    band = box(1, 1, rng.uniform(0.1, 0.14)).at(z=rng.uniform(-0.05, 0.1)).keeping()
    pieces = (volume("vase", colour, *body), detail("band", vary(second, rng), waist, band))
    well = Well((0, 0, top + 0.1), (neck - 0.06, neck - 0.06), narrow=True)
    return Toy(pieces, stance=0.3, well=well)


def a_flower(rng: random.Random) -> Toy:
    petal, green = some(rng, *PETALS), some(rng, *GREEN)
    n, wide = rng.choice((5, 6, 7, 8)), rng.uniform(0.58, 0.68)
    tilt, lean = rng.uniform(45, 55), rng.uniform(-0.16, 0.16)
    top = (0.0, 0.0, 0.5)
    half = 0.92 * wide * math.sin(math.pi / n) + 0.05
    one = ellipsoid(0.5 * wide, half, 0.11).at(x=0.66 * wide).turned("y", -20)
    petals = [one.turned("z", 360 / n * (i + 0.5)) for i in range(n)]
    heart = ellipsoid(0.26, 0.26, 0.15).at(z=0.16)
    middle = (-0.08, lean, -0.3)
    stem = rod((-0.1, -0.6 * lean, -1.1), middle, 0.065), rod(middle, top, 0.065)
    leaf = ellipsoid(0.15, 0.34, 0.06).at(y=0.34).turned("x", rng.uniform(20, 40))
    leaves = [leaf.turned("z", turn).at(-0.08, 0, -0.85) for turn in (rng.uniform(-25, 25), 180)]
    pieces = (
        volume("petals", petal, *(p.turned("y", tilt).at(*top) for p in petals)),
        piece("heart", vary(YELLOW, rng), heart.turned("y", tilt).at(*top)),
        piece("stem", green, *stem),
        detail("leaves", green, *leaves),
    )
    return Toy(pieces, stance=0.2, grip=(-0.08, 0.5 * lean, -0.6))


def a_tree(rng: random.Random) -> Toy:
    bark, green = some(rng, *BARK), some(rng, *GREEN)
    trunk, r, n = rng.uniform(0.14, 0.18), rng.uniform(0.5, 0.58), rng.choice((4, 5, 6))
    start = rng.uniform(0, 360)
    tuft = [
        ball(rng.uniform(0.36, 0.44)).at(0.45, 0, rng.uniform(-0.12, 0.12))
        .turned("z", start + 360 / n * i).at(z=0.3) for i in range(n)
    ]  # fmt: skip
    crown = (ball(r).at(z=0.4), ball(0.42).at(z=rng.uniform(0.75, 0.85)), *tuft)
    branch = rod((0, 0, -0.5), (0, 0.4, 0.05), 0.09, 0.07).turned("z", start)
    pieces = (
        volume("leaves", green, *(solid.melted(0.04) for solid in crown)),
        Piece("trunk", bark, (cone(0.6, 1.5 * trunk, trunk).at(z=-0.55),), volume=True),
        detail("branches", bark, branch, branch.turned("z", 150)),
    )
    return Toy(pieces, Head((0, 0, 0.9), 0.42, 1.2), stance=0.2)


def a_mushroom(rng: random.Random) -> Toy:
    red = some(rng, (0.85, 0.08, 0.07), (0.85, 0.08, 0.07), (0.90, 0.40, 0.08), (0.55, 0.30, 0.15))
    white = vary((0.96, 0.94, 0.88), rng, 0.5)
    tall, cap, r = rng.uniform(0.4, 0.55), rng.uniform(0.6, 0.8), rng.uniform(0.26, 0.34)
    spots: list[Solid] = []
    for i in range(9):
        tilt, turn = (0.0, 0.0) if i == 0 else (rng.uniform(40, 50), 72 * i + rng.uniform(-8, 8))
        if i > 5:
            tilt, turn = rng.uniform(68, 74), 120 * i + 36
        a, b = math.radians(tilt), math.radians(turn)
        x, y, z = math.sin(a) * math.cos(b), math.sin(a) * math.sin(b), math.cos(a) * cap
        spot = ellipsoid(0.17, 0.17, 0.07).turned("y", math.degrees(math.atan(math.tan(a) * cap)))
        spots.append(spot.turned("z", turn).at(x, y, z))
    over = box(2, 2, 1).at(z=1).keeping().melted(0.08)
    pieces = (
        volume("cap", red, ellipsoid(1, 1, cap), over),
        detail("spots", white, *spots),
        piece("gills", vary((0.88, 0.80, 0.66), rng), cone(0.06, 0.6, 0.9, 0.02)),
        Piece("stem", white, (cone(tall, 1.3 * r, r, 0.08).at(z=-tall + 0.05),), volume=True),
    )
    return Toy(pieces, Head((0, 0, 0.72 * cap), 0.66, cap), stance=0.3)


def a_palm_tree(rng: random.Random) -> Toy:
    bark, green = some(rng, (0.55, 0.38, 0.20), (0.62, 0.46, 0.28)), some(rng, *GREEN)
    bend, side = rng.uniform(0.18, 0.4), rng.uniform(0, 360)
    up = [(bend * (s * s - 0.5), 0.0, -1.2 + 1.7 * s) for s in (0, 0.35, 0.7, 1)]
    trunk = [
        rod(a, b, 0.15 - 0.025 * i, 0.125 - 0.025 * i).turned("z", side)
        for i, (a, b) in enumerate(zip(up, up[1:], strict=False))
    ]
    a = math.radians(side)
    top = (math.cos(a) * up[3][0], math.sin(a) * up[3][0], up[3][2])
    fronds: list[Solid] = []
    for i in range(6):
        turn, rise = 60 * i + side + rng.uniform(-10, 10), rng.uniform(15, 30)
        near = ellipsoid(0.36, 0.15, 0.07).at(x=0.3).turned("y", -rise)
        x, z = 0.54 * math.cos(math.radians(rise)), 0.54 * math.sin(math.radians(rise))
        far = ellipsoid(0.36, 0.15, 0.07).at(x=0.25).turned("y", rng.uniform(38, 50)).at(x, 0, z)
        fronds += [near.turned("z", turn).at(*top), far.turned("z", turn).at(*top)]
    nuts = [ball(0.12).at(0.15, 0, -0.13).turned("z", 120 * i).at(*top) for i in range(3)]
    pieces = (
        volume("leaves", green, *fronds),
        Piece("trunk", bark, tuple(trunk), volume=True),
        detail("coconuts", vary((0.32, 0.19, 0.10), rng), *nuts),
    )
    return Toy(pieces, stance=0.2)


def a_leaf(rng: random.Random) -> Toy:
    colour = some(rng, *GREEN, *GREEN, (0.90, 0.42, 0.06), (0.80, 0.15, 0.08))
    pale = (0.5 + 0.5 * colour[0], 0.5 + 0.5 * colour[1], 0.5 + 0.5 * colour[2])
    w, fold = rng.uniform(0.6, 0.75), rng.uniform(28, 38)
    lean, roll = rng.uniform(8, 20), rng.uniform(-14, 14)
    r = (1 + w * w) / (2 * w)
    half = cylinder(0.08, r).turned("y", 90).at(y=w - r)
    side = box(0.2, w / 2, 1).at(y=w / 2 - 0.01).keeping()
    veins = [
        rod((0, 0, z), (0, 0.75 * w * (1 - z * z), z + 0.3), 0.105) for z in (-0.55, -0.15, 0.25)
    ]

    def placed(*solids: Solid) -> tuple[Solid, ...]:
        return tuple(s.turned("y", -lean).turned("x", roll) for s in solids)

    blade = [s.turned("z", -fold) for s in (half, side)]
    other = [s.turned("z", fold) for s in (half.at(y=2 * (r - w)), side.at(y=0.02 - w))]
    ribs = both(*(vein.turned("z", -fold) for vein in veins))
    pieces = (
        volume("blade", colour, *placed(*blade)),
        volume("blade", colour, *placed(*other)),
        piece("stem", pale, *placed(rod((0, 0, -1.3), (0, 0, 0.8), 0.11, 0.07))),
        detail("veins", pale, *placed(*ribs)),
    )
    return Toy(pieces, stance=0.2)


def a_lily_pad(rng: random.Random) -> Toy:
    green, pink = some(rng, *GREEN), some(rng, NAMED["pink"], NAMED["white"], (0.95, 0.45, 0.60))
    turn, narrow = rng.uniform(-30, 30), rng.uniform(0.3, 0.5)
    wedge = box(1, 1, 1).at(1, 1).turned("z", -45).stretched(1, narrow, 1).at(x=0.1)
    disc = cylinder(0.06, 1.0, 0.03), torus(1.0, 0.1)
    veins = [
        rod((0.15, 0, 0.05), (0.85, 0, 0.05), 0.045).turned("z", turn + a)
        for a in (60, 120, 180, 240, 300)
    ]
    x, y = -0.62, rng.choice((-1, 1)) * rng.uniform(0.15, 0.35)
    petal = ellipsoid(0.1, 0.12, 0.26).at(z=0.22)
    bloom = [petal.turned("y", 48).turned("z", 72 * i).at(x, y, 0.05) for i in range(5)]
    bloom += [petal.turned("y", 18).turned("z", 120 * i + 36).at(x, y, 0.12) for i in range(3)]
    pieces = (
        volume("pad", green, *disc, wedge.turned("z", turn).cutting()),
        detail("veins", (0.5 + 0.5 * green[0], 0.5 + 0.5 * green[1], 0.5 * green[2]), *veins),
        Piece("bloom", pink, tuple(bloom), pokes=True),
        Piece("heart", YELLOW, (ball(0.13).at(x, y, 0.3),), detail=True, pokes=True),
    )
    return Toy(pieces, seat=Seat((0.1, 0, 0.06), 0.62), stance=0.5)
