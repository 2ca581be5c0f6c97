"""How far solids reach: exact support functions, surface points, and one toy set on another."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from dreamlift.geometry.primitives import Kind, Op, Solid, distance, pack

Array = NDArray[np.float64]


def _directions(n: int) -> Array:
    """The six axes (-x, +x, -y, +y, -z, +z), then n directions evenly over the sphere."""
    axes = np.repeat(np.eye(3), 2, axis=0) * np.array([-1.0, 1.0] * 3)[:, None]
    z = 1 - (2 * np.arange(n) + 1) / n
    turn = np.arange(n) * np.pi * (3 - np.sqrt(5))
    r = np.sqrt(1 - z * z)
    return np.concatenate([axes, np.stack([r * np.cos(turn), r * np.sin(turn), z], 1)])


DIRECTIONS = _directions(150)


def _support(solid: Solid, directions: Array) -> Array:
    """How far the solid reaches along each direction, from the origin: max of d . x over it."""
    d = directions @ solid.linear
    a, b, c, e = solid.size
    across, along = np.hypot(d[:, 0], d[:, 1]), d[:, 2]
    length = np.sqrt(across**2 + along**2)
    if solid.kind == Kind.ELLIPSOID:
        reach = np.sqrt((d * d) @ (np.array([a, b, c]) ** 2))
    elif solid.kind == Kind.BOX:
        reach = np.abs(d) @ np.maximum(np.array([a, b, c]) - e, 0) + e * length
    elif solid.kind == Kind.CONE:
        low, high = max(b - e, 0.0), max(c - e, 0.0)
        reach = np.maximum((a - e) * along + high * across, -(a - e) * along + low * across)
        reach = reach + e * length
    elif solid.kind == Kind.TORUS:
        reach = a * across + b * length
    else:
        corners = -a * along + b * (np.abs(d[:, 0]) + np.abs(d[:, 1]))
        reach = np.maximum(a * along, corners)
    return reach + directions @ solid.offset


def support(parts: Sequence[Sequence[Solid]], directions: Array = DIRECTIONS) -> Array:
    """How far the parts reach along each direction; smooth joints may add a hair."""
    most = np.full(len(directions), -np.inf)
    for part in parts:
        held = np.full(len(directions), -np.inf)
        for solid in part:
            if solid.op == Op.ADD:
                held = np.maximum(held, _support(solid, directions))
            elif solid.op == Op.KEEP:
                held = np.minimum(held, _support(solid, directions))
        most = np.maximum(most, held)
    return most


def bounds(hull: Array) -> tuple[Array, Array]:
    """The lowest and highest corner, from a support over DIRECTIONS."""
    return -hull[0:6:2], hull[1:6:2]


def radius(hull: Array, centre: Array) -> float:
    """The ball around the centre that holds the hull."""
    return float((hull - DIRECTIONS @ centre).max()) * 1.005


def size(hull: Array) -> float:
    """The radius of the ball around the middle of a hull's box."""
    low, high = bounds(hull)
    return radius(hull, (low + high) / 2)


@cache
def _canon(kind: Kind) -> tuple[Array, Array]:
    """Points of the unit primitive without rounding, and where rounding moves them."""
    if kind == Kind.ELLIPSOID:
        points = _directions(300)
        return points, points
    if kind == Kind.BOX:
        g = np.stack(np.meshgrid(*[np.linspace(-1, 1, 5)] * 3, indexing="ij"), -1).reshape(-1, 3)
        g = g[np.abs(g).max(1) == 1]
        out = np.where(np.abs(g) == 1, g, 0.0)
        return g, out / np.linalg.norm(out, axis=1, keepdims=True)
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1)
    up = np.array([0, 0, 1.0])
    if kind == Kind.CONE:
        rows = [(r * circle + z * up, z * up + 0 * circle) for z in (-1, 1) for r in (0, 0.5, 1)]
        rows += [(circle + z * up, circle) for z in (-1, -0.5, 0, 0.5, 1)]
        return np.concatenate([p for p, _ in rows]), np.concatenate([n for _, n in rows])
    if kind == Kind.TORUS:
        tubes = [np.cos(t) * circle + np.sin(t) * up for t in turn[::3]]
        return np.concatenate([circle] * len(tubes)), np.concatenate(tubes)
    g = np.stack(np.meshgrid(*[np.linspace(-1, 1, 5)] * 2, indexing="ij"), -1).reshape(-1, 2)
    levels = [np.concatenate([g * (1 - z) / 2, np.full((len(g), 1), z)], 1) for z in (-1, 0, 1)]
    points = np.concatenate(levels)
    return points, np.zeros_like(points)


def surface(solid: Solid) -> Array:
    """Some points of the solid's surface, its lowest among them (up to its sampling)."""
    points, out = _canon(solid.kind)
    a, b, c, e = solid.size
    if solid.kind == Kind.ELLIPSOID:
        local = points * np.array([a, b, c])
    elif solid.kind == Kind.BOX:
        local = points * np.maximum(np.array([a, b, c]) - e, 0) + e * out
    elif solid.kind == Kind.CONE:
        share = (points[:, 2:] + 1) / 2
        r = (1 - share) * max(b - e, 0.0) + share * max(c - e, 0.0)
        local = np.concatenate([points[:, :2] * r, points[:, 2:] * (a - e)], 1) + e * out
    elif solid.kind == Kind.TORUS:
        local = a * points + b * out
    else:
        local = points * np.array([b, b, a])
    if solid.kind == Kind.ELLIPSOID:  # the exact lowest point, wherever it turned
        down = -solid.linear[2] * np.array([a, b, c])
        lowest = down * np.array([a, b, c]) / max(float(np.linalg.norm(down)), 1e-9)
        local = np.concatenate([local, lowest[None]])
    return local @ solid.linear.T + solid.offset


def drop(
    rider: Sequence[Sequence[Solid]], below: Sequence[Sequence[Solid]], *, tolerance: float = 0.003
) -> float:
    """How far up (+) or down (-) the rider moves to rest on what is below, or on its ground."""
    kept = [[s for s in part if s.op == Op.ADD] for part in rider]
    low = -float(support(rider)[4])
    high, floor = float(support(below)[5]), -float(support(below)[4])
    points = np.concatenate([surface(solid) for part in kept for solid in part])
    points = points[points[:, 2] >= low - 1e-6]
    program = pack([below])
    lift = high - low
    least = floor - low
    where = torch.from_numpy(points.astype(np.float32))[None]
    for _ in range(24):
        moved = where + torch.tensor([0.0, 0.0, lift])
        gap = float(distance(program, moved)[0].min())
        if gap < tolerance or lift <= least:
            break
        lift = max(lift - 0.97 * gap, least)
    return lift


def skin(parts: Sequence[Sequence[Solid]]) -> Array:
    """Some points of the parts' common surface."""
    points = np.concatenate([surface(s) for part in parts for s in part if s.op == Op.ADD])
    where = torch.from_numpy(points.astype(np.float32))[None]
    return points[(distance(pack([parts]), where)[0][0].abs() < 0.01).numpy()]


def advance(
    mover: Sequence[Sequence[Solid]],
    target: Sequence[Sequence[Solid]],
    direction: Sequence[float],
    *,
    tolerance: float = 0.003,
) -> float:
    """How far the mover goes along a unit vector to touch the target, coming from far behind.

    Negative where it must draw back. What misses the target stops with its front level with the
    target's far end.
    """
    d = np.asarray(direction, float)
    points = skin(mover)
    front, rear = float((points @ d).max()), float((points @ d).min())
    far, near = float(support(target, d[None])[0]), -float(support(target, -d[None])[0])
    where = torch.from_numpy(points.astype(np.float32))[None]
    step = torch.from_numpy(d.astype(np.float32))
    program, gone = pack([target]), near - front
    while gone < far - rear:
        gap = float(distance(program, where + gone * step)[0].min())
        if gap < tolerance:
            return gone
        gone += max(0.97 * gap, tolerance)
    return far - front


def outward(
    parts: Sequence[Sequence[Solid]], start: Sequence[float], direction: Sequence[float]
) -> float:
    """How far the parts reach along a unit vector from a point: to the last place inside them."""
    d = np.asarray(direction, float)
    far = max(1e-3, float(support(parts, d[None])[0]) - float(d @ np.asarray(start)))
    steps = np.linspace(0, 1.02 * far, 160)
    points = np.asarray(start) + steps[:, None] * d
    inside = distance(pack([parts]), torch.from_numpy(points.astype(np.float32))[None])[0][0] < 0
    return float(steps[inside.numpy()].max(initial=0.0))
