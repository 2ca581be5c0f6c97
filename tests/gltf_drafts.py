"""glTF documents that show one square, to be changed before they are written."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dreamlift.geometry.mesh import Surface
from dreamlift.io.glb import pack
from dreamlift.io.gltf_read import read_gltf

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], "<f4")
CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], "<f4")
FACES = np.array([0, 1, 2, 0, 2, 3], "<u4")


class Draft:
    """A document that shows one square with normals, to be changed before it is written."""

    def __init__(self, *, uv: np.ndarray | None = None, normals: bool = True) -> None:
        self.content = b""
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "nodes": [{"mesh": 0}],
            "bufferViews": [],
            "accessors": [],
        }
        attributes = {"POSITION": self.values(SQUARE)}
        if normals:
            attributes["NORMAL"] = self.values(np.array([[0, 0, 1]] * 4, "<f4"))
        if uv is not None:
            attributes["TEXCOORD_0"] = self.values(uv.astype("<f4"))
        self.primitive: dict[str, Any] = {"attributes": attributes, "indices": self.values(FACES)}
        self.json["meshes"] = [{"primitives": [self.primitive]}]

    def bytes(self, content: bytes) -> int:
        """Gives the number of their bufferView."""
        view = {"buffer": 0, "byteOffset": len(self.content), "byteLength": len(content)}
        self.content += content + b"\0" * (-len(content) % 4)
        self.json["bufferViews"].append(view)
        return len(self.json["bufferViews"]) - 1

    def values(self, array: np.ndarray) -> int:
        """Gives the number of their accessor."""
        kind = {"f": 5126, "u": 5125}[array.dtype.kind]
        width = "SCALAR" if array.ndim == 1 else f"VEC{array.shape[1]}"
        about = {"bufferView": self.bytes(array.tobytes()), "componentType": kind}
        self.json["accessors"].append({**about, "count": len(array), "type": width})
        return len(self.json["accessors"]) - 1

    def painted(self, picture: np.ndarray, *, form: str = "PNG", **texture: Any) -> "Draft":
        """With a picture of base colours: h w 3, bytes."""
        file = io.BytesIO()
        Image.fromarray(picture).save(file, form, lossless=True)
        self.json["images"] = [{"bufferView": self.bytes(file.getvalue())}]
        self.json["textures"] = [texture or {"source": 0}]
        return self.material({"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}})

    def material(self, material: Mapping[str, Any] | None) -> "Draft":
        self.json["materials"] = [material]
        self.primitive["material"] = 0
        return self

    def write(self, path: Path) -> Path:
        self.json["buffers"] = [{"byteLength": len(self.content)}]
        path.write_bytes(pack(self.json, self.content))
        return path

    def read(self, folder: Path) -> tuple[Surface, ...]:
        return read_gltf(self.write(folder / "a.glb"))


def picture(h: int, w: int) -> np.ndarray:
    """Random bytes, h w 3."""
    return np.random.default_rng(h * w).integers(0, 256, (h, w, 3), np.uint8)
