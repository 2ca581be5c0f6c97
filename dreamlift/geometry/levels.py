"""Where the surface of a density is: the level that it is cut at, and what is blurred before.

Notation as in isosurface.py: sigma is density per world unit; a ray that crosses a length l of it
is 1 - exp(-sigma l) opaque. Samples are `cell` world units apart.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv3d

from dreamlift.geometry.isosurface import (
    DegenerateError,
    Isosurface,
    cell_of,
    diagonal_rays,
    isosurface,
    looks,
)

FULL = 0.8
"""Share of the box above which a solid is taken for fog. A ball that touches the six sides
fills 0.52; objects live well inside."""


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


def outlined(density: Float[Tensor, "n n n"], bounds: float, *, smooth: float = 0.0) -> Isosurface:
    """The closed surface of the density of the cube [-bounds, bounds]^3, at `surface_level`.

    `smooth`: the width, in world units, over which grain is blurred away first (`soften`). Raises
    DegenerateError where there is no object.
    """
    cell = cell_of(density, bounds)
    field = density.detach().cpu().float()
    soft = soften(field, cell, smooth)
    return isosurface(field, bounds, level=surface_level(field, cell, soft), soft=soft)
