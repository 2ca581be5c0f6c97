"""Point clouds out: binary PLY with normals, colours and the number of the part."""

from pathlib import Path

import numpy as np

from dreamlift.geometry.points import Points
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
    rows = np.zeros(len(points), [(name, _KINDS[kind]) for name, kind in FIELDS])
    columns = [
        *points.position.cpu().numpy().T,
        *points.normal.cpu().numpy().T,
        *to_bytes(points.color[None])[0].T,
        points.part.cpu().numpy() + 1,
    ]
    for (name, _), column in zip(FIELDS, columns, strict=True):
        rows[name] = column
    head = ["ply", "format binary_little_endian 1.0", "comment dreamlift: +z up, facing +x"]
    head += [f"element vertex {len(rows)}", *(f"property {kind} {name}" for name, kind in FIELDS)]
    with atomic(path) as file:
        file.write_bytes(("\n".join(head) + "\nend_header\n").encode() + rows.tobytes())
