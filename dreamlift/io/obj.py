"""Wavefront OBJ out: the mesh, its materials (.mtl) and its textures (.png), side by side.

The axes are those of our GLB (+y up, facing +z), which importers expect. Vertex colours follow
the positions (`v x y z r g b`), as most programs read them; those that do not show their mean.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.geometry.mesh import Surface, vertex_normals
from dreamlift.geometry.placement import to_y_up
from dreamlift.io.atomic import atomic
from dreamlift.io.images import save_png


def obj_files(path: Path, parts: Sequence[Surface]) -> tuple[Path, ...]:
    """The files that `write_obj` writes: the mesh, the materials, and the textures there are."""
    textured = [i for i, part in enumerate(parts) if part.texture is not None]
    return (path, path.with_suffix(".mtl"), *[_texture(path, i, len(textured)) for i in textured])


def _texture(path: Path, index: int, count: int) -> Path:
    """`asset.png` where there is one texture, `asset-3.png` for part 3 where there are more."""
    return path.with_suffix(".png") if count == 1 else path.with_name(f"{path.stem}-{index}.png")


def write_obj(path: Path, parts: Sequence[Surface]) -> None:
    """Write the parts of an object (our axes), each an `o` with a material of its own."""
    if not parts or any(len(part.faces) == 0 for part in parts):
        raise ValueError("Every part that is written has at least one triangle.")
    count = sum(part.texture is not None for part in parts)
    materials: list[str] = []
    for i, part in enumerate(parts):
        mean = torch.ones(3) if part.colors is None else part.colors.mean(0)
        shown = " ".join(f"{x:.4g}" for x in mean.tolist())
        materials.append(f"newmtl material{i}\nKa 0 0 0\nKd {shown}\nKs 0 0 0\nNs 0\nillum 1\n")
        if part.texture is not None:
            picture = _texture(path, i, count)
            save_png(picture, part.texture)
            materials.append(f"map_Kd {picture.name}\n")
    with atomic(path.with_suffix(".mtl")) as file:
        file.write_text("".join(materials), encoding="utf-8")
    with atomic(path) as file:
        file.write_text("\n".join(_lines(path, parts)) + "\n", encoding="utf-8")


def _lines(path: Path, parts: Sequence[Surface]) -> Iterator[str]:
    yield f"# dreamlift: +y up, facing +z\nmtllib {path.stem}.mtl"
    vertex, corner = 1, 1  # OBJ counts from one, over all parts; positions and uv apart
    for i, part in enumerate(parts):
        name = " ".join(part.name.split()) or f"part {i}"
        yield f"o {name}\nusemtl material{i}"
        points = to_y_up(part.vertices)
        if part.colors is not None:
            points = torch.cat([points, part.colors], -1)
        yield _rows("v", points)
        if part.uv is not None:
            yield _rows("vt", part.uv)
        normals = part.normals
        if normals is None:
            normals = vertex_normals(part.vertices, part.faces)
        yield _rows("vn", to_y_up(normals))
        for a, b, c in part.faces.tolist():
            yield "f " + " ".join(
                f"{vertex + k}/{corner + k if part.uv is not None else ''}/{vertex + k}"
                for k in (a, b, c)
            )
        vertex += len(part.vertices)
        corner += 0 if part.uv is None else len(part.uv)


def _rows(key: str, values: Float[Tensor, "n k"]) -> str:
    digits = 9 if key == "v" else 6  # a place keeps all that single precision has
    return "\n".join(
        f"{key} " + " ".join(f"{x:.{digits}g}" for x in row) for row in values.tolist()
    )
