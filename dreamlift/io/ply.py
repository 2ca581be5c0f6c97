"""Point clouds and meshes out: binary PLY with normals and colours, of points their part too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamlift.geometry.mesh import Surface, vertex_normals
from dreamlift.geometry.points import Points
from dreamlift.geometry.texels import sample
from dreamlift.io.atomic import atomic
from dreamlift.io.images import to_bytes

FIELDS = (
    ("x", "float"), ("y", "float"), ("z", "float"), ("nx", "float"), ("ny", "float"),
    ("nz", "float"), ("red", "uchar"), ("green", "uchar"), ("blue", "uchar"), ("part", "ushort"),
)  # fmt: skip
"""Properties of a vertex; `part` is k + 1 on part k."""
_KINDS = {"float": "<f4", "uchar": "u1", "ushort": "<u2"}


def write_points(path: Path, points: Points) -> None:
    """Write points in our own axes (+z up): PLY says nothing of axes."""
    columns = [
        *points.position.cpu().numpy().T,
        *points.normal.cpu().numpy().T,
        *to_bytes(points.color[None])[0].T,
        points.part.cpu().numpy() + 1,
    ]
    rows = _table(FIELDS, columns)
    with atomic(path) as file:
        head = "\n".join(_head(FIELDS, len(rows))) + "\nend_header\n"
        file.write_bytes(head.encode() + rows.tobytes())


def write_mesh_ply(path: Path, parts: Sequence[Surface]) -> None:
    """Write the parts as one mesh with normals and vertex colours, in our own axes (+z up).

    PLY has no pictures that others would read: a vertex takes its texture's colour at its place.
    """
    if not parts or any(len(part.faces) == 0 for part in parts):
        raise ValueError("Every part that is written has at least one triangle.")
    corners, rows = FIELDS[:9], []
    faces: list[Tensor] = []
    first = 0
    for part in parts:
        normals = part.normals
        normals = vertex_normals(part.vertices, part.faces) if normals is None else normals
        color = torch.ones_like(part.vertices) if part.colors is None else part.colors
        if part.texture is not None and part.uv is not None:
            color = color * sample(part.texture, part.uv)
        columns = [*part.vertices.cpu().numpy().T, *normals.cpu().numpy().T]
        rows.append(_table(corners, [*columns, *to_bytes(color[None])[0].T]))
        faces.append(part.faces.cpu() + first)
        first += len(part.vertices)
    kind = np.dtype([("n", "u1"), ("corners", "<i4", 3)])
    triangles = np.zeros(sum(len(f) for f in faces), kind)
    triangles["n"], triangles["corners"] = 3, torch.cat(faces).numpy()
    head = [*_head(corners, first), f"element face {len(triangles)}"]
    head.append("property list uchar int vertex_indices")
    with atomic(path) as file:
        body = b"".join(row.tobytes() for row in rows) + triangles.tobytes()
        file.write_bytes(("\n".join(head) + "\nend_header\n").encode() + body)


def _head(fields: tuple[tuple[str, str], ...], count: int) -> list[str]:
    """A header's lines to the end of the vertices."""
    head = ["ply", "format binary_little_endian 1.0", "comment dreamlift: +z up, facing +x"]
    return [*head, f"element vertex {count}", *(f"property {kind} {name}" for name, kind in fields)]


def _table(fields: tuple[tuple[str, str], ...], columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    rows = np.zeros(len(columns[0]), [(name, _KINDS[kind]) for name, kind in fields])
    for (name, _), column in zip(fields, columns, strict=True):
        rows[name] = column
    return rows
