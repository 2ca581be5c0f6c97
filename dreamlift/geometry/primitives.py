"""Signed-distance primitives, and programs of them: solids joined into named parts of one scene.

Author with functions (`ball`, `box`, `cone`, ...) that return a `Solid` about the origin with its
axis along z, and move it with methods; `pack` turns the parts of several scenes into a `Program`,
flat tensors that the tracers read. Distances follow Inigo Quilez's catalogue of distance functions;
they are exact or a lower bound in magnitude up to a mild factor (ellipsoids, stretched solids),
so sphere tracing with a step factor below one is safe.

Within a part, solids are joined in order: each by its `op` to what the part holds so far, smoothly
over `blend` world units. Parts are joined by a plain minimum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

FAR = 1e3
"""The distance to nothing, in world units."""


class Kind(IntEnum):
    """Which formula; `size` holds its four numbers."""

    ELLIPSOID = 0  # radii x, y, z
    BOX = 1  # half sides x, y, z, rounding
    CONE = 2  # half height, bottom radius, top radius, rounding
    TORUS = 3  # radius of the circle, radius of the tube
    PYRAMID = 4  # half height, half side of the base


class Op(IntEnum):
    """How a solid joins its part."""

    ADD = 0
    CUT = 1
    KEEP = 2  # the part's intersection with the solid


Vector = tuple[float, float, float]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Solid:
    """One primitive, placed: world = linear @ local + offset."""

    kind: Kind
    size: tuple[float, float, float, float]
    linear: Matrix
    offset: Matrix
    op: Op = Op.ADD
    blend: float = 0.0  # world units

    def at(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Solid":
        """Moved by (x, y, z)."""
        return replace(self, offset=self.offset + np.array([x, y, z]))

    def turned(self, axis: str, degrees: float) -> "Solid":
        """Turned about a world axis ('x', 'y' or 'z') through the origin, right-handed."""
        R = rotation(axis, degrees)
        return replace(self, linear=R @ self.linear, offset=R @ self.offset)

    def stretched(self, x: float, y: float, z: float) -> "Solid":
        """Scaled along the world axes about the origin."""
        S = np.diag([x, y, z])
        blend = self.blend * min(x, y, z)
        return replace(self, linear=S @ self.linear, offset=S @ self.offset, blend=blend)

    def scaled(self, factor: float) -> "Solid":
        """Scaled about the origin."""
        return self.stretched(factor, factor, factor)

    def melted(self, blend: float) -> "Solid":
        """Joined smoothly over `blend` world units."""
        return replace(self, blend=blend)

    def cutting(self) -> "Solid":
        """Taken away from its part."""
        return replace(self, op=Op.CUT)

    def keeping(self) -> "Solid":
        """Its part is kept only inside this solid."""
        return replace(self, op=Op.KEEP)


def rotation(axis: str, degrees: float) -> Matrix:
    """The right-handed rotation about a coordinate axis."""
    if axis not in ("x", "y", "z"):
        raise ValueError(f"The axis is 'x', 'y' or 'z', not {axis!r}.")
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    R = np.eye(3)
    R[j, j], R[j, k], R[k, j], R[k, k] = c, -s, s, c
    return R


def _solid(kind: Kind, a: float, b: float = 0.0, c: float = 0.0, d: float = 0.0) -> Solid:
    return Solid(kind, (a, b, c, d), np.eye(3), np.zeros(3))


def ellipsoid(x: float, y: float, z: float) -> Solid:
    """Radii along the axes."""
    return _solid(Kind.ELLIPSOID, x, y, z)


def ball(radius: float) -> Solid:
    return ellipsoid(radius, radius, radius)


def box(x: float, y: float, z: float, rounding: float = 0.0) -> Solid:
    """Half sides along the axes; the rounding stays inside them."""
    return _solid(Kind.BOX, x, y, z, rounding)


def cone(half: float, bottom: float, top: float = 0.0, rounding: float = 0.0) -> Solid:
    """A frustum from z = -half (radius `bottom`) to z = half (radius `top`)."""
    return _solid(Kind.CONE, half, bottom, top, rounding)


def cylinder(half: float, radius: float, rounding: float = 0.0) -> Solid:
    return cone(half, radius, radius, rounding)


def torus(radius: float, tube: float) -> Solid:
    """A ring around the z axis."""
    return _solid(Kind.TORUS, radius, tube)


def pyramid(half: float, side: float) -> Solid:
    """A square pyramid: base of half side `side` at z = -half, apex at z = half."""
    return _solid(Kind.PYRAMID, half, side)


def rod(start: Vector, end: Vector, radius: float, end_radius: float | None = None) -> Solid:
    """A round-ended cylinder (or cone) between two points."""
    a, b = np.array(start, float), np.array(end, float)
    axis = b - a
    length = float(np.linalg.norm(axis))
    if length == 0:
        raise ValueError(f"A rod needs two different ends; both are {start}.")
    z = axis / length
    helper = np.array([1.0, 0, 0]) if abs(z[0]) < 0.9 else np.array([0, 1.0, 0])
    x = np.cross(helper, z)
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(z, x), z], axis=1)
    tip = radius if end_radius is None else end_radius
    rounding = 0.9 * min(radius, tip)
    solid = cone(length / 2 + rounding / 2, radius, tip, rounding)
    return replace(solid, linear=R, offset=(a + b) / 2)


@dataclass(frozen=True)
class Program:
    """`s` scenes of at most `n` solids each, as the tracers read them; kind -1 pads."""

    kind: Int[Tensor, "s n"]
    op: Int[Tensor, "s n"]
    part: Int[Tensor, "s n"]  # parts count 0, 1, ... in order; padding repeats the last
    size: Float[Tensor, "s n 4"]
    inverse: Float[Tensor, "s n 3 4"]  # world point -> local point
    scale: Float[Tensor, "s n"]  # local distance -> world distance (a lower bound)
    blend: Float[Tensor, "s n"]  # world units

    def __len__(self) -> int:
        return self.kind.shape[0]

    def to(self, device: torch.device | str) -> "Program":
        """The same program on another device."""
        return Program(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))

    def __getitem__(self, index: Tensor | slice) -> "Program":
        """Some of the scenes."""
        return Program(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def pack(scenes: Sequence[Sequence[Sequence[Solid]]]) -> Program:
    """Scenes (each a list of parts, each a list of solids) as one padded program."""
    most = max([1, *(sum(len(part) for part in parts) for parts in scenes)])
    s = len(scenes)
    kind = np.full((s, most), -1, np.int32)
    op, part_id = np.zeros((s, most), np.int32), np.zeros((s, most), np.int32)
    size, inverse = np.zeros((s, most, 4)), np.zeros((s, most, 3, 4))
    scale, blend = np.ones((s, most)), np.zeros((s, most))
    for i, parts in enumerate(scenes):
        n = 0
        for p, part in enumerate(parts):
            for solid in part:
                A = np.linalg.inv(solid.linear)
                kind[i, n], op[i, n], part_id[i, n] = solid.kind, solid.op, p
                size[i, n] = solid.size
                inverse[i, n, :, :3], inverse[i, n, :, 3] = A, -A @ solid.offset
                scale[i, n] = np.linalg.svd(solid.linear, compute_uv=False).min()
                blend[i, n] = solid.blend
                n += 1
        part_id[i, n:] = max(len(parts) - 1, 0)
    f = [torch.from_numpy(x.astype(np.float32)) for x in (size, inverse, scale, blend)]
    i = [torch.from_numpy(x) for x in (kind, op, part_id)]
    return Program(*i, *f)


def _ellipsoid(p: Tensor, size: Tensor) -> Tensor:
    r = size[..., :3].clamp_min(1e-6)
    k0 = (p / r).norm(dim=-1)
    k1 = (p / (r * r)).norm(dim=-1)
    return torch.where(k1 > 1e-9, k0 * (k0 - 1) / k1.clamp_min(1e-9), -r.amin(-1))


def _box(p: Tensor, size: Tensor) -> Tensor:
    q = p.abs() - size[..., :3] + size[..., 3:]
    return q.clamp_min(0).norm(dim=-1) + q.amax(-1).clamp_max(0) - size[..., 3]


def _cone(p: Tensor, size: Tensor) -> Tensor:
    h, r1, r2, round_ = size.unbind(-1)
    h, r1, r2 = h - round_, (r1 - round_).clamp_min(0), (r2 - round_).clamp_min(0)
    qx, qy = p[..., :2].norm(dim=-1), p[..., 2]
    ax = qx - torch.minimum(qx, torch.where(qy < 0, r1, r2))
    ay = qy.abs() - h
    k2x, k2y = r2 - r1, 2 * h
    along = ((r2 - qx) * k2x + (h - qy) * k2y) / (k2x**2 + k2y**2).clamp_min(1e-12)
    along = along.clamp(0, 1)
    bx, by = qx - r2 + k2x * along, qy - h + k2y * along
    sign = torch.where((bx < 0) & (ay < 0), -1.0, 1.0)
    return sign * torch.minimum(ax**2 + ay**2, bx**2 + by**2).sqrt() - round_


def _torus(p: Tensor, size: Tensor) -> Tensor:
    return torch.hypot(p[..., :2].norm(dim=-1) - size[..., 0], p[..., 2]) - size[..., 1]


def _pyramid(p: Tensor, size: Tensor) -> Tensor:
    """The nearer of the base and, by symmetry, one side; (u, v, w) lie along, across, off it."""
    h, b = size[..., 0], size[..., 1]
    slant = torch.hypot(2 * h, b).clamp_min(1e-9)
    x, y, z = p[..., :2].abs().amax(-1), p[..., :2].abs().amin(-1), p[..., 2] + h
    u = ((b - x) * b + z * 2 * h) / slant
    w = ((x - b) * 2 * h + z * b) / slant
    along = ((u * slant + (b - y) * b) / (slant**2 + b**2).clamp_min(1e-12)).clamp(0, 1)
    edge = (u - along * slant) ** 2 + (y - b + along * b) ** 2
    foot = u**2 + (y - b).clamp_min(0) ** 2
    within = (u >= 0) & (y * slant <= b * (slant - u))
    side = torch.where(within, 0.0, torch.minimum(edge, foot)) + w**2
    base = (x - b).clamp_min(0) ** 2 + (y - b).clamp_min(0) ** 2 + z**2
    sign = torch.where((w < 0) & (z > 0), -1.0, 1.0)
    return sign * torch.minimum(side, base).sqrt()


_FORMULAS = (_ellipsoid, _box, _cone, _torus, _pyramid)


def smooth_min(a: Tensor, b: Tensor, k: Tensor) -> Tensor:
    """Quadratic polynomial smooth minimum over k world units; k = 0 is the plain minimum."""
    short = (k - (a - b).abs()).clamp_min(0)
    return torch.minimum(a, b) - short * short / (4 * k).clamp_min(1e-9)


def distance(
    program: Program, points: Float[Tensor, "s p 3"]
) -> tuple[Float[Tensor, "s p"], Int[Tensor, "s p"]]:
    """Signed distance to each scene's surface at its own points, and the nearest part's index.

    Negative inside. An empty scene is FAR away everywhere, with part 0.
    """
    p = points[:, :, None]
    A = program.inverse[:, None]
    local = A[..., 0] * p[..., :1] + A[..., 1] * p[..., 1:2] + A[..., 2] * p[..., 2:] + A[..., 3]
    size, kind = program.size[:, None], program.kind[:, None]
    apart = torch.full_like(local[..., 0], FAR)
    for which, formula in enumerate(_FORMULAS):
        apart = torch.where(kind == which, formula(local, size), apart)
    apart = torch.where(kind >= 0, apart * program.scale[:, None], FAR)

    # Cutting is joining with both signs turned, keeping with all three.
    side = torch.where(program.op == Op.ADD, 1.0, -1.0).to(points.dtype)
    apart = torch.where((program.op == Op.KEEP)[:, None], -apart, apart)
    best = held = torch.full_like(points[..., 0], FAR)
    owner = torch.zeros_like(best, dtype=program.part.dtype)
    for i, d in enumerate(apart.unbind(-1)):
        if i > 0:
            fresh = (program.part[:, i] != program.part[:, i - 1])[:, None]
            nearer = fresh & (held < best)
            best = torch.where(nearer, held, best)
            owner = torch.where(nearer, program.part[:, i - 1, None], owner)
            held = torch.where(fresh, FAR, held)
        turned = side[:, i, None]
        held = turned * smooth_min(turned * held, d, program.blend[:, i, None])
    nearer = held < best
    return torch.where(nearer, held, best), torch.where(nearer, program.part[:, -1, None], owner)
