"""The one distribution of shots p(c): cameras, lights, shading and backgrounds.

The embedded models are trained on it and recipes render from it, so that a picture of an
unfinished object is a picture of the kind the prior has seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamlift.cameras import Cameras, orbit
from dreamlift.errors import BadInput
from dreamlift.lights import Light, around_camera
from dreamlift.scene import Shot
from dreamlift.step import Step

Shading: TypeAlias = Literal["albedo", "lit", "textureless"]
Direction: TypeAlias = Literal["front", "left side", "right side", "back", "overhead"]

OVERHEAD = 60.0
"""Degrees of elevation above which a view is called overhead (DreamFusion, Sec. 3.1)."""


def direction(azimuth: float, elevation: float) -> Direction:
    """The word for a view; degrees. At azimuth +90 one sees the object's left side."""
    if elevation > OVERHEAD:
        return "overhead"
    azimuth = (azimuth + 180) % 360 - 180
    if abs(azimuth) <= 45:
        return "front"
    if abs(azimuth) >= 135:
        return "back"
    return "left side" if azimuth > 0 else "right side"


@dataclass(frozen=True)
class Views:
    """Cameras on the default orbit (distance x field of view fixed), a light, a background."""

    elevation: tuple[float, float] = (-10.0, 75.0)
    """Degrees; uniform."""
    distance: tuple[float, float] = (3.2, 5.0)
    """World units; uniform. Only perspective changes with it (see cameras.orbit)."""
    shares: tuple[float, float, float] = (0.35, 0.45, 0.20)
    """Of albedo, lit and textureless pictures."""
    ambient: tuple[float, float] = (0.35, 0.65)
    """Uniform; the diffuse part is the rest: a surface that faces the light shows its albedo."""
    near_white: float = 0.25
    """Share of backgrounds in [.9, 1]; the rest is a plain colour, uniform in the cube."""
    together: int = 1
    """Consecutive cameras that stand evenly around the object, at one elevation and distance and
    before one background: 4 for priors that denoise four views together."""

    def __post_init__(self) -> None:
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6:
            given = " ".join(f"{share:g}" for share in self.shares)
            raise BadInput(
                "The shares of pictures without light, lit and textureless are at least 0 and sum "
                f"to 1, as 0.35 0.45 0.2 do; {given} were given."
            )

    def cameras(self, n: int, rng: torch.Generator, *, size: int = 64) -> Cameras:
        """n cameras, anywhere around; a multiple of `together`. Raises BadInput."""
        if n % self.together:
            raise BadInput(
                f"Cameras stand around the object in groups of {self.together} here; {n} are no "
                f"multiple of that. Say --batch {self.together}."
            )
        each = self.together
        u = torch.rand(3, n // each, generator=rng, device=rng.device).repeat_interleave(each, 1)
        turn = 360 / each * (torch.arange(n, device=rng.device) % each)
        low, high = self.elevation
        near, far = self.distance
        return orbit(
            360 * u[0] - 180 + turn,
            low + (high - low) * u[1],
            distance=near + (far - near) * u[2],
            size=size,
        )

    def shading(self, rng: torch.Generator) -> Shading:
        """One shading mode, by the shares."""
        u = float(torch.rand((), generator=rng, device=rng.device))
        albedo, lit, _ = self.shares
        return "albedo" if u < albedo else "lit" if u < albedo + lit else "textureless"

    def light(
        self, cameras: Cameras, rng: torch.Generator, *, textureless: Bool[Tensor, " b"]
    ) -> Light:
        """A point light for each camera, around it."""
        position = around_camera(cameras.position, rng)
        low, high = self.ambient
        u = torch.rand(len(cameras), generator=rng, device=rng.device)
        ambient = low + (high - low) * u
        return Light(position, ambient, 1 - ambient, textureless)

    def backgrounds(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 1 1 3"]:
        """Plain colours, sRGB; the same for a group."""
        groups = n // self.together
        colour = torch.rand(groups, 1, 1, 3, generator=rng, device=rng.device)
        white = torch.rand(groups, 1, 1, 1, generator=rng, device=rng.device) < self.near_white
        plain = torch.where(white, 0.9 + 0.1 * colour, colour)
        return plain.repeat_interleave(self.together, 0)

    def draw(
        self, n: int, rng: torch.Generator, *, shading: Shading = "albedo", size: int = 64
    ) -> Shot:
        """n shots that share one shading mode (albedo needs no light, and no normals)."""
        cameras = self.cameras(n, rng, size=size)
        blank = torch.full((n,), shading == "textureless", device=rng.device)
        light = None if shading == "albedo" else self.light(cameras, rng, textureless=blank)
        return Shot(cameras, light, self.backgrounds(n, rng))

    def course(
        self, n: int, *, size: int = 64, albedo_first: float = 0.0
    ) -> Callable[[Step], Shot]:
        """What a stage draws: n shots a step, in the first share of its steps all without light."""

        def shots(step: Step) -> Shot:
            early = step.progress < albedo_first
            shading = "albedo" if early else self.shading(step.rng)
            return self.draw(n, step.rng, shading=shading, size=size)

        return shots
