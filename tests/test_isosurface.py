"""Isosurfaces: closed forms on balls, what is kept and dropped, and what is no object."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dreamlift.geometry.isosurface import DegenerateError, Isosurface, grid_points, isosurface
from dreamlift.geometry.levels import otsu_level, outlined, silhouette_level, soften
from dreamlift.geometry.mesh import area, face_cross, volumes
from dreamlift.geometry.pieces import components, euler_characteristic, is_closed
from dreamlift.geometry.simplify import simplify

BOUNDS, SIDE = 1.25, 64
CELL = 2 * BOUNDS / (SIDE - 1)
CENTRE = torch.tensor([0.12, -0.2, 0.07])


def grid(density: Callable[[Tensor], Tensor]) -> Tensor:
    return density(grid_points(SIDE, BOUNDS)).reshape(SIDE, SIDE, SIDE)


def ball(centre: Tensor, radius: float, density: float = 40.0) -> Tensor:
    """A ball with a wall two cells thick."""
    return grid(
        lambda p: density * ((radius - (p - centre).norm(dim=-1)) / (2 * CELL) + 0.5).clamp(0, 1)
    )


def volume(cut: Isosurface) -> float:
    return float(volumes(cut.vertices, cut.faces).sum())


def test_a_ball_has_its_area_its_volume_and_no_hole():
    cut = isosurface(ball(CENTRE, 0.7), BOUNDS, level=20.0)
    assert float(area(cut.vertices, cut.faces).sum()) == pytest.approx(4 * math.pi * 0.49, rel=0.01)
    assert volume(cut) == pytest.approx(4 / 3 * math.pi * 0.343, rel=0.01)
    assert is_closed(cut.faces)
    assert euler_characteristic(cut.faces) == 2
    assert cut.kept == 1 and cut.dropped == 0 and cut.cavities == 0
    torch.testing.assert_close(cut.vertices.mean(0), CENTRE, atol=0.01, rtol=0)


def test_every_face_of_a_ball_looks_outward():
    cut = isosurface(ball(CENTRE, 0.7), BOUNDS, level=20.0)
    middle = cut.vertices[cut.faces].mean(1) - CENTRE
    outward = (face_cross(cut.vertices, cut.faces) * middle).sum(-1)
    assert bool((outward > 0).all())


def test_a_ring_keeps_its_hole():
    def ring(p: Tensor) -> Tensor:
        around = p[:, :2].norm(dim=-1) - 0.7
        return 30.0 * ((0.2 - torch.hypot(around, p[:, 2] - 0.1)) / CELL + 0.5).clamp(0, 1)

    cut = outlined(grid(ring), BOUNDS)
    assert euler_characteristic(cut.faces) == 0 and is_closed(cut.faces)


def test_two_balls_are_two_pieces():
    small = ball(torch.tensor([0.8, 0.5, 0.6]), 0.25)
    cut = outlined(ball(torch.tensor([-0.3, 0.0, -0.1]), 0.6).maximum(small), BOUNDS)
    assert cut.kept == 2 and cut.dropped == 0
    assert euler_characteristic(cut.faces) == 4
    assert int(components(cut.faces, len(cut.vertices)).max()) == 1


def test_a_speck_is_dropped_and_reported():
    speck = ball(torch.tensor([0.9, 0.6, 0.6]), 0.1)
    cut = isosurface(ball(torch.tensor([-0.3, 0.0, -0.1]), 0.6).maximum(speck), BOUNDS, level=20.0)
    assert cut.kept == 1 and cut.dropped == 1
    assert cut.dropped_share == pytest.approx((0.1 / 0.6) ** 3, rel=0.3)
    assert euler_characteristic(cut.faces) == 2


def test_a_hollow_is_filled():
    hollow = ball(CENTRE, 0.8) - ball(CENTRE, 0.4)
    cut = isosurface(hollow, BOUNDS, level=20.0)
    assert cut.cavities == 1 and euler_characteristic(cut.faces) == 2
    assert volume(cut) == pytest.approx(4 / 3 * math.pi * 0.512, rel=0.02)


def test_a_solid_that_leaves_the_box_is_closed_at_its_side():
    cut = outlined(ball(torch.tensor([1.1, 0.0, 0.2]), 0.7), BOUNDS)
    assert is_closed(cut.faces) and euler_characteristic(cut.faces) == 2
    assert float(cut.vertices[:, 0].max()) == pytest.approx(BOUNDS, abs=CELL)


def test_a_sharp_ball_is_cut_halfway_whatever_its_density():
    for density in (8.0, 500.0):
        sharp = grid(lambda p, d=density: d * ((p - CENTRE).norm(dim=-1) < 0.7))
        assert silhouette_level(sharp, CELL) == pytest.approx(density / 2)
        cut = outlined(sharp, BOUNDS)
        assert volume(cut) == pytest.approx(4 / 3 * math.pi * 0.343, rel=0.02)


def test_the_level_gives_a_soft_ball_the_outline_of_its_picture():
    """A Gaussian of density has, by integration, a disc of half opacity of a known radius."""
    peak, std = 20.0, 0.25
    soft = grid(lambda p: peak * (-0.5 * ((p - CENTRE) / std).square().sum(-1)).exp())
    through = peak * std * math.sqrt(2 * math.pi)  # optical depth along a ray through the middle
    radius = std * math.sqrt(2 * math.log(through / math.log(2)))
    cut = outlined(soft, BOUNDS)
    assert float((cut.vertices - CENTRE).norm(dim=-1).mean()) == pytest.approx(radius, abs=0.01)


def test_faint_haze_does_not_move_the_level():
    solid = ball(CENTRE, 0.6)
    clear, hazy = outlined(solid, BOUNDS), outlined(solid + 0.15, BOUNDS)
    assert volume(hazy) == pytest.approx(volume(clear), rel=0.05)


def test_an_object_in_fog_is_found_by_the_histogram():
    """From outside there is only fog; the histogram still has two classes."""
    cut = outlined(ball(CENTRE, 0.7) + 2.0, BOUNDS)
    assert cut.kept == 1
    assert volume(cut) == pytest.approx(4 / 3 * math.pi * 0.343, rel=0.15)


def test_otsu_splits_two_classes_between_them():
    two = grid(lambda p: torch.where(p[:, 0] > 0.2, 30.0, 1.0))
    assert 1.0 < otsu_level(two, CELL) < 30.0


@pytest.mark.parametrize(
    ("density", "said"),
    [
        (torch.zeros(SIDE, SIDE, SIDE), "empty.*0 % opaque"),
        (torch.full((SIDE, SIDE, SIDE), 0.05), "empty.*density is 0.05 to 0.05"),
        (torch.full((SIDE, SIDE, SIDE), 50.0), "fog fills 100 %"),
        (torch.full((SIDE, SIDE, SIDE), math.nan), "NaN"),
    ],
)
def test_what_is_no_object_is_refused_with_its_looks(density: Tensor, said: str):
    with pytest.raises(DegenerateError, match=f"degenerate object: .*{said}"):
        outlined(density, BOUNDS)


def test_nothing_above_a_given_level_is_refused():
    with pytest.raises(DegenerateError, match="empty at level 50"):
        isosurface(ball(CENTRE, 0.7), BOUNDS, level=50.0)


def test_a_single_voxel_is_no_object():
    lonely = torch.zeros(SIDE, SIDE, SIDE)
    lonely[20, 30, 40] = 1e3
    with pytest.raises(DegenerateError, match="specks"):
        isosurface(lonely, BOUNDS, level=500.0)


def test_thin_density_is_told_from_thick():
    thick = outlined(ball(CENTRE, 0.7), BOUNDS)
    thin = outlined(ball(CENTRE, 0.7, density=1.5), BOUNDS)
    assert thick.reach == pytest.approx(math.log(2) / 40, rel=0.01)
    assert thin.reach == pytest.approx(math.log(2) / 1.5, rel=0.01)


def test_simplifying_keeps_volume_and_closedness():
    cut = outlined(ball(CENTRE, 0.7), BOUNDS)
    vertices, faces = simplify(cut.vertices, cut.faces, 800)
    assert 700 < len(faces) <= 800
    assert is_closed(faces) and euler_characteristic(faces) == 2
    assert float(volumes(vertices, faces).sum()) == pytest.approx(volume(cut), rel=0.01)
    assert simplify(vertices, faces, 800)[1] is faces


# -- softening ----------------------------------------------------------------------------------


def test_a_wall_softens_to_the_gaussian_integral():
    """The opacity of a step, blurred, is Phi(x / width); at the step itself it stays one half."""
    points = grid_points(SIDE, BOUNDS)
    wall = (1e3 * (points[:, 1] > 0)).reshape(SIDE, SIDE, SIDE)
    soft = soften(wall, CELL, 0.1)
    opacity = 1 - (-0.08 * soft).exp()
    inside = opacity[20:44, :, 20:44]  # where the sides of the box are too far away to be felt
    y = torch.linspace(-BOUNDS, BOUNDS, SIDE)
    expected = 0.5 * (1 + torch.erf(y / (0.1 * math.sqrt(2))))
    torch.testing.assert_close(inside[3, 10:54, 5], expected[10:54], atol=0.01, rtol=0)
    torch.testing.assert_close(inside, inside[:1, :, :1].expand_as(inside))


def test_no_width_changes_nothing_and_density_outside_the_box_is_none():
    dense = ball(CENTRE, 0.7)
    assert soften(dense, CELL, 0.0) is dense
    full = soften(torch.full((SIDE, SIDE, SIDE), 50.0), CELL, 0.06)
    assert float(full[0, 0, 0]) < 0.3 * float(full[32, 32, 32])


def test_grain_goes_and_a_ball_keeps_its_volume():
    """A thin ball whose density varies by 70 % from sample to sample is pitted, or whole."""
    noise = torch.randn(SIDE, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    grainy = ball(CENTRE, 0.7, density=5.0) * (1 + 0.7 * noise).clamp_min(0)
    pitted, whole = (outlined(grainy, BOUNDS, smooth=width) for width in (0.0, 0.05))
    ideal = 4 * math.pi * 0.49
    assert float(area(pitted.vertices, pitted.faces).sum()) > 1.5 * ideal
    assert float(area(whole.vertices, whole.faces).sum()) == pytest.approx(ideal, rel=0.04)
    assert volume(whole) == pytest.approx(4 / 3 * math.pi * 0.343, rel=0.04)
    assert whole.dropped == 0 and whole.kept == 1
    dense, same = (outlined(ball(CENTRE, 0.7), BOUNDS, smooth=width) for width in (0.0, 0.05))
    assert volume(same) == pytest.approx(volume(dense), rel=0.02)
