"""How smooth a mesh is: what is added to a loss when vertices move.

Each is a mean, over vertices or edges, so its weight does not depend on how fine a mesh is.
Lengths are world units.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.geometry.hinges import Hinges
from dreamlift.geometry.mesh import face_cross, unit


def umbrella(vertices: Float[Tensor, "v 3"], hinges: Hinges) -> Float[Tensor, "v 3"]:
    """From each vertex to the mean of its neighbours; 0 for one without (Taubin 1995)."""
    a, b = hinges.ends.unbind(-1)
    along = vertices[b] - vertices[a]
    total = torch.zeros_like(vertices).index_add(0, a, along).index_add(0, b, -along)
    degree = torch.bincount(hinges.ends.reshape(-1), minlength=len(vertices))
    return total / degree.clamp_min(1)[:, None]


def cotangent(vertices: Float[Tensor, "v 3"], hinges: Hinges) -> Float[Tensor, "v 3"]:
    """Sum over neighbours of (cot + cot) / 2 times the way there, the angles opposite the edge.

    The direction in which a vertex loses the most area (Pinkall & Polthier 1993): minus the
    gradient of the mesh's area, 2 H times the normal times a vertex's share of it.
    """
    ends = hinges.ends[hinges.edge]
    a, b, c = vertices[ends[:, 0]], vertices[ends[:, 1]], vertices[hinges.opposite]
    u, v = a - c, b - c
    double_area = torch.cross(u, v, dim=-1).norm(dim=-1).clamp_min(1e-20)
    pull = (0.5 * (u * v).sum(-1) / double_area)[:, None] * (b - a)
    return torch.zeros_like(vertices).index_add(0, ends[:, 0], pull).index_add(0, ends[:, 1], -pull)


def laplacian(vertices: Float[Tensor, "v 3"], hinges: Hinges) -> Float[Tensor, ""]:
    """Mean of the squared umbrella, as in nvdiffrec."""
    return umbrella(vertices, hinges).square().sum(-1).mean()


def cotangent_laplacian(vertices: Float[Tensor, "v 3"], hinges: Hinges) -> Float[Tensor, ""]:
    """Mean length of the cotangent Laplacian over a vertex's share of the area: 2 |H| in each.

    Unlike the umbrella it does not move vertices along a flat surface. Weights are constants.
    """
    ends = hinges.ends[hinges.edge]
    corners = torch.stack(
        [vertices[ends[:, 0]], vertices[ends[:, 1]], vertices[hinges.opposite]], 1
    )
    area = 0.5 * torch.cross(
        corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=-1
    ).norm(dim=-1)
    share = torch.zeros_like(vertices[:, 0]).index_add(0, hinges.opposite, area.detach() / 3)
    return (cotangent(vertices, hinges) / share.clamp_min(1e-20)[:, None]).norm(dim=-1).mean()


def edge_length(
    vertices: Float[Tensor, "v 3"], hinges: Hinges, *, target: float = 0.0
) -> Float[Tensor, ""]:
    """Mean of (length - target)^2 over edges, as PyTorch3D's mesh_edge_loss."""
    a, b = vertices[hinges.ends].unbind(1)
    # An edge of length 0 has no direction; its gradient is 0, not NaN.
    square = (b - a).square().sum(-1)
    length = torch.where(square > 0, square.clamp_min(1e-30).sqrt(), square)
    return (length - target).square().mean()


def normal_consistency(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], hinges: Hinges
) -> Float[Tensor, ""]:
    """Mean of (1 - n0 . n1) / 2 over edges with two faces: 0 flat, 1 folded. As in nvdiffrec.

    A face without an area has no normal: its edges count as a right angle and pull at nothing.
    """
    pairs, _ = hinges.pairs()
    normal = unit(face_cross(vertices, faces))
    return (0.5 - 0.5 * (normal[pairs[:, 0]] * normal[pairs[:, 1]]).sum(-1)).mean()
