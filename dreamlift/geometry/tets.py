"""Marching tetrahedra: from signed distances on a grid of tetrahedra to triangles, differentiably.

The mesh half of DMTet (Shen et al., "Deep marching tetrahedra", arXiv:2111.04276). A distance is
negative inside. An edge whose ends differ in sign is cut at p = (p_a s_b - p_b s_a) / (s_b - s_a),
so gradients reach the distances and the grid's vertices; which edges are cut is a matter of yes
and no. Where the surface does not reach the sides of the grid it is closed.
"""

from dataclasses import dataclass
from itertools import combinations, permutations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

EDGES = tuple(combinations(range(4), 2))
"""The corners of a tetrahedron's six edges: 01, 02, 03, 12, 13, 23."""


@dataclass(frozen=True)
class TetGrid:
    """Tetrahedra that fill a volume face to face, each with (v1 - v0, v2 - v0, v3 - v0) > 0."""

    vertices: Float[Tensor, "v 3"]  # world units
    tets: Int[Tensor, "t 4"]
    edges: Int[Tensor, "e 2"]  # each once
    sides: Int[Tensor, "t 6"]  # the edges of each, in the order of EDGES
    cell: float  # world units: what a vertex may move by is half of it

    def to(self, device: torch.device) -> "TetGrid":
        """The same on a device."""
        return TetGrid(
            self.vertices.to(device),
            self.tets.to(device),
            self.edges.to(device),
            self.sides.to(device),
            self.cell,
        )


def tet_grid(resolution: int, bounds: float) -> TetGrid:
    """The cube [-bounds, bounds]^3 in `resolution`^3 cells of six tetrahedra each.

    Freudenthal's: from a cell's lowest corner to its highest along the axes in each of their six
    orders, so that neighbouring cells agree on the diagonals of their sides.
    """
    n = resolution + 1
    line = torch.linspace(-bounds, bounds, n)
    vertices = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    start = torch.arange(n**3).reshape(n, n, n)[:-1, :-1, :-1].reshape(-1)
    stride = (n * n, n, 1)
    tets: list[Tensor] = []
    for order in permutations(range(3)):
        steps = torch.tensor([0, *(stride[axis] for axis in order)]).cumsum(0)
        tets.append(start[:, None] + steps)
    return tetrahedra(vertices, torch.cat(tets), cell=2 * bounds / resolution)


def tetrahedra(vertices: Float[Tensor, "v 3"], tets: Int[Tensor, "t 4"], *, cell: float) -> TetGrid:
    """Anybody's tetrahedra as a grid; those that are inside out are turned."""
    a, b, c, d = vertices[tets].unbind(1)
    turned = ((b - a) * torch.cross(c - a, d - a, dim=-1)).sum(-1) < 0
    tets = torch.where(turned[:, None], tets[:, [0, 1, 3, 2]], tets)
    pairs = torch.stack([tets[:, list(e)] for e in EDGES], 1).sort(-1).values
    n = len(vertices)
    key, sides = (pairs[..., 0] * n + pairs[..., 1]).unique(return_inverse=True)
    return TetGrid(vertices, tets, torch.stack([key // n, key % n], -1), sides, cell)


def moved(grid: TetGrid, offsets: Float[Tensor, "v 3"]) -> Float[Tensor, "v 3"]:
    """The grid's vertices, each at most half a cell from its place along each axis: DMTet's."""
    return grid.vertices + 0.5 * grid.cell * offsets.tanh()


def _even(order: tuple[int, ...]) -> bool:
    return sum(a > b for a, b in combinations(order, 2)) % 2 == 0


def _case(inside: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Triangles, as edges of EDGES, that part the corners `inside` from the others; outward.

    With one corner on its own, a triangle around it; with two, a quadrilateral between, cut in two.
    In the tetrahedron i j k l the corners j, k, l run counter-clockwise seen from i if the order
    is even, so the triangle ij, ik, il is seen so from i, and from outside clockwise.
    """

    def edge(i: int, j: int) -> int:
        return EDGES.index((min(i, j), max(i, j)))

    outside = tuple(k for k in range(4) if k not in inside)
    if len(inside) in (0, 4):
        return []
    if len(inside) == 2:
        (i, j), (k, m) = inside, outside
        ring = [edge(i, k), edge(i, m), edge(j, m), edge(j, k)]
        ring = ring if _even((*inside, *outside)) else ring[::-1]
        return [(ring[0], ring[1], ring[2]), (ring[0], ring[2], ring[3])]
    alone, rest = (inside, outside) if len(inside) == 1 else (outside, inside)
    first, second, third = (edge(alone[0], k) for k in rest)
    if _even((*alone, *rest)) == (len(inside) == 1):
        return [(first, second, third)]
    return [(first, third, second)]


def cases() -> Int[Tensor, "16 2 3"]:
    """The table: for each set of inner corners (corner k counts 2^k) two triangles, -1 for none."""
    table = torch.full((16, 2, 3), -1)
    for code in range(16):
        for slot, triangle in enumerate(_case(tuple(k for k in range(4) if code >> k & 1))):
            table[code, slot] = torch.tensor(triangle)
    return table


_CASES = cases()


def marching_tets(
    grid: TetGrid, sdf: Float[Tensor, " v"], vertices: Float[Tensor, "v 3"] | None = None
) -> tuple[Float[Tensor, "n 3"], Int[Tensor, "f 3"]]:
    """The surface where the distance is 0, differentiable in distances and `vertices`.

    `vertices`: where the grid's are now (`moved`); by default where they were.
    """
    place = grid.vertices if vertices is None else vertices
    inside = sdf < 0
    cut = (inside[grid.edges[:, 0]] != inside[grid.edges[:, 1]]).nonzero()[:, 0]
    a, b = grid.edges[cut].unbind(-1)
    s_a, s_b = sdf[a, None], sdf[b, None]
    points = (place[a] * s_b - place[b] * s_a) / (s_b - s_a)
    code = (inside[grid.tets] * torch.tensor([1, 2, 4, 8], device=sdf.device)).sum(-1)
    crossed = ((code > 0) & (code < 15)).nonzero()[:, 0]
    triangles = _CASES.to(sdf.device)[code[crossed]]  # c 2 3
    owner, slot = (triangles[..., 0] >= 0).nonzero(as_tuple=True)
    sides = grid.sides[crossed[owner]].gather(1, triangles[owner, slot])
    number = torch.full((len(grid.edges),), -1, device=sdf.device).index_put(
        (cut,), torch.arange(len(cut), device=sdf.device)
    )
    return points, number[sides]


def sign_changes(grid: TetGrid, sdf: Float[Tensor, " v"]) -> Float[Tensor, ""]:
    """Mean over cut edges of how much each end's distance disagrees with the other's sign.

    The regulariser of nvdiffrec (arXiv:2111.12503, Eq. 2), binary cross entropies of the distances
    as logits: it takes away surfaces that nobody sees. 0 where nothing is cut.
    """
    a, b = grid.edges.unbind(-1)
    cut = ((sdf[a] < 0) != (sdf[b] < 0)).nonzero()[:, 0]
    s_a, s_b = sdf[a[cut]], sdf[b[cut]]
    each = F.binary_cross_entropy_with_logits(s_a, (s_b > 0).to(sdf), reduction="sum")
    each = each + F.binary_cross_entropy_with_logits(s_b, (s_a > 0).to(sdf), reduction="sum")
    return each / max(len(cut), 1)
