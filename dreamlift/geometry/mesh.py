"""Triangle meshes: the data that files hold and renderers read, and the mathematics on it.

A mesh is `vertices` (n 3, world units) and `faces` (f 3, indices, counter-clockwise seen from
outside). World: right-handed, +z up, an object faces +x.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Material:
    """How a surface mirrors light, by glTF's metallic-roughness; factors times what maps say."""

    roughness: float = 1.0  # in [0, 1]: GGX's alpha is its square
    metallic: float = 0.0  # in [0, 1]: 0 dielectric, 1 metal, whose mirror has its base colour
    gloss: Float[Tensor, "h w 2"] | None = None  # roughness and metallic of texels, in [0, 1]
    bumps: Float[Tensor, "h w 3"] | None = None  # (n + 1) / 2, n along u, v and the normal

    @property
    def plain(self) -> bool:
        """Whether it is what everything is without a material: rough, and no metal."""
        maps = self.gloss is not None or self.bumps is not None
        return self.roughness == 1 and self.metallic == 0 and not maps


@dataclass(frozen=True)
class Surface:
    """One part of an object: triangles, their colours and a name.

    The colour of a point is colors x texture, whichever are there; white where neither is.
    """

    vertices: Float[Tensor, "n 3"]  # world units
    faces: Int[Tensor, "f 3"]
    colors: Float[Tensor, "n 3"] | None = None  # sRGB in [0, 1]
    normals: Float[Tensor, "n 3"] | None = None  # unit; None: from the faces, area-weighted
    uv: Float[Tensor, "n 2"] | None = None  # u right, v up; (0, 0) is the texture's lower left
    texture: Float[Tensor, "h w 3"] | None = None  # sRGB in [0, 1]; repeats outside [0, 1]
    name: str = ""
    material: Material = Material()

    def __post_init__(self) -> None:
        maps = (self.texture, self.material.gloss, self.material.bumps)
        if self.uv is None and any(x is not None for x in maps):
            raise ValueError(f"Part {self.name!r} has a texture but no uv. Give it uv (n 2).")


def unit(x: Float[Tensor, "*s 3"]) -> Float[Tensor, "*s 3"]:
    """Vectors of length 1; those shorter than 1e-12 become 0, and so does their gradient."""
    square = x.square().sum(-1, keepdim=True)
    known = square > 1e-24
    return torch.where(known, x * torch.where(known, square, 1.0).rsqrt(), 0.0)


def face_cross(vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "f 3"]:
    """Outward normals of the faces, as long as twice the faces' areas."""
    a, b, c = vertices[faces].unbind(1)
    return torch.cross(b - a, c - a, dim=-1)


def vertex_normals(
    vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "f 3"]
) -> Float[Tensor, "n 3"]:
    """Unit normals of the vertices, each the area-weighted mean of its faces'.

    Zero where a vertex has no face with an area, or where its faces cancel.
    """
    cross = face_cross(vertices, faces)
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total = total.index_add(0, faces[:, corner], cross)
    return unit(total)


def welded(rows: Float[Tensor, "n c"]) -> Int[Tensor, " n"]:
    """Of each row the first that is equal to it: of positions, a mesh without the cuts of its
    texture; of positions and normals, one that is cut at its creases alone."""
    _, group = rows.detach().unique(dim=0, return_inverse=True)
    index = torch.arange(len(rows), device=rows.device)
    first = torch.full_like(index, len(rows)).scatter_reduce(0, group, index, "amin")
    return first[group]


def area(vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, " f"]:
    """Area of each face, square world units."""
    return 0.5 * face_cross(vertices, faces).norm(dim=-1)


def volumes(vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, " f"]:
    """Signed volume of the tetrahedron each face spans with the origin, cubic world units.

    Their sum over a closed mesh is the volume it encloses, positive where normals point outward.
    """
    a, b, c = vertices[faces].unbind(1)
    return (a * torch.cross(b, c, dim=-1)).sum(-1) / 6
