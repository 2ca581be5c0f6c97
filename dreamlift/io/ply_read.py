"""Meshes of PLY in: polygons and strips of triangles, the colours of vertices or faces, a picture.

What is wrong is raised as ValueError, without the file's name.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from dreamlift.geometry.mesh import Surface
from dreamlift.io.images import decode
from dreamlift.io.mtl import file_name, located
from dreamlift.io.ply_tables import Table, pictures, tables
from dreamlift.io.polygons import Floats, Ints, made, meshed, near, shades

COLORS = (
    ("red", "green", "blue"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ("r", "g", "b"),
)
PLACES = (("texture_u", "texture_v"), ("u", "v"), ("s", "t"))
MOST = {"u1": 255.0, "u2": 65535.0}
"""The brightest of a colour, by its type; others have 1 or 255."""


def read_ply(path: Path) -> Surface:
    """What a PLY file holds, as it stands. A picture that is not there is gone without.

    A picture goes before colours of vertices, these before colours of faces.
    """
    content = path.read_bytes()
    found = tables(content)
    vertex, face = found.get("vertex", {}), found.get("face", {})
    strips = _strips(*_indices(found.get("tristrips", {})))
    at, counts = _indices(face)
    corner_uv = _corner_uv(face, counts) if not len(strips) else None
    at = np.concatenate([at, strips.reshape(-1)])
    counts = np.concatenate([counts, np.full(len(strips), 3)])
    if not (counts >= 3).any():
        raise ValueError("it holds no triangles.")
    points = _numbers(vertex, ("x", "y", "z"))
    if points is None:
        raise ValueError(f"its vertices have no x, y and z. They have: {', '.join(vertex)}.")
    texture = _texture(path, content, face)
    place = None if texture is None else _first(vertex, PLACES)
    if texture is not None and place is None and corner_uv is None:
        texture = None  # it is nowhere
    by_vertex = _colors(vertex) if texture is None else None
    by_face = _colors(face) if texture is None and by_vertex is None else None
    owner = np.repeat(np.arange(len(counts)), counts)
    apart: list[Ints] = []
    if texture is not None and corner_uv is not None:
        apart = [np.unique(corner_uv, axis=0, return_inverse=True)[1].reshape(-1)]
    elif by_face is not None:
        by_face = np.concatenate([by_face, np.ones((len(strips), 3))])
        apart = [owner]
    points = near(points)
    first, faces = meshed(points, at, counts, *apart)
    v = at[first]
    uv = colors = None
    if texture is not None:
        uv = corner_uv[first] if corner_uv is not None else None if place is None else place[v]
    elif by_vertex is not None:
        colors = by_vertex[v]
    elif by_face is not None:
        colors = by_face[owner[first]]
    turned = _numbers(vertex, ("nx", "ny", "nz"))
    normals = None if turned is None else turned[v]
    return made(path.name, points[v], faces, colors=colors, normals=normals, uv=uv, texture=texture)


def _indices(table: Table) -> tuple[Ints, Ints]:
    """The vertices of each face or strip, one after the other, and how many each has."""
    column = table.get("vertex_indices", table.get("vertex_index"))
    if column is None or column.counts is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if not (np.abs(column.values.astype(np.float64)) < 2**53).all():
        raise ValueError("a face names a vertex by what is no whole number.")
    return column.values.astype(np.int64), column.counts


def _strips(indices: Ints, counts: Ints) -> Ints:
    """The triangles (t 3) of strips, which -1 ends too; every other one turns around."""
    found = [np.zeros((0, 3), np.int64)]
    for run in np.split(indices, np.cumsum(counts)[:-1]):
        for piece in np.split(run, np.flatnonzero(run < 0)):
            strip = piece[piece >= 0]
            rows = np.stack([strip[:-2], strip[1:-1], strip[2:]], 1)
            rows[1::2] = rows[1::2, ::-1]
            found.append(rows)
    return np.concatenate(found)


def _corner_uv(face: Table, counts: Ints) -> Floats | None:
    """The texture coordinates (c 2) that faces give their corners."""
    column = face.get("texcoord")
    if column is None or column.counts is None or not len(column.values):
        return None
    if (column.counts != 2 * counts).any():
        raise ValueError("some of its faces have not two texture coordinates for each corner.")
    return column.values.astype(np.float64).reshape(-1, 2)


def _texture(path: Path, content: bytes, face: Table) -> Tensor | None:
    """The picture that a comment names, if it is there."""
    names = pictures(content)
    column = face.get("texnumber")
    used = [0] if column is None else np.unique(column.values).tolist() or [0]
    if not names or used == [-1]:
        return None
    if len(used) > 1 or not 0 <= used[0] < len(names):
        raise ValueError(f"its faces use pictures {used} of {len(names)}; one is read. Split it.")
    picture = located(file_name(names[int(used[0])]), path.parent)
    return picture and decode(picture.read_bytes(), name=str(picture))[..., :3]


def _numbers(table: Table, names: Sequence[str]) -> Floats | None:
    """Columns of these names (n k), if all are there."""
    columns = [table.get(name) for name in names]
    values = [x.values.astype(np.float64) for x in columns if x is not None and x.counts is None]
    return np.stack(values, 1) if len(values) == len(names) else None


def _first(table: Table, choices: Sequence[Sequence[str]]) -> Floats | None:
    found = (_numbers(table, names) for names in choices)
    return next((values for values in found if values is not None), None)


def _colors(table: Table) -> Floats | None:
    """Colours (n 3) in [0, 1]."""
    for names in COLORS:
        values = _numbers(table, names)
        if values is not None and len(values):
            return shades(values, MOST.get(table[names[0]].kind))
    return None
