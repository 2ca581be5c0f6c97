"""The tree of a glTF document's nodes, flattened: which meshes it shows, and where."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dreamlift.io.gltf_document import Document


@dataclass(frozen=True)
class Shown:
    """A node that shows a mesh, in one place or (EXT_mesh_gpu_instancing) in several."""

    name: str
    mesh: int
    matrices: NDArray[np.float64]  # k 4 4, mesh to scene


def shown(file: Document) -> Iterator[Shown]:
    """The nodes of the document's scene that show a mesh. A node has one parent at most."""
    count = len(file.json.get("nodes", []))
    if file.json.get("scenes"):
        roots = file.entry("scenes", file.json.get("scene", 0)).get("nodes", [])
    else:
        nodes = [file.entry("nodes", i) for i in range(count)]
        children = {child for node in nodes for child in node.get("children", [])}
        roots = [i for i in range(count) if i not in children]
    todo = [(root, np.eye(4)) for root in reversed(roots)]
    met: set[int] = set()
    while todo:
        index, above = todo.pop()
        node = file.entry("nodes", index)
        if index in met:
            raise file.invalid(
                f"nodes[{index}] has two parents, or its nodes go round in a circle; a node has "
                "one place in the tree"
            )
        met.add(index)
        matrix = above @ _placement(node)
        if "mesh" in node:
            mesh = file.entry("meshes", node["mesh"])
            matrices = matrix @ _instances(file, node)
            yield Shown(_text(node) or _text(mesh), node["mesh"], matrices)
        for child in reversed(node.get("children", [])):
            todo.append((child, matrix))


def _text(entry: Mapping[str, Any]) -> str:
    """An entry's name, where it is one that can be written."""
    name = entry.get("name")
    return name.encode("utf-8", "replace").decode() if isinstance(name, str) else ""


def _placement(node: Mapping[str, Any]) -> NDArray[np.float64]:
    """A node's matrix (stored by columns), or translation x rotation x scale."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    return _composed(
        np.array([node.get("translation", (0.0, 0.0, 0.0))], np.float64),
        np.array([node.get("rotation", (0.0, 0.0, 0.0, 1.0))], np.float64),
        np.array([node.get("scale", (1.0, 1.0, 1.0))], np.float64),
    )[0]


def _instances(file: Document, node: Mapping[str, Any]) -> NDArray[np.float64]:
    """Where a node shows its mesh, k 4 4, below the node's own matrix."""
    extension = node.get("extensions", {}).get("EXT_mesh_gpu_instancing", {})
    named = extension.get("attributes", {})
    given = {
        key: file.accessor(named[key]).astype(np.float64)
        for key in ("TRANSLATION", "ROTATION", "SCALE")
        if key in named
    }
    counts = {len(values) for values in given.values()} or {1}
    if len(counts) > 1:
        raise file.invalid(f"the instances of a node are {' and '.join(map(str, counts))}")
    (k,) = counts
    return _composed(
        given.get("TRANSLATION", np.zeros((k, 3))),
        given.get("ROTATION", np.tile([0.0, 0.0, 0.0, 1.0], (k, 1))),
        given.get("SCALE", np.ones((k, 3))),
    )


def _composed(
    translation: NDArray[np.float64],  # k 3
    rotation: NDArray[np.float64],  # k 4, quaternions (x, y, z, w)
    scale: NDArray[np.float64],  # k 3
) -> NDArray[np.float64]:
    """The matrices k 4 4 of translation x rotation x scale."""
    x, y, z, w = rotation.T
    turns = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrices = np.tile(np.eye(4), (len(scale), 1, 1))
    matrices[:, :3, :3] = turns.transpose(2, 0, 1) * scale[:, None, :]
    matrices[:, :3, 3] = translation
    return matrices
