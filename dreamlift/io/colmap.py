"""COLMAP's sparse models, text and binary: cameras, images and points.

A model is a folder with cameras, images and perhaps points3D, all .bin or all .txt. Cameras are
OpenCV's and world-to-camera there; the world's axes are arbitrary.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.lens import Lens
from dreamlift.io.album import Album, Photo, find_picture, fitted, picture_size, pose

MODELS = (
    ("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8),
    ("OPENCV_FISHEYE", 8), ("FULL_OPENCV", 12), ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4),
    ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12),
)  # fmt: skip
"""COLMAP's camera models by their number, and how many numbers each has."""
PLACES = ("sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", "")
"""Where a model lies in a folder of photographs; the first that is there is read."""


@dataclass(frozen=True)
class _Image:
    name: str
    camera: int
    quaternion: tuple[float, ...]  # w, x, y, z, world to camera
    translation: tuple[float, ...]


@dataclass(frozen=True)
class _Camera:
    model: str
    width: int
    height: int
    numbers: tuple[float, ...]


def model_folder(folder: Path) -> Path | None:
    """Where the folder's model lies; None where there is none."""
    for place in PLACES:
        for suffix in (".bin", ".txt"):
            if all((folder / place / (n + suffix)).is_file() for n in ("cameras", "images")):
                return folder / place
    return None


def read_colmap(folder: Path, model: Path) -> Album:
    """A model's photographs, which lie in `folder` or its images/. Raises BadInput."""
    binary = (model / "cameras.bin").is_file() and (model / "images.bin").is_file()
    suffix = ".bin" if binary else ".txt"
    file = model / f"cameras{suffix}"
    points = colors = None
    try:
        cameras = dict(_binary_cameras(file) if binary else _text_cameras(file))
        file = model / f"images{suffix}"
        images = [*(_binary_images(file) if binary else _text_images(file))]
        file = model / f"points3D{suffix}"
        if file.is_file():
            points, colors = _points(_binary_points(file) if binary else _text_points(file))
    except BadInput:
        raise
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise BadInput(
            f"{file} is damaged or no model of COLMAP's ({error}). Export the model again."
        ) from error
    photos: list[Photo] = []
    left_out: list[str] = []
    where = folder / "images" if (folder / "images").is_dir() else folder
    for image in sorted(images, key=lambda image: image.name):
        path = find_picture(where, image.name)
        if path is None:
            left_out.append(f"{image.name}: no such picture in {where}")
            continue
        if image.camera not in cameras:
            raise BadInput(f"{model}: {image.name} has camera {image.camera}, which is not there.")
        size = picture_size(path)
        lens = fitted(_lens(cameras[image.camera], model), size, image.name)
        photos.append(Photo(image.name, path, _pose(image), lens))
    if not images:
        raise BadInput(f"{model} holds no images. Run COLMAP's mapper again.")
    return Album(model, photos, False, left_out, points, colors)


def _lens(camera: _Camera, model: Path) -> Lens:
    """A lens of a COLMAP model (colmap/src/colmap/sensor/models.h)."""
    w, h = camera.width, camera.height
    if not all(map(math.isfinite, camera.numbers)):
        raise BadInput(f"{model}: a camera's numbers are {camera.numbers}. Run COLMAP again.")
    match camera.model, camera.numbers:
        case "SIMPLE_PINHOLE", (f, cx, cy):
            return Lens(f, f, cx, cy, w, h)
        case "PINHOLE", (fx, fy, cx, cy):
            return Lens(fx, fy, cx, cy, w, h)
        case "SIMPLE_RADIAL", (f, cx, cy, k1):
            return Lens(f, f, cx, cy, w, h, (k1, 0.0, 0.0))
        case "RADIAL", (f, cx, cy, k1, k2):
            return Lens(f, f, cx, cy, w, h, (k1, k2, 0.0))
        case "OPENCV", (fx, fy, cx, cy, k1, k2, p1, p2):
            return Lens(fx, fy, cx, cy, w, h, (k1, k2, 0.0), (p1, p2))
        case "OPENCV_FISHEYE", (fx, fy, cx, cy, k1, k2, k3, k4):
            return Lens(fx, fy, cx, cy, w, h, fisheye=(k1, k2, k3, k4))
        case _:
            raise BadInput(
                f"{model}: a camera is of the model {camera.model}; read are "
                f"{', '.join(name for name, _ in MODELS[:6])}. Undistort the photographs first: "
                "colmap image_undistorter"
            )


def _pose(image: _Image) -> Float[Tensor, "4 4"]:
    """Camera to world, from a quaternion (made unit) and a translation, world to camera."""
    q = torch.tensor(image.quaternion, dtype=torch.float64)
    if not float(q.norm()) > 0:
        raise BadInput(f"{image.name} has no rotation: its quaternion is {image.quaternion}.")
    w, x, y, z = (q / q.norm()).tolist()
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ],
        dtype=torch.float64,
    )
    matrix[:3, 3] = torch.tensor(image.translation, dtype=torch.float64)
    return pose(torch.linalg.inv(matrix), image.name)


def _camera(model: str, width: int, height: int, numbers: Sequence[float]) -> _Camera:
    wanted = dict(MODELS).get(model)
    if wanted is not None and len(numbers) != wanted:
        raise ValueError(f"a {model} camera has {wanted} numbers, not {len(numbers)}")
    if not (0 < width <= 1 << 16 and 0 < height <= 1 << 16):
        raise ValueError(f"a camera of {width}x{height} pixels")
    if not all(abs(x) < 1e12 for x in numbers) or not numbers or numbers[0] <= 0:
        raise ValueError(f"a {model} camera of the numbers {', '.join(map(str, numbers))}")
    return _Camera(model, width, height, tuple(numbers))


def _lines(path: Path) -> list[list[str]]:
    """The words of each line that is no comment; empty lines count."""
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return [line.split() for line in lines if not line.startswith("#")]


def _text_cameras(path: Path) -> Iterator[tuple[int, _Camera]]:
    for words in filter(None, _lines(path)):
        numbers = [float(word) for word in words[4:]]
        yield int(words[0]), _camera(words[1], int(words[2]), int(words[3]), numbers)


def _text_images(path: Path) -> Iterator[_Image]:
    """Two lines each: the image, and its points, which may be an empty line."""
    lines = _lines(path)
    while lines and not lines[0]:
        lines.pop(0)
    for words in filter(None, lines[::2]):
        n = [float(word) for word in words[1:8]]
        yield _Image(" ".join(words[9:]), int(words[8]), tuple(n[:4]), tuple(n[4:]))


def _text_points(path: Path) -> Iterator[tuple[float, ...]]:
    for words in filter(None, _lines(path)):
        yield tuple(float(word) for word in words[1:7])


class _Bytes:
    """Little-endian numbers, one after another."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.at = 0

    def take(self, form: str) -> tuple[float, ...]:
        numbers = struct.unpack_from("<" + form, self.content, self.at)
        self.at += struct.calcsize("<" + form)
        return numbers

    def count(self, form: str = "Q") -> int:
        return int(self.take(form)[0])

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self.content):
            raise ValueError("it ends too early")

    def text(self) -> str:
        end = self.content.index(b"\0", self.at)
        name = self.content[self.at : end].decode()
        self.at = end + 1
        return name


def _binary_cameras(path: Path) -> Iterator[tuple[int, _Camera]]:
    data = _Bytes(path)
    for _ in range(data.count()):
        number, model, width, height = (int(x) for x in data.take("iiQQ"))
        if not 0 <= model < len(MODELS):
            raise ValueError(f"there is no camera model {model}")
        name, size = MODELS[model]
        yield number, _camera(name, width, height, data.take(f"{size}d"))


def _binary_images(path: Path) -> Iterator[_Image]:
    data = _Bytes(path)
    for _ in range(data.count()):
        _, *place, camera = data.take("i7di")
        name = data.text()
        data.skip(24 * data.count())
        yield _Image(name, int(camera), tuple(place[:4]), tuple(place[4:]))


def _binary_points(path: Path) -> Iterator[tuple[float, ...]]:
    data = _Bytes(path)
    for _ in range(data.count()):
        point = data.take("Q3d3Bd")
        data.skip(8 * data.count())
        yield point[1:7]


def _points(rows: Iterator[tuple[float, ...]]) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Places and colours of points; none where there are none."""
    table = torch.tensor([*rows], dtype=torch.float64)
    if len(table) == 0:
        return None, None
    if table.shape[1] != 6 or not bool(table.isfinite().all()):
        raise ValueError("a point has other numbers than x, y, z and a colour")
    return table[:, :3], (table[:, 3:] / 255).float()
