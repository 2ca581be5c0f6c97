"""STL out: binary triangles without colours, for printers, in our own axes (+z up)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dreamlift.geometry.mesh import Surface, face_cross
from dreamlift.io.atomic import atomic

_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("spare", "<u2")])


def write_stl(path: Path, parts: Sequence[Surface]) -> None:
    """Write the parts as one soup of triangles: STL knows neither parts nor colours nor units."""
    if not parts or any(len(part.faces) == 0 for part in parts):
        raise ValueError("Every part that is written has at least one triangle.")
    corners = torch.cat([part.vertices[part.faces] for part in parts])
    cross = torch.cat([face_cross(part.vertices, part.faces) for part in parts])
    rows = np.zeros(len(corners), _FACET)
    rows["corners"] = corners.detach().cpu().numpy()
    rows["normal"] = torch.nn.functional.normalize(cross, dim=-1).detach().cpu().numpy()
    head = b"dreamlift: +z up, facing +x".ljust(80) + len(rows).to_bytes(4, "little")
    with atomic(path) as file:
        file.write_bytes(head + rows.tobytes())
