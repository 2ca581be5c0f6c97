"""Things that live, grow, or look as if they did: snowman, frog, pumpkin."""

import random

from dreamlift.geometry.primitives import ball, cone, ellipsoid, rod, torus
from dreamlift.toybox.colours import vary
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


def a_snowman(rng: random.Random) -> Toy:
    white = vary((0.95, 0.95, 0.97), rng, 0.5)
    low, high = rng.uniform(0.58, 0.66), rng.uniform(0.3, 0.35)
    mid = rng.uniform(0.42, 0.48)
    z_mid = 0.8 * (low + mid)
    z_top = z_mid + 0.82 * (mid + high)
    coal = vary(BLACK, rng)
    eye = ball(0.06).at(0.92 * high, 0.36 * high, z_top + 0.25 * high)
    nose = cone(0.2, 0.085, 0.01).turned("y", 90).at(high + 0.14, 0, z_top - 0.05 * high)
    buttons = [
        ball(0.065).at(mid * c, 0, z_mid + s * mid) for s, c in ((0.35, 0.93), (-0.15, 0.98))
    ]
    reach, lift = rng.uniform(0.42, 0.55), rng.uniform(0.1, 0.4)
    hand = (0.0, mid + reach, z_mid + lift)
    arm = rod((0.0, 0.8 * mid, z_mid + 0.1), hand, 0.04, 0.03)
    twig = rod((0.0, mid + 0.6 * reach, z_mid + 0.1 + 0.55 * lift),
               (0.0, mid + 0.75 * reach, z_mid + lift + 0.18), 0.025)  # fmt: skip
    pieces = (
        volume("bottom ball", white, ball(low)),
        volume("middle ball", white, ball(mid).at(z=z_mid)),
        volume("head", white, ball(high).at(z=z_top)),
        piece("nose", vary((0.98, 0.45, 0.05), rng), nose),
        piece("eyes", coal, *both(eye)),
        detail("buttons", coal, *buttons),
        piece("arms", vary((0.36, 0.2, 0.1), rng), *both(arm)),
        detail("twigs", vary((0.36, 0.2, 0.1), rng), *both(twig)),
    )
    head = Head((0, 0, z_top + 0.5 * high), 0.87 * high, z_top + high)
    neck, mouth = Neck((0, 0, z_mid + 0.86 * mid), 0.25), (0.9 * high, 0, z_top - 0.42 * high)
    figure = Figure(neck, hand, pieces[1].solids, both(arm), mouth)
    return Toy(pieces, head, stance=0.35, figure=figure)


def a_frog(rng: random.Random) -> Toy:
    green = vary((0.25, 0.62, 0.15), rng, 1.5)
    belly = vary((0.78, 0.85, 0.50), rng)
    width, tall = rng.uniform(0.58, 0.66), rng.uniform(0.36, 0.42)
    body = ellipsoid(0.66, width, tall).turned("y", -18).at(-0.1, 0, 0)
    head = ellipsoid(0.42, 0.5, 0.32).at(0.4, 0, 0.3).melted(0.15)
    eye = rng.uniform(0.16, 0.19)
    e = (0.42, 0.3, 0.3 + 0.3)
    lids = both(ball(eye).at(*e))
    white = both(ball(eye * 0.85).at(e[0] + 0.06, e[1] + 0.02, e[2] + 0.02))
    pupils = both(ball(eye * 0.5).at(e[0] + 0.06 + eye * 0.5, e[1] + 0.04, e[2] + 0.03))
    mouth = torus(0.36, 0.03).stretched(1.12, 1.3, 1).at(0.4, 0, 0.2)
    thigh = (
        ellipsoid(0.36, 0.17, 0.24).turned("z", 15).turned("y", -15).at(-0.4, width * 0.85, -0.2)
    )
    foot = ellipsoid(0.26, 0.14, 0.06).turned("z", 25).at(-0.15, width + 0.12, -0.43)
    shin = rod((0.3, 0.36, 0.0), (0.42, 0.46, -0.38), 0.12, 0.08)
    hand = ellipsoid(0.2, 0.14, 0.06).turned("z", 20).at(0.52, 0.48, -0.43)
    pieces = (
        volume("body", green, body, head),
        main("legs", green, *both(thigh, foot, shin, hand)),
        detail("belly", belly, ellipsoid(0.36, 0.36, 0.3).at(0.36, 0, -0.06)),
        main("eyelids", green, *lids),
        piece("eyes", vary((0.96, 0.94, 0.75), rng), *white),
        piece("pupils", BLACK, *pupils),
        piece("mouth", vary((0.35, 0.08, 0.08), rng), mouth),
    )
    top = Head((0.2, 0, 0.52), 0.36, 0.62)
    neck = Neck((0.14, 0, 0.08), 0.44, 1.2, lean=58)
    figure = Figure(neck, (0.6, 0, -0.1), (body,), both(shin), (0.82, 0, 0.2), pitch=72)
    return Toy(pieces, top, stance=width, figure=figure)


def a_pumpkin(rng: random.Random) -> Toy:
    orange = vary((0.95, 0.47, 0.06), rng)
    tall = rng.uniform(0.68, 0.9)
    lobes = [ellipsoid(1.0, rng.uniform(0.4, 0.45), tall).turned("z", 45 * i) for i in range(4)]
    soft = [lobes[0], *(lobe.melted(0.04) for lobe in lobes[1:])]
    lean = rng.uniform(-0.15, 0.15)
    stem = rod((0, 0, tall * 0.85), (lean, lean, tall + rng.uniform(0.25, 0.4)), 0.15, 0.1)
    pieces: tuple[Piece, ...] = (
        volume("pumpkin", orange, *soft),
        Piece("stem", vary((0.36, 0.42, 0.14), rng), (stem,), pokes=True),
    )
    return Toy(pieces, Head((0, 0, 0.72 * tall), 0.62, tall), stance=0.4)
