"""Polygons, as OBJ, PLY and OFF list them, to the triangles of a part.

A file lists the corners of its polygons one after the other: `counts` (f) says how many belong to
each, `at` (c) which vertex each corner is. What is wrong is raised as ValueError, without the
file's name.
"""

import logging
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dreamlift.geometry.mesh import Surface

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

log = logging.getLogger("dreamlift")

FAR = 1e4
"""Of the size of an object: how far from the origin single precision holds its shape."""
MOST = 5000
"""Corners of a polygon that is cut by its ears, which takes seconds for so many."""


def near(points: Floats) -> Floats:
    """Places (n 3) of a file, moved to the origin where `far` says so."""
    return points - far(points)


def far(points: Floats) -> Floats:
    """The middle (3), in whole numbers, of places (n 3) that lie so far from the origin, as places
    on maps do, that single precision would bend their shape by some 1/2000 of its size; else 0."""
    known = points[np.isfinite(points).all(1)]
    with np.errstate(over="ignore"):
        exact = bool((known == known.astype(np.float32)).all())
    if exact:
        return np.zeros(3)
    low, high = known.min(0), known.max(0)
    middle = np.round((low + high) / 2)
    if not np.abs(middle).max() > FAR * (high - low).max() > 0:
        return np.zeros(3)
    x, y, z = (-int(value) for value in middle)
    log.warning("It lies far from the origin, and is moved by (%d, %d, %d).", x, y, z)
    return middle


def meshed(points: Floats, at: Ints, counts: Ints, *apart: Ints) -> tuple[Ints, Ints]:
    """The vertices of a part, each as one of its corners (n), and its triangles (t 3).

    Corners are one vertex where `at` and every one of `apart` (c, not negative) are the same.
    Polygons of fewer than three corners are left out.
    """
    if len(at) and not (0 <= at.min() and at.max() < len(points)):
        wrong = at[(at < 0) | (at >= len(points))][0]
        raise ValueError(f"a face names vertex {wrong}, where there are 0 to {len(points) - 1}.")
    solid = np.repeat(counts >= 3, counts)
    corners, counts = np.flatnonzero(solid), counts[counts >= 3]
    if not len(counts):
        raise ValueError("it holds no triangles.")
    vertex = at[corners]
    for other in apart:
        key = vertex * (1 + other.max()) + other[corners]
        vertex = np.unique(key, return_inverse=True)[1]
    _, first, vertex = np.unique(vertex, return_index=True, return_inverse=True)
    return corners[first], vertex[triangles(points[at[corners]], counts)]


def made(
    name: str,
    vertices: Floats,  # (n 3)
    faces: Ints,  # (f 3)
    *,
    colors: Floats | None = None,  # (n 3), sRGB in [0, 1]
    normals: Floats | None = None,  # (n 3)
    uv: Floats | None = None,  # (n 2)
    texture: Tensor | None = None,  # (h w 3), sRGB in [0, 1]
) -> Surface:
    """A part. Normals that the file does not give are trimesh's, weighted by angles."""
    import trimesh

    # What single precision cannot hold becomes infinite, and has no normals.
    with np.errstate(over="ignore", invalid="ignore"):
        if normals is None:
            mesh = trimesh.Trimesh(vertices, faces, process=False)
            normals = np.asarray(mesh.vertex_normals, np.float64)
        places, turned = _single(vertices), _unit(_single(normals))
        tints, at = (None if x is None else _single(x) for x in (colors, uv))
    triangles = torch.from_numpy(np.array(faces, np.int64))
    return Surface(places, triangles, tints, turned, at, texture, name)


def _unit(normals: Tensor) -> Tensor:
    """Of length 1, as some files' are not; what has no direction is left without."""
    return F.normalize(normals.double(), dim=-1, eps=1e-30).to(normals)


def _single(values: Floats) -> Tensor:
    return torch.from_numpy(np.array(values, np.float32))


def shades(levels: Floats, most: float | None = None) -> Floats:
    """Colours in [0, 1]; where a file does not say what its `most` is, 1 or 255."""
    if most is None:
        known = levels[np.isfinite(levels)]
        most = 255.0 if known.size and known.max() > 2 else 1.0  # some go a little over 1
    return np.clip(levels / most, 0, 1)


def triangles(corners: Floats, counts: Ints) -> Ints:
    """Triangles (t 3) of polygons of three corners or more, as indices of `corners` (c 3).

    A polygon is a fan from its first corner where that covers it once, and else cut ear by ear.
    """
    starts = np.cumsum(counts) - counts
    found: list[Ints] = []
    for n in np.unique(counts).tolist():
        at = starts[counts == n][:, None] + np.arange(n)
        fan = np.stack([np.zeros(n - 2, np.int64), np.arange(1, n - 1), np.arange(2, n)], 1)
        cut = at[:, fan]
        for k in np.flatnonzero(_folded(corners[at])) if n > 3 else ():
            cut[k] = at[k][_ears(_flat(corners[at[k]]))]
        found.append(cut.reshape(-1, 3))
    all_of_them = np.concatenate(found)
    return all_of_them[np.argsort(all_of_them.min(1), kind="stable")]  # as the file has them


def _folded(corners: Floats) -> NDArray[np.bool_]:
    """Of polygons (k n 3), whether triangles of the fan turn against the whole."""
    with np.errstate(over="ignore", invalid="ignore"):
        spokes = corners - corners[:, :1]
        crosses = np.cross(spokes[:, 1:-1], spokes[:, 2:])
        whole = crosses.sum(1, keepdims=True)
        shares = (crosses * whole).sum(-1)
        return (shares < -1e-6 * (whole * whole).sum(-1)).any(1)


def _flat(corners: Floats) -> Floats:
    """A polygon (n 3) as seen along the axis that it faces most, counter-clockwise (n 2)."""
    spokes = corners - corners[0]
    normal = np.cross(spokes[1:-1], spokes[2:]).sum(0)
    axis = int(np.abs(normal).argmax())
    plane = spokes[:, [(axis + 1) % 3, (axis + 2) % 3]]
    return plane if normal[axis] > 0 else plane[:, ::-1]


def _ears(plane: Floats) -> Ints:
    """A counter-clockwise polygon (n 2) cut into triangles (n-2 3), a corner at a time.

    An ear is a corner that turns left and whose triangle holds no other corner. A polygon that
    crosses itself runs out of them; no division of it is right, and the rest is left a fan.
    """
    if len(plane) > MOST:
        raise ValueError(
            f"a face of {len(plane)} corners is not convex; up to {MOST} are cut into triangles. "
            "Triangulate it first."
        )
    left = np.arange(len(plane))
    cut: list[tuple[int, int, int]] = []
    i = missed = 0
    while len(left) > 3 and missed < len(left):
        ends = left[i - 1], left[i], left[(i + 1) % len(left)]
        if _is_ear(plane[list(ends)], plane[left]):
            cut.append(ends)
            left = np.delete(left, i)
            missed = 0
        else:
            i, missed = i + 1, missed + 1
        i %= len(left)
    cut += [(left[0], left[k], left[k + 1]) for k in range(1, len(left) - 1)]
    return np.array(cut, np.int64)


def _is_ear(ends: Floats, others: Floats) -> bool:
    """Whether a corner between its neighbours (3 2) can be cut off a polygon (n 2)."""
    (ax, ay), (bx, by), (cx, cy) = ends.tolist()
    if (bx - ax) * (cy - by) - (by - ay) * (cx - bx) <= 0:
        return False
    x, y = others.T
    inside = ((bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0) & (
        (cx - bx) * (y - by) - (cy - by) * (x - bx) >= 0
    )
    inside &= (ax - cx) * (y - cy) - (ay - cy) * (x - cx) >= 0
    at_ends = (others[:, None] == ends).all(-1).any(-1)  # itself, and bridges to holes
    return not bool((inside & ~at_ends).any())
