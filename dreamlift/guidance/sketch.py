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
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface
from dreamlift.render.distance import signed_distance

DELTA = 0.2
"""World units of matter that an opacity is asked of."""
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

    def like(self, other: "Sketch") -> bool:
        """Whether both say the same, but for a thousandth of the places and rounding."""
        if len(self.points) != len(other.points):
            return False
        turned = float((self.inside != other.inside).float().mean())
        return turned < 1e-3 and torch.allclose(self.weight, other.weight, atol=0.01)

    def keep(self, path: Path) -> None:
        """Write it, for `kept`."""
        save_file({"points": self.points, "inside": self.inside, "weight": self.weight}, path)

    @staticmethod
    def kept(path: Path) -> "Sketch":
        """What `keep` wrote. Raises BadInput where it is not there, or damaged."""
        try:
            return Sketch(**load_file(path))
        except (OSError, SafetensorError, TypeError) as error:
            raise BadInput(
                f"{path} does not hold the run's sketch ({error}). It is kept when a run begins: "
                "begin in another folder, by `dreamlift generate` or `dreamlift.api.make`."
            ) from error

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
