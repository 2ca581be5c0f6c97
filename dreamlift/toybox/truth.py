"""The exact geometry of a toy, sampled: distances on a grid, and coloured points of its surface."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.cameras import FRAME
from dreamlift.geometry.isosurface import grid_points
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.points import Points, scatter
from dreamlift.geometry.primitives import distance
from dreamlift.io.atomic import atomic
from dreamlift.io.images import to_bytes
from dreamlift.toybox.mesh import SLICE
from dreamlift.toybox.paint import WORDS, colour, stacked
from dreamlift.toybox.patterns import rainbow
from dreamlift.toybox.scenes import ToyScene

TOUCH = 1e-3
"""World units; what is nearer to the surface than this lies on it."""
FAR_IN = 0.02
"""World units; a point of a part that is deeper than this lies inside another one."""
PULLS = 2
"""Steps of Newton from a mesh's triangles to the surface."""
BANDS = 256
"""Texels from the bottom of a rainbow to its top."""
RAINBOW = 1 + WORDS.index("rainbow")
"""Its number in a coat."""
TRIES = 64
"""Rounds of points, at most."""


@dataclass(frozen=True)
class Grid:
    """Samples of the cube [-half, half]^3, both ends included, indexed x, y, z."""

    sdf: Float[Tensor, "n n n"]  # world units, negative inside
    part: Int[Tensor, "n n n"]  # the nearest
    color: Float[Tensor, "n n n 3"]  # its sRGB there
    half: float = FRAME


def grid(scene: ToyScene, resolution: int) -> Grid:
    """The signed distance of all parts together.

    Its sign and where it is nought are exact. Its size is a distance for plain solids seen from
    outside, and otherwise a bound, up to a mild factor (geometry/primitives.py).
    """
    points = grid_points(resolution, FRAME)
    apart, part = _nearest(scene, points)
    shape = (resolution,) * 3
    color = _albedo(scene, points, part)
    return Grid(apart.reshape(shape), part.reshape(shape), color.reshape(*shape, 3))


def write_grid(path: Path, made: Grid) -> None:
    """A NumPy archive: sdf (float32), part (k + 1 for part k), color (bytes), bounds (2 x 3)."""
    corner = np.full(3, made.half, np.float32)
    with atomic(path) as file:
        np.savez_compressed(
            file,
            sdf=made.sdf.numpy(),
            part=(made.part + 1).numpy().astype(np.uint16),
            color=to_bytes(made.color),
            bounds=np.stack([-corner, corner]),
        )


def pictured(scene: ToyScene, parts: Sequence[Surface]) -> list[Surface]:
    """The parts, rainbows with a picture in place of colours at their vertices: many programs show
    no vertex colours, and a picture does not depend on how fine the mesh is. Other patterns differ
    in all three directions, and stay at the vertices."""
    steps = torch.linspace(1, 0, BANDS)  # a picture's first row is its top
    texture = rainbow(steps)[:, None].expand(BANDS, 4, 3).contiguous()
    coat, made = scene.coat, list[Surface]()
    for i, part in enumerate(parts):
        if int(coat.pattern[i]) != RAINBOW:
            made.append(part)
            continue
        low, sides = coat.box[i, :, 2].tolist()
        height = ((part.vertices[:, 2] - low) / sides).clamp(0, 1)
        v = (height * (BANDS - 1) + 0.5) / BANDS  # ends in the middle of texels: pictures repeat
        uv = torch.stack([torch.full_like(v, 0.5), v], -1)
        made.append(replace(part, colors=None, uv=uv, texture=texture))
    return made


def points(scene: ToyScene, parts: Sequence[Surface], n: int, rng: torch.Generator) -> Points:
    """n points of the surface that can be seen, spread by area, with the distance's own normals.

    Points of the parts' meshes are pulled onto the surface; those that lie inside another part
    are left out.
    """
    found: list[Points] = []
    share = 0.5
    for _ in range(TRIES):
        if (have := sum(map(len, found))) >= n:
            break
        some = scatter(parts, int((n - have) / share) + 64, rng)
        kept = _pulled(scene, some)
        share = max(len(kept) / len(some), 0.05)
        found.append(kept)
    position, normal, color, part = (
        torch.cat([getattr(some, name) for some in found])
        for name in ("position", "normal", "color", "part")
    )
    order = torch.randperm(len(position), generator=rng)[:n]
    return Points(position, normal, color, part)[order]


def _pulled(scene: ToyScene, some: Points) -> Points:
    """The points that are not inside, moved along the gradient to where the distance is nought."""
    at = some.position
    at = at[_nearest(scene, at)[0] > -FAR_IN]
    for _ in range(PULLS):
        apart, slope = _sloped(scene, at)
        at = at - (apart / slope.square().sum(-1).clamp_min(0.25))[:, None] * slope
    apart, part = _nearest(scene, at)
    near = apart.abs() < TOUCH
    at, part = at[near], part[near]
    normal = torch.nn.functional.normalize(_sloped(scene, at)[1], dim=-1)
    return Points(at, normal, _albedo(scene, at, part), part)


def _nearest(
    scene: ToyScene, points: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """Signed distance of all parts together, and the nearest part."""
    found = [distance(scene.program, some[None]) for some in points.split(SLICE)]
    return torch.cat([d[0] for d, _ in found]), torch.cat([p[0] for _, p in found]).long()


def _sloped(
    scene: ToyScene, points: Float[Tensor, "n 3"], h: float = 1e-3
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
    """The distance and its slope, from the corners of a tetrahedron around each point."""
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    around = (points[:, None] + h * corners).reshape(-1, 3)
    apart = _nearest(scene, around)[0].reshape(-1, 4)
    return apart.mean(-1), apart @ corners / (4 * h)


def _albedo(
    scene: ToyScene, points: Float[Tensor, "n 3"], part: Int[Tensor, " n"]
) -> Float[Tensor, "n 3"]:
    """sRGB of points of parts."""
    return colour(part[None], points[None], stacked([scene.coat]))[0]
