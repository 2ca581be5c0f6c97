"""From one representation to another, as pure functions; their number is the page's contents.

    volume    -> mesh       extract          marching cubes at the level of its silhouettes, baked;
                                             of a field of distances, at their zero level
    Gaussians -> volume     geometry.voxels.voxelise
    Gaussians -> mesh       of_gaussians     cut where half of the light no longer arrives, baked
    DMTet     -> mesh       textured
    mesh      -> Gaussians  geometry.surfels.from_mesh
    mesh      -> SDF        distances        of any points, render/distance.py
    SDF       -> mesh       zero_level       and geometry.tets.marching_tets, differentiably
    volume    -> SDF        volume_distances extract's surface, measured

A field is a volume. SDF: signed distances, negative inside, world units.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.geometry.hinges import hinges
from dreamlift.geometry.isosurface import (
    DegenerateError,
    Isosurface,
    grid_points,
    isosurface,
    looks,
)
from dreamlift.geometry.mesh import Surface, area, components, select, simplify, vertex_normals
from dreamlift.geometry.smooth import umbrella
from dreamlift.geometry.uv import Unwrapped, dilate, rasterise, unwrap
from dreamlift.geometry.voxels import Distances, Volume, Voxels, buried, voxelise
from dreamlift.render.distance import signed_distance

CHUNK = 1 << 18
"""Points that a volume is asked about at once."""
SPECK = 0.01
"""Share of a mesh's area below which a piece of it is left out."""
GRAIN = 0.4
"""Gaussians are smooth: they are blurred over this share of what a density is (Finish.smooth)."""


@dataclass(frozen=True)
class Finish:
    """How finely an object is brought out."""

    resolution: int = 128
    """Samples along each side of the grid that the surface is cut from."""
    smooth: float = 0.05
    """World units over which the grain of a density is blurred away before the surface is cut."""
    faces: int = 20_000
    """Triangles of the asset, at most."""
    texture: int = 512
    """Side of the texture, in texels."""
    frames: int = 48
    """Of the turntable; 24 are shown each second."""
    size: int = 256
    """Side of the turntable's and the contact sheet's pictures, in pixels; even."""


DRAFT = Finish(resolution=112, faces=10_000, frames=36)
"""A few seconds on one core."""
FULL = Finish(resolution=192, texture=1024, frames=96, size=384)
"""Half a minute on one core."""


LIMITS = {
    "resolution": (16, 512),
    "smooth": (0, 0.5),
    "faces": (100, 2_000_000),
    "texture": (16, 8192),
    "frames": (1, 10_000),
    "size": (16, 2048),
}
"""The least and the most of every number of a `Finish`."""


def check_finish(finish: Finish) -> None:
    """Raises BadInput for numbers that nothing could be made with."""
    for name, value in asdict(finish).items():
        least, most = LIMITS[name]
        if not least <= value <= most:
            raise BadInput(f"The {name} must be {least} to {most}; {value} was asked for.")
    if finish.size % 2:
        raise BadInput(f"The size of a film must be even; {finish.size} was asked for.")


@torch.no_grad()
def cut(volume: Volume, finish: Finish) -> Isosurface:
    """The surface of a volume: what has its silhouettes (isosurface.py).

    Of a field of distances, its zero level. Raises DegenerateError where there is no object.
    """
    reach = float(volume.bounds.abs().max())
    side = finish.resolution

    def sampled(
        of: Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]],
    ) -> Float[Tensor, "n n n"]:
        points = grid_points(side, reach).split(CHUNK)
        values = torch.cat([of(p.to(volume.bounds)).cpu().float() for p in points])
        return values.reshape(side, side, side)

    if not isinstance(volume, Distances):
        return isosurface(sampled(volume.density), reach, smooth=finish.smooth)
    depth = smoothed(-sampled(volume.distance), finish.smooth / (2 * reach / (side - 1)))
    found = isosurface(depth, reach, level=0.0)
    return replace(found, reach=volume.reach)


def smoothed(values: Float[Tensor, "n n n"], width: float) -> Float[Tensor, "n n n"]:
    """Blurred by a Gaussian of a standard deviation in cells."""
    from scipy.ndimage import gaussian_filter

    return torch.from_numpy(gaussian_filter(values.numpy(), width))


@torch.no_grad()
def cut_gaussians(
    gaussians: Gaussians, finish: Finish, *, dark: float = 0.5
) -> tuple[Voxels, Isosurface]:
    """The volume that Gaussians fill, and its surface: where that much light no longer arrives.

    Not by silhouettes, as Gaussians that lie along a surface look thick from the side. Raises
    DegenerateError where nothing is half opaque.
    """
    voxels = voxelise(gaussians, finish.resolution)
    lost = buried(voxels.dense, voxels.cell).cpu()
    if not bool((lost > 0.5).any()):
        raise DegenerateError(
            "degenerate object: fog, no Gaussians hide what is behind them "
            f"({looks(voxels.dense.cpu(), voxels.cell)}). Optimise for longer, or otherwise."
        )
    lost = smoothed(lost, GRAIN * finish.smooth / voxels.cell)
    found = isosurface(lost, voxels.reach, level=dark)
    within = voxels.dense.cpu()[lost > 0.5].double()
    # Hollow inside as it may be: how far into its middling wall.
    wall = float(within[within > 0.1 * within.max()].median())
    return voxels, replace(found, reach=math.log(2) / max(wall, 1e-6))


@torch.no_grad()
def of_gaussians(
    gaussians: Gaussians, finish: Finish, *, dark: float = 0.5, even: int = 0
) -> tuple[Surface, Isosurface, int]:
    """`extract` for Gaussians; colours are those without what depends on the direction."""
    voxels, found = cut_gaussians(gaussians, finish, dark=dark)
    return extract(voxels, finish, found, even=even)


@torch.no_grad()
def extract(
    volume: Volume, finish: Finish, found: Isosurface | None = None, *, even: int = 0
) -> tuple[Surface, Isosurface, int]:
    """The surface of a volume with a baked texture, how it was cut, and its number of charts.

    `found`: where it was cut already. `even`: how often the cut's vertices go half of the way to
    the mean of their neighbours.
    """
    found = found or cut(volume, finish)
    cell = 2 * float(volume.bounds.abs().max()) / (finish.resolution - 1)
    vertices, edges = found.vertices, hinges(found.faces)
    for _ in range(even):
        vertices = vertices + 0.5 * umbrella(vertices, edges)
    vertices, faces = simplify(vertices, found.faces, finish.faces)
    flat = unwrap(vertices, faces, size=finish.texture)
    normals = vertex_normals(vertices, faces)[flat.source]
    vertices = vertices[flat.source]
    texture = bake(volume, vertices, normals, flat, finish.texture, cell)
    surface = Surface(
        vertices, flat.faces, normals=normals, uv=flat.uv, texture=texture, name="object"
    )
    return surface, found, flat.charts


@torch.no_grad()
def bake(
    volume: Volume,
    vertices: Float[Tensor, "m 3"],
    normals: Float[Tensor, "m 3"],
    flat: Unwrapped,
    size: int,
    cell: float,
) -> Float[Tensor, "h w 3"]:
    """A texture of the colours that the volume shows; `cell` as in `shown`."""

    def color(at: Float[Tensor, "n 6"]) -> Float[Tensor, "n 3"]:
        return shown(volume, at[:, :3], at[:, 3:], cell)

    return painted(flat, torch.cat([vertices, -normals], -1), size, color)


def painted(
    flat: Unwrapped,
    values: Float[Tensor, "m c"],
    size: int,
    color: Callable[[Float[Tensor, "n c"]], Float[Tensor, "n 3"]],
) -> Float[Tensor, "h w 3"]:
    """A texture whose texels are coloured by the vertices' values, interpolated to each."""
    face, weight = rasterise(flat.uv, flat.faces, size)
    known = face >= 0
    corners, weight = flat.faces[face[known]], weight[known]
    texture = torch.zeros(size, size, 3)
    texture[known] = color(torch.einsum("nk,nkc->nc", weight, values[corners]))
    return dilate(texture, known)


@torch.no_grad()
def textured(
    vertices: Float[Tensor, "n 3"],
    faces: Int[Tensor, "m 3"],
    color: Callable[[Float[Tensor, "k 3"]], Float[Tensor, "k 3"]],
    finish: Finish,
) -> Surface:
    """A cut surface without its specks, simplified, and a texture of the colours at its points."""
    vertices, faces = vertices.detach().cpu(), faces.cpu()
    piece = components(faces, len(vertices))
    share = torch.zeros(int(piece.max()) + 1).index_add(0, piece, area(vertices, faces))
    vertices, faces = select(vertices, faces, (share > SPECK * share.sum())[piece])
    vertices, faces = simplify(vertices, faces, finish.faces)
    flat = unwrap(vertices, faces, size=finish.texture)
    normals = vertex_normals(vertices, faces)[flat.source]
    vertices = vertices[flat.source]
    texture = painted(flat, vertices, finish.texture, lambda at: color(at).cpu())
    return Surface(
        vertices, flat.faces, normals=normals, uv=flat.uv, texture=texture, name="object"
    )


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
        density = volume.density(at).reshape(-1, len(depths)).double()
        # Where all is thin, the surface's own surroundings decide.
        optical = step * density + 1e-6
        behind = (-(optical.cumsum(-1) - optical)).exp()
        weight = behind * (1 - (-optical).exp())
        weight = (weight / weight.sum(-1, keepdim=True))[..., None]
        albedo = volume.albedo(at).reshape(-1, len(depths), 3)
        colors.append((weight * albedo).sum(1).float().cpu())
    return torch.cat(colors).clamp(0, 1)


def distances(parts: Sequence[Surface], points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Signed distances of points to a mesh's parts together: inside of one is inside."""
    first = [sum(len(p.vertices) for p in parts[:i]) for i in range(len(parts))]
    vertices = torch.cat([part.vertices for part in parts]).to(points)
    faces = torch.cat([part.faces + start for part, start in zip(parts, first, strict=True)])
    return signed_distance(points, vertices, faces.to(points.device))


def zero_level(
    sdf: Float[Tensor, "n n n"], reach: float
) -> tuple[Float[Tensor, "v 3"], Int[Tensor, "f 3"]]:
    """The mesh of the distances on `grid_points(n, reach)`: every piece of it, hollows filled."""
    found = isosurface(-sdf, reach, level=0.0, least=0.0)
    return found.vertices, found.faces


@torch.no_grad()
def volume_distances(
    volume: Volume, points: Float[Tensor, "n 3"], finish: Finish
) -> Float[Tensor, " n"]:
    """Signed distances of points to a volume's surface: a start for meshes that are to be made."""
    found = cut(volume, finish)
    return signed_distance(points, found.vertices.to(points), found.faces.to(points.device))
