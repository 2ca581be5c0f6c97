"""Captures: pictures of one object from known cameras, with captions and all that is known.

    transforms.json       captions, parts, light, cameras, and where the pictures are
    images/000.png ...    lit by one light that stands still; straight alpha
    albedo/000.png        the same without light
    depth/000.png         16 bits: along the camera's z, in units of DEPTH_UNIT; 0: nothing there
    normal/000.png        world axes, (n + 1) / 2; grey: nothing there
    part/000.png          16 bits: k + 1 on part k; 0: nothing there

transforms.json is NeRF's (arXiv:2003.08934) as its many readers extended it. Images and albedo are
means over a pixel; depth, normal and part are what the ray through its centre meets.
"""

import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.cameras import Cameras, orbit, spherical
from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface, area
from dreamlift.geometry.texels import sample
from dreamlift.io.atomic import atomic
from dreamlift.io.collection import PICTURES, Picture
from dreamlift.io.images import load_image, load_levels, save_levels, save_png
from dreamlift.lights import Light, shade
from dreamlift.scene import Scene, Shot
from dreamlift.views import direction

TRANSFORMS = "transforms.json"
DEPTH_UNIT = 1e-4
"""World units of one level of a depth picture."""
CONVENTIONS = {
    "world": "right-handed, +z up; objects face +x and live in the ball of radius 1.05",
    "transform_matrix": "camera to world; the camera's x right, y up, z backwards (OpenGL, NeRF)",
    "world_to_camera": "the same camera as OpenCV has it: x right, y down, z into the scene",
    "intrinsics": "pixels; row i, column j has its centre at (j + 0.5, i + 0.5)",
    "angles": "azimuth and elevation in degrees, azimuth 0 in front, +90 at the object's left",
    "color": "sRGB; PNG with straight alpha; albedo (ambient + (1 - ambient) max(0, n . l))",
    "depth": "16 bits, along the camera's z, in units of depth_unit; 0: nothing there",
    "normal": "world axes, (n + 1) / 2; grey where there is nothing",
    "part": "16 bits, the id of a part; 0: nothing there",
    "mesh": "+y up, facing +z, as glTF is by definition: (x, y, z) here is (z, x, y) there",
    "points": "world axes",
    "sdf": "world axes, sdf[i, j, k] at x_i, y_j, z_k; negative inside",
}
_OWN = {
    "camera_angle_x", "fl_x", "fl_y", "cx", "cy", "w", "h", "depth_unit", "caption", "captions",
    "parts", "light", "conventions", "frames",
}  # fmt: skip
"""What transforms.json says of a capture itself; the rest is `about`."""
Aux = TypeVar("Aux")


@dataclass(frozen=True)
class Piece:
    """A named part of an object."""

    name: str
    color: tuple[float, float, float]  # sRGB in [0, 1]; its mean by area where it has several
    thing: int | None = None  # of the graph's things; None: there is no graph

    @staticmethod
    def of(part: Surface, thing: int | None = None) -> "Piece":
        """A mesh, its colours taken at its vertices and weighed by area."""
        color = torch.ones_like(part.vertices) if part.colors is None else part.colors
        if part.texture is not None and part.uv is not None:
            color = color * sample(part.texture, part.uv)
        weight = area(part.vertices, part.faces)[:, None]
        total = (color[part.faces].mean(1) * weight).sum(0) / weight.sum().clamp_min(1e-20)
        red, green, blue = total.tolist()
        return Piece(part.name, (red, green, blue), thing)


@dataclass(frozen=True)
class Capture:
    """One object as b cameras see it; a kind of picture that was not kept is None."""

    captions: Sequence[str]  # the plain one first
    parts: Sequence[Piece]
    cameras: Cameras
    light: Light  # of b pictures, one that stands still
    alpha: Float[Tensor, "b h w 1"] | None = None
    images: Float[Tensor, "b h w 3"] | None = None  # sRGB in [0, 1] times alpha, lit
    albedo: Float[Tensor, "b h w 3"] | None = None  # sRGB in [0, 1] times alpha
    depth: Float[Tensor, "b h w"] | None = None  # along the camera's z, world units; 0: none
    normal: Float[Tensor, "b h w 3"] | None = None  # unit, world; 0: none
    part: Int[Tensor, "b h w"] | None = None  # -1: none
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])  # what else the file says


def within(name: str, value: int, least: int, most: int) -> None:
    """Raise BadInput for a setting that is out of its range."""
    if not least <= value <= most:
        raise BadInput(f"The {name} must be {least} to {most}; {value} was asked for.")


def surround(
    views: int, size: int, elevation: tuple[float, float], rng: random.Random
) -> tuple[Cameras, Light]:
    """Cameras evenly around from random heights (degrees), and one light for all of them."""
    start = rng.uniform(-180.0, 180.0)
    azimuth = torch.arange(views) * (360.0 / views) + start
    heights = torch.tensor([rng.uniform(*elevation) for _ in range(views)])
    over = torch.tensor([rng.uniform(-180.0, 180.0)]), torch.tensor([rng.uniform(30.0, 70.0)])
    half = torch.full((views,), 0.5)
    light = Light(5 * spherical(*over).expand(views, 3), half, half, half < 0)
    return orbit(azimuth, heights, size=size), light


@torch.no_grad()
def capture(
    scene: Scene[Aux],
    part: Callable[[Aux], Int[Tensor, "b h w"]],
    cameras: Cameras,
    light: Light,
    *,
    fine: int = 2,
) -> Capture:
    """What the cameras see of a scene without light, and what that looks like in the light.

    `part` tells the scene's own part numbers, -1 where the ray through a pixel's centre meets
    nothing. A pixel of images and albedo is the mean of `fine` x `fine`. Captions and parts are
    left for the caller to fill in.
    """
    rows: list[tuple[Tensor, ...]] = []
    for i in range(len(cameras)):
        here = slice(i, i + 1)
        rows.append(_means(scene, cameras[here], light[here], fine))
        rows[-1] += _centres(scene, part, cameras[here])
    alpha, images, albedo, depth, normal, number = (torch.cat(x) for x in zip(*rows, strict=True))
    return Capture((), (), cameras, light, alpha, images, albedo, depth, normal, number)


@dataclass(frozen=True)
class _Seen(Generic[Aux]):
    """A rendering, not multiplied by alpha."""

    alpha: Float[Tensor, "b h w 1"]
    color: Float[Tensor, "b h w 3"]
    depth: Float[Tensor, "b h w 1"]  # along the ray
    normal: Float[Tensor, "b h w 3"]  # unit, or 0
    aux: Aux


def _see(scene: Scene[Aux], cameras: Cameras) -> _Seen[Aux]:
    view = scene.render(Shot(cameras))
    if view.depth is None or view.normal is None:
        raise ValueError("A scene is captured with depth and normals; this one gives none.")
    less = 1 / view.alpha.clamp_min(1e-6)
    normal = F.normalize(view.normal, dim=-1)
    return _Seen(view.alpha, view.color * less, view.depth * less, normal, view.aux)


def _means(
    scene: Scene[Aux], cameras: Cameras, light: Light, fine: int
) -> tuple[Float[Tensor, "b h w 1"], Float[Tensor, "b h w 3"], Float[Tensor, "b h w 3"]]:
    """Alpha, lit and unlit colours (times alpha) of whole pixels."""
    large = cameras.resized(fine * cameras.height, fine * cameras.width)
    seen = _see(scene, large)
    origin, ray = large.rays()
    lit = shade(seen.color, seen.normal, origin + seen.depth * ray, light).clamp(0, 1)
    all_three = torch.cat([seen.alpha, lit * seen.alpha, seen.color * seen.alpha], -1)
    pooled = F.avg_pool2d(all_three.permute(0, 3, 1, 2), fine).permute(0, 2, 3, 1)
    alpha, lit, albedo = pooled.split([1, 3, 3], -1)
    return alpha, lit, albedo


def _centres(
    scene: Scene[Aux], part: Callable[[Aux], Int[Tensor, "b h w"]], cameras: Cameras
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w 3"], Int[Tensor, "b h w"]]:
    """Depth along the camera's z, normal and part that rays through the pixels' centres meet."""
    seen = _see(scene, cameras)
    number = part(seen.aux).long()
    there = number >= 0
    along = (cameras.rays()[1] * cameras.world_to_camera[:, None, None, 2, :3]).sum(-1)
    depth = torch.where(there, seen.depth[..., 0] * along, 0.0)
    return depth, torch.where(there[..., None], seen.normal, 0.0), number


def write_capture(folder: Path, made: Capture, kept: Collection[Picture] = PICTURES) -> None:
    """Write the kept kinds of pictures and, last, transforms.json."""
    for kind in kept:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for i in range(len(made.cameras)):
            _save(folder / kind / f"{i:03d}.png", made, kind, i)
    said = {
        **_lens(made.cameras),
        "depth_unit": DEPTH_UNIT,
        "caption": made.captions[0],
        "captions": list(made.captions),
        **made.about,
        "parts": [
            {"id": k + 1, "name": p.name, "thing": p.thing, "color": list(p.color)}
            for k, p in enumerate(made.parts)
        ],
        "light": {
            "position": made.light.position[0].tolist(),
            "ambient": float(made.light.ambient[0]),
        },
        "conventions": CONVENTIONS,
        "frames": _frames(made, kept),
    }
    with atomic(folder / TRANSFORMS) as file:
        file.write_text(json.dumps(said, indent=1) + "\n")


def _save(path: Path, made: Capture, kind: Picture, i: int) -> None:
    """One picture of one kind."""
    if kind == "part" and made.part is not None:
        save_levels(path, made.part[i] + 1)
    elif kind == "depth" and made.depth is not None:
        save_levels(path, (made.depth[i] / DEPTH_UNIT).round().long().clamp_max(65535))
    elif kind == "normal" and made.normal is not None:
        save_png(path, (made.normal[i] + 1) / 2)
    else:
        color = made.images if kind == "images" else made.albedo
        if color is None or made.alpha is None:
            raise ValueError(f"The capture has no {kind} to write.")
        alpha = made.alpha[i]
        save_png(path, torch.cat([color[i] / alpha.clamp_min(1e-6), alpha], -1))


def _key(kind: Picture) -> str:
    """What a frame calls the path of such a picture; other tools know the first and the depth."""
    return "file_path" if kind == "images" else f"{kind}_file_path"


def _lens(cameras: Cameras) -> dict[str, Any]:
    """The lens, which all cameras share; the angle is in radians, the rest in pixels."""
    (fx, _, cx), (_, fy, cy), _ = cameras.K[0].tolist()
    angle = 2 * float(torch.atan(cameras.width / 2 / cameras.K[0, 0, 0]))
    size = {"w": cameras.width, "h": cameras.height}
    return {"camera_angle_x": angle, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, **size}


def _frames(made: Capture, kept: Collection[Picture]) -> list[dict[str, Any]]:
    """Where each picture was taken from, in degrees and as matrices, and what it shows."""
    cameras = made.cameras
    flip = torch.tensor([1.0, -1.0, -1.0, 1.0])  # OpenCV's axes to OpenGL's
    matrices = torch.linalg.inv(cameras.world_to_camera.double()) * flip
    where = zip(cameras.azimuth.tolist(), cameras.elevation.tolist(), strict=True)
    return [
        {
            **{_key(kind): f"{kind}/{i:03d}.png" for kind in kept},
            "transform_matrix": matrices[i].tolist(),
            "world_to_camera": cameras.world_to_camera[i].tolist(),
            "azimuth": azimuth,
            "elevation": elevation,
            "caption": f"{made.captions[0]}, {direction(azimuth, elevation)} view",
        }
        for i, (azimuth, elevation) in enumerate(where)
    ]


def told(folder: Path) -> dict[str, Any]:
    """What a capture's transforms.json says. Raises BadInput where it is missing or damaged."""
    path = folder / TRANSFORMS
    try:
        said = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); it should tell a capture.") from error
    if not isinstance(said, dict) or not {"caption", "frames"} <= said.keys():
        raise BadInput(f"{path} tells no capture: a caption and frames were expected.")
    return cast("dict[str, Any]", said)


def read_capture(folder: Path) -> Capture:
    """A capture that was written, to the nearest level of its pictures. Raises BadInput."""
    said = told(folder)
    try:
        return _read(folder, said)
    except BadInput:
        raise
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise BadInput(f"{folder / TRANSFORMS} tells no capture ({why}).") from error


def _read(folder: Path, said: Mapping[str, Any]) -> Capture:
    frames: list[dict[str, Any]] = said["frames"]
    b = len(frames)
    lens = [[said["fl_x"], 0, said["cx"]], [0, said["fl_y"], said["cy"]], [0, 0, 1]]
    K = torch.tensor(lens, dtype=torch.float32).expand(b, 3, 3)
    poses = torch.tensor([frame["world_to_camera"] for frame in frames])
    position = torch.tensor(said["light"]["position"]).expand(b, 3)
    ambient = torch.full((b,), float(said["light"]["ambient"]))

    def stack(kind: Picture, load: Callable[[Path], Tensor]) -> Tensor | None:
        key = _key(kind)
        if key not in frames[0]:
            return None
        return torch.stack([load(folder / frame[key]) for frame in frames])

    images, albedo = stack("images", load_image), stack("albedo", load_image)
    depth, part = stack("depth", load_levels), stack("part", load_levels)
    normal = stack("normal", load_image)
    if normal is not None:  # grey, which is half a level away from nought, is no direction
        normal = 2 * normal - 1
        normal = torch.where(normal.norm(dim=-1, keepdim=True) > 0.5, normal, 0.0)
        normal = F.normalize(normal, dim=-1)
    either = images if albedo is None else albedo
    return Capture(
        captions=tuple(said["captions"]),
        parts=tuple(Piece(p["name"], tuple(p["color"]), p["thing"]) for p in said["parts"]),
        cameras=Cameras(poses, K, said["h"], said["w"]),
        light=Light(position, ambient, 1 - ambient, ambient < 0),
        alpha=None if either is None else either[..., 3:],
        images=None if images is None else images[..., :3] * images[..., 3:],
        albedo=None if albedo is None else albedo[..., :3] * albedo[..., 3:],
        depth=None if depth is None else depth * float(said["depth_unit"]),
        normal=normal,
        part=None if part is None else part - 1,
        about={key: value for key, value in said.items() if key not in _OWN},
    )


def line(folder: Path) -> dict[str, Any]:
    """What an index says of a capture: paths are relative to the folder above it."""
    said = told(folder)
    mesh = {"path": f"{folder.name}/{said['mesh']}", "placed": True} if "mesh" in said else {}
    return {
        **mesh,
        "name": folder.name,
        "scene": f"{folder.name}/{TRANSFORMS}",
        "caption": said["caption"],
        "captions": said["captions"],
        **{key: said[key] for key in ("seed", "held_out", "source") if key in said},
    }
