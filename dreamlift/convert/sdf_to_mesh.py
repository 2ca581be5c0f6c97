"""The mesh of signed distances on a grid."""

from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.geometry.isosurface import isosurface


def zero_level(
    sdf: Float[Tensor, "n n n"], reach: float
) -> tuple[Float[Tensor, "v 3"], Int[Tensor, "f 3"]]:
    """The mesh of the distances on `grid_points(n, reach)`: every piece of it, hollows filled."""
    found = isosurface(-sdf, reach, level=0.0, least=0.0)
    return found.vertices, found.faces
