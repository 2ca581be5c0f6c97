"""Which faces of a mesh hang together, and whether they leave a hole."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


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
