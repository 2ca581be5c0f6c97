"""Things that drive, float and fly, their noses at +x."""

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
from dreamlift.toybox.objects import Head, Piece, Seat, Toy, Well, both, detail, main, piece, volume
from dreamlift.toybox.objects_made import WOOD

TYRE = (0.09, 0.09, 0.10)
GLASS = (0.16, 0.26, 0.38)
CHROME = (0.75, 0.77, 0.80)
LIGHT = (1.0, 0.93, 0.55)
SIGNAL = (0.80, 0.05, 0.05)
BRIGHT = ("red", "blue", "yellow", "green", "orange")


def wheel(radius: float, half: float) -> Solid:
    """A wheel with its axle along y."""
    return cylinder(half, radius, 0.25 * half).turned("x", 90)


def bright(rng: random.Random) -> tuple[float, float, float]:
    return some(rng, *(NAMED[name] for name in BRIGHT))


def a_car(rng: random.Random) -> Toy:
    paint = bright(rng)
    long, wide = rng.uniform(0.95, 1.08), rng.uniform(0.5, 0.56)
    r, roof = rng.uniform(0.23, 0.27), rng.uniform(0.25, 0.32)
    half, back = rng.uniform(0.48, 0.56), rng.uniform(-0.2, -0.1)
    z = 0.22 + roof
    cabin = box(half, wide - 0.07, roof, 0.1).at(back, 0, z)
    panes = [
        box(half + 0.03, wide - 0.17, 0.55 * roof, 0.03).at(back, 0, z + 0.03),
        *(box(0.38 * half, wide - 0.03, 0.55 * roof, 0.03).at(back + s * 0.46 * half, 0, z + 0.03)
          for s in (-1, 1)),
    ]  # fmt: skip
    wheels = [wheel(r, 0.12).at(s * 0.6 * long, wide - 0.08, -0.14) for s in (-1, 1)]
    hubs = [wheel(0.5 * r, wide + 0.07).at(s * 0.6 * long, 0, -0.14) for s in (-1, 1)]
    bumper = box(long + 0.05, wide - 0.05, 0.05, 0.04).at(z=-0.08)
    pieces = (
        volume("body", paint, box(long, wide, 0.24, 0.12).at(z=0.08)),
        volume("cabin", paint, cabin),
        piece("windows", GLASS, *panes),
        piece("wheels", TYRE, *both(*wheels)),
        detail("hubs", CHROME, *hubs),
        piece("bumpers", CHROME, bumper),
        piece("headlights", LIGHT, *both(ball(0.11).at(long - 0.03, wide - 0.18, 0.13))),
        detail("tail lights", SIGNAL, *both(ball(0.09).at(-long + 0.02, wide - 0.16, 0.14))),
    )
    hole = box(half - 0.05, wide - 0.12, 0.4).at(back, 0, 0.42).cutting()
    pane = box(0.05, wide - 0.1, 0.62 * roof).turned("y", -18).at(back + half, 0, 0.26 + 0.5 * roof)
    seat = box(0.1, wide - 0.16, 0.6 * roof, 0.06).at(back - half + 0.1, 0, 0.2 + 0.5 * roof)
    opened = (
        volume("body", paint, box(long, wide, 0.24, 0.12).at(z=0.08), hole),
        piece("windows", GLASS, pane),
        piece("seat", TYRE, seat),
        *pieces[3:],
    )
    well = Well((back, 0, 0.32), (half - 0.08, wide - 0.12), opened)
    return Toy(pieces, stance=0.6 * wide, well=well, saddle=(back, 0, z + roof))


def a_truck(rng: random.Random) -> Toy:
    paint = bright(rng)
    cargo = some(rng, (0.93, 0.93, 0.93), (0.93, 0.93, 0.93), (0.70, 0.72, 0.76), (0.90, 0.80, 0.6))
    long, tall, wide = rng.uniform(0.68, 0.8), rng.uniform(0.44, 0.52), rng.uniform(0.42, 0.48)
    cab, r = rng.uniform(0.27, 0.32), 0.22
    nose, high = 0.06 + 2 * cab, rng.uniform(0.36, 0.42)
    front = box(cab, wide - 0.03, high, 0.08).at(0.06 + cab, 0, high)
    panes = (
        box(0.05, wide - 0.12, 0.16, 0.02).at(nose - 0.01, 0, 1.35 * high),
        box(0.45 * cab, wide, 0.15, 0.02).at(0.1 + cab, 0, 1.37 * high),
    )
    xs = (0.08 + cab, 0.2 - 1.3 * long, 0.2 - 1.3 * long - 2.1 * r)
    wheels = [wheel(r, 0.11).at(x, wide - 0.06, -0.06) for x in xs]
    hubs = [wheel(0.45 * r, wide + 0.08).at(x, 0, -0.06) for x in xs]
    pieces = (
        volume("cargo box", cargo, box(long, wide + 0.03, tall, 0.03).at(-long, 0, tall + 0.14)),
        volume("cab", paint, front),
        piece("frame", TYRE, box(long + cab, wide - 0.12, 0.08).at(cab - long, 0, 0.05)),
        piece("windows", GLASS, *panes),
        piece("wheels", TYRE, *both(*wheels)),
        detail("hubs", CHROME, *hubs),
        piece("grille", CHROME, box(0.05, 0.2, 0.09).at(nose, 0, 0.2),
              box(0.06, wide, 0.05).at(nose, 0, 0.03)),
        piece("headlights", LIGHT, *both(ball(0.08).at(nose, wide - 0.1, 0.2))),
    )  # fmt: skip
    return Toy(pieces, stance=0.6 * wide, saddle=(-long, 0, 2 * tall + 0.14))


def a_train(rng: random.Random) -> Toy:
    paint = some(rng, *(NAMED[n] for n in ("red", "green", "blue", "black")))
    trim = some(rng, (0.93, 0.70, 0.14), NAMED["red"] if paint[0] < 0.5 else (0.93, 0.70, 0.14))
    r, long = rng.uniform(0.3, 0.36), rng.uniform(0.55, 0.68)
    wide, high = 0.42, rng.uniform(0.5, 0.58)
    boiler = cylinder(long, r, 0.04).turned("y", 90).at(long - 0.1, 0, 0.12 + r)
    front = 2 * long - 0.1
    cab = box(0.36, wide, high, 0.03).at(-0.42, 0, high - 0.02)
    roof = box(0.45, wide + 0.08, 0.06, 0.03).at(-0.42, 0, 2 * high)
    top = 0.12 + 2 * r
    chimney = cone(0.28, 0.1, 0.22, 0.02).at(front - 0.25, 0, top + 0.22)
    dome = ellipsoid(0.14, 0.14, 0.17).at(0.32 * front, 0, top)
    door = wheel(0.8 * r, 0.05).turned("z", 90).at(front, 0, 0.12 + r)
    window = box(0.2, wide + 0.03, 0.17, 0.02).at(-0.42, 0, 1.42 * high)
    plough = pyramid(0.17, 1).stretched(0.3, wide, 1).at(front + 0.02, 0, -0.07)
    w = rng.uniform(0.21, 0.25)
    xs = (front - 0.2, (front - 0.68) / 2, -0.48)
    wheels = [wheel(w, 0.07).at(x, wide - 0.03, -0.1) for x in xs]
    hubs = [wheel(0.4 * w, wide + 0.06).at(x, 0, -0.1) for x in xs]
    base = box((front + 0.78) / 2, wide - 0.1, 0.1).at((front - 0.78) / 2, 0, 0.06)
    pieces = (
        volume("boiler", paint, boiler),
        volume("cab", paint, cab),
        piece("frame", TYRE, base, roof),
        Piece("chimney", TYRE, (chimney,), pokes=True),
        piece("front", trim, door, dome),
        piece("window", (0.75, 0.88, 0.95), window),
        piece("plough", SIGNAL if paint[0] < 0.5 else trim, plough),
        piece("wheels", TYRE, *both(*wheels)),
        detail("hubs", trim, *hubs),
    )
    return Toy(pieces, stance=wide, saddle=(-0.42, 0, 2 * high + 0.06))


def a_bulldozer(rng: random.Random) -> Toy:
    paint = some(rng, (0.98, 0.72, 0.05), (0.98, 0.72, 0.05), (0.96, 0.52, 0.06))
    dark = vary((0.14, 0.14, 0.15), rng)
    long, wide = rng.uniform(0.66, 0.76), rng.uniform(0.46, 0.54)
    t, tall = rng.uniform(0.24, 0.28), rng.uniform(0.42, 0.5)
    track = box(long, 0.16, t, 0.155).at(-0.05, wide, 0)
    rollers = [wheel(0.5 * t, wide + 0.19).at(x * (long - t) - 0.05, 0, 0) for x in (-1, 0, 1)]
    blade = (
        box(0.17, wide + 0.3, tall, 0.02).at(long + 0.36, 0, tall - t),
        wheel(1.25 * tall, 2).at(long + 0.36 + tall * 1.18, 0, 1.1 * tall - t).cutting(),
    )
    arms = both(rod((0.1, wide - 0.14, 0.12), (long + 0.3, wide - 0.14, 0.05), 0.08))
    hood = box(0.42, wide - 0.18, 0.22, 0.05).at(0.32, 0, t + 0.16)
    cab = box(0.32, wide - 0.1, 0.42, 0.05).at(-0.4, 0, t + 0.34)
    roof = box(0.38, wide - 0.04, 0.06, 0.03).at(-0.4, 0, t + 0.8)
    panes = (
        box(0.34, wide - 0.2, 0.18, 0.02).at(-0.4, 0, t + 0.5),
        box(0.2, wide - 0.07, 0.18, 0.02).at(-0.4, 0, t + 0.5),
    )
    pipe = rod((0.42, 0.12, t + 0.3), (0.42, 0.12, t + 0.72), 0.06)
    pieces = (
        volume("hood", paint, hood, box(0.62, wide - 0.12, 0.14).at(-0.05, 0, 0.12)),
        volume("cab", paint, cab, roof),
        piece("tracks", dark, *both(track)),
        main("rollers", paint, *rollers),
        main("arms", paint, *arms),
        piece("blade", some(rng, (0.62, 0.64, 0.67), (0.45, 0.47, 0.5)), *blade),
        piece("windows", GLASS, *panes),
        Piece("pipe", dark, (pipe,), pokes=True),
    )
    return Toy(pieces, stance=wide, saddle=(-0.4, 0, t + 0.86))


def a_lawnmower(rng: random.Random) -> Toy:
    paint = some(rng, NAMED["red"], NAMED["red"], NAMED["green"], NAMED["orange"])
    long, wide = rng.uniform(0.6, 0.74), rng.uniform(0.42, 0.54)
    r = rng.uniform(0.2, 0.24)
    deck = box(long, wide, 0.17, 0.1).at(z=0.1)
    motor = (
        cylinder(0.2, 0.27, 0.05).at(0.12, 0, 0.4),
        cylinder(0.08, 0.2, 0.04).at(0.12, 0, 0.62),
    )
    reach, high = rng.uniform(0.9, 1.35), rng.uniform(0.9, 1.25)
    grip = (-0.3 - reach, wide - 0.1, high)
    bars = both(rod((-0.4, wide - 0.1, 0.15), grip, 0.055))
    bar = rod(grip, (grip[0], -grip[1], grip[2]), 0.075)
    x, y, z = -0.3 - 0.55 * reach, wide - 0.1, 0.6 * high
    cross = rod((x, y, z), (x, -y, z), 0.045)
    bag = box(0.32, wide - 0.1, 0.24, 0.12).turned("y", 18).at(-long - 0.22, 0, 0.26)
    wheels = [wheel(r, 0.09).at(s * (long - 0.12), wide + 0.05, 0) for s in (-1, 1)]
    hubs = [wheel(0.5 * r, wide + 0.16).at(s * (long - 0.12), 0, 0) for s in (-1, 1)]
    steel = vary((0.45, 0.46, 0.48), rng)
    pieces = (
        volume("deck", paint, deck),
        piece("motor", vary((0.16, 0.16, 0.17), rng), *motor),
        piece("wheels", TYRE, *both(*wheels)),
        detail("hubs", CHROME, *hubs),
        piece("bag", some(rng, (0.2, 0.22, 0.2), (0.15, 0.3, 0.18)), bag),
        Piece("handle", steel, (*bars, cross), pokes=True),
        Piece("grip", TYRE, (bar,), pokes=True),
    )
    return Toy(pieces, stance=0.7 * wide, saddle=(0.1, 0, 0.7))


def an_airplane(rng: random.Random) -> Toy:
    white = (0.95, 0.95, 0.96)
    paint = some(rng, white, white, *(NAMED[name] for name in ("red", "yellow", "blue")))
    trim = some(rng, NAMED["red"], NAMED["blue"]) if min(paint) > 0.5 else vary(CHROME, rng)
    long, r = rng.uniform(0.95, 1.1), rng.uniform(0.2, 0.24)
    span, sweep = rng.uniform(1.05, 1.25), rng.uniform(0.3, 0.5)
    wing = _swept(0.26, span / 2, 0.06, sweep).at(0.05 - sweep * span / 2, span / 2, -0.3 * r)
    tail = _swept(0.16, 0.22, 0.05, 0.6).at(-long + 0.08, 0.22, 0.2 * r)
    fin = _swept(0.19, 0.24, 0.06, 0.6).turned("x", 90).at(-long + 0.06, 0, r + 0.15)
    tube = ellipsoid(long, r, r).stretched(1, 1, 1.05)
    body = rod((-0.45 * long, 0, 0), (0.7 * long, 0, 0), r, r)
    cockpit = ellipsoid(0.16, 0.78 * r, 0.1).turned("y", 25).at(0.7 * long + 0.02, 0, 0.74 * r)
    row = [ball(0.06).at(x * long, 0.96 * r, 0.22 * r) for x in (-0.38, 0.36, 0.56)]
    low = -0.3 * r - 0.14
    engine = rod((-0.12, 0.48 * span, low), (0.16, 0.48 * span, low), 0.12)
    pieces = (
        volume("body", paint, tube.at(-0.12), body.melted(0.05)),
        main("wings", paint, *both(wing, tail)),
        piece("fin", trim, fin),
        piece("cockpit", GLASS, cockpit),
        detail("windows", GLASS, *both(*row)),
        piece("engines", trim, *both(engine)),
    )
    return Toy(pieces, stance=0.3, saddle=(-0.05, 0, r))


def _swept(chord: float, half: float, thick: float, sweep: float) -> Solid:
    """A plate along y, its tip at +y further back."""
    plate = box(chord, half, thick, 0.04)
    return replace(plate, linear=np.array([[1, -sweep, 0], [0, 1, 0], [0, 0, 1.0]]))


def a_rocket(rng: random.Random) -> Toy:
    paint = some(rng, (0.95, 0.95, 0.95), (0.95, 0.95, 0.95), (0.72, 0.75, 0.8), NAMED["yellow"])
    red = some(rng, NAMED["red"], NAMED["red"], NAMED["orange"], NAMED["blue"])
    r, tall = rng.uniform(0.36, 0.42), rng.uniform(0.95, 1.15)
    n = rng.choice((3, 4))
    body = ellipsoid(r, r, tall)
    floor = box(2, 2, 2).at(z=2 - 0.72 * tall).keeping()
    split = 0.52 * tall
    cap = (ellipsoid(r + 0.03, r + 0.03, tall + 0.03), box(2, 2, 1).at(z=1 + split).keeping())
    blade = box(0.24, 0.055, 0.3, 0.03)
    blade = replace(blade, linear=np.array([[1, 0, 0], [0, 1, 0], [-1.0, 0, 1.0]]))
    fins = [blade.at(r + 0.1, 0, -0.62 * tall).turned("z", 360 * i / n + 180 / n) for i in range(n)]
    x = r * math.sqrt(1 - 0.18**2)
    window = ball(0.17).stretched(0.6, 1, 1).at(x - 0.02, 0, 0.18 * tall)
    frame = torus(0.18, 0.06).turned("y", 90).at(x, 0, 0.18 * tall)
    bell = cone(0.08, 0.28, 0.2).at(z=-0.72 * tall - 0.06)
    blast = rng.uniform(0.4, 0.5)
    fire = cone(blast, 0.04, 0.24, 0.03).at(z=-0.72 * tall - 0.1 - blast)
    pieces = (
        volume("body", paint, body, floor),
        piece("nose", red, *cap),
        piece("fins", red, *fins),
        piece("window", (0.35, 0.70, 0.95), window),
        piece("frame", vary((0.35, 0.36, 0.4), rng), frame),
        piece("engine", vary((0.3, 0.3, 0.33), rng), bell),
        piece("fire", vary((1.0, 0.55, 0.05), rng), fire),
    )
    return Toy(pieces, Head((0, 0, 0.66 * tall), 0.72 * r, tall), stance=0.3)


def a_boat(rng: random.Random) -> Toy:
    paint = some(rng, *(NAMED[n] for n in ("red", "blue", "green", "brown")))
    long, wide, deep = rng.uniform(0.95, 1.05), rng.uniform(0.46, 0.54), rng.uniform(0.26, 0.32)
    stern = box(2, 2, 2).at(2 - 0.85 * long).keeping()
    shape = ellipsoid(long * 1.12, wide, 2.4 * deep)
    hollow = ellipsoid(long, wide - 0.1, 2.1 * deep).at(z=deep + 0.1).cutting()
    hull = (shape.at(z=deep), box(3, 3, deep).keeping(), stern, hollow)
    band = box(3, 3, 0.07).at(z=deep - 0.04).keeping()
    edge = (shape.stretched(1.04, 1.06, 1).at(z=deep), band, stern.at(-0.05), hollow)
    x, tall = 0.08, rng.uniform(1.45, 1.7)
    mast = rod((x, 0, -0.9 * deep), (x, 0, tall), 0.055)
    foot, half = rng.uniform(0.4, 0.46), (tall - 0.5) / 2
    sail = pyramid(half, 1).stretched(foot, 0.1, 1)
    lean = np.array([[1, 0, -foot / (2 * half)], [0, 1, 0], [0, 0, 1.0]])
    swing = rng.choice((-1, 1)) * rng.uniform(22, 36)
    sail = replace(sail, linear=lean @ sail.linear).at(0.5 * foot + 0.01, 0, 0.44 + half)
    flag = box(0.15, 0.04, 0.09).at(x - 0.15, 0, tall - 0.06)
    pieces = (
        volume("hull", paint, *hull),
        detail("edge", vary((0.95, 0.93, 0.88), rng), *edge),
        piece("mast", some(rng, *WOOD), mast),
        piece("sail", some(rng, (0.97, 0.96, 0.92), (0.97, 0.96, 0.92), (0.98, 0.80, 0.40)),
              sail.turned("z", swing).at(x)),
        detail("flag", SIGNAL, flag),
    )  # fmt: skip
    well = Well((-0.38, 0, deep), (0.45, wide - 0.06))
    seat = Seat((-0.42, 0, deep - 0.2), 0.38)
    return Toy(pieces, seat=seat, stance=0.3, well=well)


def a_surfboard(rng: random.Random) -> Toy:
    paint = bright(rng)
    other = some(rng, NAMED["white"], NAMED["black"] if paint[0] > 0.5 else NAMED["yellow"])
    long, wide, tilt = rng.uniform(1.05, 1.25), rng.uniform(0.36, 0.46), rng.uniform(8, 14)
    nose = ellipsoid(0.36, 0.62 * wide, 0.08).turned("y", -tilt).at(0.8 * long, 0, 0.07)
    fin = box(0.14, 0.055, 0.17, 0.02)
    fin = replace(fin, linear=np.array([[1, 0, 0.7], [0, 1, 0], [0, 0, 1.0]]))
    fins = [fin.at(dx - 0.68 * long, y, -0.17) for dx, y in ((-0.06, 0), (0.14, 0.2), (0.14, -0.2))]
    pieces = (
        volume("board", paint, ellipsoid(long, wide, 0.09), box(0.92 * long, 2, 1).keeping()),
        piece("nose", other, nose),
        piece("stripe", other, ellipsoid(0.92 * long, 0.09, 0.105)),
        piece("fins", other, *fins),
    )
    return Toy(pieces, seat=Seat((-0.1, 0, 0.09), 0.42), stance=0.25)
