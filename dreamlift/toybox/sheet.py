"""The contact sheet of the toybox: `python -m dreamlift.toybox.sheet docs/toybox.png`."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.grammar import parse
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.lights import Light
from dreamlift.scene import Shot
from dreamlift.toybox.nouns import TOYS
from dreamlift.toybox.scenes import toy_scene

SIDES = ("front", "left side", "right side", "back", "overhead")
AZIMUTHS = (0.0, 90.0, -90.0, 180.0, 0.0)
ELEVATIONS = (20.0, 15.0, 15.0, 20.0, 75.0)
SAID = {
    "cube": "red", "ball": "blue", "cylinder": "green", "cone": "yellow", "ring": "pink",
    "pyramid": "purple", "mug": "blue", "chair": "red", "table": "brown",
}  # fmt: skip
"""Colours of the nouns that have none of their own."""
CAPTIONS = (
    "a small red cube on a large blue cube",
    "a frog on top of a pumpkin",
    "a ball on top of a chair",
    "a yellow cone on top of a blue cylinder",
    "a ball on top of a green ring",
    "a hamburger next to a frog",
    "a large mug next to a small table",
    "a traffic cone next to a snowman",
    "a snowman wearing a santa hat",
    "a frog wearing a hat",
    "a pumpkin wearing a pink ring",
    "a frog on stilts",
    "a snowman on stilts",
    "a chair in the shape of a pumpkin",
    "a chair in the shape of a hamburger",
    "a mug in the shape of a pumpkin",
    "a table in the shape of a frog",
    "a snowman in the shape of a ball",
    "a rainbow chair",
    "a tall rainbow cylinder",
    "a wooden chair",
    "a stone frog",
    "a golden mug",
    "a striped cat",
    "a checkered table",
    "a red striped mug",
    "a blue spotted ball",
    "a green checkered cube",
    "a yellow spotted car",
    "a golden crown on a wooden cube",
    "a chair imitating an avocado",
    "a cat wearing sunglasses",
    "a pig wearing a backpack",
    "a frog wearing a red sweater",
    "a corgi wearing a red hat, blue scarf",
    "a penguin holding an umbrella",
    "a robot holding a sword and a shield",
    "a rabbit holding a strawberry",
    "a ghost eating a hamburger",
    "a yeti eating an ice cream",
    "a frog riding a pig",
    "a corgi riding a car",
    "a peacock on a surfboard",
    "a flower in a vase",
    "a cactus in a pot",
    "a cat in a bucket",
    "a corgi in a car",
    "a teddy bear in a chest",
    "an eggshell with a chick",
    "a teddy bear with a book",
    "a house with a tree",
    "a car made of cake",
    "a teapot made of strawberry",
    "a snowman made of ice cream",
    "a chair made of apple",
    "a ball left of a cube",
    "a ball right of a cube",
    "a ball behind a cube",
    "a frog wearing a hat riding a pig",
    "a chick in an eggshell on top of a table",
)
BACKGROUND = (0.80, 0.84, 0.88)


def pictures(
    caption: str, seed: int, azimuths: Sequence[float], elevations: Sequence[float], size: int
) -> Float[Tensor, "b size size 3"]:
    """A caption's object from some sides, lit from above the camera's left shoulder."""
    cameras = orbit(torch.tensor(azimuths), torch.tensor(elevations), size=2 * size)
    b, position = len(cameras), cameras.position
    ambient = torch.full((b,), 0.45)
    left = torch.stack([position[:, 1], -position[:, 0], torch.full((b,), 5.0)], 1)
    textured = torch.zeros(b, dtype=torch.bool)
    light = Light(position + 0.5 * left, ambient, 1 - ambient, textured)
    rendering = toy_scene(parse(caption), seed).render(Shot(cameras, light))
    large = rendering.over(torch.tensor(BACKGROUND).expand(1, 1, 1, 3))
    pooled = torch.nn.functional.avg_pool2d(large.permute(0, 3, 1, 2), 2)
    return pooled.permute(0, 2, 3, 1)


def nouns(seed: int) -> Float[Tensor, "y x 3"]:
    """Every noun from five sides, three nouns in a row."""
    order = list(TOYS)
    images = [
        pictures(f"{SAID.get(noun, '')} {noun}", seed + i, AZIMUTHS, ELEVATIONS, 96)
        for i, noun in enumerate(order)
    ]
    labels = [text for noun in order for text in (noun, *SIDES[1:])]
    return contact_sheet(torch.cat(images), columns=15, labels=labels)


def captions(seed: int) -> Float[Tensor, "y x 3"]:
    """Relations, clothes and patterns, each from its front's left."""
    images = [pictures(caption, seed, (35.0,), (22.0,), 196) for caption in CAPTIONS]
    labels = [caption.removeprefix("a ") for caption in CAPTIONS]
    return contact_sheet(torch.cat(images), columns=5, labels=labels)


def main(path: Path, seed: int = 40) -> None:
    """Write the sheet: nouns above, captions below."""
    pages = [nouns(seed), captions(seed)]
    width = max(page.shape[1] for page in pages)
    wide = [
        torch.nn.functional.pad(page, (0, 0, 0, width - page.shape[1]), value=1.0) for page in pages
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, torch.cat(wide))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m dreamlift.toybox.sheet PICTURE.png")
    main(Path(sys.argv[1]))
