"""The plain solids: cube, ball, cylinder, cone, ring, pyramid."""

import random

from dreamlift.geometry.primitives import ball, box, cone, cylinder, pyramid, torus
from dreamlift.toybox.colours import some
from dreamlift.toybox.objects import Brim, Head, Toy, volume


def a_cube(rng: random.Random) -> Toy:
    h = rng.uniform(0.93, 1.07)
    body = box(1.0, 1.0, h, rng.uniform(0.02, 0.16))
    return Toy((volume("cube", some(rng), body),), Head((0, 0, h - 0.02), 0.68, h), stance=0.6)


def a_ball(rng: random.Random) -> Toy:
    body = ball(1.0).stretched(1, 1, rng.uniform(0.97, 1.03))
    return Toy((volume("ball", some(rng), body),), Head((0, 0, 0.72), 0.68, 1.0), stance=0.35)


def a_cylinder(rng: random.Random) -> Toy:
    h = rng.uniform(1.0, 1.7)
    body = cylinder(h, 1.0, rng.uniform(0.02, 0.1))
    head = Head((0, 0, h - 0.02), 0.75, h)
    return Toy((volume("cylinder", some(rng), body),), head, stance=0.5)


def a_cone(rng: random.Random) -> Toy:
    h = rng.uniform(0.95, 1.4)
    body = cone(h, 1.0, 0.02, 0.015)
    head = Head((0, 0, 0.35 * h), 0.5, h)
    return Toy((volume("cone", some(rng), body),), head, stance=0.5)


def a_ring(rng: random.Random) -> Toy:
    tube = rng.uniform(0.22, 0.36)
    crown = Brim(-0.3 * tube, 1 - 0.9 * tube, 4.0)
    return Toy((volume("ring", some(rng), torus(1.0, tube)),), brim=crown, stance=0.9, rim=1.0)


def a_pyramid(rng: random.Random) -> Toy:
    h = rng.uniform(0.75, 1.05)
    body = pyramid(h, 1.0)
    head = Head((0, 0, 0.3 * h), 0.5, h)
    return Toy((volume("pyramid", some(rng), body),), head, stance=0.55)
