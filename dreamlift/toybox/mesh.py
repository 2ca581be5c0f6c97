"""A toy as a mesh of named parts, by marching cubes of every part's distance."""

import torch
from torch import Tensor

from dreamlift.geometry.isosurface import isosurface
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.primitives import distance, pack
from dreamlift.toybox.compose import Built, Part
from dreamlift.toybox.extent import bounds, support
from dreamlift.toybox.paint import Coat, colour, stacked

SLICE = 1 << 16
"""Points whose distances are computed at once."""
FINEST = 256
"""Samples along a side beyond which a part that no sample lies in is taken to be nothing."""


def mesh(built: Built, coat: Coat, *, resolution: int = 64) -> tuple[Surface, ...]:
    """One surface for each part, coloured at its vertices, with a name of its own.

    `resolution` is the samples along the longest side of a part's box.
    """
    surfaces: list[Surface] = []
    paint = stacked([coat])
    for i, (part, name) in enumerate(zip(built.parts, names(built), strict=True)):
        vertices, faces = _march(part, resolution)
        colors = colour(torch.full((1, len(vertices)), i), vertices[None], paint)[0]
        surfaces.append(Surface(vertices, faces, colors=colors, name=name))
    return tuple(surfaces)


def names(built: Built) -> list[str]:
    """A name for every part, with its thing's noun before it; the second of a name is numbered."""
    seen: dict[str, int] = {}
    named: list[str] = []
    for part in built.parts:
        noun = built.graph.things[part.thing].noun
        name = part.name if part.name == noun else f"{noun} {part.name}"
        seen[name] = seen.get(name, 0) + 1
        named.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return named


def _march(part: Part, n: int) -> tuple[Tensor, Tensor]:
    """Vertices and faces of one part, from a cube of n^3 samples around it, or of more for a sheet
    so thin that it lies between them."""
    low, high = bounds(support([part.solids]))
    centre = torch.from_numpy((low + high) / 2).float()
    half = float((high - low).max()) / 2 * (1 + 3 / n)
    line = torch.linspace(-half, half, n)
    points = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    program = pack([[part.solids]])
    inside = torch.cat(
        [-distance(program, (some + centre)[None])[0][0] for some in points.split(SLICE)]
    )
    if not bool((inside > 0).any()) and 2 * n <= FINEST:
        return _march(part, 2 * n)
    surface = isosurface(inside.reshape(n, n, n), half, level=0.0, least=0.0)
    return surface.vertices + centre, surface.faces
