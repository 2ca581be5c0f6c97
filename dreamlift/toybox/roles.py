"""Which nouns can play which part in a relation."""

import random
from collections.abc import Collection
from functools import cache

from dreamlift.toybox.nouns import TOYS
from dreamlift.toybox.objects import Toy

MOST_SOLIDS = 40
"""Tracing costs in proportion to the solids of a scene."""
SHAPES = (
    "chair", "table", "mug", "snowman", "frog", "hat", "armchair", "teapot", "teddy bear",
    "rocket",
)  # fmt: skip
"""Nouns with a silhouette of their own, in which something else can be built."""
BODIES = (
    "cube", "ball", "cylinder", "cone", "ring", "pyramid", "traffic cone", "mug", "snowman", "frog",
    "pumpkin", "hamburger", "hat", "santa hat", "avocado", "egg", "apple", "strawberry", "donut",
    "cake", "mushroom", "heart",
)  # fmt: skip
"""Nouns whose body something else can be built from."""
MATERIALS = (
    "pumpkin", "hamburger", "cactus", "flower", "tree", "mushroom", "avocado", "egg", "apple",
    "banana", "strawberry", "ice cream", "donut", "cake", "leaf", "snowman", "gingerbread man",
    "santa hat", "robot", "crown", "barrel", "book", "star", "heart",
)  # fmt: skip
"""Nouns whose look something else can be made of."""
DRESS = ("backpack", "sunglasses", "scarf", "sweater")
"""What is worn elsewhere than on the head."""
SEATS = ("chair", "armchair", "surfboard", "lily pad", "leaf")
"""In these one sits on them."""
BOARDS = ("surfboard",)
"""A figure on one of these rides it."""
TABLES = ("table", "cake", *SEATS)
"""With something: it is on top of these."""
STEMS = ("flower", "cactus", "tree", "palm tree", "leaf", "mushroom", "umbrella", "sword", "heart")
"""What a narrow neck takes."""
MOUNTS = (
    "car", "truck", "train", "bulldozer", "lawnmower", "airplane", "rocket", "boat", "surfboard",
    "lily pad",
)  # fmt: skip
"""What is ridden and no figure."""
HANDY = (
    "ball", "mug", "hamburger", "flower", "teapot", "mushroom", "egg", "apple", "banana",
    "strawberry", "ice cream", "donut", "cake", "leaf", "book", "umbrella", "sword", "shield",
    "bucket", "guitar", "drum", "star", "heart", "lamp",
)  # fmt: skip
"""A figure with one of these holds it."""


@cache
def sample(noun: str) -> Toy:
    return TOYS[noun](random.Random(0))


@cache
def standing() -> tuple[str, ...]:
    return tuple(noun for noun in TOYS if noun != "stilts")


@cache
def figures() -> tuple[str, ...]:
    """Animals and what is like people."""
    return tuple(noun for noun in TOYS if sample(noun).figure)


@cache
def made() -> tuple[str, ...]:
    """What can be made of something else."""
    return tuple(noun for noun in standing() if any(p.volume for p in sample(noun).pieces))


@cache
def vessels(what: str) -> tuple[str, ...]:
    """What a noun can be in."""
    wells = [(noun, sample(noun).well) for noun in TOYS if noun != what]
    return tuple(n for n, well in wells if well and (what in STEMS or not well.narrow))


@cache
def wearers(what: str) -> tuple[str, ...]:
    """Who can wear a noun."""
    if what not in DRESS:
        return tuple(noun for noun in TOYS if sample(noun).head)
    trunk = what in ("backpack", "sweater")
    able = [(noun, sample(noun).figure) for noun in figures()]
    return tuple(n for n, figure in able if figure and (figure.trunk or not trunk))


@cache
def worn(by: str) -> tuple[str, ...]:
    """What a noun can wear; for what wears nothing, all that is worn."""
    every = [noun for noun in TOYS if sample(noun).brim or noun in DRESS]
    return tuple(noun for noun in every if by in wearers(noun)) or tuple(every)


def able(subject: str, other: str) -> dict[str, tuple[Collection[str], Collection[str]]]:
    """For each relation the nouns that can be its subject, and its object, beside these two."""
    return {
        "on top of": (standing(), standing()),
        "next to": (TOYS, TOYS),
        "wearing": (wearers(other), worn(subject)),
        "on stilts": (standing(), ["stilts"]),
        "in the shape of": (SHAPES, _but(BODIES, subject)),
        "holding": (figures(), standing()),
        "eating": (figures(), standing()),
        "riding": (figures(), (*figures(), *MOUNTS)),
        "in": (standing(), vessels(subject)),
        "made of": (made(), _but(MATERIALS, subject)),
        "left of": (TOYS, TOYS),
        "right of": (TOYS, TOYS),
        "behind": (TOYS, TOYS),
    }


def _but(nouns: Collection[str], noun: str) -> list[str]:
    return [n for n in nouns if n != noun]
