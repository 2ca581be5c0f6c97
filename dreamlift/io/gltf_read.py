"""glTF 2.0 in: GLB, or glTF with its buffers and pictures beside it or inside.

Read are triangles, normals, base colours (factor, vertex colours, texture with its transform),
roughness, metallic and normal maps where they share the base colour's coordinates, and the tree of
nodes, flattened. Left out are bones (a skinned mesh keeps its bind pose), morphs, transparency,
what glows, and extensions of materials; tangents are our own.
"""

import base64
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Material, Surface
from dreamlift.geometry.srgb import to_srgb
from dreamlift.io.glb import unpack
from dreamlift.io.images import decode

COMPONENT = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
UNDERSTOOD = {"KHR_texture_transform", "KHR_materials_unlit", "KHR_mesh_quantization"}
"""Extensions that a file may require."""


@dataclass(frozen=True)
class _File:
    """A glTF document and where its bytes are."""

    path: Path
    json: Mapping[str, Any]
    binary: bytes

    def fail(self, why: str) -> BadInput:
        return BadInput(f"{self.path} cannot be read: {why}")

    def fetch(self, uri: str) -> bytes:
        """The contents of a data URI, or of a file beside this one."""
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        try:
            return (self.path.parent / unquote(uri)).read_bytes()
        except OSError as error:
            raise self.fail(f"it needs {uri} beside it ({error.strerror}).") from error

    def view(self, index: int) -> tuple[bytes, int]:
        """A bufferView's bytes, and its stride (0: packed)."""
        view = self.json["bufferViews"][index]
        buffer = self.json["buffers"][view["buffer"]]
        content = self.fetch(buffer["uri"]) if "uri" in buffer else self.binary
        start = view.get("byteOffset", 0)
        return content[start : start + view["byteLength"]], view.get("byteStride", 0)

    def accessor(self, index: int) -> NDArray[Any]:
        """An accessor's values, `count` by `width`; normalised integers become floats."""
        accessor = self.json["accessors"][index]
        kind = np.dtype(COMPONENT[accessor["componentType"]])
        shape = (accessor["count"], WIDTH[accessor["type"]])
        values = np.zeros(shape, kind)
        if "bufferView" in accessor:
            view, offset = accessor["bufferView"], accessor.get("byteOffset", 0)
            values = self._strided(view, offset, shape, kind)
        if "sparse" in accessor:
            values = self._sparse(accessor["sparse"], values)
        if accessor.get("normalized") and kind.kind in "iu":
            return np.maximum(values.astype(np.float32) / np.iinfo(kind).max, -1.0)
        return values

    def _strided(
        self, view: int, offset: int, shape: tuple[int, int], kind: np.dtype[Any]
    ) -> NDArray[Any]:
        content, stride = self.view(view)
        stride = stride or shape[1] * kind.itemsize
        needed = offset + stride * (shape[0] - 1) + shape[1] * kind.itemsize
        if needed > len(content):
            raise self.fail(f"it is cut short: {needed} bytes are needed, {len(content)} there.")
        return np.ndarray(shape, kind, content, offset, (stride, kind.itemsize)).copy()

    def _sparse(self, sparse: Mapping[str, Any], values: NDArray[Any]) -> NDArray[Any]:
        """Values with a few of them replaced."""
        where, what = sparse["indices"], sparse["values"]
        kind = np.dtype(COMPONENT[where["componentType"]])
        offset = where.get("byteOffset", 0)
        rows = self._strided(where["bufferView"], offset, (sparse["count"], 1), kind)
        shape = (sparse["count"], values.shape[1])
        offset = what.get("byteOffset", 0)
        values[rows[:, 0]] = self._strided(what["bufferView"], offset, shape, values.dtype)
        return values


def read_gltf(path: Path) -> tuple[Surface, ...]:
    """The parts of a .glb or .gltf file, each primitive of each node, in the file's own axes.

    Raises BadInput for what is damaged or compressed (Draco, meshopt), with the way out.
    """
    file = _open(path)
    try:
        _check(file)
        textures: dict[int, Float[Tensor, "h w 3"]] = {}
        parts = [
            _part(file, primitive, matrix, textures, name)
            for name, mesh, matrix in _meshes(file)
            for primitive in file.json["meshes"][mesh]["primitives"]
            if primitive.get("mode", 4) >= 4  # points and lines have no surface
        ]
    except BadInput:
        raise
    except (LookupError, TypeError, ValueError, RuntimeError, MemoryError, struct.error) as error:
        raise file.fail(f"it is not valid glTF ({type(error).__name__}: {error}).") from error
    if not any(len(part.faces) for part in parts):
        raise file.fail("it holds no triangles.")
    return tuple(part for part in parts if len(part.faces))


def _open(path: Path) -> _File:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}.") from error
    binary = b""
    try:
        if content[:4] == b"glTF":
            content, binary = unpack(content)
        return _File(path, json.loads(content), binary)
    except ValueError as error:
        raise BadInput(f"{path} is not a glTF file, or is cut short ({error}).") from error


def _check(file: _File) -> None:
    """Refuse what would come out wrong."""
    required = set(file.json.get("extensionsRequired", []))
    packed = {"KHR_draco_mesh_compression", "EXT_meshopt_compression"} & required
    if packed:
        raise file.fail(
            f"its triangles are compressed ({', '.join(sorted(packed))}), which dreamlift does "
            "not decode. Save it without compression: `gltf-transform copy in.glb out.glb`, or "
            "Blender's export with Compression off."
        )
    if required - UNDERSTOOD:
        raise file.fail(f"it requires {', '.join(sorted(required - UNDERSTOOD))}.")
    version = str(file.json["asset"]["version"])
    if not version.startswith("2"):
        raise file.fail(f"it is glTF {version}; version 2 is read.")


def _meshes(file: _File) -> Iterator[tuple[str, int, NDArray[np.float64]]]:
    """Name, mesh and placement of every node that shows a mesh."""
    nodes = file.json.get("nodes", [])
    scenes = file.json.get("scenes", [])
    roots = list(range(len(nodes)))
    if scenes:
        roots = scenes[file.json.get("scene", 0)].get("nodes", [])
    elif nodes:
        children = {child for node in nodes for child in node.get("children", [])}
        roots = [i for i in roots if i not in children]
    todo = [(root, np.eye(4), 0) for root in reversed(roots)]
    while todo:
        index, above, depth = todo.pop()
        if depth > len(nodes):
            raise file.fail("its nodes go round in a circle.")
        node = nodes[index]
        matrix = above @ _placement(node)
        if "mesh" in node:
            mesh = file.json["meshes"][node["mesh"]]
            yield node.get("name") or mesh.get("name") or "", node["mesh"], matrix
        for child in reversed(node.get("children", [])):
            todo.append((child, matrix, depth + 1))


def _placement(node: Mapping[str, Any]) -> NDArray[np.float64]:
    """A node's matrix (stored by columns), or translation x rotation x scale."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array(node.get("scale", (1.0, 1.0, 1.0)))
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix


def _part(
    file: _File,
    primitive: Mapping[str, Any],
    matrix: NDArray[np.float64],
    textures: dict[int, Float[Tensor, "h w 3"]],
    name: str,
) -> Surface:
    """One primitive, placed in the scene."""
    attributes = primitive["attributes"]

    def attribute(key: str) -> Float[Tensor, "n k"] | None:
        if key not in attributes:
            return None
        return torch.from_numpy(file.accessor(attributes[key]).astype(np.float32))

    points = attribute("POSITION")
    if points is None:
        raise file.fail("a primitive has no positions.")
    count = len(points)
    indices = np.arange(count)
    if "indices" in primitive:
        indices = file.accessor(primitive["indices"]).astype(np.int64).reshape(-1)
    if len(indices) and int(indices.max()) >= count:
        raise file.fail(f"a face names vertex {int(indices.max())} of {count}.")
    faces = _triangles(torch.from_numpy(indices), primitive.get("mode", 4))
    linear = torch.from_numpy(matrix[:3, :3])
    vertices = (points.double() @ linear.T + torch.from_numpy(matrix[:3, 3])).float()
    normals = attribute("NORMAL")
    if normals is not None:  # outward normals go by the inverse, transposed
        turned = normals.double() @ torch.linalg.pinv(linear)
        normals = torch.nn.functional.normalize(turned, dim=-1).float()
    if linear.det() < 0:  # a mirrored node would turn its faces inside out
        faces = faces.flip(-1)
    whole: Mapping[str, Any] = {}
    if "material" in primitive:
        whole = file.json["materials"][primitive["material"]]
    mirror = whole.get("pbrMetallicRoughness", {})
    factor = _floats(mirror.get("baseColorFactor", [1, 1, 1]))[:3]
    colors = to_srgb(factor.expand(count, 3))
    painted = attribute("COLOR_0")
    if painted is not None:
        colors = colors * to_srgb(painted[:, :3])
    maps = [mirror.get("baseColorTexture"), mirror.get("metallicRoughnessTexture")]
    maps.append(whole.get("normalTexture"))
    place, pictures = _maps(file, maps, textures)
    uv = None if place is None else attribute(f"TEXCOORD_{place[0]}")
    if uv is None or place is None:
        pictures = [None, None, None]
    else:
        uv = _moved(uv, place[1])
    texture, gloss, bumps = pictures
    material = Material(
        float(mirror.get("roughnessFactor", 1)) if whole else 1.0,
        float(mirror.get("metallicFactor", 1)) if whole else 0.0,
        None if gloss is None else gloss[..., 1:],
        bumps,
    )
    tint = None if texture is not None and bool((colors > 1 - 1e-6).all()) else colors
    return Surface(vertices, faces, tint, normals, uv, texture, name, material)


def _maps(
    file: _File,
    infos: Sequence[Mapping[str, Any] | None],
    textures: dict[int, Float[Tensor, "h w 3"]],
) -> tuple[tuple[int, Mapping[str, Any]] | None, list[Float[Tensor, "h w 3"] | None]]:
    """Where on the pictures a surface is, as the first map says, and those that agree with it."""
    place: tuple[int, Mapping[str, Any]] | None = None
    found: list[Tensor | None] = []
    for info in infos:
        if info is None:
            found.append(None)
            continue
        transform = info.get("extensions", {}).get("KHR_texture_transform", {})
        own = transform.get("texCoord", info.get("texCoord", 0)), transform
        place = place or own
        if own != place:
            found.append(None)
            continue
        index = info["index"]
        if index not in textures:
            textures[index] = _texture(file, index)
        found.append(textures[index])
    return place, found


def _floats(values: list[float]) -> Float[Tensor, " n"]:
    """Numbers of a JSON file, which may be written without a point."""
    return torch.tensor(values, dtype=torch.float32)


def _triangles(indices: Int[Tensor, " n"], mode: int) -> Int[Tensor, "f 3"]:
    """Faces from corners: triangles (4), a strip (5) or a fan (6)."""
    if mode == 4:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    k = torch.arange(max(len(indices) - 2, 0))
    if mode == 5:  # every second triangle of a strip runs the other way
        odd = k % 2
        return indices[torch.stack([k, k + 1 + odd, k + 2 - odd], -1)]
    return indices[torch.stack([torch.zeros_like(k), k + 1, k + 2], -1)]


def _moved(uv: Float[Tensor, "n 2"], transform: Mapping[str, Any]) -> Float[Tensor, "n 2"]:
    """Texture coordinates by KHR_texture_transform, and turned from down to up."""
    uv = uv * _floats(transform.get("scale", [1, 1]))
    turn = torch.tensor(float(transform.get("rotation", 0.0)))
    u = turn.cos() * uv[:, 0] + turn.sin() * uv[:, 1]
    v = turn.cos() * uv[:, 1] - turn.sin() * uv[:, 0]
    offset = transform.get("offset", [0.0, 0.0])
    return torch.stack([u + offset[0], 1 - (v + offset[1])], -1)


def _texture(file: _File, index: int) -> Float[Tensor, "h w 3"]:
    """A texture's picture, without its alpha."""
    image = file.json["images"][file.json["textures"][index]["source"]]
    name = f"A texture of {file.path}"
    if "uri" in image:
        return decode(file.fetch(image["uri"]), name=name)[..., :3]
    return decode(file.view(image["bufferView"])[0], name=name)[..., :3]
