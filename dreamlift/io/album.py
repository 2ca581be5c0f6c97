"""What files say of a set of photographs taken from known places, before any is opened."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.lens import Lens
from dreamlift.io.images import reading


@dataclass(frozen=True)
class Photo:
    """One photograph, which exists, and the camera that took it."""

    name: str  # as its file's writer called it
    path: Path
    camera_to_world: Float[Tensor, "4 4"]  # OpenCV's axes, the data's units; double precision
    lens: Lens
    held_out: bool | None = None  # what the data say; None: nothing
    mask: Path | None = None  # black where the photograph is not to be believed


@dataclass(frozen=True)
class Album:
    """Photographs of one scene."""

    source: Path  # the file or folder that tells of them
    photos: Sequence[Photo]
    upright: bool  # whether the data's +z is up
    left_out: Sequence[str] = ()  # a sentence for each photograph that is told of and not there
    points: Float[Tensor, "n 3"] | None = None  # on surfaces, the data's units
    colors: Float[Tensor, "n 3"] | None = None  # of the points, sRGB in [0, 1]
    about: dict[str, object] = field(default_factory=dict[str, object])  # worth keeping with a run


SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".PNG", ".JPG", ".JPEG")


def find_picture(folder: Path, said: str) -> Path | None:
    """The picture that a file names, also with its extension left off; None where there is none.

    Raises BadInput for one outside of the folder.
    """
    relative = said.replace("\\", "/")
    if "\0" in relative or not relative.strip("./"):
        raise BadInput(f"{folder} names a picture {said!r}, which is no file's name.")
    path = folder / relative
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BadInput(
            f"{folder} names the picture {said}, which lies outside of it. Copy the pictures into "
            "the folder, and name them from there."
        )
    tries = [path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)]
    return next((p for p in tries if os.path.isfile(p)), None)


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height, from a picture's first bytes."""
    from PIL import Image

    with reading(str(path)), Image.open(path) as picture:
        return picture.size


def fitted(lens: Lens, size: tuple[int, int], name: str) -> Lens:
    """The lens for a picture of this size, if that is its own size enlarged or shrunk."""
    width, height = size
    if abs(width * lens.height - height * lens.width) > 0.02 * width * lens.height:
        raise BadInput(
            f"{name} has {width}x{height} pixels, and its camera {lens.width}x{lens.height}: "
            "another shape. Give the picture that the camera was computed from."
        )
    return lens if (width, height) == (lens.width, lens.height) else lens.resized(width, height)


def pose(matrix: Float[Tensor, "4 4"], name: str) -> Float[Tensor, "4 4"]:
    """A camera's place as it was told, its axes made exactly square. Raises BadInput."""
    if not bool(matrix.isfinite().all()):
        raise BadInput(f"The matrix of {name} has NaN or infinity in it.")
    R = matrix[:3, :3]
    u, s, vh = torch.linalg.svd(R)
    if float((s - 1).abs().max()) > 0.01 or float(torch.linalg.det(R)) < 0:
        raise BadInput(
            f"The matrix of {name} is no rotation and translation (its axes have the lengths "
            f"{', '.join(f'{x:.3g}' for x in s.tolist())}, determinant "
            f"{float(torch.linalg.det(R)):.3g}). Write camera-to-world matrices without scale."
        )
    whole = torch.eye(4, dtype=torch.float64)
    whole[:3, :3], whole[:3, 3] = u @ vh, matrix[:3, 3]
    return whole
