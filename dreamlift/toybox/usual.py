"""The colours that things have where none is said: a frog is green.

Measured: of sixteen toys of a noun, most have on most of what is seen of their main parts a colour
that is nearest to this word's, in CIE Lab, and within 30 of it (tests/test_usual.py). Nouns whose
toys are now of this colour and now of that, and grey ones, are not here.
"""

from dreamlift.graph import Thing
from dreamlift.words import WOVEN

USUAL = {
    "traffic cone": "orange", "snowman": "white", "frog": "green", "pumpkin": "orange",
    "santa hat": "red", "stilts": "brown", "tree": "green", "mushroom": "red", "house": "white",
    "pig": "pink", "ghost": "white", "corgi": "orange", "penguin": "black", "chick": "yellow",
    "hedgehog": "brown", "teddy bear": "brown", "yeti": "white", "peacock": "green",
    "gingerbread man": "brown", "robot": "white", "apple": "red", "banana": "yellow",
    "strawberry": "red", "donut": "pink", "leaf": "green", "lily pad": "green", "crown": "yellow",
    "sword": "white", "barrel": "brown", "chest": "brown", "rocket": "white", "truck": "white",
    "bulldozer": "yellow", "lawnmower": "red", "airplane": "blue", "star": "yellow",
    "heart": "red",
}  # fmt: skip


def colour_of(thing: Thing) -> str | None:
    """The colour that is said of a thing, or that it usually has; None where neither is."""
    plain = thing.pattern is None or thing.pattern in WOVEN
    return thing.colour or (USUAL.get(thing.noun) if plain else None)
