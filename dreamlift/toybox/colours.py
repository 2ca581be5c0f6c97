"""What the ten colour words look like, and how a colour varies from toy to toy."""

import colorsys
import random

Colour = tuple[float, float, float]
"""sRGB in [0, 1]."""

NAMED: dict[str, Colour] = {
    "red": (0.85, 0.07, 0.08),
    "orange": (0.97, 0.45, 0.03),
    "yellow": (0.97, 0.88, 0.12),
    "green": (0.12, 0.62, 0.18),
    "blue": (0.10, 0.24, 0.86),
    "purple": (0.49, 0.13, 0.70),
    "pink": (0.99, 0.58, 0.76),
    "brown": (0.40, 0.22, 0.10),
    "black": (0.08, 0.08, 0.08),
    "white": (0.95, 0.95, 0.95),
}
"""The centre of each colour word: far apart at 64 pixels, and still apart in half light."""


def vary(colour: Colour, rng: random.Random, amount: float = 1.0) -> Colour:
    """A neighbour that bears the same name: hue within 0.01 of a turn, value within 8 %."""
    h, s, v = colorsys.rgb_to_hsv(*colour)
    h = (h + amount * rng.uniform(-0.01, 0.01)) % 1.0
    s = min(1.0, s * (1 + amount * rng.uniform(-0.1, 0.05)))
    v = min(1.0, v * (1 + amount * rng.uniform(-0.08, 0.06)))
    return colorsys.hsv_to_rgb(h, s, v)


def named(colour: str, rng: random.Random) -> Colour:
    """One of the ten colours, varied."""
    return vary(NAMED[colour], rng)


def some(rng: random.Random, *colours: Colour) -> Colour:
    """One of the colours given, or of the ten, varied."""
    return vary(rng.choice(colours or tuple(NAMED.values())), rng)
