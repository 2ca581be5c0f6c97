"""dreamlift/cameras.py: absolute conventions first, then self-consistency."""

import math

import jaxtyping
import pytest
import torch
from conftest import rng

from dreamlift.cameras import (
    FRAME,
    Cameras,
    look_at,
    orbit,
    spherical,
    turntable,
)

SIZE = 48


def angles(*pairs: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    azimuth, elevation = torch.tensor(pairs, dtype=torch.float64).unbind(1)
    return azimuth, elevation


def pixel(azimuth: float, elevation: float, point: tuple[float, float, float]) -> list[float]:
    """Where a point appears, from the middle of the picture, in units of half its side."""
    cameras = orbit(*angles((azimuth, elevation)), size=SIZE)
    xy, _ = cameras.project(torch.tensor([point], dtype=torch.float64))
    return ((xy[0, 0] - SIZE / 2) / (SIZE / 2)).tolist()


def test_annotations_are_enforced_in_tests() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        spherical(torch.zeros(2, 3), torch.zeros(2, 3))


# Absolute: what stands where in a picture.


@pytest.mark.parametrize(
    ("azimuth", "right"),
    [(0, (0, 1, 0)), (90, (-1, 0, 0)), (180, (0, -1, 0)), (-90, (1, 0, 0))],
)
def test_what_stands_on_the_right(azimuth: float, right: tuple[float, float, float]) -> None:
    """From the front (+x) a point at +y is on the right; an animal seen from +90 faces left."""
    x, y = pixel(azimuth, 0, right)
    assert x == pytest.approx(1 / FRAME)
    assert y == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("azimuth", [0.0, 37.0, 135.0, -90.0])
def test_plus_z_is_on_top(azimuth: float) -> None:
    x, y = pixel(azimuth, 0, (0, 0, 1))
    assert x == pytest.approx(0, abs=1e-9)
    assert y == pytest.approx(-1 / FRAME)


def test_the_camera_stands_where_its_angles_say() -> None:
    front, left, above = spherical(*angles((0, 0), (90, 0), (0, 90)))
    torch.testing.assert_close(front, torch.tensor([1.0, 0, 0], dtype=torch.float64))
    torch.testing.assert_close(left, torch.tensor([0, 1.0, 0], dtype=torch.float64))
    torch.testing.assert_close(above, torch.tensor([0, 0, 1.0], dtype=torch.float64))


def test_nearer_points_have_less_depth() -> None:
    cameras = orbit(*angles((0, 0)), distance=3.0, size=SIZE)
    _, depth = cameras.project(torch.tensor([[1, 0.2, 0.1], [-1, 0, 0]], dtype=torch.float64))
    torch.testing.assert_close(depth, torch.tensor([[2.0, 4.0]], dtype=torch.float64))


def test_the_first_row_looks_up_and_the_first_column_left() -> None:
    _, directions = orbit(*angles((0, 0)), size=SIZE).rays()
    assert directions[0, 0, SIZE // 2, 2] > 0.2
    assert directions[0, SIZE // 2, 0, 1] < -0.2
    assert (directions[..., 0] < 0).all()


def test_pixel_centres_are_at_half() -> None:
    _, directions = orbit(*angles((0, 0)), distance=4.0, size=SIZE).rays()
    d = directions[0, 0, 0]
    half = FRAME / 4.0 * (1 - 1 / SIZE)  # half a pixel inside the edge, at unit depth
    torch.testing.assert_close(-d / d[0], torch.tensor([-1, -half, half], dtype=torch.float64))


# Self-consistency.


def some() -> Cameras:
    u = torch.rand(3, 7, generator=rng(1), dtype=torch.float64)
    return orbit(360 * u[0] - 180, 170 * u[1] - 85, distance=2.5 + 3 * u[2], size=SIZE)


def test_projection_undoes_rays() -> None:
    cameras = some()
    origins, directions = cameras.rays()
    along = 1 + 4 * torch.rand(7, SIZE, SIZE, 1, generator=rng(2), dtype=torch.float64)
    points = origins + along * directions
    ys, xs = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    expected = torch.stack([xs, ys], -1).reshape(-1, 2).double() + 0.5
    for i in range(len(cameras)):
        xy, depth = cameras[i : i + 1].project(points[i].reshape(-1, 3))
        torch.testing.assert_close(xy[0], expected, atol=1e-8, rtol=0)
        assert (depth > 0).all()


def test_rays_are_unit_and_start_at_the_camera() -> None:
    cameras = some()
    origins, directions = cameras.rays()
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(7, SIZE, SIZE).double())
    torch.testing.assert_close(origins[:, 5, 9], cameras.position)


def test_world_to_camera_is_rigid_and_right_handed() -> None:
    R = some().world_to_camera[:, :3, :3]
    torch.testing.assert_close(R @ R.mT, torch.eye(3).double().expand(7, 3, 3))
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(7).double())


def test_angles_and_distance_are_read_back() -> None:
    azimuth, elevation = angles((-170, -80), (-30, 10), (0, 0), (90, 45), (179, 75))
    distance = torch.tensor([1.5, 2, 3, 4, 5], dtype=torch.float64)
    cameras = orbit(azimuth, elevation, distance=distance, size=SIZE)
    torch.testing.assert_close(cameras.azimuth, azimuth)
    torch.testing.assert_close(cameras.elevation, elevation)
    torch.testing.assert_close(cameras.distance, distance)


@pytest.mark.parametrize("distance", [2.0, 3.2, 5.0, 40.0])
def test_small_and_large_look_the_same_from_every_distance(distance: float) -> None:
    """distance x tan(fov / 2) is fixed: the frame at the origin's depth fills the picture."""
    cameras = orbit(*angles((25, 40)), distance=distance, size=SIZE)
    sideways = torch.tensor(
        [[-math.sin(math.radians(25)), math.cos(math.radians(25)), 0]], dtype=torch.float64
    )
    xy, _ = cameras.project(FRAME * sideways)
    torch.testing.assert_close(xy[0, 0], torch.tensor([SIZE, SIZE / 2], dtype=torch.float64))


@pytest.mark.parametrize("elevation", [90.0, -90.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_straight_down_and_up_are_finite(elevation: float, dtype: torch.dtype) -> None:
    cameras = orbit(torch.tensor([0.0], dtype=dtype), torch.tensor([elevation], dtype=dtype))
    assert cameras.world_to_camera.isfinite().all()
    R = cameras.world_to_camera[0, :3, :3]
    torch.testing.assert_close(R @ R.T, torch.eye(3, dtype=dtype), atol=1e-5, rtol=0)
    front, left = torch.eye(3, dtype=dtype)[:2]
    xy, depth = cameras.project(torch.stack([front, left]))
    assert xy[0, 1, 0] > 40  # +y stays on the right
    assert (xy[0, 0, 1] - 32) * elevation > 0  # from above the front is at the bottom
    torch.testing.assert_close(depth, torch.full_like(depth, 4.0), atol=1e-3, rtol=0)


def test_nearly_overhead_agrees_with_overhead() -> None:
    near, over = (orbit(*angles((0, e))).world_to_camera for e in (89.99, 90))
    torch.testing.assert_close(near, over, atol=1e-3, rtol=0)


def test_a_field_of_view_is_vertical_and_in_degrees() -> None:
    position = torch.tensor([[3.0, 4.0, 0.0]])
    cameras = look_at(position, torch.zeros(1, 3), fov_y=torch.tensor([60.0]), size=30)
    edge = torch.tensor([[0.0, 0.0, 5 * math.tan(math.radians(30))]])
    xy, _ = cameras.project(edge)
    torch.testing.assert_close(xy[0, 0], torch.tensor([15.0, 0.0]), atol=1e-4, rtol=0)


def test_a_target_is_seen_in_the_middle() -> None:
    target = torch.tensor([[0.3, -0.2, 0.5]])
    cameras = look_at(torch.tensor([[2.0, 1, 1.5]]), target, fov_y=torch.tensor([50.0]), size=30)
    xy, _ = cameras.project(target)
    torch.testing.assert_close(xy[0, 0], torch.tensor([15.0, 15.0]), atol=1e-4, rtol=0)


def test_resizing_keeps_the_view() -> None:
    cameras = some()
    other = cameras.resized(2 * SIZE, 3 * SIZE)
    points = torch.rand(20, 3, generator=rng(3), dtype=torch.float64) - 0.5
    (xy, depth), (scaled, same) = cameras.project(points), other.project(points)
    torch.testing.assert_close(scaled, xy * torch.tensor([3.0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(same, depth)
    assert other.rays()[0].shape == (7, 2 * SIZE, 3 * SIZE, 3)


def test_cameras_are_picked_by_slice_index_and_mask() -> None:
    cameras = some()
    mask = torch.tensor([False, True, False, False, True, False, False])
    for picked in (cameras[torch.tensor([1, 4])], cameras[mask], cameras[1:5:3]):
        assert len(picked) == 2
        torch.testing.assert_close(picked.position, cameras.position[[1, 4]])


def test_a_turntable_goes_evenly_round() -> None:
    cameras = turntable(5, elevation=15, offset=10)
    expected = torch.tensor([10.0, 82, 154, -134, -62])
    torch.testing.assert_close(cameras.azimuth, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(cameras.elevation, torch.full((5,), 15.0), atol=1e-4, rtol=0)


@pytest.mark.gpu
def test_cameras_stay_on_their_device() -> None:
    azimuth, elevation = (x.float().cuda() for x in angles((10, 20), (30, 40)))
    origins, directions = orbit(azimuth, elevation).rays()
    assert origins.is_cuda and directions.is_cuda


def test_a_window_sees_what_the_picture_sees_there() -> None:
    cameras = orbit(torch.tensor([0.0, 70, 110]), torch.tensor([0.0, 30, 60]), size=12)
    which, row, column = torch.tensor([2, 0]), torch.tensor([3, 7]), torch.tensor([5, 1])
    cut = cameras.windows(which, row, column, height=2, width=4)
    assert isinstance(cut, Cameras) and (cut.height, cut.width) == (2, 4)
    (o, d), (origins, directions) = cut.rays(), cameras.rays()
    for k in range(2):
        here = slice(int(row[k]), int(row[k]) + 2), slice(int(column[k]), int(column[k]) + 4)
        torch.testing.assert_close(d[k], directions[which[k]][here])
        torch.testing.assert_close(o[k], origins[which[k]][here])
