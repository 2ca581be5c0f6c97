"""A glTF document and what its buffers hold: numbers by accessors, bytes by views and URIs."""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from dreamlift.errors import BadInput
from dreamlift.io.glb import unpack

COMPONENT = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
PACKED = {"KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression"}
"""Extensions that compress triangles."""
EMPTY = 10_000_000
"""Values that an accessor may have of which the file holds none: they are zero."""


@dataclass(frozen=True)
class Document:
    """A glTF document, where its bytes are, and what was made of them, once each."""

    path: Path
    json: Mapping[str, Any]
    binary: bytes | None  # a GLB's own
    _buffers: dict[int, memoryview] = field(default_factory=dict[int, memoryview])
    _sparse: dict[int, NDArray[Any]] = field(default_factory=dict[int, NDArray[Any]])

    @staticmethod
    def open(path: Path) -> "Document":
        """Raises BadInput where a file is not there or is no document."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadInput(f"Cannot read {path}: {error.strerror}.") from error
        binary = None
        try:
            if content[:4] == b"glTF":
                content, binary = unpack(content)
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path} is not a glTF file, or is cut short ({error}).") from error
        if not isinstance(found, dict):
            came = type(found).__name__
            raise BadInput(f"{path} is not a glTF file: a JSON object was expected, {came} came.")
        return Document(path, cast("dict[str, Any]", found), binary)

    def fail(self, why: str) -> BadInput:
        return BadInput(f"{self.path} cannot be read: {why}")

    def invalid(self, why: str) -> BadInput:
        return self.fail(f"it is not valid glTF ({why}).")

    def compressed(self, how: Iterable[str]) -> BadInput:
        return self.fail(
            f"its triangles are compressed ({', '.join(sorted(how))}), which dreamlift does "
            "not decode. Save it without compression: `gltf-transform copy in.glb out.glb`, or "
            "Blender's export with Compression off."
        )

    def entry(self, kind: str, index: Any) -> Mapping[str, Any]:
        """An object of one of the document's lists, by its number."""
        entries: Any = self.json.get(kind, [])
        if not isinstance(entries, list):
            raise self.invalid(f"its {kind} are no list")
        if type(index) is not int or not 0 <= index < len(entries):
            raise self.invalid(f"it names {kind}[{index!r:.40}] and has {len(entries)} of them")
        if not isinstance(entries[index], dict):
            raise self.invalid(f"{kind}[{index}] is {entries[index]!r:.40}, no object")
        return cast("dict[str, Any]", entries[index])

    def fetch(self, uri: str) -> bytes:
        """The contents of a data URI, or of a file beside this one."""
        if uri.startswith("data:"):
            head, _, text = uri.partition(",")
            whole = base64.b64decode(text + "==") if head.endswith(";base64") else None
            return unquote_to_bytes(text) if whole is None else whole
        try:
            return (self.path.parent / unquote(uri)).read_bytes()
        except OSError as error:
            raise self.fail(f"it needs {uri} beside it ({error.strerror}).") from error

    def view(self, index: Any) -> tuple[memoryview, int]:
        """A bufferView's bytes, and its stride (0: packed)."""
        view = self.entry("bufferViews", index)
        start, length, stride = (view.get(x, 0) for x in ("byteOffset", "byteLength", "byteStride"))
        if start < 0 or length < 0:
            raise self.invalid(f"bufferViews[{index}] has {length} bytes from {start} on")
        return self._buffer(view["buffer"])[start : start + length], stride

    def _buffer(self, index: Any) -> memoryview:
        buffer = self.entry("buffers", index)
        if index not in self._buffers:
            if "uri" in buffer:
                content = self.fetch(buffer["uri"])
            elif index == 0 and self.binary is not None:
                content = self.binary
            elif packed := PACKED & set(buffer.get("extensions", {})):
                raise self.compressed(packed)
            else:
                raise self.invalid(f"buffers[{index}] has no contents")
            self._buffers[index] = memoryview(content)
        return self._buffers[index]

    def values(self, index: Any) -> NDArray[Any]:
        """An accessor's numbers as they are stored, `count` by `width`: to look at, not a copy."""
        accessor = self.entry("accessors", index)
        if index in self._sparse:
            return self._sparse[index]
        kind = np.dtype(COMPONENT[accessor["componentType"]])
        shape = (int(accessor["count"]), WIDTH[accessor["type"]])
        if "bufferView" in accessor:
            values = self._strided(accessor, shape, kind)
        elif 0 <= shape[0] <= EMPTY:
            values = np.broadcast_to(np.zeros((), kind), shape)
        else:
            raise self.invalid(f"accessors[{index}] has {shape[0]} values and no bufferView")
        if "sparse" in accessor:
            values = self._sparse[index] = self._replaced(accessor["sparse"], values)
        return values

    def accessor(self, index: Any, rows: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """An accessor's values, or some rows of them; normalised integers become floats."""
        values = self.values(index)
        values = values.copy() if rows is None else values[rows]
        kind = values.dtype
        if self.entry("accessors", index).get("normalized") and kind.kind in "iu":
            return np.maximum(values.astype(np.float32) / np.iinfo(kind).max, -1.0)
        return values

    def _strided(
        self, where: Mapping[str, Any], shape: tuple[int, int], kind: np.dtype[Any]
    ) -> NDArray[Any]:
        """The numbers in a bufferView, from an offset on."""
        content, stride = self.view(where["bufferView"])
        offset, wide = where.get("byteOffset", 0), shape[1] * kind.itemsize
        stride = stride or wide
        if offset < 0 or shape[0] < 0 or stride < wide:
            raise self.invalid(
                f"an accessor has {shape[0]} values of {wide} bytes from {offset} on, one every "
                f"{stride} bytes"
            )
        needed = offset + stride * (shape[0] - 1) + wide
        if shape[0] == 0:
            return np.zeros(shape, kind)
        if needed > len(content):
            raise self.fail(f"it is cut short: {needed} bytes are needed, {len(content)} there.")
        return np.ndarray(shape, kind, content, offset, (stride, kind.itemsize))

    def _replaced(self, sparse: Mapping[str, Any], values: NDArray[Any]) -> NDArray[Any]:
        """Values with a few of them replaced."""
        where, count = sparse["indices"], int(sparse["count"])
        kind = np.dtype(COMPONENT[where["componentType"]])
        rows = self._strided(where, (count, 1), kind)[:, 0]
        values = values.copy()
        values[rows] = self._strided(sparse["values"], (count, values.shape[1]), values.dtype)
        return values
