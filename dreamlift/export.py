"""From a scene to the files people open: bring out its mesh, write it, read it back, and show it
from all sides.

    asset.glb            the object, its textures inside (+y up, facing +z, as glTF wants)
    asset.obj .mtl .png  the same for programs that read no glTF
    asset.ply            of Gaussians: all of their numbers, in the INRIA layout
    turntable.mp4        once around it
    contact_sheet.png    from six sides and two heights

A volume's mesh is cut and baked (convert/), a mesh is its own, and Gaussians are brought out as
a mesh too, while their films show the Gaussians themselves.
"""

import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

import torch
from torch import Tensor

from dreamlift.convert.finish import Finish
from dreamlift.convert.gaussians_to_mesh import of_gaussians
from dreamlift.convert.tetrahedra_to_mesh import textured
from dreamlift.convert.volume_to_mesh import extract
from dreamlift.errors import BadInput
from dreamlift.films import film, sheet
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.pieces import pieces
from dreamlift.geometry.placement import bounds
from dreamlift.geometry.volume import Volume
from dreamlift.io.atomic import atomic
from dreamlift.io.gltf import write_glb
from dreamlift.io.images import save_png
from dreamlift.io.mesh_files import mesh_files, write_mesh
from dreamlift.io.meshes import read_mesh
from dreamlift.io.obj import write_obj
from dreamlift.io.place import refuse_unwritable
from dreamlift.io.splats import read_splats, write_splats
from dreamlift.io.usd import check_usd
from dreamlift.io.video import save_mp4
from dreamlift.render.environment import studio
from dreamlift.scenes.gaussians import Cloud
from dreamlift.scenes.mesh import Mesh
from dreamlift.scenes.pliable import PliableMesh
from dreamlift.scenes.tetrahedra import Tetrahedra

Exportable: TypeAlias = Volume | Cloud | Mesh | PliableMesh | Tetrahedra
"""A field is a volume."""
Format: TypeAlias = Literal[
    "glb", "obj", "stl", "ply", "usdz", "splat-ply", "splat", "spz", "mp4", "png"
]
"""A mesh (ply: with colours at its vertices), Gaussians (splat-ply: the INRIA layout), the
turntable, the contact sheet."""
SPLATS = ("splat-ply", "splat", "spz")
GLB, OBJ, TURNTABLE, SHEET = "asset.glb", "asset.obj", "turntable.mp4", "contact_sheet.png"
FILES = (GLB, OBJ, "asset.mtl", TURNTABLE, SHEET)
"""What every asset has."""
MORE = ("asset.png", "asset.ply")
"""What one with a texture, or of Gaussians, has too."""
FOG = 0.3
"""World units; an object that a ray enters further than this is called fog."""


@dataclass(frozen=True)
class Report:
    """What was made of a scene; of a mesh, which is not cut, level, charts and reach are 0."""

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
    def splats(self) -> Path:
        """Of Gaussians only."""
        return self.folder / "asset.ply"

    @property
    def turntable(self) -> Path:
        return self.folder / TURNTABLE

    @property
    def contact_sheet(self) -> Path:
        return self.folder / SHEET

    def parts(self) -> tuple[Surface, ...]:
        """The mesh, read back from the GLB."""
        return read_mesh(self.glb)

    def save(
        self, path: Path | str, *, format: Format | None = None, replace: bool = False
    ) -> Path:
        """Write a copy, by its suffix: .glb, .obj, .stl, .ply, .usdz are the object, .splat, .spz
        and an asset of Gaussians' .ply these, .mp4 the turntable, .png the sheet."""
        path = Path(path)
        has = self.splats.exists()
        form = format_of(path, format, splats=has)
        copies = {"glb": self.glb, "mp4": self.turntable, "png": self.contact_sheet}
        copies["splat-ply"] = self.splats
        if form in SPLATS and not has:
            raise no_gaussians(form)
        if form in copies:
            refuse_existing([path], replace=replace)
            if form == "glb":
                _ = self.parts()  # a damaged one is told of, and not passed on
            if not (path.exists() and path.samefile(copies[form])):
                with atomic(path) as file:
                    shutil.copyfile(copies[form], file)
        elif form in SPLATS:
            refuse_existing([path], replace=replace)
            write_splats(path, read_splats(self.splats))
        else:
            parts = self.parts()
            refuse_existing(mesh_files(path, parts), replace=replace)
            write_mesh(path, parts)
        return path


def suffix_of(form: Format) -> str:
    """Of the files of a format."""
    return ".ply" if form == "splat-ply" else f".{form}"


def format_of(path: Path, asked: Format | None = None, *, splats: bool) -> Format:
    """What a path is to hold; `splats`: whether a .ply, where nothing is asked, is of Gaussians."""
    suffix = path.suffix.lower()
    forms = cast("tuple[Format, ...]", get_args(Format))
    if asked is None:
        fitting: list[Format] = [form for form in forms if suffix_of(form) == suffix]
        if not fitting:
            raise BadInput(
                f"{path}: save as .glb, .obj, .stl, .ply, .usdz, .splat, .spz, .mp4 or .png."
            )
        asked = fitting[-1] if splats else fitting[0]
    elif suffix != suffix_of(asked):
        raise BadInput(
            f"{path.name} is no {suffix_of(asked)} file. Say --format too, or rename it."
        )
    if asked == "usdz":
        check_usd()
    return asked


def no_gaussians(form: Format) -> BadInput:
    """What to say where a cloud is asked of what is none."""
    return BadInput(
        f"There are no Gaussians in it to be written as {form}. Take the mesh (glb, obj, ply, stl, "
        "usdz), or put Gaussians on that: dreamlift.geometry.surfels.from_mesh."
    )


def refuse_existing(paths: Sequence[Path], *, replace: bool) -> None:
    """BadInput, before any work, if a file to be written is there already, or cannot be."""
    for path in paths:
        refuse_unwritable(path)
    there = [path for path in paths if path.exists()]
    if there and not replace:
        raise BadInput(
            f"{there[0]} exists; nothing was changed. Choose another place (--out), or in Python "
            "say replace=True."
        )


@contextmanager
def read_again(run: Path, *, finished: bool) -> Generator[None]:
    """BadInput where the state of a finished run cannot be read inside: how to make it again.

    To continue such a run does nothing: what it made is there, and is not to be replaced.
    """
    try:
        yield
    except BadInput as error:
        if not finished:
            raise
        raise BadInput(
            f"A checkpoint in {run} is damaged or gone, and other numbers need it. What the run "
            "has made is there, and stays. Bring back a copy of the checkpoint; or make the object "
            "again: copy config.json (and picture.png or sketch.safetensors, where it is there) to "
            "a new folder, and `dreamlift resume` that."
        ) from error


def export(
    scene: Exportable, folder: Path, *, finish: Finish | None = None, replace: bool = False
) -> Asset:
    """Bring an object out of a scene and write all its files into `folder`.

    Files already there are refused unless `replace` says that they are one's own to make again.
    Raises DegenerateError (isosurface.py) where the scene holds no object.
    """
    finish = finish or Finish()
    refuse_existing([folder / name for name in (*FILES, *MORE)], replace=replace)
    start = time.monotonic()
    parts, report = bring_out(scene, finish)
    cloud = _on_cpu(scene) if isinstance(scene, Cloud) else None
    if cloud is not None:
        write_splats(folder / "asset.ply", cloud.gaussians())
    write_asset(parts, folder, finish=finish, replace=True, shown=cloud)
    return Asset(folder, changed(report, seconds=time.monotonic() - start))


def write(
    scene: Exportable,
    path: Path,
    *,
    format: Format | None = None,
    finish: Finish | None = None,
    replace: bool = False,
) -> Path:
    """One file of a scene, and no work for any other. Raises BadInput for what it cannot be."""
    finish = finish or Finish()
    form = format_of(path, format, splats=isinstance(scene, Cloud))
    if form in SPLATS and not isinstance(scene, Cloud):
        raise no_gaussians(form)
    refuse_existing([path], replace=replace)
    cloud = _on_cpu(scene) if isinstance(scene, Cloud) else None
    path.parent.mkdir(parents=True, exist_ok=True)
    if cloud is not None and form in SPLATS:
        write_splats(path, cloud.gaussians())
        return path
    if form in ("mp4", "png"):
        _show(cloud or stage(bring_out(scene, finish)[0]), path, finish)
        return path
    parts, _ = bring_out(scene, finish)
    refuse_existing(mesh_files(path, parts), replace=replace)
    write_mesh(path, parts)
    return path


def bring_out(scene: Exportable, finish: Finish) -> tuple[tuple[Surface, ...], Report]:
    """The mesh of a scene, and what is to be said of it."""
    if isinstance(scene, Tetrahedra):
        scene = PliableMesh(textured(*scene.cut(), scene.albedo, finish))
    if isinstance(scene, Mesh | PliableMesh):
        parts = scene.surfaces() if isinstance(scene, Mesh) else (scene.surface(),)
        parts = _parts_on_cpu(parts)
        if not all(bool(part.vertices.isfinite().all()) for part in parts):
            raise DegenerateError("degenerate object: vertices are NaN or infinite.")
        found = sum(pieces(part.vertices, part.faces) for part in parts)
        count = sum(len(part.faces) for part in parts)
        return parts, Report(0.0, found, 0, 0.0, count, count, 0, 0.0, 0.0)
    if isinstance(scene, Cloud):
        surface, cut, charts = of_gaussians(_on_cpu(scene).gaussians(), finish)
    else:
        surface, cut, charts = extract(scene, finish)
    report = Report(
        level=cut.level,
        components=cut.kept,
        dropped=cut.dropped,
        dropped_share=cut.dropped_share,
        faces_found=len(cut.faces),
        faces=len(surface.faces),
        charts=charts,
        reach=cut.reach,
        seconds=0.0,
    )
    return (surface,), report


def write_asset(
    parts: Sequence[Surface],
    folder: Path,
    *,
    finish: Finish | None = None,
    replace: bool = False,
    shown: Cloud | None = None,
) -> Asset:
    """Write a mesh as all the files of an asset, and check the GLB by reading it back.

    `shown`: the Gaussians that films show in its stead.
    """
    finish = finish or Finish()
    asset = Asset(folder)
    refuse_existing([folder / name for name in (*FILES, *MORE)], replace=replace)
    write_glb(asset.glb, parts)
    again = asset.parts()
    check_same(parts, again)
    write_obj(asset.obj, parts)
    scene = shown or stage(again)
    _show(scene, asset.contact_sheet, finish)
    _show(scene, asset.turntable, finish)
    return asset


def stage(parts: Sequence[Surface]) -> Mesh:
    """A mesh to be looked at: under an environment where it has a material to show."""
    plain = all(part.material.plain for part in parts)
    return Mesh(parts, environment=None if plain else studio())


def _show(scene: Mesh | Cloud, path: Path, finish: Finish) -> None:
    """The turntable or the contact sheet."""
    if path.suffix.lower() == ".png":
        save_png(path, sheet(scene, finish.size))
    else:
        save_mp4(path, film(scene, finish.frames, finish.size))


@torch.no_grad()
def _on_cpu(cloud: Cloud) -> Cloud:
    g = cloud.gaussians()
    return Cloud(
        changed(
            g,
            means=g.means.cpu(),
            quaternions=g.quaternions.cpu(),
            log_scales=g.log_scales.cpu(),
            opacity_logits=g.opacity_logits.cpu(),
            harmonics=g.harmonics.cpu(),
        )
    )


def _parts_on_cpu(parts: Sequence[Surface]) -> tuple[Surface, ...]:
    """What several parts show stays one tensor, and is written once."""
    at_hand: dict[int, Tensor] = {}

    def moved(x: Tensor | None) -> Tensor | None:
        return None if x is None else at_hand.setdefault(id(x), x.detach().cpu())

    def part_moved(part: Surface) -> Surface:
        material = part.material
        material = changed(material, gloss=moved(material.gloss), bumps=moved(material.bumps))
        return changed(
            part,
            vertices=part.vertices.detach().cpu(),
            faces=part.faces.cpu(),
            colors=moved(part.colors),
            normals=moved(part.normals),
            uv=moved(part.uv),
            texture=moved(part.texture),
            material=material,
        )

    return tuple(part_moved(part) for part in parts)


def check_same(parts: Sequence[Surface], again: Sequence[Surface]) -> None:
    """RuntimeError if what was read back is not what was written."""
    problems: list[str] = []
    if [len(p.faces) for p in parts] != [len(p.faces) for p in again]:
        problems.append("other triangles")
    elif not torch.allclose(bounds(parts).cpu(), bounds(again), atol=1e-5):
        problems.append("another size")
    for part, other in zip(parts, again, strict=False):
        for what, before, after in (
            ("texture", part.texture, other.texture),
            ("gloss", part.material.gloss, other.material.gloss),
            ("normal map", part.material.bumps, other.material.bumps),
        ):
            if (before is None) != (after is None):
                problems.append(f"the {what} of {part.name!r} is lost")
            elif before is not None and after is not None and before.shape != after.shape:
                problems.append(f"the {what} of {part.name!r} has another size")
    if problems:
        raise RuntimeError(f"{GLB} does not read back as it was written: {'; '.join(problems)}.")
