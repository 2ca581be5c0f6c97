"""The mesh inside a field, on tetrahedra: where Magic3D's fine stage begins."""

import torch

from dreamlift.convert.finish import DRAFT
from dreamlift.convert.volume_to_sdf import volume_distances
from dreamlift.scenes.field import Field
from dreamlift.scenes.tetrahedra import Tetrahedra


def mesh_of(field: Field, resolution: int, device: torch.device | str) -> Tetrahedra:
    """The surface in a field, on tetrahedra, with the field's colours; `resolution` cells a side.

    Raises DegenerateError where the field holds no object.
    """
    points = Tetrahedra.points(resolution).to(device)
    cell = float((points[1] - points[0]).norm())
    sdf = volume_distances(field, points, DRAFT) / cell
    return Tetrahedra(sdf, field.dense(), resolution=resolution).to(device)


def empty_mesh(resolution: int) -> Tetrahedra:
    """What the state of a finished `mesh_of` fits into."""
    sdf = torch.ones(len(Tetrahedra.points(resolution)))
    return Tetrahedra(sdf, Field().dense(), resolution=resolution)
