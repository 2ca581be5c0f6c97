"""Files of objects, opened by other people's readers or by hand: nothing of dreamlift reads here.

    .glb .obj .stl .ply      trimesh
    .ply of Gaussians        plyfile
    .splat .spz .mp4 .png    by hand: 32 bytes each; a header under gzip; boxes; chunks
    .usdz                    Pixar's usd-core

Every reader gives what it counted, and the extents of the object's box from the smallest to the
largest, which no habit of axes changes (none for pictures).
"""

import gzip
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Opened:
    """What a reader found in a file."""

    counts: Mapping[str, int]
    extents: tuple[float, ...] = ()


def _extents(points: NDArray[Any]) -> tuple[float, ...]:
    return tuple(sorted(float(x) for x in np.ptp(points, axis=0)))


def mesh(path: Path) -> Opened:
    """trimesh, every node of the scene where it stands."""
    import trimesh

    scene = cast(Any, trimesh).load(path, force="scene", process=False)
    whole = scene.to_geometry()
    counts = {"vertices": len(whole.vertices), "triangles": len(whole.faces)}
    return Opened(counts, _extents(np.asarray(whole.vertices)[np.unique(whole.faces)]))


def usdz(path: Path) -> Opened:
    """usd-core: the package opened as a stage, its meshes counted."""
    from pxr import Usd, UsdGeom

    usd, geometry = cast(Any, Usd), cast(Any, UsdGeom)
    stage = usd.Stage.Open(str(path))
    points: list[NDArray[Any]] = []
    triangles = 0
    for prim in stage.Traverse():
        if prim.IsA(geometry.Mesh):
            points.append(np.asarray(geometry.Mesh(prim).GetPointsAttr().Get()))
            triangles += len(geometry.Mesh(prim).GetFaceVertexCountsAttr().Get())
    every = np.concatenate(points)
    return Opened({"vertices": len(every), "triangles": triangles}, _extents(every))


def splat_ply(path: Path) -> Opened:
    """plyfile."""
    from plyfile import PlyData

    vertex: Any = PlyData.read(str(path))["vertex"]
    points = np.stack([vertex[axis] for axis in "xyz"], -1)
    return Opened({"Gaussians": len(points)}, _extents(points))


def splat(path: Path) -> Opened:
    """By hand: 32 bytes a Gaussian, the first 12 its centre."""
    content = path.read_bytes()
    if len(content) % 32:
        raise ValueError(f"{path} has {len(content)} bytes, no multiple of 32.")
    points = np.frombuffer(content, "<f4").reshape(-1, 8)[:, :3]
    return Opened({"Gaussians": len(points)}, _extents(points))


def spz(path: Path) -> Opened:
    """By hand: gunzip, 16 bytes of header, centres of three 24-bit numbers."""
    data = gzip.decompress(path.read_bytes())
    magic, version, n, _, fraction = struct.unpack_from("<4sIIBB", data)
    if magic != b"NGSP" or version not in (2, 3):
        raise ValueError(f"{path} begins with {magic!r}, version {version}.")
    bytes_ = np.frombuffer(data, np.uint8, 9 * n, 16).reshape(n, 3, 3).astype(np.int64)
    fixed = bytes_[..., 0] + (bytes_[..., 1] << 8) + (bytes_[..., 2] << 16)
    fixed = np.where(fixed >= 1 << 23, fixed - (1 << 24), fixed)
    return Opened({"Gaussians": n}, _extents(fixed / (1 << fraction)))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and contents of each box of an MP4, one level."""
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        size = size or len(data) - at
        yield name, data[at + head : at + size]
        at += size


def _inside(data: bytes, *names: bytes) -> bytes:
    """The contents of the first box along a way of names."""
    for name in names:
        data = dict(reversed([*_boxes(data)]))[name]
    return data


def mp4(path: Path) -> Opened:
    """By hand: the samples of the first track, and its sides."""
    track = _inside(path.read_bytes(), b"moov", b"trak")
    stsz = _inside(track, b"mdia", b"minf", b"stbl", b"stsz")
    width, height = struct.unpack(">II", _inside(track, b"tkhd")[-8:])
    (frames,) = struct.unpack_from(">I", stsz, 8)
    return Opened({"frames": frames, "width": width >> 16, "height": height >> 16})


def png(path: Path) -> Opened:
    """By hand: the sides in the first chunk."""
    content = path.read_bytes()
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[-8:-4] != b"IEND":
        raise ValueError(f"{path} is no whole PNG.")
    width, height = struct.unpack_from(">II", content, 16)
    return Opened({"width": width, "height": height})


READERS: Mapping[str, tuple[str, Callable[[Path], Opened]]] = {
    "glb": ("trimesh", mesh),
    "obj": ("trimesh", mesh),
    "stl": ("trimesh", mesh),
    "ply": ("trimesh", mesh),
    "usdz": ("usd-core", usdz),
    "splat-ply": ("plyfile", splat_ply),
    "splat": ("by hand", splat),
    "spz": ("by hand", spz),
    "mp4": ("by hand", mp4),
    "png": ("by hand", png),
}
"""By `dreamlift export`'s formats: who reads, and how."""
