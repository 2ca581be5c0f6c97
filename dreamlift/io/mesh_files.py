"""Meshes out, as whichever file: what each kind can hold.

.glb   parts, colours, textures, materials      +y up, facing +z
.usdz  the same, for Apple's and USD's viewers  +y up, facing +z
.obj   parts, colours, textures                 +y up, facing +z
.ply   one mesh, colours at its vertices        +z up, facing +x
.stl   triangles                                +z up, facing +x
"""

from collections.abc import Sequence
from pathlib import Path

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface
from dreamlift.io.gltf import write_glb
from dreamlift.io.obj import obj_files, write_obj
from dreamlift.io.ply import write_mesh_ply
from dreamlift.io.stl import write_stl
from dreamlift.io.usd import write_usdz

WRITERS = {
    ".glb": write_glb,
    ".usdz": write_usdz,
    ".obj": write_obj,
    ".ply": write_mesh_ply,
    ".stl": write_stl,
}


def mesh_files(path: Path, parts: Sequence[Surface]) -> tuple[Path, ...]:
    """The files that `write_mesh` writes."""
    return obj_files(path, parts) if path.suffix.lower() == ".obj" else (path,)


def write_mesh(path: Path, parts: Sequence[Surface]) -> None:
    """Write the parts of an object, in our axes, as what the path's suffix says."""
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise BadInput(f"{path.name} is no mesh file that is written: {', '.join(WRITERS)} are.")
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[suffix](path, parts)
