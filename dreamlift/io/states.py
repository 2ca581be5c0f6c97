"""Nested state (of modules, optimisers, generators) in one safetensors file, with a checksum.

Tensors are stored under running numbers; a JSON skeleton of everything else stands in the file's
metadata, so nothing is ever unpickled.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor


class Damaged(ValueError):
    """A state file that is not what was written."""


def save_state(path: Path, state: object) -> None:
    """Write mappings (with text or integer keys), sequences, tensors, numbers, texts and None."""
    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_strip(state, tensors))
    metadata = {"skeleton": skeleton, "crc32": str(_checksum(skeleton, tensors))}
    path.write_bytes(save(tensors, metadata))  # save_file's would be readable by us alone


def load_state(path: Path) -> Any:
    """What `save_state` was given, tensors on the CPU. Raises Damaged if the file is not whole."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise Damaged(str(error)) from error
    if not {"skeleton", "crc32"} <= metadata.keys():
        raise Damaged("it holds no saved state")
    skeleton = metadata["skeleton"]
    if str(_checksum(skeleton, tensors)) != metadata["crc32"]:
        raise Damaged("its checksum is wrong")
    return _fill(json.loads(skeleton), tensors)


def _checksum(skeleton: str, tensors: Mapping[str, Tensor]) -> int:
    crc = zlib.crc32(skeleton.encode())
    for name in sorted(tensors):
        flat = tensors[name].reshape(-1).view(torch.uint8)
        crc = zlib.crc32(flat.numpy().data, crc)
    return crc


def _strip(state: object, tensors: dict[str, Tensor]) -> object:
    """JSON for `state`, its tensors moved to `tensors`."""
    match state:
        case Tensor():
            name = f"{len(tensors):05d}"
            tensors[name] = state.detach().to("cpu", copy=True).contiguous()
            return {"tensor": name}
        case None | bool() | int() | float() | str():
            return state
        case Mapping():
            pairs = cast("Mapping[object, object]", state).items()
            for key, _ in pairs:
                if not isinstance(key, (str, int)):
                    raise TypeError(f"The keys of a state are text or integers, not {key!r}.")
            return {"mapping": [[key, _strip(value, tensors)] for key, value in pairs]}
        case list() | tuple():
            values = cast("Sequence[object]", state)
            kind = "tuple" if isinstance(state, tuple) else "list"
            return {kind: [_strip(value, tensors) for value in values]}
        case _:
            raise TypeError(
                f"A state holds mappings, lists, tensors, numbers and texts, not {type(state)}."
            )


def _fill(skeleton: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `_strip`."""
    if not isinstance(skeleton, dict):
        return skeleton
    ((kind, value),) = cast("dict[str, Any]", skeleton).items()
    if kind == "tensor":
        return tensors[value]
    if kind == "mapping":
        return {key: _fill(child, tensors) for key, child in value}
    children = [_fill(child, tensors) for child in value]
    return tuple(children) if kind == "tuple" else children
