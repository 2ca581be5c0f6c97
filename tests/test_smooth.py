"""Regularisers of meshes against closed forms."""

import math

import pytest
import torch
from conftest import rng
from test_raster import lumpy
from torch import Tensor

from dreamlift.geometry.chamfer import chamfer
from dreamlift.geometry.hinges import hinges
from dreamlift.geometry.mesh import area
from dreamlift.geometry.smooth import (
    cotangent,
    cotangent_laplacian,
    edge_length,
    laplacian,
    normal_consistency,
    umbrella,
)
from dreamlift.geometry.tets import marching_tets, tet_grid

TENT = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
TWO = torch.tensor([[0, 1, 2], [1, 0, 3]])
"""Two faces that share the edge 0 1, at a right angle."""


def icosahedron() -> tuple[Tensor, Tensor]:
    """Edges of length 2."""
    g = (1 + math.sqrt(5)) / 2
    corners = [(0, a, b * g) for a in (-1, 1) for b in (-1, 1)]
    points = torch.tensor([(c[-k], c[1 - k], c[2 - k]) for c in corners for k in range(3)])
    near = (torch.cdist(points, points) - 2).abs() < 1e-4
    faces = [
        (i, j, k)
        for i in range(12)
        for j in range(i + 1, 12)
        for k in range(j + 1, 12)
        if near[i, j] and near[j, k] and near[i, k]
    ]
    face = torch.tensor(faces)
    a, b, c = points[face].unbind(1)
    inward = (torch.cross(b - a, c - a, dim=-1) * a).sum(-1) < 0
    return points.double(), torch.where(inward[:, None], face.flip(-1), face)


def test_hinges_know_every_edge_once_and_its_faces() -> None:
    _, faces = icosahedron()
    around = hinges(faces)
    assert len(around.ends) == 30 and len(around.edge) == 60
    assert (around.first.diff() == 2).all()
    for edge, face, opposite in zip(around.edge, around.face, around.opposite, strict=True):
        assert {*around.ends[edge].tolist(), int(opposite)} == set(faces[face].tolist())
    pairs, edge = hinges(TWO).pairs()
    assert pairs.tolist() in ([[0, 1]], [[1, 0]]) and hinges(TWO).ends[edge].tolist() == [[0, 1]]
    assert len(hinges(faces[:0]).ends) == 0


def test_an_icosahedron_has_its_numbers() -> None:
    """Five neighbours at the golden ratio's places; dihedral angle acos(-sqrt 5 / 3)."""
    points, faces = icosahedron()
    around = hinges(faces)
    radius = float(points.norm(dim=-1)[0])
    inward = umbrella(points, around)
    # The neighbours' mean lies at 1 / sqrt 5 of the radius.
    torch.testing.assert_close(inward, points * (1 / math.sqrt(5) - 1), atol=1e-6, rtol=0)
    expected = (radius * (1 - 1 / math.sqrt(5))) ** 2
    assert float(laplacian(points, around)) == pytest.approx(expected, rel=1e-6)
    assert float(edge_length(points, around, target=0.5)) == pytest.approx(2.25, rel=1e-6)
    turn = math.sqrt(5) / 3  # the cosine between neighbouring normals
    assert float(normal_consistency(points, faces, around)) == pytest.approx((1 - turn) / 2)
    # 2 |H| of a vertex: 5 edges, (cot 60 deg) each, inward; over a third of five faces.
    pull = 5 / math.sqrt(3) * radius * (1 - 1 / math.sqrt(5)) / (5 * math.sqrt(3) / 3)
    assert float(cotangent_laplacian(points, around)) == pytest.approx(pull, rel=1e-6)


def test_a_right_angle_is_half_folded_and_open_edges_do_not_count() -> None:
    assert float(normal_consistency(TENT, TWO, hinges(TWO))) == pytest.approx(0.5)


def test_the_cotangent_laplacian_is_the_gradient_of_the_area() -> None:
    vertices, faces = lumpy(6, 7)
    (slope,) = torch.autograd.grad(area(vertices.requires_grad_(), faces).sum(), vertices)
    with torch.no_grad():
        torch.testing.assert_close(cotangent(vertices, hinges(faces)), -slope)


def test_a_ball_is_curved_as_much_as_its_radius_says() -> None:
    """2 |H| = 2 / r, whatever the triangles."""
    grid = tet_grid(16, 1.0)
    points, faces = marching_tets(grid, grid.vertices.norm(dim=-1) - 0.71)
    points = (points * 0.71 / points.norm(dim=-1, keepdim=True)).double()
    around = hinges(faces)
    pull = cotangent(points, around)
    along = (pull * points).sum(-1) / (pull.norm(dim=-1) * 0.71).clamp_min(1e-20)
    assert float(along.median()) < -0.99
    total = float((pull * points).sum())  # of -grad area: the area is homogeneous of degree 2
    assert total == pytest.approx(-2 * float(area(points, faces).sum()), rel=1e-9)


def test_flat_irregular_triangles_move_in_the_umbrella_only() -> None:
    points = torch.tensor([[0.0, 0, 0], [1, 0.1, 0], [0.9, 1, 0], [0, 1.2, 0], [0.3, 0.4, 0]])
    faces = torch.tensor([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    around = hinges(faces)
    assert float(umbrella(points, around)[4].norm()) > 0.1
    assert float(cotangent(points, around)[4].norm()) < 1e-6


def test_chamfer_is_what_it_says_on_shifted_and_on_random_points() -> None:
    line = torch.stack([torch.arange(5) * 1.0, torch.zeros(5), torch.zeros(5)], -1)
    shifted = line + torch.tensor([0.0, 0.3, 0.0])
    assert float(chamfer(line, shifted)) == pytest.approx(0.18)
    assert float(chamfer(line, line)) == 0
    a, b = torch.rand(40, 3, generator=rng(1)), torch.rand(70, 3, generator=rng(2))
    square = (a[:, None] - b[None]).square().sum(-1)
    expected = square.amin(1).mean() + square.amin(0).mean()
    torch.testing.assert_close(chamfer(a, b), expected)
    with pytest.raises(ValueError, match="0 and 70"):
        chamfer(a[:0], b)


def test_gradients_are_those_of_differences_and_never_nan() -> None:
    vertices, faces = lumpy(4, 5)
    around = hinges(faces)
    other = torch.rand(30, 3, generator=rng(3), dtype=torch.float64)

    def every(v: Tensor) -> Tensor:
        terms = [laplacian(v, around), edge_length(v, around, target=0.2), chamfer(v, other)]
        return torch.stack([*terms, normal_consistency(v, faces, around)])

    assert torch.autograd.gradcheck(every, vertices.requires_grad_(), fast_mode=True)
    same = torch.zeros_like(vertices).requires_grad_()
    (slope,) = torch.autograd.grad(every(same).sum() + cotangent(same, around).sum(), same)
    assert slope.isfinite().all()
