"""Trainings as a few small files: halved, zipped, and cut, to be carried between machines.

Weights travel in half precision. Of a checkpoint, Adam's second moments travel as bytes (their
logarithm, to 6 %) and its first moments not at all: they are back after ten steps. So a training
that was carried goes on nearly, not exactly, as if it had never stopped.
"""

import io
import json
import zipfile
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from dreamlift.errors import BadInput

LIMIT = 15_000_000
"""Bytes of the largest part."""
MOST = 8
"""Parts."""
_FINE = 6.0
"""Bytes per factor of two of a second moment."""
_LEAST = -42.0
"""The logarithm (base 2) of the least second moment that is told from nought."""


def squeeze(v: Float[Tensor, "*s"]) -> UInt8[Tensor, "*s"]:
    """Numbers from 2^-42 to 1 as bytes, to within 6 %; 0 is nought."""
    level = (v.clamp_min(2.0**-60).log2() - _LEAST) * _FINE
    return level.round().clamp(0, 255).to(torch.uint8)


def expand(level: UInt8[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """What was squeezed."""
    v = torch.exp2(level.float() / _FINE + _LEAST)
    return torch.where(level == 0, torch.zeros_like(v), v)


def _lighter(path: Path) -> bytes:
    """A safetensors file, halved."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    state: dict[str, Tensor] = {}
    for name, value in load_file(path).items():
        if name.endswith(".exp_avg"):
            continue
        if name.endswith(".exp_avg_sq"):
            state[name] = squeeze(value)
        else:
            grown = value.dtype == torch.float32 and value.numel() > 1
            state[name] = value.half() if grown else value
    return save(state, metadata)


def _restore(path: Path) -> None:
    """Make a carried checkpoint one that a training loads."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    state: dict[str, Tensor] = {}
    for name, value in load_file(path).items():
        if name.endswith(".exp_avg_sq"):
            state[name] = expand(value)
            state[name.removesuffix("_sq")] = torch.zeros_like(state[name])
        else:
            state[name] = value.float() if value.dtype == torch.float16 else value
    path.write_bytes(save(state, metadata))


def pack(folder: Path, out: Path, *, limit: int = LIMIT) -> list[Path]:
    """All files of a folder as parts in `out`, in place of those that were there.

    Raises ValueError where they are too many.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            light = path.suffix == ".safetensors"
            content = _lighter(path) if light else path.read_bytes()
            archive.writestr(str(path.relative_to(folder)), content)
    content = buffer.getvalue()
    pieces = [content[i : i + limit] for i in range(0, len(content), limit)]
    if len(pieces) > MOST:
        raise ValueError(
            f"{folder} packs to {len(content) / 1e6:.0f} MB, which is {len(pieces)} parts of "
            f"{limit / 1e6:.0f} MB; {MOST} is the most. Train fewer models in one folder."
        )
    out.mkdir(parents=True, exist_ok=True)
    before = set(out.glob("part_*.bin"))
    written = [out / f"part_{i}_of_{len(pieces)}.bin" for i in range(len(pieces))]
    for path, piece in zip(written, pieces, strict=True):
        path.with_suffix(".tmp").write_bytes(piece)
    for path in written:
        path.with_suffix(".tmp").replace(path)
    for path in before - set(written):
        path.unlink()
    return written


def unpack(parts: Path, folder: Path) -> bool:
    """Restore in `folder` what was packed into `parts`; False where there are no parts.

    Raises BadInput where some are missing or damaged.
    """
    found = sorted(parts.glob("part_*.bin"), key=lambda p: int(p.stem.split("_")[1]))
    if not found:
        return False
    count = int(found[0].stem.rsplit("_", maxsplit=1)[1])
    names = [f"part_{i}_of_{count}.bin" for i in range(count)]
    if [path.name for path in found] != names:
        raise BadInput(
            f"{parts} holds {json.dumps([p.name for p in found])}; {count} parts of one packing "
            "were expected. Copy all of them, and no others."
        )
    try:
        with zipfile.ZipFile(io.BytesIO(b"".join(p.read_bytes() for p in found))) as archive:
            damaged = archive.testzip()
            if damaged is None:
                archive.extractall(folder)
    except zipfile.BadZipFile as error:
        raise BadInput(f"The parts in {parts} are damaged ({error}). Copy them again.") from error
    if damaged is not None:
        raise BadInput(f"The parts in {parts} are damaged ({damaged}). Copy them again.")
    for path in folder.rglob("checkpoint.safetensors"):
        _restore(path)
    return True
