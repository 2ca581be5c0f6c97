"""Pictures of finished things, for people: a turntable, a contact sheet, a way past cameras."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras, orbit
from dreamlift.io.images import contact_sheet
from dreamlift.lights import Light
from dreamlift.scene import Shot
from dreamlift.scenes.gaussians import Cloud
from dreamlift.scenes.mesh import Mesh

BACKGROUND = 0.85
"""Grey, on which white and black objects both show."""


def key_light(cameras: Cameras) -> Light:
    """A light above each camera's left shoulder, and as much again from everywhere."""
    right, down = cameras.world_to_camera[:, 0, :3], cameras.world_to_camera[:, 1, :3]
    half = torch.full((len(cameras),), 0.5, device=right.device)
    return Light(cameras.position - 1.5 * right - 2 * down, half, half, half < 0)


@torch.no_grad()
def pictures(scene: Mesh | Cloud, cameras: Cameras) -> Iterator[Float[Tensor, "h w 3"]]:
    """Pictures on grey, a few cameras at a time; lit, unless a scene has a light of its own."""
    own = isinstance(scene, Cloud) or scene.sh is not None
    for start in range(0, len(cameras), 4):
        here = cameras[slice(start, start + 4)]
        view = scene.render(Shot(here, None if own else key_light(here)))
        yield from view.over(torch.full((1, 1, 1, 3), BACKGROUND)).clamp(0, 1)


def film(scene: Mesh | Cloud, frames: int, size: int) -> Iterator[Float[Tensor, "h w 3"]]:
    """Once around, from 20 degrees above."""
    azimuth = torch.arange(frames) * (360.0 / frames)
    yield from pictures(scene, orbit(azimuth, torch.full_like(azimuth, 20.0), size=size))


def sheet(scene: Mesh | Cloud, size: int) -> Float[Tensor, "y x 3"]:
    """Six sides, from 15 and from 45 degrees above."""
    azimuth = torch.arange(6) * 60.0
    elevation = torch.tensor([15.0, 45.0]).repeat_interleave(6)
    views = list(pictures(scene, orbit(azimuth.repeat(2), elevation, size=size)))
    labels = [
        f"azimuth {a:.0f}, elevation {e:.0f}"
        for a, e in zip(azimuth.repeat(2).tolist(), elevation.tolist(), strict=True)
    ]
    return contact_sheet(torch.stack(views), columns=6, labels=labels)


def tour(cameras: Cameras, frames: int) -> Cameras:
    """`frames` cameras on the way from the first of `cameras` to the last, past all in between.

    Places and lenses go along straight lines; rotations are the nearest to those of their mean.
    """
    along = torch.linspace(0, len(cameras) - 1, frames, device=cameras.K.device).to(cameras.K)
    start = along.long().clamp(max=max(len(cameras) - 2, 0))
    end = (start + 1).clamp(max=len(cameras) - 1)
    f = (along - start)[:, None]
    position = cameras.position[start] * (1 - f) + cameras.position[end] * f
    f = f[..., None]
    R = cameras.world_to_camera[:, :3, :3]
    u, _, vh = torch.linalg.svd(R[start] * (1 - f) + R[end] * f)
    u[..., -1] *= torch.linalg.det(u @ vh)[:, None]
    world_to_camera = cameras.world_to_camera[start].clone()
    world_to_camera[:, :3, :3] = u @ vh
    world_to_camera[:, :3, 3] = -torch.einsum("bij,bj->bi", u @ vh, position)
    K = cameras.K[start] * (1 - f) + cameras.K[end] * f
    return Cameras(world_to_camera, K, cameras.height, cameras.width)
