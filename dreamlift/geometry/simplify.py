"""The same mesh with fewer triangles."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


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
