"""Wavefront OBJ in: polygons with the colours of their materials, pictures and vertices.

A part is what has one material. A picture goes before vertex colours, and these before Kd; faces
without texture coordinates, in a material with a picture, are a part of their own. Left out:
curves, surfaces, points, lines, smoothing groups, everything of a material but Kd and map_Kd.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dreamlift.geometry.mesh import Surface
from dreamlift.io.images import decode
from dreamlift.io.mtl import Paint, libraries, located, named, read_paints, rows
from dreamlift.io.polygons import Floats, Ints, made, meshed, near, shades

KINDS = ("v", "vt", "vn")


@dataclass
class _Text:
    """What an OBJ file says, its numbers still text."""

    values: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    faces: dict[str, list[str]] = field(default_factory=dict[str, list[str]])  # by material
    objects: dict[str, str] = field(default_factory=dict[str, str])  # the first, by material
    libraries: list[str] = field(default_factory=list[str])  # lines of mtllib
    ours: bool = False  # write_obj's: colours are meant to multiply pictures


@dataclass(frozen=True)
class _Values:
    """The numbers of an OBJ file."""

    points: Floats  # (n 3)
    colors: Floats | None  # (n 3), in [0, 1]; NaN where a vertex has none
    uv: Floats  # (m 2)
    normals: Floats  # (k 3)
    ours: bool


def read_obj(path: Path) -> tuple[Surface, ...]:
    """The parts of an OBJ file, as it stands. Pictures that are not there are gone without.

    Raises ValueError, without the file's name, where it cannot be read.
    """
    text = _text(path)
    paints: dict[str, Paint] = {}
    places: dict[str, Path] = {}  # of the MTL files, by material
    for name in libraries(text.libraries, path.parent):
        if library := located(name, path.parent):
            found = read_paints(library)
            paints |= found
            places |= dict.fromkeys(found, library.parent)
    values = _values(text)
    pictures: dict[Path, Tensor] = {}
    parts: dict[str, Surface] = {}
    for material, lines in text.faces.items():
        if not lines:
            continue
        paint = paints.get(material, Paint())
        folder = places.get(material, path.parent)
        picture = located(paint.picture, folder, path.parent) if paint.picture else None
        if picture and picture not in pictures:
            pictures[picture] = decode(picture.read_bytes(), name=str(picture))[..., :3]
        name = material if material and len(paints) > 1 else text.objects[material] or path.name
        texture = pictures[picture] if picture and len(values.uv) else None
        for part in _parts(name, _corners(lines, values), values, paint, texture):
            names = (name, *(f"{name}_{k}" for k in range(1, len(parts) + 1)))
            label = next(x for x in names if x not in parts)
            parts[label] = replace(part, name=label)
    if not parts:
        raise ValueError("it holds no triangles.")
    return tuple(parts[name] for name in sorted(parts))


def absent_of_obj(path: Path) -> list[str]:
    """Materials and pictures that an OBJ file names and that are not there."""
    out: list[str] = []
    said = [rest for key, rest in rows(path) if key == "mtllib"]
    for name in libraries(said, path.parent):
        library = located(name, path.parent)
        if library is None:
            out.append(name)
            continue
        pictures = [paint.picture for paint in read_paints(library).values()]
        out += [x for x in pictures if x and not located(x, library.parent, path.parent)]
    return out


def _text(path: Path) -> _Text:
    text = _Text()
    material, thing = "", ""
    faces = text.faces.setdefault(material, [])
    for key, rest in rows(path):
        if key in text.values:
            text.values[key].append(rest.partition("#")[0] if "#" in rest else rest)
        elif key == "f":
            line = rest.partition("#")[0] if "#" in rest else rest
            faces.append(_counted(line, text.values) if "-" in line else line)
            text.objects.setdefault(material, thing)
        elif key == "usemtl":
            material = named(rest)
            faces = text.faces.setdefault(material, [])
        elif key == "o":
            thing = rest
        elif key == "mtllib":
            text.libraries.append(rest)
        elif key == "#" and rest.startswith("dreamlift:"):
            text.ours = True
    return text


def _counted(line: str, values: dict[str, list[str]]) -> str:
    """A face whose negative indices, which count back from what was read so far, count from one."""
    corners: list[str] = []
    for corner in line.split():
        indices = corner.split("/")
        for k, (index, kind) in enumerate(zip(indices, KINDS, strict=False)):
            if index.startswith("-"):
                known = len(values[kind])
                if int(index) < -known:
                    raise ValueError(f"a face names {kind} {index}, where {known} stand before it.")
                indices[k] = str(known + 1 + int(index))
        corners.append("/".join(indices))
    return " ".join(corners)


def _values(text: _Text) -> _Values:
    v = _table("v", text.values["v"], least=3, most=6)
    colors = np.where(np.isnan(v[:, 3:]).any(1, keepdims=True), np.nan, v[:, 3:])
    return _Values(
        points=near(v[:, :3]),
        colors=None if np.isnan(colors).all() else shades(colors),
        uv=np.nan_to_num(_table("vt", text.values["vt"], least=1, most=2)),
        normals=_table("vn", text.values["vn"], least=3, most=3),
        ours=text.ours,
    )


def _table(kind: str, lines: list[str], *, least: int, most: int) -> Floats:
    """The first `most` numbers of each line, NaN where it has fewer."""
    counts = np.array([len(line.split()) for line in lines], np.int64)
    if len(counts) and counts.min() < least:
        k = int(counts.argmin())
        raise ValueError(f"{kind} {k + 1} has {counts[k]} numbers; {least} or more were expected.")
    numbers = np.array([float(x) for x in " ".join(lines).split()], np.float64)
    out = np.full((len(lines), most), np.nan)
    starts = np.cumsum(counts) - counts
    for k in range(most):
        has = counts > k
        out[has, k] = numbers[starts[has] + k]
    return out


@dataclass(frozen=True)
class _Corners:
    """Polygons; corners count from zero, and are -1 where there is none."""

    counts: Ints  # (f)
    indices: tuple[Ints, Ints, Ints]  # (c) each: v, vt and vn

    def of(self, faces: NDArray[np.bool_]) -> "_Corners":
        """Some of the faces (f)."""
        kept = np.repeat(faces, self.counts)
        v, vt, vn = (x[kept] for x in self.indices)
        return _Corners(self.counts[faces], (v, vt, vn))


def _corners(lines: list[str], values: _Values) -> _Corners:
    faces = [line for line in lines if len(line.split()) >= 3]
    counts = np.array([len(line.split()) for line in faces], np.int64)
    corners = " ".join(faces).split()
    # Each as v/vt/vn, 0 for what it does not say.
    whole = " ".join([x + "/0/0"[2 * x.count("/") :] for x in corners]) + " "
    numbers = whole.replace("//", "/0/").replace("/ ", "/0 ").replace("/", " ").split()
    if len(numbers) != 3 * len(corners):
        raise ValueError("a face has a corner that is not as v, v/vt, v//vn or v/vt/vn.")
    said = np.array([int(x) for x in numbers], np.int64).reshape(-1, 3)
    found: list[Ints] = []
    for k, known in enumerate((values.points, values.uv, values.normals)):
        index = said[:, k] - 1
        if k and not len(known):  # some programs number what they do not write
            index[:] = -1
        if len(index) and not (-1 if k else 0) <= index.min() <= index.max() < len(known):
            wrong = index[(index < (-1 if k else 0)) | (index >= len(known))][0] + 1
            raise ValueError(f"a face names {KINDS[k]} {wrong}, where there are 1 to {len(known)}.")
        found.append(index)
    return _Corners(counts, (found[0], found[1], found[2]))


def _parts(
    name: str, corners: _Corners, values: _Values, paint: Paint, texture: Tensor | None
) -> Iterator[Surface]:
    """What has one material, that with texture coordinates and that without apart."""
    if texture is None or not len(corners.counts):
        groups = [corners]
    else:
        starts = np.cumsum(corners.counts) - corners.counts
        placed = np.logical_and.reduceat(corners.indices[1] >= 0, starts)
        groups = [corners.of(placed), corners.of(~placed)]
    for group in groups:
        if len(group.counts):
            yield _part(name, group, values, paint, texture)


def _part(
    name: str, corners: _Corners, values: _Values, paint: Paint, texture: Tensor | None
) -> Surface:
    v, vt, vn = corners.indices
    mapped, turned = bool((vt >= 0).all()), bool((vn >= 0).all())
    apart = [x for x, given in ((vt, mapped), (vn, turned)) if given]
    first, faces = meshed(values.points, v, corners.counts, *apart)
    at = v[first]
    shown = texture if mapped else None
    uv = None
    if shown is not None:
        uv = values.uv[vt[first]] * paint.scale + paint.offset
    colors: Floats | None = None
    if values.colors is not None and np.isfinite(values.colors[at]).any():
        colors = np.nan_to_num(values.colors[at], nan=1.0)
    elif paint.color is not None:
        colors = np.tile(paint.color, (len(at), 1))
    if shown is not None and not values.ours:
        colors = None  # as programs do; scanners repeat the picture's colours at the vertices
    normals = values.normals[vn[first]] if turned else None
    return made(
        name, values.points[at], faces, colors=colors, normals=normals, uv=uv, texture=shown
    )
