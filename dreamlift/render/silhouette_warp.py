"""The fast twin of silhouette.crossings: one thread follows one edge, in Warp, on CPU and CUDA.

Each pixel has a slot for each of its four neighbours, which keeps the greatest distance and its
edge, packed as in the depth buffer (raster_warp.py).
"""

# pyright: reportUntypedFunctionDecorator=false

from typing import no_type_check

import torch
import warp as wp
from jaxtyping import Float
from torch import Tensor

from dreamlift.geometry.hinges import Hinges
from dreamlift.render.raster import NEAR, Raster
from dreamlift.render.raster_warp import array, bands, extent, launch, packed
from dreamlift.render.silhouette import BEHIND, Crossings, from_slots

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

_NEAR = wp.constant(wp.float32(NEAR))
_BEHIND = wp.constant(wp.float32(BEHIND))


@no_type_check
@wp.func
def turned(p: wp.vec3, columns: bool):
    """The point with columns for rows, or as it is."""
    return wp.vec3(wp.where(columns, p[1], p[0]), wp.where(columns, p[0], p[1]), p[2])


@no_type_check
@wp.kernel
def cross(
    points: wp.array2d[wp.vec3],
    ends: wp.array2d[int],
    rows: wp.array[int],
    opposite: wp.array[int],
    face: wp.array3d[wp.int64],
    depth: wp.array3d[float],
    top: int,
    bottom: int,
    slots: wp.array4d[wp.int64],
):
    """One edge of one picture: what raster._passes finds, each pair's greatest kept."""
    picture, edge = wp.tid()
    a = turned(points[picture, ends[edge, 0]], False)
    b = turned(points[picture, ends[edge, 1]], False)
    front = a[2] >= _NEAR and b[2] >= _NEAR
    if not front and a[2] < _NEAR and b[2] < _NEAR:
        return
    to_b = wp.vec2(b[0] - b[2] / a[2] * a[0], b[1] - b[2] / a[2] * a[1])
    least, most = wp.int32(1), wp.int32(-1)
    for r in range(rows[edge], rows[edge + 1]):
        c = points[picture, opposite[r]]
        to_c = wp.vec2(c[0] - c[2] / a[2] * a[0], c[1] - c[2] / a[2] * a[1])
        s = a[2] * (to_b[0] * to_c[1] - to_b[1] * to_c[0])
        sign = wp.where(s > 0.0, 1, wp.where(s < 0.0, -1, 0))
        least, most = wp.min(least, sign), wp.max(most, sign)
    if least + most == 0:
        return
    surface = wp.where(least + most > 0, 1.0, -1.0)
    h, w = depth.shape[1], depth.shape[2]
    dx, dy = wp.abs(a[2] * b[0] - b[2] * a[0]), wp.abs(a[2] * b[1] - b[2] * a[1])
    steep = dx <= dy
    a, b, surface = turned(a, not steep), turned(b, not steep), wp.where(steep, surface, -surface)
    ya, yb = a[1] / a[2], b[1] / b[2]
    size = wp.where(steep, h, w)
    across = wp.where(steep, w, h)
    first = wp.where(steep, top, 0)
    last = wp.where(steep, bottom, w)
    i0, i1 = extent(wp.min(ya, yb), wp.max(ya, yb), front, size, first, last)
    for i in range(i0, i1):
        y = float(i) + 0.5
        above, below = a[1] - y * a[2], b[1] - y * b[2]
        t = above / (above - below)
        W = a[2] + t * (b[2] - a[2])
        x = (a[0] + t * (b[0] - a[0])) / W - 0.5
        if (above >= 0.0) != (below >= 0.0) and W >= _NEAR and x >= 0.0 and x < float(across - 1):
            left = int(wp.floor(x))
            right = wp.where(above >= 0.0, surface, -surface) > 0.0
            near = wp.where(right, left + 1, left)
            far = wp.where(right, left, left + 1)
            distance = wp.where(right, float(left + 1) - x, x - float(left))
            near_i, near_j = wp.where(steep, i, near), wp.where(steep, near, i)
            far_i, far_j = wp.where(steep, i, far), wp.where(steep, far, i)
            if near_i >= top and near_i < bottom and face[picture, near_i, near_j] >= wp.int64(0):
                behind = depth[picture, far_i, far_j]
                if face[picture, far_i, far_j] < wp.int64(0):
                    behind = wp.inf
                if depth[picture, near_i, near_j] < behind and behind > W * _BEHIND:
                    way = wp.where(steep, 0, 2) + wp.where(right, 0, 1)
                    wp.atomic_max(slots, picture, near_i, near_j, way, packed(distance, edge + 1))


@torch.no_grad()
def crossings_warp(points: Float[Tensor, "b v 3"], hinges: Hinges, raster: Raster) -> Crossings:
    """Every silhouette edge at every row that it passes steeply, and at every column otherwise."""
    b, h, w = raster.face.shape
    device = points.device
    slots = torch.zeros(b, h, w, 4, dtype=torch.long, device=device)
    given = [array(points, wp.vec3), array(hinges.ends.int(), wp.int32)]
    given += [array(x.int(), wp.int32) for x in (hinges.first, hinges.opposite)]
    given += [wp.from_torch(raster.face), array(raster.depth, wp.float32)]
    keys = wp.from_torch(slots)
    wp.load_module(device=wp.device_from_torch(device))  # before threads want it, all at once

    def draw(band: int, top: int, bottom: int) -> None:
        inputs = [*given, top, bottom, keys]
        place = wp.device_from_torch(device)
        wp.launch(cross, dim=(b, len(hinges.ends)), inputs=inputs, device=place)

    launch(device, bands(h, device), draw)
    flat = slots.reshape(-1)
    slot = flat.nonzero()[:, 0]
    return from_slots(slot, hinges.ends[(flat[slot] & 0xFFFFFFFF) - 1], w)
