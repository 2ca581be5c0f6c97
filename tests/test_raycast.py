"""Ray casting against closed forms."""

import math

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.render.raycast import Hits, raycast, raycast_torch

TRIANGLE = torch.tensor([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
FACE = torch.tensor([[0, 1, 2]])


def cube(half: float) -> tuple[Tensor, Tensor]:
    """Twelve triangles, outward."""
    corners = torch.cartesian_prod(*[torch.tensor([-half, half])] * 3)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return corners, torch.tensor(faces)


def cast_one(origin: list[float], direction: list[float], vertices: Tensor = TRIANGLE) -> Hits:
    return raycast(torch.tensor([origin]), torch.tensor([direction]), vertices, FACE)


@pytest.mark.parametrize("cast", [raycast, raycast_torch])
def test_a_point_of_a_triangle_is_found_again(cast):
    weights = torch.tensor([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])
    target = weights @ TRIANGLE
    origin = torch.tensor([[0.3, -0.4, -2.0], [1.0, 1.0, 5.0]])
    away = target - origin
    hits = cast(origin, away / away.norm(dim=-1, keepdim=True), TRIANGLE, FACE)
    assert hits.face.tolist() == [0, 0]
    torch.testing.assert_close(hits.barycentric, weights, atol=1e-5, rtol=0)
    torch.testing.assert_close(hits.distance, away.norm(dim=-1), atol=1e-5, rtol=0)


def test_both_sides_of_a_triangle_are_hit():
    assert cast_one([0.5, 0.5, 0.0], [0.0, 0.0, 1.0]).face.item() == 0
    assert cast_one([0.5, 0.5, 2.0], [0.0, 0.0, -1.0]).face.item() == 0


@pytest.mark.parametrize(
    ("origin", "direction"),
    [
        ([0.5, 0.5, 2.0], [0.0, 0.0, 1.0]),  # behind the origin
        ([1.5, 2.5, 0.0], [0.0, 0.0, 1.0]),  # beside it
        ([-1.0, 0.5, 1.0], [1.0, 0.0, 0.0]),  # in its plane
    ],
)
def test_misses_say_so(origin: list[float], direction: list[float]):
    for cast in (raycast, raycast_torch):
        hits = cast(torch.tensor([origin]), torch.tensor([direction]), TRIANGLE, FACE)
        assert hits.face.item() == -1
        assert hits.distance.item() == math.inf
        assert hits.barycentric.tolist() == [[0.0, 0.0, 0.0]]


def test_the_nearer_of_two_triangles_wins():
    vertices = torch.cat([TRIANGLE, TRIANGLE - torch.tensor([0.0, 0.0, 0.4])])
    hits = raycast(
        torch.tensor([[0.5, 0.5, -1.0]]),
        torch.tensor([[0.0, 0.0, 1.0]]),
        vertices,
        torch.tensor([[0, 1, 2], [3, 4, 5]]),
    )
    assert hits.face.item() == 1
    assert hits.distance.item() == pytest.approx(1.6)


@pytest.mark.parametrize("cast", [raycast, raycast_torch])
def test_rays_from_inside_a_cube_leave_it_by_the_wall(cast):
    """From inside, the distance is half / (the largest component of the direction)."""
    vertices, faces = cube(0.6)
    directions = torch.nn.functional.normalize(torch.randn(500, 3, generator=rng(1)), dim=-1)
    hits = cast(torch.zeros(500, 3), directions, vertices, faces)
    expected = 0.6 / directions.abs().amax(-1)
    torch.testing.assert_close(hits.distance, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(hits.barycentric.sum(-1), torch.ones(500), atol=1e-5, rtol=0)


def test_double_precision_goes_to_the_reference():
    vertices, faces = cube(0.6)
    hits = raycast(
        torch.zeros(1, 3, dtype=torch.double),
        torch.tensor([[0.0, 0.6, 0.8]], dtype=torch.double),
        vertices.double(),
        faces,
    )
    assert hits.distance.item() == pytest.approx(0.75, abs=1e-7)  # corners are of single precision


def test_nothing_is_hit_where_there_is_nothing():
    empty = raycast(torch.zeros(3, 3), torch.ones(3, 3), TRIANGLE, FACE[:0])
    assert empty.face.tolist() == [-1, -1, -1]
    assert len(raycast(torch.zeros(0, 3), torch.zeros(0, 3), TRIANGLE, FACE).face) == 0
