"""The mesh of a surface that was cut from tetrahedra, for files: fewer triangles, and a texture."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.convert.bake import wrapped
from dreamlift.convert.finish import Finish
from dreamlift.geometry.mesh import Surface, area
from dreamlift.geometry.pieces import components, select

SPECK = 0.01
"""Share of a mesh's area below which a piece of it is left out."""


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
    return wrapped(vertices, faces, finish, lambda at, _: color(at).cpu())[0]
