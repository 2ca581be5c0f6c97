"""From a grid of density to a closed triangle mesh.

Notation: sigma is density per world unit; a ray that crosses a length l of it is 1 - exp(-sigma l)
opaque. A grid has axes x, y, z, its samples `cell` world units apart, its centre the origin.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.geometry.mesh import volumes
from dreamlift.geometry.pieces import components, select


class DegenerateError(ValueError):
    """The density holds no object; the message says what it looks like."""


@dataclass(frozen=True)
class Isosurface:
    """A closed mesh, and what was left out of it."""

    vertices: Float[Tensor, "n 3"]  # world units
    faces: Int[Tensor, "f 3"]
    level: float  # density at the surface
    kept: int  # components
    dropped: int  # components below the least share of the volume
    dropped_share: float  # their volume over the whole
    cavities: int  # hollows that nobody can see, filled
    reach: float  # how far a ray goes into its middling density until half is stopped, world units


def grid_points(resolution: int, bounds: float) -> Float[Tensor, "n 3"]:
    """Samples of the cube [-bounds, bounds]^3, both ends included, in the order x, y, z."""
    line = torch.linspace(-bounds, bounds, resolution)
    return torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)


def cell_of(density: Float[Tensor, "n n n"], bounds: float) -> float:
    """World units between two samples of the cube [-bounds, bounds]^3."""
    if density.shape[0] < 2:
        raise ValueError("The grid must have 2 or more samples a side.")
    return 2 * bounds / (density.shape[0] - 1)


def diagonal_rays(
    density: Float[Tensor, "n n n"], cell: float
) -> tuple[Float[Tensor, " r"], Float[Tensor, " r"]]:
    """Optical depth and greatest density of parallel rays along the six diagonals of the faces."""
    n = density.shape[0]
    depths: list[Tensor] = []
    greatest: list[Tensor] = []
    for axis in range(3):
        layers = density.movedim(axis, 0)
        for plane in (layers, layers.flip(1)):
            # Rows of 2n, read as rows of 2n - 1: each moves one sample further than the last.
            rows = torch.nn.functional.pad(plane, (0, n)).reshape(n, -1)[:, :-n]
            sheared = rows.reshape(n, n, 2 * n - 1)
            depths.append(sheared.sum(1).reshape(-1) * (cell * math.sqrt(2)))
            greatest.append(sheared.amax(1).reshape(-1))
    return torch.cat(depths), torch.cat(greatest)


def smoothed(values: Float[Tensor, "n n n"], width: float) -> Float[Tensor, "n n n"]:
    """Blurred by a Gaussian of a standard deviation in cells."""
    from scipy.ndimage import gaussian_filter

    return torch.from_numpy(gaussian_filter(values.numpy(), width))


def looks(density: Float[Tensor, "n n n"], cell: float) -> str:
    """What a density looks like, for error messages."""
    opaque = 1 - math.exp(-float(diagonal_rays(density, cell)[0].max()))
    return (
        f"density is {float(density.min()):.3g} to {float(density.max()):.3g}, "
        f"{float(density.mean()):.3g} on average; "
        f"the most opaque ray is {100 * opaque:.0f} % opaque"
    )


def isosurface(
    density: Float[Tensor, "n n n"],
    bounds: float,
    *,
    level: float,
    least: float = 0.01,
    soft: Float[Tensor, "n n n"] | None = None,
) -> Isosurface:
    """The closed surface where the density of the cube [-bounds, bounds]^3 crosses `level`.

    Marching cubes of Lewiner et al. ("Efficient implementation of marching cubes' cases with
    topological guarantees"), as in scikit-image. The grid is surrounded by emptiness first, so a
    solid that reaches the side of the cube is closed there. Pieces below `least` of the whole
    volume are dropped, and so are the walls of hollows. `soft`: what is cut instead of the density,
    which then says only how far rays go into it.
    """
    cell = cell_of(density, bounds)
    field = density.detach().cpu().float()
    soft = field if soft is None else soft
    if not bool((soft > level).any()):
        raise DegenerateError(
            f"degenerate object: empty at level {level:.3g} ({looks(field, cell)})."
        )
    vertices, faces = _march(soft, level, cell)
    piece = components(faces, len(vertices))
    volume = torch.zeros(int(piece.max()) + 1, dtype=torch.float64)
    volume = volume.index_add(0, piece, volumes(vertices, faces))
    solid = volume > 0
    total = float(volume[solid].sum())
    keep = volume > least * total
    if not total > cell**3:
        raise DegenerateError(
            f"degenerate object: specks of less than one grid cell ({looks(field, cell)}). "
            "Optimise for longer, or with another seed."
        )
    vertices, faces = select(vertices, faces, keep[piece])
    dropped = solid & ~keep
    return Isosurface(
        vertices.float(),
        faces,
        level,
        int(keep.sum()),
        int(dropped.sum()),
        float(volume[dropped].sum()) / total,
        int((~solid).sum()),
        math.log(2) / max(float(field[soft > level].median()), 1e-6),
    )


def _march(
    field: Float[Tensor, "n n n"], level: float, cell: float
) -> tuple[Float[Tensor, "v 3"], Int[Tensor, "f 3"]]:
    """Marching cubes of the field in emptiness; vertices in double precision."""
    from skimage.measure import marching_cubes

    floor = min(0.0, level - 1.0)  # below any level, also one for a field that is not a density
    padded = torch.nn.functional.pad(field, (1,) * 6, value=floor)
    corners, faces, _, _ = marching_cubes(padded.numpy(), level, allow_degenerate=False)
    half = (field.shape[0] - 1) / 2
    vertices = (torch.from_numpy(corners.copy()).double() - 1 - half) * cell
    return vertices, torch.from_numpy(faces.copy()).long().flip(-1)
