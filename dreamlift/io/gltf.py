"""glTF 2.0 out: one binary file (GLB) with everything inside, one node for each part.

glTF is +y up and faces +z; its texture coordinates grow downward; vertex colours are linear, and
textures sRGB. Materials are metallic-roughness; without one a surface is rough and no metal, so a
viewer's light shows the albedo. A map of roughness and metallic is the green and blue of a picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from dreamlift.geometry.mesh import Surface, vertex_normals
from dreamlift.geometry.placement import to_y_up
from dreamlift.geometry.srgb import to_linear
from dreamlift.geometry.tangents import tangents
from dreamlift.io.atomic import atomic
from dreamlift.io.glb import pack
from dreamlift.io.images import png_bytes

FLOAT, UINT = 5126, 5125
VERTICES, INDICES = 34962, 34963


@dataclass
class _Buffer:
    """The binary chunk as it grows, and the JSON that describes it."""

    content: bytearray = field(default_factory=bytearray)
    views: list[dict[str, int]] = field(default_factory=list[dict[str, int]])
    accessors: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def view(self, content: bytes, target: int | None = None) -> int:
        """Append bytes, four-aligned; gives the number of their bufferView."""
        entry = {"buffer": 0, "byteOffset": len(self.content), "byteLength": len(content)}
        self.views.append(entry if target is None else {**entry, "target": target})
        self.content += content + b"\0" * (-len(content) % 4)
        return len(self.views) - 1

    def floats(self, values: Float[Tensor, "n k"], *, bounds: bool = False) -> int:
        """Append vectors of 2 to 4 numbers for vertices; gives the number of their accessor."""
        array: NDArray[np.float32] = values.detach().cpu().float().contiguous().numpy()
        accessor: dict[str, Any] = {
            "bufferView": self.view(array.astype("<f4").tobytes(), VERTICES),
            "componentType": FLOAT,
            "count": len(array),
            "type": f"VEC{array.shape[1]}",
        }
        if bounds:
            accessor |= {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def indices(self, faces: Tensor) -> int:
        """Append the faces' corners; gives the number of their accessor."""
        array = faces.cpu().numpy().astype("<u4").reshape(-1)
        view = self.view(array.tobytes(), INDICES)
        self.accessors.append(
            {"bufferView": view, "componentType": UINT, "count": len(array), "type": "SCALAR"}
        )
        return len(self.accessors) - 1


def write_glb(path: Path, parts: Sequence[Surface]) -> None:
    """Write the parts of an object (our axes) as one GLB file, a named node for each."""
    if not parts or any(len(part.faces) == 0 for part in parts):
        raise ValueError("Every part that is written has at least one triangle.")
    buffer = _Buffer()
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "dreamlift"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(parts)))}],
        "nodes": [],
        "meshes": [],
        "materials": [],
    }
    shown: dict[int, int] = {}  # which texture a picture, by its identity, became
    for i, part in enumerate(parts):
        name = part.name or f"part {i}"
        document["nodes"].append({"mesh": i, "name": name})
        primitive = {
            "attributes": _attributes(buffer, part),
            "indices": buffer.indices(part.faces),
            "material": i,
        }
        document["meshes"].append({"primitives": [primitive], "name": name})
        document["materials"].append(_material(document, buffer, shown, part, name))
    document |= {"accessors": buffer.accessors, "bufferViews": buffer.views}
    document["buffers"] = [{"byteLength": len(buffer.content)}]
    with atomic(path) as file:
        file.write_bytes(pack(document, bytes(buffer.content)))


def _attributes(buffer: _Buffer, part: Surface) -> dict[str, int]:
    normals = part.normals
    if normals is None:
        normals = vertex_normals(part.vertices, part.faces)
    # A vertex without a direction (of degenerate faces only) still needs a unit normal in a file.
    up = normals.new_tensor([0.0, 0.0, 1.0])
    normals = F.normalize(normals, dim=-1, eps=1e-30)
    normals = torch.where(normals.norm(dim=-1, keepdim=True) > 0.5, normals, up)
    found = {
        "POSITION": buffer.floats(to_y_up(part.vertices), bounds=True),
        "NORMAL": buffer.floats(to_y_up(normals)),
    }
    if part.uv is not None:
        u, v = part.uv.unbind(-1)
        found["TEXCOORD_0"] = buffer.floats(torch.stack([u, 1 - v], -1))
    if part.material.bumps is not None and part.uv is not None:
        t, hand = tangents(part.vertices, part.faces, normals, part.uv).split([3, 1], -1)
        found["TANGENT"] = buffer.floats(torch.cat([to_y_up(t), hand], -1))
    if part.colors is not None and _one_color(part) is None:
        found["COLOR_0"] = buffer.floats(to_linear(part.colors))
    return found


def _one_color(part: Surface) -> Float[Tensor, "3"] | None:
    """The colour of a part that has only one: every program shows a material's, not all show those
    of vertices."""
    if part.colors is None or bool((part.colors != part.colors[:1]).any()):
        return None
    return part.colors[0].detach().cpu()


def _material(
    document: dict[str, Any], buffer: _Buffer, shown: dict[int, int], part: Surface, name: str
) -> dict[str, Any]:
    """A part's material; its pictures are embedded unless another part's are the same."""

    def picture(key: Tensor, pixels: Float[Tensor, "h w 3"], what: str) -> dict[str, int]:
        if id(key) not in shown:
            shown[id(key)] = len(shown)
            _add_texture(document, buffer, pixels, what)
        return {"index": shown[id(key)]}

    of = part.material
    mirror: dict[str, Any] = {"metallicFactor": of.metallic, "roughnessFactor": of.roughness}
    if (one := _one_color(part)) is not None:
        mirror["baseColorFactor"] = [*to_linear(one).tolist(), 1.0]
    if part.texture is not None:
        mirror["baseColorTexture"] = picture(part.texture, part.texture, name)
    if of.gloss is not None:
        pixels = torch.cat([torch.ones_like(of.gloss[..., :1]), of.gloss], -1)
        mirror["metallicRoughnessTexture"] = picture(of.gloss, pixels, f"{name} gloss")
    material = {"pbrMetallicRoughness": mirror, "name": name}
    if of.bumps is not None:
        material["normalTexture"] = picture(of.bumps, of.bumps, f"{name} bumps")
    return material


def _add_texture(
    document: dict[str, Any], buffer: _Buffer, texture: Float[Tensor, "h w 3"], name: str
) -> None:
    """Embed a picture as PNG; texture i shows image i."""
    images: list[Mapping[str, Any]] = document.setdefault("images", [])
    view = buffer.view(png_bytes(texture))
    images.append({"bufferView": view, "mimeType": "image/png", "name": name})
    document["samplers"] = [{"magFilter": 9729, "minFilter": 9987}]
    document.setdefault("textures", []).append({"source": len(images) - 1, "sampler": 0})
