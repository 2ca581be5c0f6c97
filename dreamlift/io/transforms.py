"""transforms.json: cameras and photographs as NeRF, instant-ngp and nerfstudio write them.

NeRF-synthetic's three files (transforms_train.json, _val, _test) are read as one set with its own
split. Cameras are OpenGL's there (x right, y up, z backwards) and become OpenCV's.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.lens import Lens
from dreamlift.io.album import Album, Photo, find_picture, fitted, picture_size, pose

ONE = "transforms.json"
SPLITS = {"train": False, "val": None, "test": True}
"""NeRF-synthetic's files, and whether their photographs are held out; None: not used."""
KEPT = ("aabb_scale", "scale", "offset", "applied_transform", "applied_scale", "camera_model")
"""What a file says of its world that is worth keeping with a run."""
FISHEYES = ("OPENCV_FISHEYE",)
LISTS = ("train_filenames", "val_filenames", "test_filenames")
"""nerfstudio's own split."""
PLAIN = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "SIMPLE_RADIAL", "RADIAL")


@dataclass(frozen=True)
class _Split:
    """What nerfstudio's lists of names say."""

    held_out: Mapping[Path, bool | None]  # by the picture's real path; None: it is not used
    listed: bool  # whether only what is in a list is used; else the rest is learned from


def is_transforms(folder: Path) -> bool:
    """Whether the folder holds such files."""
    return (folder / ONE).is_file() or (folder / "transforms_train.json").is_file()


def read_transforms(folder: Path) -> Album:
    """What the folder's transforms tell. Raises BadInput."""
    if (folder / ONE).is_file():
        return _album(folder, [(folder / ONE, None)])
    files = {split: folder / f"transforms_{split}.json" for split in SPLITS}
    there = {split: path for split, path in files.items() if path.is_file()}
    if "test" not in there and "val" in there:  # then it is the val views that were not trained on
        return _album(folder, [(there["train"], False), (there["val"], True)])
    used = [(path, SPLITS[split]) for split, path in there.items() if split != "val"]
    return _album(folder, used if len(used) > 1 else [(used[0][0], None)])


def _album(folder: Path, files: Sequence[tuple[Path, bool | None]]) -> Album:
    photos: list[Photo] = []
    left_out: list[str] = []
    about: dict[str, object] = {}
    for file, held_out in files:
        said = _said(file)
        about |= {key: said[key] for key in KEPT if key in said}
        split = _split(folder, said, file)
        for i, frame in enumerate(said["frames"]):
            try:
                found = _photo(folder, said, frame, held_out)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                if isinstance(error, BadInput):
                    raise BadInput(f"{file}, frame {i}: {error}") from error
                why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
                raise BadInput(f"{file}, frame {i} tells no camera: {why}.") from error
            if isinstance(found, str):
                left_out.append(found)
            elif split is None:
                photos.append(found)
            elif (path := found.path.resolve()) not in split.held_out and split.listed:
                left_out.append(f"{found.name}: in none of {', '.join(LISTS)}")
            elif (told := split.held_out.get(path, bool(held_out))) is not None:
                photos.append(replace(found, held_out=told))
    upright = "applied_transform" not in about
    return Album(files[0][0], photos, upright, left_out, about=about)


def _said(file: Path) -> dict[str, Any]:
    """What a file says, if it has frames."""
    try:
        said = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(
            f"{file} cannot be read ({error}). It should be JSON that lists frames."
        ) from error
    frames = cast("dict[str, Any]", said).get("frames") if isinstance(said, dict) else None
    if not isinstance(frames, list) or not frames:
        raise BadInput(f"{file} lists no frames: a list of photographs was expected.")
    if not all(isinstance(frame, dict) for frame in cast("list[object]", frames)):
        raise BadInput(f"{file} lists frames that are no objects with a file_path.")
    return cast("dict[str, Any]", said)


def _split(folder: Path, said: Mapping[str, Any], file: Path) -> _Split | None:
    """nerfstudio's own split; None where the file lists nothing. Raises BadInput."""
    lists: dict[str, list[Path]] = {}
    for key in LISTS:
        value: object = said.get(key) or []
        names = cast("list[object]", value if isinstance(value, list) else [value])
        if not isinstance(value, list) or not all(isinstance(name, str) for name in names):
            raise BadInput(f"{file}: its {key} is {str(value)[:40]}, no list of names.")
        there = [find_picture(folder, str(name)) for name in names]
        lists[key] = [path.resolve() for path in there if path is not None]
        if names and not lists[key]:
            raise BadInput(
                f"{file}: no picture of its {key} is in {folder}, {names[0]} for one. Bring them, "
                "or delete the list."
            )
    train, val, test = lists.values()
    if not (train or val or test):
        return None
    unused: dict[Path, bool | None] = dict.fromkeys(val)
    held_out = unused | dict.fromkeys(train, False) | dict.fromkeys(test or val, True)
    return _Split(held_out, bool(train))


def _photo(
    folder: Path, said: Mapping[str, Any], frame: Mapping[str, Any], held_out: bool | None
) -> Photo | str:
    """One frame, or why it is left out."""
    name = frame["file_path"]
    if not isinstance(name, str):
        raise ValueError("its file_path is no text")
    path = find_picture(folder, name)
    if path is None:
        return f"{name}: no such picture in {folder}"
    mask = frame.get("mask_path")
    if mask is not None and (mask := find_picture(folder, str(mask))) is None:
        return f"{name}: no such mask in {folder}: {frame['mask_path']}"
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    camera_to_world = pose(_matrix(frame["transform_matrix"]), name) @ flip
    size = picture_size(path)
    lens = fitted(_lens({**said, **frame}, size), size, name)
    return Photo(name, path, camera_to_world, lens, held_out, mask)


def _matrix(rows: object) -> Float[Tensor, "4 4"]:
    """Four rows of four numbers, or three with the last understood."""
    matrix = torch.tensor(rows, dtype=torch.float64)
    if matrix.shape == (3, 4):
        matrix = torch.cat([matrix, matrix.new_tensor([[0.0, 0.0, 0.0, 1.0]])])
    if matrix.shape != (4, 4):
        raise ValueError(f"its transform_matrix has the shape {tuple(matrix.shape)}, not 4 x 4")
    return matrix


def _lens(said: Mapping[str, Any], size: tuple[int, int]) -> Lens:
    """Intrinsics, of a frame's own where it has some; what is not said, its makers' default."""
    width, height = int(_number(said, "w", size[0])), int(_number(said, "h", size[1]))
    if not (0 < width <= 1 << 16 and 0 < height <= 1 << 16):
        raise ValueError(f"w and h are {width} and {height}, no size of a picture")
    if "fl_x" in said:
        fx = _number(said, "fl_x", 0)
    elif "camera_angle_x" in said:
        fx = 0.5 * width / math.tan(0.5 * _number(said, "camera_angle_x", 0) or math.nan)
    else:
        raise ValueError("it has neither fl_x nor camera_angle_x")
    if "fl_y" in said:
        fy = _number(said, "fl_y", fx)
    elif "fl_x" not in said and "camera_angle_y" in said:
        fy = 0.5 * height / math.tan(0.5 * _number(said, "camera_angle_y", 0) or math.nan)
    else:
        fy = fx
    if not (fx > 0 and fy > 0):
        raise ValueError(f"its focal lengths are {fx:g} and {fy:g} pixels; they must be above 0")
    cx, cy = _number(said, "cx", width / 2), _number(said, "cy", height / 2)
    model = str(said.get("camera_model", "OPENCV"))
    k1, k2, k3, k4 = (_number(said, f"k{i}", 0) for i in (1, 2, 3, 4))
    if model in FISHEYES or said.get("is_fisheye"):
        return Lens(fx, fy, cx, cy, width, height, fisheye=(k1, k2, k3, k4))
    if model not in PLAIN:
        raise ValueError(
            f"its camera_model is {model}; read are {', '.join((*PLAIN, *FISHEYES))}. "
            "Undistort the photographs to pinhole cameras first"
        )
    if k4:
        raise ValueError("its k4 is not 0; read are k1, k2, k3, p1 and p2 of plain lenses")
    bent = (_number(said, "p1", 0), _number(said, "p2", 0))
    return Lens(fx, fy, cx, cy, width, height, (k1, k2, k3), bent)


def _number(said: Mapping[str, Any], key: str, default: float) -> float:
    value = said.get(key, default)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"its {key} is {value!r}, no number")
    return float(value)
