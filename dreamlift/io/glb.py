"""GLB, the box that glTF comes in: a header of 12 bytes, a JSON chunk and a binary one."""

import json
import struct
from collections.abc import Mapping
from typing import Any

JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942


def pack(document: Mapping[str, Any], content: bytes) -> bytes:
    """A GLB file of a document and of binary content that is four-aligned."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(content)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, total),
            struct.pack("<II", len(text), JSON_CHUNK),
            text,
            struct.pack("<II", len(content), BIN_CHUNK),
            content,
        ]
    )


def unpack(file: bytes) -> tuple[bytes, bytes]:
    """The JSON and the binary content of a GLB file; what is not there is empty."""
    text, binary, at = b"", b"", 12
    while at + 8 <= len(file):
        length, kind = struct.unpack_from("<II", file, at)
        chunk = file[at + 8 : at + 8 + length]
        text = chunk if kind == JSON_CHUNK else text
        binary = chunk if kind == BIN_CHUNK else binary
        at += 8 + length
    return text, binary
