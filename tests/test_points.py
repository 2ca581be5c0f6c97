"""geometry/points.py and io/ply.py: points where the area is, as other tools read them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import rng

from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.points import Points, scatter
from dreamlift.io.ply import write_points


def triangle(corners: list[list[float]], colors: list[list[float]], name: str = "") -> Surface:
    return Surface(
        torch.tensor(corners), torch.tensor([[0, 1, 2]]), colors=torch.tensor(colors), name=name
    )


FLAT = triangle([[0.0, 0, 0], [2, 0, 0], [0, 1, 0]], [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])  # area 1
WALL = triangle([[0.0, 3, 0], [0, 5, 0], [0, 3, 3]], [[0.5, 0.5, 0.5]] * 3)  # area 3


def test_points_are_shared_out_by_area() -> None:
    points = scatter([FLAT, WALL], 4000, rng(1))
    share = float((points.part == 1).float().mean())
    assert share == pytest.approx(0.75, abs=0.001)  # one in each n-th of the area
    assert len(points) == 4000


def test_points_lie_evenly_on_their_triangles_with_their_colours_and_normals() -> None:
    points = scatter([FLAT, WALL], 6000, rng(2))
    flat = points[points.part == 0]
    x, y, z = flat.position.unbind(-1)
    assert bool((z == 0).all() and (x >= 0).all() and (y >= 0).all() and (x / 2 + y <= 1).all())
    # The mean of a triangle is its centroid.
    torch.testing.assert_close(
        flat.position.mean(0), torch.tensor([2 / 3, 1 / 3, 0.0]), atol=0.03, rtol=0
    )
    weights = torch.stack([1 - x / 2 - y, x / 2, y], -1)
    torch.testing.assert_close(flat.color, weights, atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.normal, torch.tensor([[0.0, 0, 1]]).expand(len(flat), 3))
    assert bool((points[points.part == 1].normal[:, 0] == 1).all())


def test_every_triangle_of_a_part_has_its_share() -> None:
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [3, 0, 0], [3, 6, 0]])
    part = Surface(corners, torch.tensor([[0, 1, 2], [1, 3, 4]]))  # areas 0.5 and 6
    points = scatter([part], 1300, rng(3))
    assert int((points.position[:, 0] > 1).sum()) == pytest.approx(1200, abs=1)
    assert bool((points.color == 1).all())


def test_a_texture_colours_points() -> None:
    texture = torch.tensor([[[0.1, 0.2, 0.3], [0.9, 0.8, 0.7]]]).repeat(2, 1, 1)  # left, right
    part = Surface(FLAT.vertices, FLAT.faces, uv=torch.tensor([[0.25, 0.5]] * 3), texture=texture)
    assert torch.allclose(scatter([part], 7, rng()).color, torch.tensor([0.1, 0.2, 0.3]))


def test_no_area_has_no_points() -> None:
    line = triangle([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]], [[1.0, 1, 1]] * 3)
    with pytest.raises(ValueError, match="No triangle has an area"):
        scatter([line], 5, rng())


def test_other_tools_read_the_file(tmp_path: Path) -> None:
    import trimesh
    from plyfile import PlyData

    points = Points(
        torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.25, 0.0]]),
        torch.tensor([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
        torch.tensor([[1.0, 0.0, 0.2], [0.0, 1.0, 0.4]]),
        torch.tensor([0, 299]),
    )
    write_points(tmp_path / "a.ply", points)
    cloud = trimesh.load(tmp_path / "a.ply")
    assert isinstance(cloud, trimesh.PointCloud)
    np.testing.assert_array_equal(cloud.vertices, points.position)
    np.testing.assert_array_equal(cloud.colors[:, :3], [[255, 0, 51], [0, 255, 102]])
    rows = PlyData.read(tmp_path / "a.ply")["vertex"]
    np.testing.assert_array_equal(rows["part"], [1, 300])
    np.testing.assert_array_equal(
        np.stack([rows[k] for k in ("nx", "ny", "nz")], -1), points.normal
    )
