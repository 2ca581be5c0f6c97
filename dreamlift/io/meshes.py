"""Meshes in, from whichever file: STL by trimesh, everything else by readers of our own."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface, face_cross
from dreamlift.geometry.placement import from_y_up
from dreamlift.io.gltf_read import read_gltf
from dreamlift.io.mtl import file_name, located
from dreamlift.io.obj_read import absent_of_obj, read_obj
from dreamlift.io.off_read import read_off
from dreamlift.io.ply_read import read_ply
from dreamlift.io.ply_tables import pictures
from dreamlift.io.polygons import made

FORMATS = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off")


def read_mesh(path: Path, *, up: Literal["y", "z"] = "y") -> tuple[Surface, ...]:
    """The parts of a mesh file, in our axes (+z up, facing +x).

    `up` says how the file stands: "y" (facing +z, as glTF is by definition and OBJ by habit) or
    "z" (our own axes). Where a part's faces run clockwise as its normals see them, the normals are
    right and the faces are turned. Raises BadInput where the file cannot be read or holds no
    triangles.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise BadInput(f"{path.name} is no mesh file that can be read: {', '.join(FORMATS)} are.")
    if not path.is_file():
        raise BadInput(f"{path} does not exist.")
    parts = read_gltf(path) if suffix in (".glb", ".gltf") else _read_other(path)
    parts = tuple(_wound(part) for part in parts)
    return tuple(_upright(part) for part in parts) if up == "y" else parts


def absent(path: Path) -> list[str]:
    """Files beside an OBJ or PLY that it takes its colours from, and that are not there."""
    suffix = path.suffix.lower()
    names: list[str] = []  # glTF without them cannot be read; the others need none
    if suffix == ".obj":
        names = absent_of_obj(path)
    elif suffix == ".ply":
        files = [file_name(name) for name in pictures(path.read_bytes())]
        names = [name for name in files if not located(name, path.parent)]
    return list(dict.fromkeys(names))


def _wound(part: Surface) -> Surface:
    """With faces that run counterclockwise as its normals see them."""
    if part.normals is None or bool((part.faces >= len(part.vertices)).any()):
        return part
    along = face_cross(part.vertices, part.faces) * part.normals[part.faces].sum(1)
    return replace(part, faces=part.faces.flip(-1)) if float(along.nansum()) < 0 else part


def _upright(part: Surface) -> Surface:
    """From +y up, facing +z to our axes."""
    normals = None if part.normals is None else from_y_up(part.normals)
    return replace(part, vertices=from_y_up(part.vertices), normals=normals)


def _read_other(path: Path) -> tuple[Surface, ...]:
    """What is no glTF, as it stands."""
    try:
        match path.suffix.lower():
            case ".obj":
                return read_obj(path)
            case ".ply":
                return (read_ply(path),)
            case ".off":
                return (read_off(path),)
            case _:
                return _read_stl(path)
    except BadInput:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, OSError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error


def _read_stl(path: Path) -> tuple[Surface, ...]:
    """The solids of an STL file, each under its name."""
    import trimesh

    content = path.read_bytes()
    said = int.from_bytes(content[80:84], "little")  # of text, more than any file holds
    if len(content) >= 84 and 84 + 50 * said < len(content):
        content = content[: 84 + 50 * said]  # trimesh reads no more than was announced, or nothing
    elif not content.lstrip()[:5].lower() == b"solid" and 84 + 50 * said > len(content):
        raise ValueError(f"it ends before the last of its {said} triangles.")
    scene = trimesh.load_scene(BytesIO(content), file_type="stl", process=False)
    found: dict[str, Any] = {
        name: scene.geometry[scene.graph[name][1]] for name in sorted(scene.graph.nodes_geometry)
    }
    parts = [
        made(
            path.name if name.startswith("geometry") else name,
            np.asarray(mesh.vertices, np.float64),
            np.asarray(mesh.faces, np.int64),
            normals=np.asarray(mesh.vertex_normals, np.float64),
        )
        for name, mesh in found.items()
        if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces)
    ]
    if not parts:
        raise ValueError("it holds no triangles.")
    return tuple(parts)
