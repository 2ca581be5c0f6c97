"""The formulas of primitives.py as Warp functions, for kernels to call."""

from typing import no_type_check

import warp as wp

from dreamlift.geometry.primitives import Kind, Op

wp.set_module_options({"enable_backward": False})

ELLIPSOID = wp.constant(int(Kind.ELLIPSOID))
BOX = wp.constant(int(Kind.BOX))
CONE = wp.constant(int(Kind.CONE))
TORUS = wp.constant(int(Kind.TORUS))
ADD = wp.constant(int(Op.ADD))
CUT = wp.constant(int(Op.CUT))

Placement = wp.types.matrix((3, 4), float)
"""World point -> local point, as `Program.inverse` holds it."""


@no_type_check
@wp.func
def ellipsoid(p: wp.vec3, size: wp.vec4):
    r = wp.vec3(wp.max(size[0], 1e-6), wp.max(size[1], 1e-6), wp.max(size[2], 1e-6))
    q = wp.cw_div(p, r)
    k0 = wp.length(q)
    k1 = wp.length(wp.cw_div(q, r))
    if k1 > 1e-9:
        return k0 * (k0 - 1.0) / k1
    return -wp.min(r[0], wp.min(r[1], r[2]))


@no_type_check
@wp.func
def box(p: wp.vec3, size: wp.vec4):
    x = wp.abs(p[0]) - size[0] + size[3]
    y = wp.abs(p[1]) - size[1] + size[3]
    z = wp.abs(p[2]) - size[2] + size[3]
    outside = wp.length(wp.vec3(wp.max(x, 0.0), wp.max(y, 0.0), wp.max(z, 0.0)))
    return outside + wp.min(wp.max(x, wp.max(y, z)), 0.0) - size[3]


@no_type_check
@wp.func
def cone(p: wp.vec3, size: wp.vec4):
    h = size[0] - size[3]
    r1 = wp.max(size[1] - size[3], 0.0)
    r2 = wp.max(size[2] - size[3], 0.0)
    qx = wp.sqrt(p[0] * p[0] + p[1] * p[1])
    qy = p[2]
    ax = qx - wp.min(qx, wp.where(qy < 0.0, r1, r2))
    ay = wp.abs(qy) - h
    k2x = r2 - r1
    k2y = 2.0 * h
    along = ((r2 - qx) * k2x + (h - qy) * k2y) / wp.max(k2x * k2x + k2y * k2y, 1e-12)
    along = wp.clamp(along, 0.0, 1.0)
    bx = qx - r2 + k2x * along
    by = qy - h + k2y * along
    d = wp.sqrt(wp.min(ax * ax + ay * ay, bx * bx + by * by))
    return wp.where(bx < 0.0 and ay < 0.0, -d, d) - size[3]


@no_type_check
@wp.func
def torus(p: wp.vec3, size: wp.vec4):
    x = wp.sqrt(p[0] * p[0] + p[1] * p[1]) - size[0]
    return wp.sqrt(x * x + p[2] * p[2]) - size[1]


@no_type_check
@wp.func
def pyramid(p: wp.vec3, size: wp.vec4):
    h = size[0]
    b = size[1]
    slant = wp.max(wp.sqrt(4.0 * h * h + b * b), 1e-9)
    x = wp.max(wp.abs(p[0]), wp.abs(p[1]))
    y = wp.min(wp.abs(p[0]), wp.abs(p[1]))
    z = p[2] + h
    u = ((b - x) * b + z * 2.0 * h) / slant
    w = ((x - b) * 2.0 * h + z * b) / slant
    side = w * w
    if u < 0.0 or y * slant > b * (slant - u):
        along = (u * slant + (b - y) * b) / wp.max(slant * slant + b * b, 1e-12)
        along = wp.clamp(along, 0.0, 1.0)
        eu = u - along * slant
        ev = y - b + along * b
        fv = wp.max(y - b, 0.0)
        side += wp.min(eu * eu + ev * ev, u * u + fv * fv)
    bx = wp.max(x - b, 0.0)
    by = wp.max(y - b, 0.0)
    d = wp.sqrt(wp.min(side, bx * bx + by * by + z * z))
    return wp.where(w < 0.0 and z > 0.0, -d, d)


@no_type_check
@wp.func
def solid(kind: int, p: wp.vec3, size: wp.vec4):
    """The distance to a solid in its own coordinates."""
    if kind == ELLIPSOID:
        return ellipsoid(p, size)
    if kind == BOX:
        return box(p, size)
    if kind == CONE:
        return cone(p, size)
    if kind == TORUS:
        return torus(p, size)
    return pyramid(p, size)


@no_type_check
@wp.func
def smooth_min(a: float, b: float, k: float):
    short = wp.max(k - wp.abs(a - b), 0.0)
    return wp.min(a, b) - short * short / wp.max(4.0 * k, 1e-9)


@no_type_check
@wp.func
def join(held: float, d: float, op: int, k: float):
    """The distance to a part that held `held` before a solid at `d` joins it."""
    if op == ADD:
        return smooth_min(held, d, k)
    if op == CUT:
        return -smooth_min(-held, d, k)
    return -smooth_min(-held, -d, k)


@no_type_check
@wp.func
def turn(A: Placement, v: wp.vec3):
    """A vector, as opposed to a point, in local coordinates."""
    return wp.vec3(
        A[0, 0] * v[0] + A[0, 1] * v[1] + A[0, 2] * v[2],
        A[1, 0] * v[0] + A[1, 1] * v[1] + A[1, 2] * v[2],
        A[2, 0] * v[0] + A[2, 1] * v[1] + A[2, 2] * v[2],
    )
