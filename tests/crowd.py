"""Gaussians and cameras for tests of splatting; no symmetric numbers."""

import torch
from conftest import rng

from dreamlift.cameras import Cameras, orbit
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.geometry.harmonics import count


def crowd(n: int, *, degree: int = 3, seed: int = 0, scale: float = 0.08) -> Gaussians:
    """n Gaussians in a ball, of all orientations, thick and thin, faint and opaque; double."""
    g = rng(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    return Gaussians(
        means=0.4 * normal(n, 3),
        quaternions=normal(n, 4),
        log_scales=0.5 * normal(n, 3) + torch.log(torch.tensor(scale, dtype=torch.float64)),
        opacity_logits=2 * normal(n),
        harmonics=0.3 * normal(n, count(degree), 3),
    )


def oblong(views: int = 2, *, height: int = 40, width: int = 52) -> Cameras:
    """Cameras whose pixels are not square and whose axis is not in the middle."""
    azimuth = torch.linspace(-70, 95, views, dtype=torch.float64)
    cameras = orbit(azimuth, torch.full_like(azimuth, 25.0), distance=3.1, size=height)
    K = cameras.K.clone()
    K[:, 0, 0] *= 1.1
    K[:, 0, 2] += 4.3
    K[:, 1, 2] -= 1.7
    return Cameras(cameras.world_to_camera, K, height, width)


def single(gaussians: Gaussians) -> Gaussians:
    """In single precision."""
    return Gaussians(
        gaussians.means.float(),
        gaussians.quaternions.float(),
        gaussians.log_scales.float(),
        gaussians.opacity_logits.float(),
        gaussians.harmonics.float(),
    )
