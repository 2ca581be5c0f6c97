"""glTF 2.0 in: GLB, or glTF with its buffers and pictures beside it or inside.

Read are triangles, normals, base colours (factor, vertex colours, texture with its transform and
what its sampler shows beyond its border), roughness, metallic and normal maps where they share the
base colour's coordinates, and the tree of nodes with their instances, flattened. Where a surface
has no normals, each face has three vertices of its own: it is flat, as glTF wants it. Left out are
bones (a skinned mesh keeps its bind pose), morphs, transparency, lights, what glows, and extensions
of materials, but for the diffuse colour and the glossiness of old ones; tangents are our own.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.srgb import to_srgb
from dreamlift.io.gltf_document import PACKED, Document
from dreamlift.io.gltf_nodes import shown
from dreamlift.io.gltf_paint import Paints
from dreamlift.io.polygons import far

UNDERSTOOD = {
    "KHR_texture_transform",
    "KHR_mesh_quantization",
    "EXT_mesh_gpu_instancing",
    "EXT_texture_webp",
    "KHR_texture_basisu",  # refused where a picture has no other form
    "KHR_lights_punctual",
    "EXT_lights_image_based",
}
"""Extensions that a file may require, beside all KHR_materials: what these add to a surface's
colour is left out."""
MOST = 20_000_000
"""Triangles of a file, each as often as it is shown."""
MALFORMED = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
)
"""What comes of numbers, texts and lists that stand where others are expected."""


def read_gltf(path: Path) -> tuple[Surface, ...]:
    """The parts of a .glb or .gltf file, each primitive of each node, in the file's own axes.

    Raises BadInput for what is damaged or compressed (Draco, meshopt), with the way out.
    """
    file = Document.open(path)
    try:
        _check(file)
        parts = tuple(_parts(file))
    except MALFORMED as error:
        if isinstance(error, BadInput):
            raise
        raise file.invalid(f"{type(error).__name__}: {error}") from error
    if not parts:
        raise file.fail("it holds no triangles.")
    middle = torch.from_numpy(far(np.concatenate([part.vertices.numpy() for part in parts])))
    return tuple(replace(part, vertices=(part.vertices - middle).float()) for part in parts)


def _check(file: Document) -> None:
    """Refuse what would come out wrong."""
    required = set(file.json.get("extensionsRequired", []))
    if packed := PACKED & required:
        raise file.compressed(packed)
    unknown = {name for name in required - UNDERSTOOD if not name.startswith("KHR_materials_")}
    if unknown:
        raise file.fail(f"it requires {', '.join(sorted(unknown))}.")
    version = str(file.json["asset"]["version"])
    if not version.startswith("2"):
        raise file.fail(f"it is glTF {version}; version 2 is read.")


def _parts(file: Document) -> Iterator[Surface]:
    """Every primitive that has triangles, wherever a node shows it."""
    paints, total = Paints(file), 0
    lying: dict[tuple[int, int], Surface | None] = {}  # a mesh may be shown by many nodes
    for node in shown(file):
        for k, primitive in enumerate(file.entry("meshes", node.mesh)["primitives"]):
            key = node.mesh, k
            if key not in lying:
                lying[key] = _surface(file, primitive, paints)
            surface = lying[key]
            if surface is None:
                continue
            total += len(surface.faces) * len(node.matrices)
            if total > MOST:
                raise file.fail(
                    f"it shows more than {MOST:,} triangles. Save it with fewer: "
                    "`gltf-transform simplify in.glb out.glb`."
                )
            yield _placed(file, replace(surface, name=node.name), node.matrices)


def _surface(file: Document, primitive: Mapping[str, Any], paints: Paints) -> Surface | None:
    """One primitive as it lies in its mesh, with the vertices that its faces use; None where it
    has no faces."""
    attributes = primitive["attributes"]
    if "POSITION" not in attributes:
        raise file.fail("a primitive has no positions.")
    where = file.entry("accessors", attributes["POSITION"])
    packed = PACKED & set(primitive.get("extensions", {}))
    if packed and "bufferView" not in where:
        raise file.compressed(packed)
    count = len(file.values(attributes["POSITION"]))
    rows, faces = _used(_corners(file, primitive, count), count, "NORMAL" in attributes)
    if not len(faces):
        return None

    def attribute(key: str, *widths: int) -> Float[Tensor, "n k"] | None:
        if key not in attributes:
            return None
        there, wide = file.values(attributes[key]).shape
        if there != count or wide not in widths:
            raise file.invalid(f"{key} is {there} x {wide} numbers for {count} vertices")
        values = torch.from_numpy(file.accessor(attributes[key], rows).astype(np.float32))
        if not bool(values.isfinite().all()):
            raise file.fail(f"its {key} holds NaN or infinity.")
        return values

    vertices = attribute("POSITION", 3)
    assert vertices is not None
    paint = paints.of(primitive)
    colors = to_srgb(paint.factor.expand(len(vertices), 3))
    painted = attribute("COLOR_0", 3, 4)
    if painted is not None:
        colors = colors * to_srgb(painted[:, :3].clamp(0, 1))
    uv = None if paint.place is None else attribute(f"TEXCOORD_{paint.place[0]}", 2)
    uv, texture, material = paints.on(paint, uv)
    tint = None if texture is not None and bool((colors > 1 - 1e-6).all()) else colors
    normals = attribute("NORMAL", 3)
    return Surface(vertices, faces, tint, normals, uv, texture, material=material)


def _corners(file: Document, primitive: Mapping[str, Any], count: int) -> Int[Tensor, "f 3"]:
    """The vertices of a primitive's faces; points and lines have none."""
    mode = primitive.get("mode", 4)
    if mode < 4:
        return torch.zeros(0, 3, dtype=torch.int64)
    if "indices" in primitive:
        indices = file.accessor(primitive["indices"]).astype(np.int64).reshape(-1)
    else:
        indices = np.arange(count)
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < count:
        wrong = int(indices.min()) if int(indices.min()) < 0 else int(indices.max())
        raise file.fail(f"a face names vertex {wrong} of {count}.")
    return _triangles(torch.from_numpy(indices), mode)


def _used(
    corners: Int[Tensor, "f 3"], count: int, shared: bool
) -> tuple[NDArray[np.int64], Int[Tensor, "f 3"]]:
    """Which of `count` vertices faces use, and the faces in these; if they share none, each face
    has three of its own."""
    flat = corners.reshape(-1).numpy()
    if not shared:
        return flat, torch.arange(len(flat)).reshape(-1, 3)
    if len(flat) < count:  # of an accessor that many primitives may share: look at no more of it
        rows, renamed = np.unique(flat, return_inverse=True)
    else:
        used = np.zeros(count, bool)
        used[flat] = True
        rows, renamed = np.flatnonzero(used), (np.cumsum(used) - 1)[flat]
    return rows, torch.from_numpy(renamed).reshape(-1, 3)


def _triangles(indices: Int[Tensor, " n"], mode: int) -> Int[Tensor, "f 3"]:
    """Faces from corners: triangles (4), a strip (5) or a fan (6)."""
    if mode == 4:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    k = torch.arange(max(len(indices) - 2, 0))
    if mode == 5:  # every second triangle of a strip runs the other way
        odd = k % 2
        return indices[torch.stack([k, k + 1 + odd, k + 2 - odd], -1)]
    return indices[torch.stack([torch.zeros_like(k), k + 1, k + 2], -1)]


def _placed(file: Document, part: Surface, matrices: NDArray[np.float64]) -> Surface:
    """A part of a mesh in the scene, once for each of the matrices k 4 4; in double precision."""
    linear, offset = torch.from_numpy(matrices[:, :3, :3]), torch.from_numpy(matrices[:, :3, 3])
    points = part.vertices.double()
    turned = torch.stack([points @ turn.T for turn in linear])
    vertices = turned + offset[:, None]  # k n 3
    if not bool(vertices.float().isfinite().all()):
        raise file.fail("a node's place is NaN or infinity.")
    normals = part.normals
    if normals is not None:  # outward normals go by the inverse, transposed
        turned = normals.double() @ torch.linalg.pinv(linear)
        normals = F.normalize(turned, dim=-1).float().reshape(-1, 3)
    k, n = vertices.shape[:2]
    first = torch.arange(0, k * n, n)[:, None, None]
    # A mirrored node would turn its faces inside out.
    faces = torch.where((linear.det() < 0)[:, None, None], part.faces.flip(-1), part.faces) + first
    again = [None if x is None else x.repeat(k, 1) for x in (part.colors, part.uv)]
    return replace(
        part,
        vertices=vertices.reshape(-1, 3),
        faces=faces.reshape(-1, 3),
        normals=normals,
        colors=again[0],
        uv=again[1],
    )
