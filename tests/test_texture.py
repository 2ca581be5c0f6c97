"""Pyramids of textures: means, exact footprints, and pictures without jags."""

import pytest
import torch
from conftest import rng

from dreamlift.cameras import Cameras, orbit
from dreamlift.render.raster import image_points, interpolate_torch, rasterise_torch
from dreamlift.render.texture import footprint, pyramid, trilinear

FLOOR = torch.tensor([[-1.0, -1, 0], [1, -1, 0.1], [1, 1, 0], [-1, 1, -0.1]]).double()
FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])
UV = torch.tensor([[0.0, 0], [1, 0.1], [1, 1], [0.2, 1]]).double()


def test_every_level_has_the_mean_of_the_texture() -> None:
    texture = torch.rand(24, 16, 3, generator=rng(1))
    levels = pyramid(texture)
    assert [tuple(x.shape) for x in levels] == [(24, 16, 3), (12, 8, 3), (6, 4, 3), (3, 2, 3)]
    for level in levels:
        torch.testing.assert_close(level.mean((0, 1)), texture.mean((0, 1)))
    torch.testing.assert_close(levels[1][0, 1], texture[:2, 2:4].mean((0, 1)))


def test_footprints_are_the_derivatives_of_the_coordinates() -> None:
    """Against the coordinates that a camera moved by a small part of a pixel sees."""
    there = orbit(torch.tensor([25.0]), torch.tensor([30.0]))
    cameras = Cameras(there.world_to_camera.double(), there.K.double() * 24 / 64, 24, 24)
    cameras.K[:, 2, 2] = 1
    points = image_points(FLOOR, cameras)
    raster = rasterise_torch(points, FACES, 24, 24)
    found = footprint(UV, points, FACES, raster)
    h = 1e-5
    here = interpolate_torch(UV, FACES, raster)
    for axis in range(2):
        K = cameras.K.clone()
        K[:, axis, 2] -= h  # the picture moves, pixels see what was further on
        moved = Cameras(cameras.world_to_camera, K, 24, 24)
        shifted = rasterise_torch(image_points(FLOOR, moved), FACES, 24, 24)
        same = (shifted.face == raster.face) & (raster.face >= 0)
        change = (interpolate_torch(UV, FACES, shifted) - here) / h
        assert int(same.sum()) > 100
        torch.testing.assert_close(found[..., axis][same], change[same], atol=1e-5, rtol=1e-4)
    assert (found[raster.face < 0] == 0).all()


def test_a_level_is_chosen_by_the_longer_side_of_a_pixel() -> None:
    texture = torch.zeros(64, 32, 3)
    texture[::2, :, 0] = 1.0  # stripes of a texel: grey from the first smaller copy on
    levels = pyramid(texture)
    uv = torch.tensor([[0.3, 1 - 20.5 / 64]]).expand(5, 2)
    sides = torch.tensor([0.1, 1.0, 2.0, 2.0**0.5, 1000.0]) / 64
    reach = torch.zeros(5, 2, 2)
    reach[:, 1, 0] = sides  # v along x
    reach[:, 0, 1] = sides / 10
    seen = trilinear(levels, uv, reach)[:, 0]
    torch.testing.assert_close(seen, torch.tensor([1.0, 1.0, 0.5, 0.75, 0.5]))


@pytest.mark.parametrize("axis", [0, 1])
def test_gradients_reach_texels_and_keep_their_sum(axis: int) -> None:
    texture = torch.rand(16, 16, 3, generator=rng(2)).requires_grad_()
    uv = torch.rand(50, 2, generator=rng(3))
    reach = torch.zeros(50, 2, 2)
    reach[:, axis, axis] = torch.rand(50, generator=rng(4)) * 0.4
    trilinear(pyramid(texture), uv, reach).sum().backward()
    assert texture.grad is not None
    assert texture.grad.sum().item() == pytest.approx(150, rel=1e-5)
