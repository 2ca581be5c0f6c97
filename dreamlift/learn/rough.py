"""Pictures as renders of real meshes are: from elsewhere, and a little rough.

A network that scores what others made must not be thrown by what true renders never show: lumpy
surfaces, blotchy paint, soft edges, a slightly wrong size or place, noise, compression. And it must
not share the habits of the pictures that others were trained on: its cameras, lights and
backgrounds come from `Elsewhere`.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.lights import Light, around_camera
from dreamlift.render.trace import Traced
from dreamlift.views import Views


@dataclass(frozen=True)
class Elsewhere(Views):
    """Other cameras, lights and backgrounds than the embedded prior's."""

    elevation: tuple[float, float] = (-15.0, 80.0)
    distance: tuple[float, float] = (2.8, 6.0)
    shares: tuple[float, float, float] = (0.35, 0.35, 0.30)
    ambient: tuple[float, float] = (0.3, 0.85)
    side: int = 96
    """Of the backgrounds that are no plain colour."""

    def light(
        self, cameras: Cameras, rng: torch.Generator, *, textureless: Bool[Tensor, " b"]
    ) -> Light:
        """Point lights two to eight world units away."""
        position = around_camera(cameras.position, rng, near=2.0, far=8.0)
        low, high = self.ambient
        u = torch.rand(len(cameras), generator=rng, device=rng.device)
        ambient = low + (high - low) * u
        return Light(position, ambient, 1.05 - ambient, textureless)

    def backgrounds(self, n: int, rng: torch.Generator) -> Float[Tensor, "n side side 3"]:
        """sRGB: half of them plain, the rest gradients, clouds or grain."""
        plain = Views.backgrounds(self, n, rng).expand(n, self.side, self.side, 3)
        other = torch.rand(n, 1, 1, 3, generator=rng)
        turn = 2 * math.pi * torch.rand(n, 1, 1, 1, generator=rng)
        y, x = torch.meshgrid(*[torch.linspace(-1, 1, self.side)] * 2, indexing="ij")
        ramp = turn.cos() * x[..., None] + turn.sin() * y[..., None]
        gradient = plain + (0.5 + 0.5 * ramp).clamp(0, 1) * (other - plain)
        share = clouds(n, rng, side=self.side, knots=5)[..., None].clamp(-1, 1) * 0.5 + 0.5
        cloudy = plain + share * (other - plain)
        grain = plain + 0.15 * torch.randn(n, self.side, self.side, 3, generator=rng)
        kind = torch.rand(n, 1, 1, 1, generator=rng)
        made = torch.where(kind < 0.5, plain, torch.where(kind < 0.7, gradient, cloudy))
        return torch.where(kind > 0.9, grain, made).clamp(0, 1)


def clouds(n: int, rng: torch.Generator, *, side: int, knots: int) -> Float[Tensor, "n side side"]:
    """Smooth noise of mean 0 and about unit deviation at its knots."""
    coarse = torch.randn(n, 1, knots, knots, generator=rng)
    return F.interpolate(coarse, (side, side), mode="bicubic", align_corners=True)[:, 0]


def lumpy(traced: Traced, rng: torch.Generator, *, share: float = 0.5) -> Traced:
    """Normals bent by smooth noise, in that share of the pictures: surfaces of no perfect solid."""
    n, side = traced.depth.shape[:2]
    amount = 0.35 * torch.rand(n, 1, 1, 1, generator=rng)
    amount = amount * (torch.rand(n, 1, 1, 1, generator=rng) < share)
    bend = torch.stack([clouds(n, rng, side=side, knots=16) for _ in range(3)], -1)
    bent = traced.normal + (amount * bend).to(traced.normal.device)
    return replace(traced, normal=F.normalize(bent, dim=-1))


def _some(n: int, share: float, most: float, rng: torch.Generator) -> Float[Tensor, "n 1 1 1"]:
    """Amounts uniform up to `most` in that share of the pictures, else 0."""
    u = torch.rand(2, n, 1, 1, 1, generator=rng)
    return (u[0] < share) * most * u[1]


def rough(x: Float[Tensor, "b c 64 64"], rng: torch.Generator) -> Float[Tensor, "b c 64 64"]:
    """Pictures (sRGB in [0, 1]) moved, melted, blotched, blurred, compressed and noised; not all.

    Channels behind the first three are masks, which only move along.
    """
    n = len(x)
    spared = (torch.rand(n, 1, 1, 1, generator=rng) < 0.35).to(x.device)
    moved = _moved(x, rng)
    y = moved[:, :3]
    blotches = torch.stack([clouds(n, rng, side=64, knots=9) for _ in range(3)], 1)
    one = clouds(n, rng, side=64, knots=9)[:, None]
    y = y * (1 + _some(n, 0.5, 0.2, rng).to(y) * one.to(y))
    y = y + _some(n, 0.4, 0.1, rng).to(y) * blotches.to(y)
    y = _toned(y, rng)
    soft = F.avg_pool2d(F.pad(y, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    y = y + _some(n, 0.5, 1.0, rng).to(y) * (soft - y)
    y = _compressed(y, rng)
    y = y + _some(n, 0.4, 0.05, rng).to(y) * torch.randn(y.shape, generator=rng).to(y)
    return torch.where(spared, x, torch.cat([y.clamp(0, 1), moved[:, 3:]], 1))


def _moved(x: Float[Tensor, "b c 64 64"], rng: torch.Generator) -> Float[Tensor, "b c 64 64"]:
    """Shifted up to 4 pixels, scaled by up to 8 %, tilted up to 4 degrees, outlines melted."""
    n = len(x)
    u = 2 * torch.rand(4, n, generator=rng) - 1
    scale, angle = 1 + 0.08 * u[0], math.radians(4) * u[1]
    rows = torch.stack(
        [
            torch.stack([scale * angle.cos(), -scale * angle.sin(), u[2] / 8], -1),
            torch.stack([scale * angle.sin(), scale * angle.cos(), u[3] / 8], -1),
        ],
        1,
    )
    grid = F.affine_grid(rows, [n, 1, 64, 64], align_corners=False)
    melt = torch.stack([clouds(n, rng, side=64, knots=12) for _ in range(2)], -1)
    grid = grid + _some(n, 0.5, 0.05, rng) * melt
    return F.grid_sample(x, grid.to(x), padding_mode="border", align_corners=False)


def _toned(x: Float[Tensor, "b 3 64 64"], rng: torch.Generator) -> Float[Tensor, "b 3 64 64"]:
    """Saturation, gain, tint and gamma changed a little, in about half of the pictures."""
    n = len(x)
    u = (2 * torch.rand(6, n, 1, 1, 1, generator=rng) - 1).to(x)
    u = u * (torch.rand(n, 1, 1, 1, generator=rng) < 0.6).to(x)
    grey = x.mean(1, keepdim=True)
    y = grey + (1 + 0.25 * u[0]) * (x - grey)
    tint = 1 + 0.05 * torch.cat([u[3], u[4], u[5]], 1)
    y = (1 + 0.15 * u[1]) * tint * y
    return y.clamp(1e-3, 1) ** (1 + 0.2 * u[2])


def _cosines() -> Float[Tensor, "8 8"]:
    """The orthonormal cosine transform of length 8."""
    k, i = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    rows = torch.cos(math.pi * (i + 0.5) * k / 8) / 2
    rows[0] /= math.sqrt(2)
    return rows


def _compressed(x: Float[Tensor, "b 3 64 64"], rng: torch.Generator) -> Float[Tensor, "b 3 64 64"]:
    """Blocks of 8x8 cosines rounded, high ones more coarsely, in two fifths of the pictures."""
    n = len(x)
    c = _cosines().to(x)
    blocks = x.unflatten(3, (8, 8)).unflatten(2, (8, 8)).transpose(3, 4)
    spectrum = c @ blocks @ c.T
    high = torch.arange(8.0)[:, None] + torch.arange(8.0)
    amount = _some(n, 0.4, 1.0, rng)[..., None, None]
    step = (amount * (0.03 + 0.04 * high) + 1e-4).to(x)
    rounded = (spectrum / step).round() * step
    return (c.T @ rounded @ c).transpose(3, 4).flatten(4, 5).flatten(2, 3)
