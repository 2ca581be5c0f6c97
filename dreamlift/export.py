"""From a scene to the files people open: cut a surface out of a density, unwrap it, bake its
colours, write it, read it back, and show it from all sides.

    asset.glb            the object, its texture inside (+y up, facing +z, as glTF wants)
    asset.obj .mtl .png  the same for programs that read no glTF
    turntable.mp4        once around it
    contact_sheet.png    from six sides and two heights
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras, orbit
from dreamlift.convert import Finish, extract
from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface, bounds
from dreamlift.geometry.voxels import Volume
from dreamlift.io.gltf import write_glb
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.io.meshes import read_mesh
from dreamlift.io.obj import obj_files, write_obj
from dreamlift.io.video import save_mp4
from dreamlift.lights import Light
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh

GLB, OBJ, TURNTABLE, SHEET = "asset.glb", "asset.obj", "turntable.mp4", "contact_sheet.png"
FILES = (GLB, OBJ, "asset.mtl", "asset.png", TURNTABLE, SHEET)
BACKGROUND = 0.85
"""Grey, on which white and black objects both show."""
FOG = 0.3
"""World units; an object that a ray enters further than this is called fog."""


@dataclass(frozen=True)
class Report:
    """What was made of a volume."""

    level: float  # density at the surface, per world unit
    components: int
    dropped: int  # pieces below 1 % of the volume
    dropped_share: float  # of the volume
    faces_found: int  # before simplification
    faces: int
    charts: int
    reach: float  # world units that a ray goes into the object until half of it is stopped
    seconds: float

    @property
    def concern(self) -> str:
        """What is wrong with the object; empty where nothing is known to be."""
        if self.reach < FOG:
            return ""
        return (
            "degenerate object: fog rather than a solid, a ray goes "
            f"{self.reach:.2f} world units into it before half of it is stopped"
        )

    def __str__(self) -> str:
        pieces = "one piece" if self.components == 1 else f"{self.components} pieces"
        left = f"; {self.dropped} specks left out" if self.dropped else ""
        concern = f"; {self.concern}" if self.concern else ""
        return f"{pieces}, {self.faces} triangles{left}{concern} ({self.seconds:.0f} s)"


@dataclass(frozen=True)
class Asset:
    """A finished object on the disk."""

    folder: Path
    report: Report | None = None

    @property
    def glb(self) -> Path:
        return self.folder / GLB

    @property
    def obj(self) -> Path:
        return self.folder / OBJ

    @property
    def turntable(self) -> Path:
        return self.folder / TURNTABLE

    @property
    def contact_sheet(self) -> Path:
        return self.folder / SHEET

    def parts(self) -> tuple[Surface, ...]:
        """The mesh, read back from the GLB."""
        return read_mesh(self.glb)

    def save(self, path: Path | str, *, replace: bool = False) -> Path:
        """Write a copy: .glb and .obj are the object, .mp4 the turntable, .png the sheet."""
        path = Path(path)
        refuse_existing([path], replace=replace)
        sources = {".glb": self.glb, ".mp4": self.turntable, ".png": self.contact_sheet}
        suffix = path.suffix.lower()
        if suffix == ".obj":
            parts = self.parts()
            refuse_existing(obj_files(path, parts), replace=replace)
            write_obj(path, parts)
        elif suffix in sources:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(sources[suffix], path)
        else:
            raise BadInput(f"{path.name}: save as .glb, .obj, .mp4 or .png.")
        return path


def refuse_existing(paths: Sequence[Path], *, replace: bool) -> None:
    """BadInput, before any work, if a file that is to be written is there already."""
    there = [path for path in paths if path.exists()]
    if there and not replace:
        raise BadInput(f"{there[0]} exists; nothing was changed. Choose another place.")


def export(
    volume: Volume, folder: Path, *, finish: Finish | None = None, replace: bool = False
) -> Asset:
    """Bring an object out of a volume and write all its files into `folder`.

    Files already there are refused unless `replace` says that they are one's own to make again.
    Raises DegenerateError (isosurface.py) where the density holds no object.
    """
    finish = finish or Finish()
    refuse_existing([folder / name for name in FILES], replace=replace)
    start = time.monotonic()
    surface, cut, charts = extract(volume, finish)
    write_asset([surface], folder, finish=finish, replace=replace)
    report = Report(
        level=cut.level,
        components=cut.kept,
        dropped=cut.dropped,
        dropped_share=cut.dropped_share,
        faces_found=len(cut.faces),
        faces=len(surface.faces),
        charts=charts,
        reach=cut.reach,
        seconds=time.monotonic() - start,
    )
    return Asset(folder, report)


def write_asset(
    parts: Sequence[Surface], folder: Path, *, finish: Finish | None = None, replace: bool = False
) -> Asset:
    """Write a mesh as all the files of an asset, and check the GLB by reading it back."""
    finish = finish or Finish()
    asset = Asset(folder)
    refuse_existing([folder / name for name in FILES], replace=replace)
    write_glb(asset.glb, parts)
    again = asset.parts()
    check_same(parts, again)
    write_obj(asset.obj, parts)
    scene = Mesh(again)
    save_png(asset.contact_sheet, sheet(scene, finish.size))
    save_mp4(asset.turntable, film(scene, finish.frames, finish.size))
    return asset


def check_same(parts: Sequence[Surface], again: Sequence[Surface]) -> None:
    """RuntimeError if what was read back is not what was written."""
    problems: list[str] = []
    if [len(p.faces) for p in parts] != [len(p.faces) for p in again]:
        problems.append("other triangles")
    elif not torch.allclose(bounds(parts).cpu(), bounds(again), atol=1e-5):
        problems.append("another size")
    for part, other in zip(parts, again, strict=False):
        before, after = part.texture, other.texture
        if (before is None) != (after is None):
            problems.append(f"the texture of {part.name!r} is lost")
        elif before is not None and after is not None and before.shape != after.shape:
            problems.append(f"the texture of {part.name!r} has another size")
    if problems:
        raise RuntimeError(f"{GLB} does not read back as it was written: {'; '.join(problems)}.")


def key_light(cameras: Cameras) -> Light:
    """A light above each camera's left shoulder, and as much again from everywhere."""
    right, down = cameras.world_to_camera[:, 0, :3], cameras.world_to_camera[:, 1, :3]
    half = torch.full((len(cameras),), 0.5, device=right.device)
    return Light(cameras.position - 1.5 * right - 2 * down, half, half, half < 0)


@torch.no_grad()
def pictures(scene: Mesh, cameras: Cameras) -> Iterator[Float[Tensor, "h w 3"]]:
    """Lit pictures on grey, a few cameras at a time."""
    for start in range(0, len(cameras), 4):
        here = cameras[slice(start, start + 4)]
        view = scene.render(Shot(here, key_light(here)))
        yield from view.over(torch.full((1, 1, 1, 3), BACKGROUND)).clamp(0, 1)


def film(scene: Mesh, frames: int, size: int) -> Iterator[Float[Tensor, "h w 3"]]:
    """Once around, from 20 degrees above."""
    azimuth = torch.arange(frames) * (360.0 / frames)
    yield from pictures(scene, orbit(azimuth, torch.full_like(azimuth, 20.0), size=size))


def sheet(scene: Mesh, size: int) -> Float[Tensor, "y x 3"]:
    """Six sides, from 15 and from 45 degrees above."""
    azimuth = torch.arange(6) * 60.0
    elevation = torch.tensor([15.0, 45.0]).repeat_interleave(6)
    views = list(pictures(scene, orbit(azimuth.repeat(2), elevation, size=size)))
    labels = [
        f"azimuth {a:.0f}, elevation {e:.0f}"
        for a, e in zip(azimuth.repeat(2).tolist(), elevation.tolist(), strict=True)
    ]
    return contact_sheet(torch.stack(views), columns=6, labels=labels)
