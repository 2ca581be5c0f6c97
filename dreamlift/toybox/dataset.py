"""Captioned pictures with cameras for other tools, one folder for each object:

    dataset.json               the settings and the objects' captions
    000000/images/000.png ...  pictures with (straight) alpha, of one light that stands still
    000000/transforms.json     cameras, captions, parts
    000000/mesh.glb            the object, a node for each named part

transforms.json is NeRF's (arXiv:2003.08934) as its many readers extended it: `transform_matrix`
is camera-to-world, with the camera's x to the right, y up and z backwards; the world's z is up, and
objects face its +x. mesh.glb is +y up and faces +z, as glTF is by definition.
"""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras, orbit, spherical
from dreamlift.errors import BadInput
from dreamlift.io.atomic import atomic
from dreamlift.io.gltf import write_glb
from dreamlift.io.images import save_png
from dreamlift.lights import Light
from dreamlift.phrases import phrase
from dreamlift.scene import Shot
from dreamlift.toybox.captions import picture_graph
from dreamlift.toybox.mesh import mesh, names
from dreamlift.toybox.scenes import ToyScene, toy_scene
from dreamlift.views import direction
from dreamlift.words import Graph

INDEX = "dataset.json"
TRANSFORMS = "transforms.json"


@dataclass(frozen=True)
class Dataset:
    """What decides every object but how many there are."""

    seed: int = 0
    views: int = 8
    size: int = 256  # pixels a side
    elevation: tuple[float, float] = (-10.0, 60.0)  # degrees

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("seed", self.seed, 0, 2**62),
            ("views", self.views, 1, 999),
            ("size", self.size, 16, 2048),
        ):
            if not least <= value <= most:
                raise BadInput(f"The {name} must be {least} to {most}; {value} was asked for.")

    def write(
        self, out: Path, count: int, progress: Callable[[int], None] = lambda done: None
    ) -> None:
        """The first `count` objects, in `out`; those that are there already are kept.

        Raises BadInput where `out` holds anything else, or other settings.
        """
        if count < 1:
            raise BadInput(f"A dataset has at least 1 object; {count} were asked for.")
        _claim(out, json.loads(json.dumps(asdict(self))))
        for index in range(count):
            folder = out / f"{index:06d}"
            if not folder.exists():
                self._write(index, folder)
            progress(index + 1)

    def _write(self, index: int, folder: Path) -> None:
        """One object; the folder appears when it is whole."""
        rng = random.Random(f"{self.seed}|{index}")
        graph = picture_graph(rng)
        scene = toy_scene(graph, rng.randrange(1 << 30))
        cameras, light = self._shot(rng)
        unfinished = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / "images").mkdir(parents=True)
        pictures = _pictures(scene, cameras, light)
        for i, picture in enumerate(pictures):
            save_png(unfinished / "images" / f"{i:03d}.png", picture)
        parts = mesh(scene.built, scene.coat)
        write_glb(unfinished / "mesh.glb", parts)
        said = {
            **_intrinsics(cameras),
            "captions": [phrase(graph), *(phrase(graph, rng) for _ in range(3))],
            "graph": asdict(graph),
            "parts": _parts(scene),
            "mesh": "mesh.glb",
            "light": {"position": light.position[0].tolist(), "ambient": float(light.ambient[0])},
            "frames": _frames(cameras, graph),
        }
        (unfinished / TRANSFORMS).write_text(json.dumps(said, indent=1) + "\n")
        unfinished.rename(folder)

    def _shot(self, rng: random.Random) -> tuple[Cameras, Light]:
        """Cameras evenly around from random heights, and one light for all of them."""
        start = rng.uniform(-180.0, 180.0)
        azimuth = torch.arange(self.views) * (360.0 / self.views) + start
        elevation = torch.tensor([rng.uniform(*self.elevation) for _ in range(self.views)])
        cameras = orbit(azimuth, elevation, size=self.size)
        over = torch.tensor([rng.uniform(-180.0, 180.0)]), torch.tensor([rng.uniform(30.0, 70.0)])
        half = torch.full((self.views,), 0.5)
        return cameras, Light(5 * spherical(*over).expand(self.views, 3), half, half, half < 0)


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Make the folder ours, or find that it is."""
    index = out / INDEX
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not index.exists():
            foreign = [p.name for p in out.iterdir() if not p.name.startswith(".dataset.tmp")]
            if foreign:
                raise BadInput(
                    f"{out} is not empty: it holds {sorted(foreign)[0]}. Nothing was changed; "
                    "choose another folder."
                )
            with atomic(index) as file:
                file.write_text(json.dumps(settings, indent=1) + "\n")
        there = json.loads(index.read_text())
    except OSError as error:
        raise BadInput(f"Cannot write to {out}: {error.strerror}. Choose another folder.") from None
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{index} is damaged ({error}). Choose another folder.") from error
    if there != settings:
        raise BadInput(
            f"{out} holds objects of other settings: {json.dumps(there)}. Ask for the same to add "
            "to them, or choose another folder."
        )


def _pictures(scene: ToyScene, cameras: Cameras, light: Light) -> Float[Tensor, "b h w 4"]:
    """Pictures with straight alpha, each pixel the mean of four."""
    rows: list[Tensor] = []
    for i in range(len(cameras)):
        here = slice(i, i + 1)
        fine = cameras[here].resized(2 * cameras.height, 2 * cameras.width)
        view = scene.render(Shot(fine, light[here]))
        both = torch.cat([view.color, view.alpha], -1).permute(0, 3, 1, 2)
        rows.append(F.avg_pool2d(both, 2).permute(0, 2, 3, 1))
    color, alpha = torch.cat(rows).split([3, 1], -1)
    return torch.cat([color / alpha.clamp_min(1e-6), alpha], -1)


def _intrinsics(cameras: Cameras) -> dict[str, Any]:
    """The lens, which all cameras share; the angle is in radians, the rest in pixels."""
    f = float(cameras.K[0, 0, 0])
    angle = 2 * float(torch.atan(cameras.width / 2 / cameras.K[0, 0, 0]))
    return {
        "camera_angle_x": angle,
        "fl_x": f,
        "fl_y": f,
        "cx": cameras.width / 2,
        "cy": cameras.height / 2,
        "w": cameras.width,
        "h": cameras.height,
    }


def _frames(cameras: Cameras, graph: Graph) -> list[dict[str, Any]]:
    """Where each picture was taken from, in degrees and as a matrix, and what it shows."""
    flip = torch.tensor([1.0, -1.0, -1.0, 1.0])  # OpenCV's axes to OpenGL's
    matrices = torch.linalg.inv(cameras.world_to_camera.double()) * flip
    where = zip(cameras.azimuth.tolist(), cameras.elevation.tolist(), strict=True)
    return [
        {
            "file_path": f"images/{i:03d}.png",
            "transform_matrix": matrices[i].tolist(),
            "azimuth": azimuth,
            "elevation": elevation,
            "caption": f"{phrase(graph)}, {direction(azimuth, elevation)} view",
        }
        for i, (azimuth, elevation) in enumerate(where)
    ]


def _parts(scene: ToyScene) -> list[dict[str, Any]]:
    """The mesh's nodes in order: name, index of the thing it belongs to, sRGB colour."""
    rows = zip(names(scene.built), scene.built.parts, scene.coat.base.tolist(), strict=True)
    return [{"name": name, "thing": part.thing, "color": color} for name, part, color in rows]
