"""SPZ, the compressed Gaussians of Niantic (github.com/nianticlabs/spz): bytes to Gaussians.

After a header of 16 bytes, column after column: positions in 24-bit fixed point, opacities,
colours, logarithms of deviations, rotations, harmonics; all of it under gzip.
"""

import struct
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.geometry.harmonics import count

MAGIC = b"NGSP"
MOST = 10_000_000
"""Gaussians, as the format's own library allows: a small file may claim more than fits anywhere."""
_HEADER = struct.Struct("<4sIIBBBB")  # magic, version, count, degree, fraction bits, flags, 0
_FRACTION = 12
_COLOR = 0.15
"""A colour's coefficient times this, plus a half, is its byte over 255."""
_ROOT = 0.5**0.5


def read_spz(content: bytes) -> Gaussians:
    """Versions 2 and 3; degree 0 to 3."""
    data = _inflated(content)
    if len(data) < _HEADER.size or data[:4] != MAGIC:
        raise BadInput("it does not begin with the header of an SPZ file.")
    _, version, n, degree, fraction, _, _ = _HEADER.unpack_from(data)
    if version not in (2, 3):
        raise BadInput(f"it is SPZ version {version}; versions 2 and 3 can be read.")
    if degree > 3 or n > MOST or fraction > 23:
        raise BadInput(f"its header claims {n} Gaussians of degree {degree}, {fraction} bits.")
    more = count(degree) - 1
    widths = (9, 1, 3, 3, 4 if version == 3 else 3, 3 * more)
    if len(data) != _HEADER.size + n * sum(widths):
        raise BadInput(
            f"{n} Gaussians of degree {degree} take {_HEADER.size + n * sum(widths)} bytes; it "
            f"has {len(data)}."
        )
    columns: list[Tensor] = []
    at = _HEADER.size
    for width in widths:
        column = np.frombuffer(data, np.uint8, n * width, at).reshape(n, width)
        columns.append(torch.from_numpy(column.copy()))
        at += n * width
    position, alpha, color, scale, turn, rest = columns
    dc = (color.float() / 255 - 0.5) / _COLOR
    higher = (rest.float() - 128).reshape(n, more, 3) / 128
    return Gaussians(
        _fixed(position, fraction),
        _smallest_three(turn) if version == 3 else _first_three(turn),
        scale.float() / 16 - 10,
        (alpha[:, 0].float() / 255).clamp(1 / 510, 1 - 1 / 510).logit(),
        torch.cat([dc[:, None], higher], 1),
    )


def _inflated(content: bytes) -> bytes:
    """The bytes under gzip (or as they are), no more than the largest file would have."""
    if content[:4] == MAGIC:
        return content
    most = _HEADER.size + MOST * 65
    try:
        stream = zlib.decompressobj(wbits=31)
        data = stream.decompress(content, most)
    except zlib.error as error:
        raise BadInput(f"it is neither SPZ nor gzip: {error}") from error
    if not stream.eof:
        raise BadInput("its compressed data end early, or hold more than any SPZ file may.")
    return data


def _fixed(bytes_: UInt8[Tensor, "n 9"], fraction: int) -> Float[Tensor, "n 3"]:
    """Signed 24-bit integers, in units of 2^-fraction."""
    low, middle, high = bytes_.reshape(-1, 3, 3).int().unbind(-1)
    value = low + (middle << 8) + (high << 16)
    return (value - ((value >> 23) << 24)).float() / 2**fraction


def _first_three(bytes_: UInt8[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
    """x, y, z in a byte each; w >= 0 is what is left of 1."""
    xyz = bytes_.float() / 127.5 - 1
    w = (1 - xyz.square().sum(-1, keepdim=True)).clamp_min(0).sqrt()
    return torch.cat([w, xyz], -1)


def _smallest_three(bytes_: UInt8[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """Which of x, y, z, w is largest (2 bits), then of the others, in order, sign and size."""
    words = (bytes_.long() << torch.tensor([0, 8, 16, 24])).sum(-1)
    largest = words >> 30
    xyzw = torch.zeros(len(words), 4)
    for k in (3, 2, 1, 0):
        here = largest != k
        value = _ROOT * (words & 511).float() / 511
        value = torch.where((words >> 9) & 1 == 1, -value, value)
        xyzw[:, k] = torch.where(here, value, 0.0)
        words = torch.where(here, words >> 10, words)
    left = (1 - xyzw.square().sum(-1)).clamp_min(0).sqrt()
    xyzw.scatter_(1, largest[:, None], left[:, None])
    return xyzw[:, [3, 0, 1, 2]]


def write_spz(gaussians: Gaussians) -> bytes:
    """Version 3, positions to 1/4096 of a unit, higher harmonics in steps as its library's."""
    n, degree = len(gaussians), gaussians.degree
    far = float(gaussians.means.abs().max()) * 2**_FRACTION
    if n > MOST or far > 2**23 - 1:
        raise BadInput(
            f"SPZ holds {MOST} Gaussians within {2 ** (23 - _FRACTION)} units of the origin."
        )
    whole = (gaussians.means * 2**_FRACTION).round().int()
    position = torch.stack([whole & 255, (whole >> 8) & 255, (whole >> 16) & 255], -1)
    color = (gaussians.harmonics[:, 0] * _COLOR + 0.5) * 255
    columns: list[NDArray[np.uint8]] = [
        _bytes(position.reshape(n, 9).float()),
        _bytes(gaussians.opacity_logits.sigmoid() * 255),
        _bytes(color),
        _bytes((gaussians.log_scales + 10) * 16),
        _packed(gaussians.quaternions),
        _stepped(gaussians.harmonics[:, 1:]),
    ]
    header = _HEADER.pack(MAGIC, 3, n, degree, _FRACTION, 0, 0)
    packer = zlib.compressobj(wbits=31)
    return packer.compress(header + b"".join(c.tobytes() for c in columns)) + packer.flush()


def _bytes(values: Float[Tensor, "*s"]) -> NDArray[np.uint8]:
    return values.round().clamp(0, 255).byte().numpy()


def _stepped(rest: Float[Tensor, "n k 3"]) -> NDArray[np.uint8]:
    """Bytes about 128, of which 5 bits count in degree 1 and 4 above: the rest compresses."""
    step = torch.full((rest.shape[1], 1), 16.0)
    step[:3] = 8.0
    return _bytes(((rest * 128 + 128) / step).round() * step)


def _packed(quaternions: Float[Tensor, "n 4"]) -> NDArray[np.uint8]:
    """The inverse of _smallest_three."""
    xyzw = F.normalize(quaternions, dim=-1)[:, [1, 2, 3, 0]]
    largest = xyzw.abs().argmax(-1)
    negative = xyzw.gather(1, largest[:, None]) < 0
    words = largest.clone()
    for k in range(4):
        size = (xyzw[:, k].abs() / _ROOT * 511 + 0.5).long().clamp_max(511)
        sign = ((xyzw[:, k] < 0) ^ negative[:, 0]).long()
        words = torch.where(largest != k, (words << 10) | (sign << 9) | size, words)
    return ((words[:, None] >> torch.tensor([0, 8, 16, 24])) & 255).byte().numpy()
