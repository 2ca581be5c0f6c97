"""From a grid of density to a closed triangle mesh.

Notation: sigma is density per world unit; a ray that crosses a length l of it is 1 - exp(-sigma l)
opaque. A grid has axes x, y, z, its samples `cell` world units apart, its centre the origin.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import conv3d

from dreamlift.geometry.mesh import components, select, volumes

FULL = 0.8
"""Share of the box above which a solid is taken for fog. A ball that touches the six sides
fills 0.52; objects live well inside."""


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


def silhouette_level(
    density: Float[Tensor, "n n n"], cell: float, soft: Float[Tensor, "n n n"] | None = None
) -> float:
    """The level whose solid has the silhouettes of the picture, seen along six diagonals.

    A ray has opacity a = 1 - exp(-its optical depth), and a solid cut at level s covers it if its
    greatest density m, in what is cut (`soft`, by default the density itself), is above s. The
    level that minimises the sum of |a - [m > s]| over all rays is found exactly, by sorting m; it
    is taken midway between the two rays it separates, so that a sharp field is cut halfway between
    its samples. Infinite where it is best to cover nothing.

    Diagonals, because objects have flat sides along the axes: seen edge-on, a faint layer on a
    side is opaque. A fixed level is no substitute: while a field is young, its densities are a
    tenth of what they become.
    """
    depth, most = diagonal_rays(density, cell)
    most = most if soft is None else diagonal_rays(soft, cell)[1]
    most, order = most.double().sort()
    gain = 1 - 2 * (-depth[order].double()).exp()  # what covering a ray saves: 2 a - 1
    # Covering rays k, k + 1, ... saves the sum of their gains; k = len(most) covers none.
    saved = torch.cat([gain.flip(0).cumsum(0).flip(0), gain.new_zeros(1)])
    # Only between two different densities does a level separate the rays.
    saved[1:-1][most[1:] == most[:-1]] = -math.inf
    k = int(saved.argmax())
    if k == len(most):
        return math.inf
    below = float(most[k - 1]) if k > 0 else min(0.0, float(density.amin()))
    return (below + float(most[k])) / 2


def otsu_level(density: Float[Tensor, "n n n"], cell: float) -> float:
    """The level that splits the histogram of opacity over two cells into its two best classes.

    Otsu, "A threshold selection method from gray-level histograms"; opacity rather than density,
    so that how dense the inside is does not matter.
    """
    alpha = 1 - (-2 * cell * density.reshape(-1).clamp_min(0)).exp()
    bins = 256
    low, high = float(alpha.min()), float(alpha.max())
    counts = torch.histc(alpha.double(), bins, low, high)
    centres = low + (torch.arange(bins).to(counts) + 0.5) * (high - low) / bins
    share = counts.cumsum(0) / counts.sum()
    mean = (counts * centres).cumsum(0) / counts.sum()
    between = (mean[-1] * share - mean) ** 2 / (share * (1 - share)).clamp_min(1e-12)
    # Empty bins between two classes are equally good: take their middle.
    best = (between >= between.max() * (1 - 1e-9)).nonzero()[:, 0].double().mean()
    split = low + (float(best) + 1) * (high - low) / bins
    return -math.log(max(1 - split, 1e-12)) / (2 * cell)


def soften(
    density: Float[Tensor, "n n n"], cell: float, width: float, *, depth: float = 0.08
) -> Float[Tensor, "n n n"]:
    """Densities without their grain: opacities over `depth` world units, blurred.

    A Gaussian of standard deviation `width`, in world units; 0 is no blur. What score distillation
    makes is opaque enough for a picture long before it is solid, and its density changes from one
    sample to the next by as much as its mean; a surface cut from that is pitted. Of opacities,
    because they saturate: the flat side of a dense solid stays where it is.
    """
    radius = math.ceil(3 * width / cell)
    if radius == 0:
        return density
    at = torch.arange(-radius, radius + 1) * (cell / width)
    weights = (-0.5 * at.square()).exp()
    weights = (weights / weights.sum()).to(density)
    opacity = (1 - (-depth * density.clamp_min(0)).exp())[None, None]
    for axis in range(3):
        kernel = weights.reshape([-1 if k == axis else 1 for k in range(3)])[None, None]
        opacity = conv3d(opacity, kernel, padding=[radius if k == axis else 0 for k in range(3)])
    return -(-opacity[0, 0].clamp(0, 1 - 1e-6)).log1p() / depth


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


def surface_level(
    density: Float[Tensor, "n n n"], cell: float, soft: Float[Tensor, "n n n"]
) -> float:
    """Where to cut `soft`: by the silhouettes, and by the histogram where those show only fog.

    Raises DegenerateError if no cut gives an object: nothing is half opaque, or fog fills the box.
    """
    if not bool(density.isfinite().all()):
        raise DegenerateError("degenerate object: the density holds NaN or infinity.")
    level = silhouette_level(density, cell, soft)
    if level == math.inf:
        raise DegenerateError(
            f"degenerate object: empty, nothing in it is half opaque ({looks(density, cell)}). "
            "Optimise for longer, or with another seed."
        )
    filled = float((soft > level).double().mean())
    if filled <= FULL:
        return level
    level = otsu_level(soft, cell)
    if not 0 < float((soft > level).double().mean()) <= FULL:
        raise DegenerateError(
            f"degenerate object: fog fills {100 * filled:.0f} % of the box "
            f"({looks(density, cell)}). Optimise for longer, or with another seed."
        )
    return level


def isosurface(
    density: Float[Tensor, "n n n"],
    bounds: float,
    *,
    level: float | None = None,
    least: float = 0.01,
    smooth: float = 0.0,
) -> Isosurface:
    """The closed surface where the density of the cube [-bounds, bounds]^3 crosses `level`.

    Marching cubes of Lewiner et al. ("Efficient implementation of marching cubes' cases with
    topological guarantees"), as in scikit-image. The grid is surrounded by emptiness first, so a
    solid that reaches the side of the cube is closed there. Pieces below `least` of the whole
    volume are dropped, and so are the walls of hollows. `level` None: `surface_level`. `smooth`:
    the width, in world units, over which grain is blurred away first (`soften`).
    """
    if density.shape[0] < 2:
        raise ValueError("The grid must have 2 or more samples a side.")
    cell = 2 * bounds / (density.shape[0] - 1)
    field = density.detach().cpu().float()
    soft = soften(field, cell, smooth)
    level = surface_level(field, cell, soft) if level is None else level
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
