"""Folk and creatures of fancy: ghost, teddy bear, yeti, dragon, gingerbread man, robot."""

import math
import random

from dreamlift.geometry.primitives import ball, box, cone, cylinder, ellipsoid, rod, torus
from dreamlift.toybox.colours import NAMED, some, vary
from dreamlift.toybox.objects import (
    Figure,
    Head,
    Neck,
    Piece,
    Toy,
    both,
    detail,
    main,
    mirrored,
    piece,
    volume,
)  # fmt: skip
from dreamlift.toybox.objects_animals import BLACK, WHITE, eyes


def a_ghost(rng: random.Random) -> Toy:
    sheet = some(rng, (0.95, 0.95, 0.97), (0.86, 0.92, 0.98), (0.93, 0.90, 0.98))
    tall, wide = rng.uniform(0.4, 0.54), rng.uniform(0.64, 0.76)
    folds, turn = rng.choice((6, 7)), rng.uniform(0, 60)
    bite = ball(0.2).stretched(1, 1, 1.4).at(wide - 0.04, 0, -tall).cutting()
    hem = [bite.turned("z", turn + 360 * i / folds) for i in range(folds)]
    hand = (0.5, 0.66, rng.uniform(0.2, 0.5))
    arm = rod((0.1, 0.4, 0.12), hand, 0.17, 0.13)
    tail = rod((-0.4, 0, -0.1), (-0.98, rng.uniform(-0.2, 0.2), -tall + 0.08), 0.3, 0.09)
    body = (cone(tall, wide, 0.53), ball(0.53).at(z=tall), tail.melted(0.12))
    pieces = (
        volume("sheet", sheet, *body, *hem),
        main("arms", sheet, *both(arm)),
        piece("eyes", BLACK, *both(ellipsoid(0.08, 0.11, 0.17).at(0.46, 0.2, tall + 0.1))),
        piece("mouth", BLACK, ellipsoid(0.08, 0.12, 0.16).at(0.53, 0, tall - 0.27)),
    )
    figure = Figure(Neck((0, 0, tall - 0.38), 0.57), hand, body[:1], both(arm))
    return Toy(pieces, Head((0, 0, tall + 0.22), 0.48, tall + 0.53), stance=0.35, figure=figure)


def a_teddy_bear(rng: random.Random) -> Toy:
    fur = some(rng, (0.60, 0.36, 0.16), (0.74, 0.50, 0.26), (0.45, 0.26, 0.13))
    pale = vary((0.95, 0.82, 0.60), rng)
    fat, tall, ear = rng.uniform(0.42, 0.5), rng.uniform(0.44, 0.5), rng.uniform(0.15, 0.19)
    z, lift = tall + 0.3, rng.uniform(-0.2, 0.3)
    arm = rod((0.05, 0.32, 0.25), (0.22, 0.7, 0.1 + lift), 0.15, 0.16)
    leg = rod((0.1, 0.26, -0.36), (0.58, 0.42, -0.4), 0.18, 0.19)
    pad = ellipsoid(0.07, 0.14, 0.15).turned("z", 18).at(0.71, 0.46, -0.4)
    pieces = (
        volume("body", fur, ellipsoid(0.92 * fat, fat, tall)),
        volume("head", fur, ellipsoid(0.42, 0.47, 0.41).at(0.02, 0, z)),
        main("limbs", fur, *both(arm, leg)),
        main("ears", fur, *both(ellipsoid(0.1, ear, ear).at(0, 0.38, z + 0.32))),
        piece("belly", pale, ellipsoid(0.3, 0.3, 0.32).at(0.92 * fat - 0.22, 0, -0.02)),
        piece("muzzle", pale, ellipsoid(0.2, 0.22, 0.17).at(0.36, 0, z - 0.1)),
        piece("pads", pale, *both(pad)),
        piece("nose", BLACK, ellipsoid(0.07, 0.1, 0.07).at(0.54, 0, z - 0.03)),
        eyes(0.38, 0.18, z + 0.1, 0.07),
        detail("inner ears", pale, *both(ball(0.6 * ear).at(0.06, 0.38, z + 0.32))),
    )
    hand = (0.22, 0.7, 0.1 + lift)
    trunk = (*pieces[0].solids, *pieces[4].solids)
    figure = Figure(Neck((0, 0, z - 0.35), 0.32), hand, trunk, both(arm))
    return Toy(pieces, Head((0, 0, z + 0.22), 0.4, z + 0.41), stance=0.35, figure=figure)


def a_yeti(rng: random.Random) -> Toy:
    fur = some(rng, (0.94, 0.95, 0.97), (0.84, 0.92, 0.97), (0.96, 0.95, 0.92))
    blue, white = some(rng, (0.36, 0.62, 0.90), (0.46, 0.66, 0.84)), vary(WHITE, rng, 0.5)
    wide, reach, ahead = rng.uniform(0.5, 0.6), rng.uniform(0.0, 0.75), rng.uniform(0.2, 0.4)
    z = 0.58
    hand = (ahead, 0.9, -0.34 + reach)
    leg = cone(0.24, 0.28, 0.26, 0.08).at(0, 0.29, -0.6)
    tuft = cone(0.2, 0.17, 0.01).at(0.02, 0.12, z + 0.5)
    tufts = (tuft.turned("x", -6), tuft.turned("x", 22))
    skull = ellipsoid(0.42, 0.46, 0.44).at(0.08, 0, z).melted(0.1)
    mouth = ellipsoid(0.07, 0.22, 0.11).at(0.52, 0, z - 0.13)
    pieces = (
        volume("body", fur, ellipsoid(0.5, wide, 0.62), skull),
        main("arms", fur, *both(rod((0, 0.42, 0.3), hand, 0.25, 0.24))),
        main("legs", fur, *both(leg)),
        Piece("tufts", fur, tufts, main=True, detail=True, pokes=True),
        piece("hands", blue, *both(ball(0.23).at(hand[0] + 0.1, 0.94, hand[2] - 0.1))),
        piece("feet", blue, *both(ellipsoid(0.36, 0.24, 0.13).at(0.18, 0.3, -0.82))),
        piece("face", blue, ellipsoid(0.2, 0.37, 0.32).at(0.38, 0, z + 0.02)),
        eyes(0.53, 0.15, z + 0.14, 0.09),
        piece("mouth", vary((0.30, 0.05, 0.08), rng), mouth),
        piece("fangs", white, *both(cone(0.09, 0.06, 0.01).at(0.58, 0.11, z - 0.14))),
    )
    neck, arms = Neck((0.03, 0, 0.26), 0.47), pieces[1].solids
    palm = (hand[0] + 0.15, 0.94, hand[2] - 0.1)
    figure = Figure(neck, palm, pieces[0].solids[:1], arms)
    return Toy(pieces, Head((0.06, 0, z + 0.25), 0.42, z + 0.44), stance=0.3, figure=figure)


def a_dragon(rng: random.Random) -> Toy:
    skin = some(rng, (0.22, 0.64, 0.24), (0.80, 0.14, 0.12), (0.52, 0.24, 0.70), (0.10, 0.54, 0.60))
    pale, bone = vary((0.98, 0.82, 0.36), rng), vary((0.96, 0.92, 0.80), rng)
    span, z, up = rng.uniform(0.42, 0.54), rng.uniform(0.66, 0.76), rng.uniform(-65, -45)
    wing = cone(span, 0.08, 0.5).stretched(0.13, 1, 1)
    bite = ellipsoid(0.4, 0.36, 0.24).at(z=span + 0.02).cutting()
    wings = [s.at(z=span).turned("x", up).turned("z", 15) for s in (wing, bite)]
    wings = [s.at(-0.26, 0.22, 0.2) for s in wings]
    tail = rod((-0.2, 0, -0.42), (-1.0, 0, -0.22), 0.27, 0.07)
    snout = ellipsoid(0.28, 0.26, 0.19).at(0.46, 0, z - 0.1).melted(0.05)
    horn = cone(0.2, 0.11, 0.03, 0.02).turned("y", -30).at(-0.05, 0.2, z + 0.4)
    arm = rod((0.25, 0.3, 0.15), (0.5, 0.32, 0.02), 0.12)
    ridge = cone(0.2, 0.2, 0.02).stretched(1, 0.5, 1).turned("y", -60).at(-0.5, 0, 0.0)
    pieces = (
        volume("body", skin, ellipsoid(0.44, 0.43, 0.58)),
        volume("head", skin, ellipsoid(0.36, 0.37, 0.34).at(0.14, 0, z), snout),
        main("feet", skin, *both(ellipsoid(0.31, 0.19, 0.15).at(0.15, 0.27, -0.5))),
        main("arms", skin, *both(arm)),
        main("tail", skin, tail),
        piece("belly", pale, ellipsoid(0.34, 0.31, 0.47).at(0.16, 0, -0.06)),
        piece("left wing", pale, *wings),
        piece("right wing", pale, *map(mirrored, wings)),
        piece("horns", bone, *both(horn)),
        detail("ridge", pale, ridge),
        eyes(0.38, 0.21, z + 0.14, 0.095),
    )
    neck = Neck((0.07, 0, z - 0.28), 0.34, lean=12)
    trunk, mouth = (pieces[0].solids[0], pieces[5].solids[0]), (0.73, 0, z - 0.12)
    figure = Figure(neck, (0.52, 0.32, 0.02), trunk, both(arm), mouth)
    return Toy(pieces, Head((0.14, 0, z + 0.16), 0.35, z + 0.34), stance=0.27, figure=figure)


def a_gingerbread_man(rng: random.Random) -> Toy:
    dough = some(rng, (0.70, 0.42, 0.18), (0.62, 0.35, 0.14), (0.78, 0.50, 0.24))
    icing = vary(WHITE, rng, 0.5)
    sweets = some(rng, NAMED["red"], NAMED["green"], NAMED["blue"])
    head, reach = rng.uniform(0.38, 0.45), rng.uniform(0.62, 0.74)
    left, right = (rng.uniform(-0.15, 0.3) for _ in range(2))
    z = 0.3 + head
    limbs = (
        rod((0, 0.15, 0.22), (0, reach, 0.2 + left), 0.2),
        rod((0, -0.15, 0.22), (0, -reach, 0.2 + right), 0.2),
        *both(rod((0, 0.16, -0.2), (0, 0.36, -0.8), 0.22)),
    )
    trunk = rod((0, 0, -0.25), (0, 0, 0.25), 0.34, 0.3)
    ankle = torus(0.2, 0.045).stretched(0.8, 1, 1).turned("x", 18).at(0.0, 0.34, -0.7)
    wrist = torus(0.18, 0.045).stretched(0.8, 1, 1).turned("x", 90).at(z=0.2)
    wrists = (wrist.at(0, reach - 0.04, left), wrist.at(0, 0.04 - reach, right))
    smile = torus(0.2, 0.05).turned("y", 90).at(0.15, 0, z - 0.02)
    chin = box(1, 1, 1).at(z=z - 1.08).keeping()
    pieces = (
        volume("body", dough, trunk.stretched(0.72, 1, 1)),
        main("limbs", dough, *(limb.stretched(0.72, 1, 1) for limb in limbs)),
        volume("head", dough, cylinder(0.16, head, 0.1).turned("y", 90).at(z=z)),
        piece("smile", icing, smile, chin),
        piece("buttons", sweets, *(ball(0.085).at(0.2, 0, h) for h in (0.2, -0.03, -0.26))),
        detail("cuffs", icing, *both(ankle), *wrists),
        eyes(0.15, 0.16, z + 0.11, 0.075, icing),
    )
    neck, hand = Neck((0, 0, 0.36), 0.22, 1.25), (0.08, reach + 0.04, 0.2 + left)
    arms = tuple(limb.stretched(0.72, 1, 1) for limb in limbs[:2])
    figure = Figure(neck, hand, pieces[0].solids, arms, (0.19, 0, z - 0.21))
    return Toy(pieces, Head((0, 0, z + 0.28), 0.33, z + head), stance=0.34, figure=figure)


def a_robot(rng: random.Random) -> Toy:
    steel = some(rng, (0.66, 0.69, 0.73), (0.50, 0.60, 0.68), (0.80, 0.81, 0.82))
    dark, glow = vary((0.22, 0.24, 0.28), rng), some(rng, (0.15, 0.90, 0.95), (1.0, 0.85, 0.1))
    red = vary((0.90, 0.12, 0.10), rng)
    wide, head = rng.uniform(0.44, 0.54), rng.uniform(0.3, 0.38)
    z, lift = 0.73, rng.uniform(-50, 10)
    arm = box(0.1, 0.1, 0.3, 0.03).at(z=-0.22).turned("y", lift).at(0, wide + 0.1, 0.3)
    claw = torus(0.12, 0.06).turned("y", 90).at(z=-0.58).turned("y", lift).at(0, wide + 0.1, 0.3)
    eye = cylinder(0.05, 0.1, 0.01).turned("y", 90).at(head, 0.16, z + 0.06)
    antenna = (rod((0, 0, z + 0.25), (0, 0, z + 0.5), 0.045), ball(0.1).at(z=z + 0.54))
    pieces = (
        volume("body", steel, box(0.36, wide, 0.46, 0.05)),
        volume("head", steel, box(head, head + 0.06, 0.3, 0.06).at(z=z)),
        main("arms", steel, *both(arm)),
        piece("claws", dark, *both(claw)),
        detail("ears", red, cylinder(head + 0.15, 0.13, 0.02).turned("x", 90).at(z=z)),
        piece("legs", dark, *both(cylinder(0.2, 0.12).at(0, 0.24, -0.6))),
        main("feet", steel, *both(box(0.26, 0.18, 0.1, 0.04).at(0.08, 0.25, -0.82))),
        piece("eyes", glow, *both(eye)),
        piece("mouth", dark, box(0.04, 0.2, 0.05).at(head, 0, z - 0.15)),
        piece("panel", dark, box(0.05, 0.26, 0.2, 0.02).at(0.35, 0, 0.08)),
        detail("button", red, ball(0.09).at(0.4, 0.1, 0.1)),
        Piece("antenna", red, antenna, pokes=True),
    )
    a = math.radians(lift)
    hand = (0.04 - 0.6 * math.sin(a), wide + 0.22, 0.3 - 0.6 * math.cos(a))
    figure = Figure(Neck((0, 0, 0.46), 0.4), hand, pieces[0].solids, both(arm))
    top = Head((0, 0, z + 0.2), head + 0.02, z + 0.3)
    return Toy(pieces, top, stance=0.25, figure=figure)
