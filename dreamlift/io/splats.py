"""Gaussians in and out: the PLY of 3D Gaussian splatting, `.splat`, and SPZ (io/spz.py).

What files say of axes is habit. PLY and `.splat` come from COLMAP's cameras, +y down, and viewers
turn them over; SPZ is +y up by definition.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.gaussians import Gaussians, base_colors, harmonics_of
from dreamlift.geometry.turning import turned
from dreamlift.io.atomic import atomic
from dreamlift.io.spz import read_spz, write_spz

FORMATS = (".ply", ".splat", ".spz")
Up: TypeAlias = Literal["z", "y", "-y"]
"""Which way a file's scene stands: ours (+z up, facing +x), glTF's (+y up, facing +z), or that
turned over (+y down, facing +z)."""

HABIT: dict[str, Up] = {".ply": "-y", ".splat": "-y", ".spz": "y"}
"""How files of each kind stand by habit."""

_KINDS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_HEADER = 1 << 16
"""Bytes within which a PLY's header must end."""


def read_splats(path: Path, *, up: Up | None = None) -> Gaussians:
    """The Gaussians of a file, in our axes; `up` says how the file stands (None: by habit).

    Raises BadInput where the file cannot be read or holds numbers that are none.
    """
    suffix = _kind(path)
    if not path.is_file():
        raise BadInput(f"{path} does not exist.")
    read: dict[str, Callable[[bytes], Gaussians]] = {
        ".ply": _read_ply,
        ".splat": _read_splat,
        ".spz": read_spz,
    }
    try:
        gaussians = read[suffix](path.read_bytes())
        _check(gaussians)
    except BadInput as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    standing = up or HABIT[suffix]
    return gaussians if standing == "z" else turned(gaussians, _axes(standing).T)


def write_splats(path: Path, gaussians: Gaussians, *, up: Up | None = None) -> None:
    """Write a file of the kind its suffix says, standing as `up` says (None: by habit).

    A PLY keeps every number; `.splat` keeps bytes of colour and opacity and no harmonics; SPZ
    keeps 1/4096 of a unit, a sixteenth of a scale's logarithm and bytes of the rest.
    """
    suffix = _kind(path)
    standing = up or HABIT[suffix]
    with torch.no_grad():
        g = gaussians if standing == "z" else turned(gaussians, _axes(standing))
        g = Gaussians(
            g.means.detach().cpu().float(),
            g.quaternions.detach().cpu().float(),
            g.log_scales.detach().cpu().float(),
            g.opacity_logits.detach().cpu().float(),
            g.harmonics.detach().cpu().float(),
        )
    _check(g)
    content = {".ply": _ply, ".splat": _splat, ".spz": write_spz}[suffix](g)
    with atomic(path) as file:
        file.write_bytes(content)


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise BadInput(f"{path.name} is no file of Gaussians: {', '.join(FORMATS)} are.")
    return suffix


def _axes(up: Up) -> Float[Tensor, "3 3"]:
    """From our axes to a file's."""
    if up == "z":
        return torch.eye(3)
    sign = 1.0 if up == "y" else -1.0
    return torch.tensor([[0, sign, 0], [0, 0, sign], [1, 0, 0]])


def _check(gaussians: Gaussians) -> None:
    """Refuse what no renderer could draw."""
    if len(gaussians) == 0:
        raise BadInput("there are no Gaussians in it.")
    for name in ("means", "quaternions", "log_scales", "opacity_logits", "harmonics"):
        values: Tensor = getattr(gaussians, name)
        bad = ~values.reshape(len(values), -1).isfinite().all(1)
        if bad.any():
            first = int(bad.nonzero()[0])
            raise BadInput(f"{int(bad.sum())} of its {name} are not finite, first number {first}.")
    if (gaussians.quaternions == 0).all(1).any():
        raise BadInput("a rotation of it is a quaternion of zeros.")


def _properties(rest: int) -> list[str]:
    """Names of a Gaussian's numbers in the INRIA layout, of which `rest` are f_rest."""
    return [
        *("x", "y", "z", "nx", "ny", "nz"),
        *(f"f_dc_{k}" for k in range(3)),
        *(f"f_rest_{k}" for k in range(rest)),
        *("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
    ]


def _ply(gaussians: Gaussians) -> bytes:
    """The INRIA layout: float32, normals of zero, higher harmonics channel by channel."""
    n = len(gaussians)
    rest = gaussians.harmonics[:, 1:].mT.reshape(n, -1)
    columns = [
        gaussians.means,
        torch.zeros(n, 3),
        gaussians.harmonics[:, 0],
        rest,
        gaussians.opacity_logits[:, None],
        gaussians.log_scales,
        gaussians.quaternions,
    ]
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {n}"]
    head += [f"property float {name}" for name in _properties(rest.shape[1])]
    body = torch.cat(columns, 1).numpy().astype("<f4").tobytes()
    return ("\n".join([*head, "end_header"]) + "\n").encode() + body


def _read_ply(content: bytes) -> Gaussians:
    table = _vertices(content)
    names = table.dtype.names or ()
    rest = sum(name.startswith("f_rest_") for name in names)
    if rest not in (0, 9, 24, 45):
        raise BadInput(
            f"it has {rest} numbers f_rest; harmonics of degree 0 to 3 have 0, 9, 24, 45."
        )
    wanted = [name for name in _properties(rest) if name not in ("nx", "ny", "nz")]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise BadInput(f"its vertices have no {', '.join(missing)}: it is no PLY of Gaussians.")
    with np.errstate(over="ignore"):
        rows = np.stack([table[name].astype(np.float32) for name in wanted], 1)
    x = torch.from_numpy(rows)
    means, dc, more, opacity, scales, turn = x.split([3, 3, rest, 1, 3, 4], 1)
    harmonics = torch.cat([dc[:, None], more.unflatten(1, (3, rest // 3)).mT], 1)
    return Gaussians(means, turn, scales, opacity[:, 0], harmonics)


def _vertices(content: bytes) -> NDArray[Any]:
    """The table of a PLY's first element, `vertex`, which must not hold lists."""
    head, found, _ = content[:_HEADER].partition(b"end_header")
    if not content.startswith(b"ply") or not found:
        raise BadInput("it does not begin with the header of a PLY file.")
    rows = [row.split() for row in head.splitlines()[1:] if row.strip()]  # bytes: \n and \r alone
    lines = [[word.decode("latin-1") for word in row] for row in rows]
    lines = [line for line in lines if line[0] not in ("comment", "obj_info")]
    form = next((line[1] for line in lines if line[0] == "format" and len(line) > 1), "none")
    order = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(form)
    if order is None:
        raise BadInput(f"its format is {form}; files of Gaussians are binary.")
    if any(line[-1] == "packed_position" for line in lines):
        raise BadInput("it is compressed (SuperSplat's PLY). Save it again as an uncompressed PLY.")
    elements = [k for k, line in enumerate(lines) if line[0] == "element"]
    first = lines[elements[0]] if elements else []
    if len(first) != 3 or first[1] != "vertex" or not first[2].isdecimal():
        raise BadInput("its first element is not `vertex` with a count.")
    end = elements[1] if len(elements) > 1 else len(lines)
    fields: list[tuple[str, str]] = []
    for line in lines[elements[0] + 1 : end]:
        if line[0] != "property" or len(line) != 3 or line[1] not in _KINDS:
            raise BadInput(f"its header says {' '.join(line)!r}, which a table of numbers has not.")
        fields.append((line[2], order + _KINDS[line[1]]))
    if len({name for name, _ in fields}) != len(fields):
        raise BadInput("its header names a property twice.")
    kind, n = np.dtype(fields), int(first[2])
    start = content.index(b"\n", len(head)) + 1 if b"\n" in content[len(head) :] else len(content)
    if len(content) - start < n * kind.itemsize:
        raise BadInput(
            f"it should hold {n} Gaussians of {kind.itemsize} bytes and ends after "
            f"{(len(content) - start) // max(kind.itemsize, 1)}."
        )
    return np.frombuffer(content, kind, n, start)


_SPLAT = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("turn", "u1", 4)])
"""antimatter15's 32 bytes: deviations themselves, straight colour, (w, x, y, z) x 128 + 128."""


def _splat(gaussians: Gaussians) -> bytes:
    """The most conspicuous first, so that a half-loaded file shows something."""
    alpha = gaussians.opacity_logits.sigmoid()
    order = (-alpha * gaussians.log_scales.sum(-1).exp()).argsort(stable=True)
    g = gaussians[order]
    rows = np.zeros(len(g), _SPLAT)
    rows["mean"], rows["scale"] = g.means.numpy(), g.log_scales.exp().numpy()
    rgba = torch.cat([base_colors(g), alpha[order, None]], -1)
    rows["rgba"] = (rgba.clamp(0, 1) * 255).round().byte().numpy()
    unit = torch.nn.functional.normalize(g.quaternions, dim=-1)
    rows["turn"] = (unit * 128 + 128).round().clamp(0, 255).byte().numpy()
    return rows.tobytes()


def _read_splat(content: bytes) -> Gaussians:
    if len(content) % _SPLAT.itemsize:
        raise BadInput(f"it has {len(content)} bytes, which is no multiple of 32.")
    rows = np.frombuffer(content, _SPLAT)
    scale = torch.from_numpy(rows["scale"].astype(np.float32))
    if not (scale > 0).all():
        raise BadInput("a deviation of it is not above 0.")
    rgba = torch.from_numpy(rows["rgba"].astype(np.float32)) / 255
    turn = torch.from_numpy(rows["turn"].astype(np.float32))
    return Gaussians(
        torch.from_numpy(rows["mean"].astype(np.float32)),
        (turn - 128) / 128,
        scale.log(),
        rgba[:, 3].clamp(1 / 510, 1 - 1 / 510).logit(),
        harmonics_of(rgba[:, :3]),
    )
