"""Captioned multi-view data of any folder of meshes, as the toybox gives it of toys.

The folder holds captions.jsonl, a JSON object a line: `path` (of a GLB, glTF, OBJ, PLY, STL or OFF
file, relative to the folder, or beginning with the folder's own name) and `caption`, and if need
be `captions` (other wordings), `name`, `up` ("z" where the file is not +y up) and `placed` (true:
the file is in world units already, as in what `dreamlift data` wrote). What else a line says is
kept with the capture. Objects are moved and scaled to fill the ball of radius RADIUS, unless
placed.

    folder = Shelf(Path("meshes"))
    for entry in folder.entries:
        captured = folder.capture(entry, cameras, light)    # raises BadInput, by name and reason
"""

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.captures import (
    Capture,
    Piece,
    capture,
    line,
    surround,
    told,
    within,
    write_capture,
)
from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface, area
from dreamlift.geometry.placement import bounds
from dreamlift.geometry.points import scatter
from dreamlift.io.collection import (
    CAPTIONS,
    FILES,
    OUTPUTS,
    PICTURES,
    Output,
    Picture,
    entries,
    fill,
)
from dreamlift.io.gltf import write_glb
from dreamlift.io.meshes import FORMATS, absent, read_mesh
from dreamlift.io.ply import write_points
from dreamlift.lights import Light
from dreamlift.render.raycast import Fragments
from dreamlift.scenes.mesh import Mesh

RADIUS = 1.0
"""World units to which objects are scaled."""
FINE = 3
"""Rays along a side of a pixel of images and albedo."""
Up: TypeAlias = Literal["y", "z"]
FAULTS = (AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""What a file may raise that is damaged in a way that no reader foresaw."""
MESH_OUTPUTS: tuple[Output, ...] = tuple(x for x in OUTPUTS if x != "sdf")
"""A mesh of somebody else need not be closed, so nothing is inside of it."""


@dataclass(frozen=True)
class Entry:
    """One line of captions.jsonl."""

    name: str  # for messages: the path, as the line has it
    file: Path
    captions: tuple[str, ...]  # the plain one first
    up: Up = "y"
    placed: bool = False
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])  # what else the line says


@dataclass(frozen=True)
class Object:
    """A mesh file's parts in our axes, in the ball of radius RADIUS."""

    parts: tuple[Surface, ...]  # each with a name of its own
    scale: float  # world = scale * (the file's, turned +z up) + offset
    offset: tuple[float, float, float]


class Shelf:
    """A folder of mesh files and its captions.jsonl."""

    def __init__(self, folder: Path) -> None:
        """Reads captions.jsonl, and no mesh yet. Raises BadInput where it is not to be read."""
        self.folder = folder
        index = folder / CAPTIONS
        try:
            lines = index.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(
                f"{index} cannot be read ({error}). A folder of meshes needs it: for each object a "
                'line such as {"path": "chair.glb", "caption": "a red chair"}.'
            ) from error
        rows = [(k + 1, text) for k, text in enumerate(lines) if text.strip()]
        if not rows:
            raise BadInput(f"{index} is empty; a line for each object was expected.")
        self.entries = [_entry(folder, text, f"{index}, line {k}") for k, text in rows]

    def unlisted(self) -> list[Path]:
        """Mesh files of the folder that captions.jsonl does not name."""
        named = {entry.file.resolve() for entry in self.entries if os.path.exists(entry.file)}
        files = sorted(p for p in self.folder.rglob("*") if p.suffix.lower() in FORMATS)
        return [path for path in files if path.resolve() not in named]

    def load(self, entry: Entry) -> Object:
        """The object of an entry. Raises BadInput, with its name and the reason."""
        try:
            return self._loaded(entry)
        except BadInput:
            raise
        except OSError as error:
            raise BadInput(f"{entry.file} cannot be read: {error.strerror or error}.") from error
        except FAULTS as error:
            why = f"{type(error).__name__}: {error}"
            raise BadInput(f"{entry.file} cannot be read ({why}).") from error

    def _loaded(self, entry: Entry) -> Object:
        """The object of an entry."""
        inside = os.path.relpath(entry.file, self.folder)  # links that are in it may lead out
        if inside.startswith(os.pardir) or os.path.isabs(inside):
            raise BadInput(f"{entry.name} lies outside of {self.folder}. Copy it there.")
        parts = read_mesh(entry.file, up=entry.up)
        if files := absent(entry.file):
            raise BadInput(
                f"{entry.file} takes its colours from {', '.join(files)}, which is not there. "
                "Bring it, or delete what names it (mtllib, map_Kd) to go without."
            )
        if wrong := next((why for part in parts if (why := _wrong(part))), ""):
            raise BadInput(f"{entry.file} cannot be read: {wrong}.")
        parts = [_used(part) for part in parts]
        still = 1.0, torch.zeros(3, dtype=torch.float64)
        scale, offset = still if entry.placed else _placement(parts)
        if not 0 < scale < float("inf"):
            raise BadInput(f"{entry.file} cannot be read: all of it is one point.")
        moved = [replace(part, vertices=_moved(part.vertices, scale, offset)) for part in parts]
        if not any(bool((area(part.vertices, part.faces) > 0).any()) for part in moved):
            raise BadInput(f"{entry.file} cannot be read: none of its triangles has an area.")
        x, y, z = offset.tolist()
        return Object(tuple(_named(moved)), scale, (x, y, z))

    def capture(self, entry: Entry, cameras: Cameras, light: Light) -> Capture:
        """Pictures of an entry's object with all that is known. Raises BadInput as `load` does."""
        return seen(self.load(entry), entry, cameras, light)


@dataclass(frozen=True)
class MeshDataset:
    """What decides every entry that is made of a shelf's meshes; see toybox/dataset.py."""

    seed: int = 0  # of cameras, light and points
    views: int = 8
    size: int = 256  # pixels a side
    outputs: Sequence[Output] = MESH_OUTPUTS
    points: int = 16384
    elevation: tuple[float, float] = (-10.0, 60.0)  # degrees

    def __post_init__(self) -> None:
        within("seed", self.seed, 0, 2**62)
        within("views", self.views, 1, 999)
        within("size", self.size, 16, 2048)
        within("points", self.points, 1, 10**7)
        if not self.outputs:
            raise BadInput(f"Nothing would be written. Outputs are: {', '.join(MESH_OUTPUTS)}.")
        if "sdf" in self.outputs:
            raise BadInput(
                "A mesh of somebody else need not be closed, so it has no sdf. Leave that output "
                "out, or draw toys."
            )

    def write(
        self,
        shelf: Shelf,
        out: Path,
        count: int | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[tuple[str, str]]:
        """An entry for each of the first `count` lines, in `out`; those there already are kept.

        Gives the names of those that cannot be read, and why; they are passed over.
        """
        if count is not None and count > len(shelf.entries):
            raise BadInput(
                f"{count} objects were asked for; {shelf.folder} lists {len(shelf.entries)}."
            )
        count = len(shelf.entries) if count is None else count
        for index, folder in entries(out):
            there = told(folder).get("source", {}).get("path")
            listed = shelf.entries[index].name if index < len(shelf.entries) else None
            if there != listed:
                raise BadInput(
                    f"{folder} is of {there!r}, where {shelf.folder} lists {listed!r}. Add lines "
                    "at the end of its captions.jsonl only, or choose another folder."
                )
        settings = {**asdict(self), "outputs": sorted(self.outputs), "of": "meshes"}
        refused = fill(out, settings, count, partial(self._write, shelf), line, progress)
        return [(shelf.entries[index].name, why) for index, why in refused]

    def _write(self, shelf: Shelf, index: int, folder: Path) -> None:
        """One object."""
        entry = shelf.entries[index]
        rng = random.Random(f"{self.seed}|{index}")
        cameras, light = surround(self.views, self.size, self.elevation, rng)
        made = shelf.load(entry)
        kept: list[Picture] = [kind for kind in PICTURES if kind in self.outputs]
        captured = seen(made, entry, cameras, light) if kept else known(made, entry, cameras, light)
        files = {kind: name for kind, name in FILES.items() if kind in self.outputs}
        if "mesh" in files:
            write_glb(folder / files["mesh"], made.parts)
        if "points" in files:
            draws = torch.Generator().manual_seed(self.seed + index)
            write_points(folder / files["points"], scatter(made.parts, self.points, draws))
        write_capture(folder, replace(captured, about={**captured.about, **files}), kept)


def known(made: Object, entry: Entry, cameras: Cameras, light: Light) -> Capture:
    """What is known of a loaded object without looking at it."""
    about = {
        "source": {"path": entry.name, "up": entry.up, **entry.more},
        "placement": {"scale": made.scale, "offset": list(made.offset)},
    }
    return Capture(entry.captions, pieces(made), cameras, light, about=about)


def seen(made: Object, entry: Entry, cameras: Cameras, light: Light) -> Capture:
    """Pictures of a loaded object, with all that is known. Raises BadInput where nothing shows."""
    captured = capture(Mesh(made.parts, samples=1), part_numbers, cameras, light, fine=FINE)
    if captured.alpha is not None and not bool((captured.alpha > 0).any()):
        raise BadInput(f"{entry.file} shows nothing: no camera sees a triangle of it.")
    told_of = known(made, entry, cameras, light)
    return replace(captured, captions=told_of.captions, parts=told_of.parts, about=told_of.about)


def part_numbers(fragments: Fragments) -> Int[Tensor, "b h w"]:
    """The part that the ray through each pixel's centre meets; -1: none."""
    return fragments.part


def pieces(made: Object) -> tuple[Piece, ...]:
    """The parts' names and mean colours."""
    return tuple(Piece.of(part) for part in made.parts)


def _entry(folder: Path, text: str, where: str) -> Entry:
    """A line's meaning. Raises BadInput with the line's number."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} is no JSON ({error}).") from error
    if not isinstance(said, dict):
        raise BadInput(f"{where} is {text[:40]!r}; a JSON object was expected.")
    line = cast("dict[str, Any]", said)
    for key in ("path", "caption"):
        if not isinstance(line.get(key), str) or not line[key].strip():
            raise BadInput(f"{where} has no {key}. Every line names a file and says what it is.")
    others = line.get("captions", [])
    if not isinstance(others, list) or not all(isinstance(c, str) for c in others):
        raise BadInput(f"{where}: its captions are {others!r}; a list of texts was expected.")
    up = line.get("up", "y")
    if up not in ("y", "z"):
        raise BadInput(f'{where}: its up is {up!r}; "y" or "z" was expected.')
    path, caption = str(line["path"]), str(line["caption"]).strip()
    wordings = dict.fromkeys([caption, *cast("list[str]", others)])
    known = ("path", "caption", "captions", "up", "placed")
    more = {key: value for key, value in line.items() if key not in known}
    placed = line.get("placed") is True
    return Entry(path, _file(folder, path), tuple(wordings), up, placed, more)


def _file(folder: Path, path: str) -> Path:
    """Where a line's file is: in the folder, or in the folder of that name, which it is."""
    parts = PurePosixPath(path).parts
    own = len(parts) > 1 and parts[0] == folder.resolve().name
    inner = folder.joinpath(*parts[1:])
    return inner if own and not os.path.exists(folder / path) else folder / path


def _wrong(part: Surface) -> str:
    """What is wrong with a part's numbers; empty where nothing is."""
    n = len(part.vertices)
    if not 0 <= int(part.faces.min()) <= int(part.faces.max()) < n:
        return f"a face names vertex {int(part.faces.max())} of {n}"
    for values, width in (
        (part.vertices, 3),
        (part.colors, 3),
        (part.normals, 3),
        (part.uv, 2),
    ):
        if values is None:
            continue
        if values.shape != (n, width):
            came = " x ".join(map(str, values.shape))
            return f"{came} numbers came where {n} vertices want {width} each"
        if not bool(values.isfinite().all()):
            return "it holds NaN or infinity"
    return ""


def _used(part: Surface) -> Surface:
    """The part with only the vertices that its faces use: strays must not decide its size."""
    used, inverse = part.faces.unique(return_inverse=True)
    if len(used) == len(part.vertices):
        return part

    def picked(values: Float[Tensor, "n k"] | None) -> Float[Tensor, "m k"] | None:
        return None if values is None else values[used]

    return replace(
        part,
        vertices=part.vertices[used],
        faces=inverse.reshape(-1, 3),
        colors=picked(part.colors),
        normals=picked(part.normals),
        uv=picked(part.uv),
    )


def _moved(
    x: Float[Tensor, "n 3"], scale: float, offset: Float[Tensor, "3"]
) -> Float[Tensor, "n 3"]:
    """Far from the origin, the two are large and nearly cancel."""
    return (x.double() * scale + offset).float()


def _placement(parts: Sequence[Surface]) -> tuple[float, Float[Tensor, "3"]]:
    """Scale and offset, in double precision, that centre the parts' box and fill the ball; an
    infinite scale for a single point, 0 for what is too large to be measured."""
    low, high = (corner.double() for corner in bounds(parts))
    centre = (low + high) / 2
    far = max(float((part.vertices.double() - centre).norm(dim=-1).max()) for part in parts)
    scale = RADIUS / far if far > 0 else float("inf")
    return scale, -centre * scale


def _named(parts: Sequence[Surface]) -> list[Surface]:
    """The parts, each with a name, the second of a name numbered."""
    taken: set[str] = set()
    last = Counter[str]()
    named: list[Surface] = []
    for part in parts:
        plain = name = part.name.strip() or "part"
        while name in taken:
            last[plain] = max(2, last[plain] + 1)
            name = f"{plain} {last[plain]}"
        taken.add(name)
        named.append(replace(part, name=name))
    return named
