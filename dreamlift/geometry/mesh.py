"""Triangle meshes: the data that files hold and renderers read, and the mathematics on it.

A mesh is `vertices` (n 3, world units) and `faces` (f 3, indices, counter-clockwise seen from
outside). World: right-handed, +z up, an object faces +x.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
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
    return F.normalize(total, dim=-1, eps=1e-20)


def tangents(
    vertices: Float[Tensor, "n 3"],
    faces: Int[Tensor, "f 3"],
    normals: Float[Tensor, "n 3"],
    uv: Float[Tensor, "n 2"],
) -> Float[Tensor, "n 4"]:
    """The way that u grows along the surface, unit, and on which side v grows: +1 or -1.

    A normal map's frame is (t, w n x t, n), as in glTF. Means of the faces', weighted by area.
    """
    (a, b, c), (p, q, r) = vertices[faces].unbind(1), uv[faces].unbind(1)
    (du, dv), (eu, ev) = (q - p).unbind(-1), (r - p).unbind(-1)
    sign = (du * ev - eu * dv).sign()[:, None]
    along_u = sign * ((b - a) * ev[:, None] - (c - a) * dv[:, None])
    along_v = sign * ((c - a) * du[:, None] - (b - a) * eu[:, None])
    size = area(vertices, faces)[:, None]
    both = torch.cat([F.normalize(x, dim=-1, eps=1e-20) * size for x in (along_u, along_v)], -1)
    total = vertices.new_zeros(len(vertices), 6)
    for corner in range(3):
        total = total.index_add(0, faces[:, corner], both)
    t, v = total.split(3, -1)
    t = t - (t * normals).sum(-1, keepdim=True) * normals
    # Where u grows nowhere, any direction along the surface will do.
    aside = torch.cross(normals, normals.roll(1, -1) + normals.new_tensor([0.0, 0.0, 1.0]), dim=-1)
    t = torch.where(t.norm(dim=-1, keepdim=True) > 1e-20, t, aside)
    t = F.normalize(t, dim=-1, eps=1e-20)
    hand = (torch.cross(normals, t, dim=-1) * v).sum(-1, keepdim=True)
    return torch.cat([t, torch.where(hand < 0, -1.0, 1.0).to(t)], -1)


def area(vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, " f"]:
    """Area of each face, square world units."""
    return 0.5 * face_cross(vertices, faces).norm(dim=-1)


def volumes(vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, " f"]:
    """Signed volume of the tetrahedron each face spans with the origin, cubic world units.

    Their sum over a closed mesh is the volume it encloses, positive where normals point outward.
    """
    a, b, c = vertices[faces].unbind(1)
    return (a * torch.cross(b, c, dim=-1)).sum(-1) / 6


def edges(faces: Int[Tensor, "f 3"]) -> Int[Tensor, "e 2"]:
    """The three directed edges of every face."""
    return torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def is_closed(faces: Int[Tensor, "f 3"]) -> bool:
    """Whether every directed edge is met by exactly one face, and by another the other way."""
    directed = edges(faces)
    n = int(faces.max()) + 1 if len(faces) else 0
    forth = (directed[:, 0] * n + directed[:, 1]).sort().values
    back = (directed[:, 1] * n + directed[:, 0]).sort().values
    once = bool((forth[1:] != forth[:-1]).all())
    return len(faces) > 0 and once and bool((forth == back).all())


def euler_characteristic(faces: Int[Tensor, "f 3"]) -> int:
    """Vertices - edges + faces: 2 for each closed piece without a hole, 0 for a torus."""
    undirected = edges(faces).sort(-1).values
    return len(faces.unique()) - len(undirected.unique(dim=0)) + len(faces)


def components(faces: Int[Tensor, "f 3"], n: int) -> Int[Tensor, " f"]:
    """A number 0, 1, ... for each face: which connected piece of a mesh of n vertices it is in."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    directed = edges(faces).cpu().numpy()
    ones = np.ones(len(directed), dtype=np.int8)
    graph = coo_matrix((ones, (directed[:, 0], directed[:, 1])), shape=(n, n))
    labels = torch.from_numpy(connected_components(graph, directed=False)[1]).to(faces)
    return labels[faces[:, 0]].unique(return_inverse=True)[1]


def pieces(vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "f 3"]) -> int:
    """How many connected pieces there are; vertices in one place, as on a seam, are one."""
    places, number = vertices.unique(dim=0, return_inverse=True)
    return int(components(number[faces], len(places)).max()) + 1


def select(
    vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "f 3"], keep: Bool[Tensor, " f"]
) -> tuple[Float[Tensor, "m 3"], Int[Tensor, "g 3"]]:
    """Some of the faces, and only the vertices they use."""
    used, inverse = faces[keep].unique(return_inverse=True)
    return vertices[used], inverse.reshape(-1, 3)


def simplify(
    vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "f 3"], target: int
) -> tuple[Float[Tensor, "m 3"], Int[Tensor, "g 3"]]:
    """About `target` faces, by collapsing edges in the order of their quadric error.

    Garland & Heckbert, "Surface simplification using quadric error metrics", as implemented by
    the fast-simplification package. A mesh that is small enough comes back as it is.
    """
    if len(faces) <= target:
        return vertices, faces
    import fast_simplification

    points, triangles = fast_simplification.simplify(  # pyright: ignore[reportAssignmentType]
        vertices.detach().cpu().double().numpy(),
        faces.cpu().int().numpy(),
        target_count=target,
    )
    return torch.from_numpy(points).to(vertices), torch.from_numpy(triangles).to(faces)


def bounds(parts: Sequence[Surface]) -> Float[Tensor, "2 3"]:
    """The lowest and highest corner of the box around all parts."""
    points = torch.cat([part.vertices for part in parts])
    return torch.stack([points.amin(0), points.amax(0)])


def fitted(parts: Sequence[Surface], *, radius: float = 1.0) -> tuple[Surface, ...]:
    """The parts moved and scaled, together, so that their box is centred and in a ball."""
    low, high = bounds(parts)
    centre = (low + high) / 2
    far = max(float((part.vertices - centre).norm(dim=-1).max()) for part in parts)
    if not far > 0:
        raise ValueError("The mesh is a single point; there is nothing to scale.")
    return tuple(replace(p, vertices=(p.vertices - centre) * (radius / far)) for p in parts)


def to_y_up(x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """From our axes (+z up, facing +x) to those of glTF and OBJ files (+y up, facing +z)."""
    return x[:, [1, 2, 0]]


def from_y_up(x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """From the axes of glTF and OBJ files (+y up, facing +z) to ours (+z up, facing +x)."""
    return x[:, [2, 0, 1]]
