"""Meshes in, from whichever file: glTF by our own reader, everything else by trimesh."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.placement import from_y_up
from dreamlift.io.gltf_read import read_gltf

FORMATS = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off")


def read_mesh(path: Path, *, up: Literal["y", "z"] = "y") -> tuple[Surface, ...]:
    """The parts of a mesh file, in our axes (+z up, facing +x).

    `up` says how the file stands: "y" (facing +z, as glTF is by definition and OBJ by habit) or
    "z" (our own axes). Raises BadInput where the file cannot be read or holds no triangles.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise BadInput(f"{path.name} is no mesh file that can be read: {', '.join(FORMATS)} are.")
    if not path.is_file():
        raise BadInput(f"{path} does not exist.")
    parts = read_gltf(path) if suffix in (".glb", ".gltf") else _read_other(path)
    return tuple(_upright(part) for part in parts) if up == "y" else parts


def absent(path: Path) -> list[str]:
    """Files beside an OBJ that it takes its colours from, and that are not there."""
    if path.suffix.lower() != ".obj":
        return []  # glTF without them cannot be read; the others need none
    out: list[str] = []
    for said in _named(path, "mtllib"):
        whole = [said] if (path.parent / said).is_file() else said.split()
        for name in whole:
            material = path.parent / name
            if not material.is_file():
                out.append(name)
                continue
            pictures = [
                text.split()[-1] if text.startswith("-") else text  # its options come first
                for text in _named(material, "map_Kd")
            ]
            out += [text for text in pictures if not (path.parent / text).is_file()]
    return list(dict.fromkeys(out))


def _named(path: Path, key: str) -> list[str]:
    """What the lines of a text file say that begin with a key."""
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    rows = [text.strip().split(maxsplit=1) for text in lines if text.lstrip().startswith(key)]
    return [row[1].replace("\\", "/") for row in rows if len(row) == 2 and row[0] == key]


def _upright(part: Surface) -> Surface:
    """From +y up, facing +z to our axes."""
    normals = None if part.normals is None else from_y_up(part.normals)
    return replace(part, vertices=from_y_up(part.vertices), normals=normals)


def _read_other(path: Path) -> tuple[Surface, ...]:
    """Everything with triangles that trimesh finds, each under its name."""
    import trimesh

    try:
        # What single precision cannot hold becomes infinite, and has no normals.
        with np.errstate(over="ignore", invalid="ignore"):
            scene = trimesh.load_scene(path, process=False)
            placed: dict[str, Any] = {
                name: (scene.geometry[key], matrix)
                for name in sorted(scene.graph.nodes_geometry)  # trimesh's own order is by chance
                for matrix, key in [scene.graph[name]]
            }
            parts = [
                _surface(mesh.copy(include_cache=True).apply_transform(matrix), name)
                for name, (mesh, matrix) in placed.items()
                if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces)
            ]
    except (LookupError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    if not parts:
        raise BadInput(f"{path} cannot be read: it holds no triangles.")
    return tuple(parts)


def _surface(mesh: Any, name: str) -> Surface:
    """A trimesh.Trimesh as ours. Colours stand in these files as sRGB."""
    vertices = torch.from_numpy(np.array(mesh.vertices, np.float32).reshape(-1, 3))
    faces = torch.from_numpy(np.array(mesh.faces, np.int64))
    # Those of the file; where it gives none, trimesh's.
    normals = torch.from_numpy(np.array(mesh.vertex_normals, np.float32))
    colors, uv, texture = None, None, None
    if mesh.visual.kind == "vertex":
        colors = _rgb(mesh.visual.vertex_colors)
    elif mesh.visual.kind == "face":  # a vertex has one colour here: give each face its own three
        colors = _rgb(mesh.visual.face_colors).repeat_interleave(3, 0)
        vertices, normals = vertices[faces].reshape(-1, 3), None
        faces = torch.arange(len(vertices)).reshape(-1, 3)
    elif mesh.visual.kind == "texture":
        material = mesh.visual.material
        picture = getattr(material, "image", None)
        if picture is not None and not material.kwargs and _stands_in(picture):
            pass  # the file has texture coordinates and says no colour: white
        elif picture is not None and mesh.visual.uv is not None:
            uv = torch.from_numpy(np.array(mesh.visual.uv, np.float32))
            texture = _rgb(np.asarray(picture.convert("RGB")))
        else:
            colors = _rgb(material.main_color[None]).expand(len(vertices), 3)
    return Surface(vertices, faces, colors, normals, uv, texture, name)


def _stands_in(picture: Any) -> bool:
    """Whether a picture is the one that trimesh makes up: four texels of grey."""
    from trimesh.visual.material import color_image

    made_up: Any = color_image()
    texels = np.asarray(picture.convert("RGBA"))
    return np.array_equal(texels, np.asarray(made_up.convert("RGBA")))


def _rgb(levels: Any) -> Float[Tensor, "*n 3"]:
    """Bytes (with or without alpha) to sRGB in [0, 1]."""
    return torch.from_numpy(np.array(levels, np.float32)[..., :3]) / 255
