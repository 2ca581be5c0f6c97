"""A cut surface with a texture of the colours that its volume shows."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.convert.finish import Finish
from dreamlift.geometry.isosurface import Isosurface
from dreamlift.geometry.mesh import Surface, vertex_normals
from dreamlift.geometry.simplify import simplify
from dreamlift.geometry.uv import painted, unwrap
from dreamlift.geometry.volume import CHUNK, Volume

Colors: TypeAlias = Callable[[Float[Tensor, "k 3"], Float[Tensor, "k 3"]], Float[Tensor, "k 3"]]
"""Colours of points of a surface, seen in directions straight into it."""


@torch.no_grad()
def baked(volume: Volume, finish: Finish, found: Isosurface) -> tuple[Surface, int]:
    """The surface of a volume, as it was cut, with a baked texture, and its number of charts."""
    cell = 2 * float(volume.bounds.abs().max()) / (finish.resolution - 1)
    color = partial(shown, volume, cell=cell)
    return wrapped(found.vertices, found.faces, finish, color)


@torch.no_grad()
def wrapped(
    vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "m 3"], finish: Finish, color: Colors
) -> tuple[Surface, int]:
    """A mesh with fewer triangles and a texture of its colours, and its number of charts."""
    vertices, faces = simplify(vertices, faces, finish.faces)
    flat = unwrap(vertices, faces, size=finish.texture)
    normals = vertex_normals(vertices, faces)[flat.source]
    vertices = vertices[flat.source]
    texture = painted(
        flat,
        torch.cat([vertices, -normals], -1),
        finish.texture,
        lambda at: color(at[:, :3], at[:, 3:]),
    )
    surface = Surface(
        vertices, flat.faces, normals=normals, uv=flat.uv, texture=texture, name="object"
    )
    return surface, flat.charts


def shown(
    volume: Volume, points: Float[Tensor, "n 3"], inward: Float[Tensor, "n 3"], cell: float
) -> Float[Tensor, "n 3"]:
    """The colour that a ray straight into the surface gathers, from one cell above to five below.

    A density is soft: at the surface itself it is still thin, and what the camera saw while it
    was optimised lies a little deeper. Emission and absorption, over the ray's own opacity.
    """
    depths = torch.linspace(-1.0, 5.0, 9) * cell
    step = float(depths[1] - depths[0])
    colors: list[Tensor] = []
    for start in range(0, len(points), CHUNK // len(depths)):
        here = slice(start, start + CHUNK // len(depths))
        at = points[here, None] + depths[:, None] * inward[here, None]
        at = at.reshape(-1, 3).to(volume.bounds)
        density = volume.density(at).reshape(-1, len(depths)).cpu().double()
        # Where all is thin, the surface's own surroundings decide.
        optical = step * density + 1e-6
        behind = (-(optical.cumsum(-1) - optical)).exp()
        weight = behind * (1 - (-optical).exp())
        weight = (weight / weight.sum(-1, keepdim=True))[..., None]
        albedo = volume.albedo(at).reshape(-1, len(depths), 3).cpu()
        colors.append((weight * albedo).sum(1).float())
    return torch.cat(colors).clamp(0, 1)
