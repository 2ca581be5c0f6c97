"""The one distribution of shots is what it says."""

import pytest
import torch
from conftest import rng

from dreamlift.cameras import FRAME
from dreamlift.errors import BadInput
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.views import OVERHEAD, Views, direction


@pytest.mark.parametrize(
    ("azimuth", "elevation", "word"),
    [
        (0, 15, "front"),
        (44.9, 0, "front"),
        (-44.9, 59, "front"),
        (46, 0, "left side"),
        (134, 10, "left side"),
        (-46, 0, "right side"),
        (-100, -10, "right side"),
        (260, 0, "right side"),
        (136, 0, "back"),
        (-179, 20, "back"),
        (540, 0, "back"),
        (0, OVERHEAD + 0.1, "overhead"),
        (170, 75, "overhead"),
    ],
)
def test_a_view_is_called_by_its_side(azimuth: float, elevation: float, word: str) -> None:
    assert direction(azimuth, elevation) == word


def test_cameras_fill_their_ranges_and_hold_the_frame() -> None:
    views = Views()
    cameras = views.cameras(2000, rng(1), size=48)
    assert (cameras.height, cameras.width) == (48, 48)
    for value, (low, high) in (
        (cameras.azimuth, (-180.0, 180.0)),
        (cameras.elevation, views.elevation),
        (cameras.distance, views.distance),
    ):
        assert value.min() >= low - 1e-3 and value.max() <= high + 1e-3
        u = ((value - low) / (high - low)).sort().values
        assert (u - torch.linspace(0, 1, 2000)).abs().max() < 0.05
    focal = cameras.K[:, 0, 0]
    half = cameras.distance * (48 / 2) / focal
    torch.testing.assert_close(half, torch.full_like(half, FRAME), rtol=1e-4, atol=1e-4)


def test_shading_modes_come_in_their_shares() -> None:
    views, draws = Views(), rng(2)
    modes = [views.shading(draws) for _ in range(3000)]
    for mode, share in zip(("albedo", "lit", "textureless"), views.shares, strict=True):
        assert modes.count(mode) / 3000 == pytest.approx(share, abs=0.03)
    assert sum(views.shares) == pytest.approx(1)


@pytest.mark.parametrize("shares", [(1.0, 1.0, 1.0), (1.2, -0.2, 0.0), (0.0, 0.0, 0.0)])
def test_what_are_no_shares_is_refused_before_a_run(shares: tuple[float, float, float]) -> None:
    with pytest.raises(BadInput, match="sum to 1"):
        DreamFusion("a cone", shares=shares)


def test_a_quarter_of_the_backgrounds_is_near_white() -> None:
    colours = Views().backgrounds(4000, rng(3))[:, 0, 0]
    assert colours.min() >= 0 and colours.max() <= 1
    white = (colours > 0.9).all(-1).float().mean()
    assert float(white) == pytest.approx(0.25 + 0.75 * 0.001, abs=0.03)


def test_a_surface_that_faces_the_light_shows_its_albedo() -> None:
    views = Views()
    cameras = views.cameras(500, rng(4))
    light = views.light(cameras, rng(5), textureless=torch.zeros(500, dtype=torch.bool))
    torch.testing.assert_close(light.ambient + light.diffuse, torch.ones(500))
    assert light.ambient.min() >= views.ambient[0] and light.ambient.max() <= views.ambient[1]


@pytest.mark.parametrize("shading", ["albedo", "lit", "textureless"])
def test_a_shot_is_drawn_from_the_generator_alone(shading: str) -> None:
    one, same, other = (Views().draw(3, rng(s), shading=shading) for s in (6, 6, 7))
    assert torch.equal(one.cameras.world_to_camera, same.cameras.world_to_camera)
    assert one.background is not None and same.background is not None
    assert torch.equal(one.background, same.background)
    assert not torch.equal(one.cameras.world_to_camera, other.cameras.world_to_camera)
    assert (one.light is None) == (shading == "albedo")
    if one.light is not None:
        assert bool(one.light.textureless.all()) == (shading == "textureless")
