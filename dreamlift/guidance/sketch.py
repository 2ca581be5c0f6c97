"""Sketch-Shape: a coarse mesh says roughly where an object is (Latent-NeRF, arXiv:2211.07600).

Far from the sketch's surface a field is held to what the sketch has there, matter or nothing; near
it the field is free. At a point p, d from the surface,

    L(p) = (1 - exp(-d^2 / (2 s^2))) CE(1 - exp(-delta sigma(p)), whether p is inside).

The paper sums over the samples of a picture's rays; here it is a mean over points of the ball, so
that its weight does not depend on how many there are.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.placement import fitted
from dreamlift.io.meshes import read_mesh
from dreamlift.render.distance import signed_distance

DELTA = 0.2
"""World units of matter that an opacity is asked of."""
RADIUS = 0.9
"""World units: sketches are made to fit into this ball."""
REACH = 1.1
"""World units: half the side of the cube of points that are asked about."""
FAINTEST = 1e-30
"""Optical depth that float32's logarithm and its slope can still be asked of."""
DRAWN = 8192
"""Points that a step asks about."""


def off(
    density: Float[Tensor, " n"], inside: Bool[Tensor, " n"], *, delta: float = DELTA
) -> Float[Tensor, " n"]:
    """Cross entropy of the opacity of `delta` world units against in (1) or out (0).

    -ln(1 - exp(-delta sigma)) inside, delta sigma outside; finite where there is no density.
    However little there is, its logarithm is pulled up with a slope of 1: holes are filled.
    """
    optical = delta * density
    return torch.where(inside, -(-(-optical.clamp_min(FAINTEST)).expm1()).log(), optical)


@dataclass(frozen=True)
class Sketch:
    """Points, whether they are inside of the sketch, and how much each of them counts."""

    points: Float[Tensor, "n 3"]  # world units
    inside: Bool[Tensor, " n"]
    weight: Float[Tensor, " n"]  # 1 - exp(-d^2 / (2 s^2)), in [0, 1)

    @staticmethod
    def of(parts: Sequence[Surface], *, proximal: float = 0.3, side: int = 49) -> "Sketch":
        """Of a mesh as it lies; `proximal` is s, world units; `side`^3 points fill a cube."""
        line = torch.linspace(-REACH, REACH, side)
        points = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).flatten(0, 2)
        first = [sum(len(part.vertices) for part in parts[:i]) for i in range(len(parts))]
        vertices = torch.cat([part.vertices for part in parts])
        faces = torch.cat([part.faces + n for part, n in zip(parts, first, strict=True)])
        distance = signed_distance(points, vertices, faces)
        weight = -(-distance.square() / (2 * proximal**2)).expm1()
        return Sketch(points, distance < 0, weight)

    @staticmethod
    def read(path: Path, *, proximal: float = 0.3) -> "Sketch":
        """Of any mesh file, moved and scaled into the ball of radius .9; glTF and OBJ stand +y up
        and face +z, all others +z up.

        Raises BadInput where it cannot be read or has no inside.
        """
        up = "y" if path.suffix.lower() in (".glb", ".gltf", ".obj") else "z"
        sketch = Sketch.of(fitted(read_mesh(path, up=up), radius=RADIUS), proximal=proximal)
        if not bool(sketch.inside.any()):
            raise BadInput(
                f"{path.name} encloses nothing, so that it says of no place whether it is inside. "
                "Give a closed mesh."
            )
        return sketch

    def to(self, device: torch.device | str) -> "Sketch":
        """The same, there."""
        return Sketch(self.points.to(device), self.inside.to(device), self.weight.to(device))

    def loss(
        self,
        density: Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]],
        rng: torch.Generator,
    ) -> Float[Tensor, ""]:
        """How far a density is from the sketch: the mean of L over points drawn by `rng`."""
        which = torch.randint(len(self.points), (DRAWN,), generator=rng, device=rng.device)
        which = which.to(self.points.device)
        loss = off(density(self.points[which]), self.inside[which])
        return (self.weight[which] * loss).mean()

    def likeness(
        self, density: Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]
    ) -> Float[Tensor, ""]:
        """Intersection over union of the sketch and where `delta` world units stop half a ray."""
        with torch.no_grad():
            full = DELTA * density(self.points) > math.log(2)
            return (full & self.inside).sum() / (full | self.inside).sum()
