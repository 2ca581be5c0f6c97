"""Coloured points of surfaces, spread evenly by area."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dreamlift.geometry.mesh import Surface, area, face_cross
from dreamlift.geometry.texels import sample


@dataclass(frozen=True)
class Points:
    """Points of an object's surface."""

    position: Float[Tensor, "n 3"]  # world units
    normal: Float[Tensor, "n 3"]  # unit, outward
    color: Float[Tensor, "n 3"]  # sRGB in [0, 1]
    part: Int[Tensor, " n"]  # index of the part that each lies on

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, index: Int[Tensor, " k"] | Bool[Tensor, " n"] | slice) -> "Points":
        """Some of the points."""
        return Points(self.position[index], self.normal[index], self.color[index], self.part[index])


def scatter(parts: Sequence[Surface], n: int, rng: torch.Generator) -> Points:
    """n points of the parts' triangles: as many on each square unit, inner surfaces included.

    Normals are those of the triangles. Raises ValueError where no triangle has an area.
    """
    sizes = [area(part.vertices, part.faces).double() for part in parts]
    whole = torch.cat(sizes)
    if not float(whole.sum()) > 0:
        raise ValueError("No triangle has an area, so there is nowhere to put points.")
    # One point in each n-th of the area: evener than n independent draws.
    steps = (torch.arange(n) + torch.rand(n, generator=rng)).double() / max(n, 1)
    edge = whole.cumsum(0)
    face = torch.searchsorted(edge, steps * edge[-1], right=True).clamp_max(len(whole) - 1)
    u, v = torch.rand(2, n, generator=rng)
    u, v = torch.where(u + v > 1, 1 - u, u), torch.where(u + v > 1, 1 - v, v)
    weight = torch.stack([1 - u - v, u, v], -1)
    made: list[Points] = []
    first = 0
    for index, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        here = (face >= first) & (face < first + len(size))
        made.append(_on(part, index, face[here] - first, weight[here]))
        first += len(size)
    return Points(
        torch.cat([p.position for p in made]),
        torch.cat([p.normal for p in made]),
        torch.cat([p.color for p in made]),
        torch.cat([p.part for p in made]),
    )


def _on(part: Surface, index: int, face: Int[Tensor, " n"], weight: Float[Tensor, "n 3"]) -> Points:
    """Points of one part, by their triangles and places in them."""
    corners = part.faces[face]

    def mean(values: Float[Tensor, "v k"]) -> Float[Tensor, "n k"]:
        return (weight[:, :, None] * values[corners]).sum(1)

    position = mean(part.vertices)
    color = torch.ones_like(position) if part.colors is None else mean(part.colors)
    if part.texture is not None and part.uv is not None:
        color = color * sample(part.texture, mean(part.uv))
    cross = face_cross(part.vertices, part.faces)[face]
    normal = torch.nn.functional.normalize(cross, dim=-1, eps=1e-20)
    return Points(position, normal, color, torch.full_like(face, index))
