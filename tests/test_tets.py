"""Marching tetrahedra: libigl's numbers, closed forms, topology, and finite differences."""

import math
from itertools import combinations

import pytest
import torch
from conftest import rng, shared_data
from torch import Tensor

from dreamlift.geometry.mesh import area, face_cross, volumes
from dreamlift.geometry.pieces import edges, euler_characteristic, is_closed
from dreamlift.geometry.tets import (
    EDGES,
    TetGrid,
    cases,
    marching_tets,
    moved,
    sign_changes,
    tet_grid,
    tetrahedra,
)

CENTRE = torch.tensor([0.03, -0.05, 0.021], dtype=torch.float64)


def double(resolution: int) -> TetGrid:
    grid = tet_grid(resolution, 1.0)
    return tetrahedra(grid.vertices.double(), grid.tets, cell=grid.cell)


def ball(grid: TetGrid, radius: float = 0.7) -> Tensor:
    return (grid.vertices - CENTRE).norm(dim=-1) - radius


def test_every_case_parts_inner_from_outer_corners_and_looks_outward() -> None:
    """In a tetrahedron of random corners with corner values of random sizes."""
    corners = torch.randn(4, 3, generator=rng(1), dtype=torch.float64)
    grid = tetrahedra(corners, torch.arange(4)[None], cell=1.0)
    size = 0.2 + torch.rand(4, generator=rng(2), dtype=torch.float64)
    for code, row in enumerate(cases()):
        inside = torch.tensor([code >> k & 1 for k in range(4)], dtype=torch.bool)
        used = {EDGES[e] for e in row.flatten().tolist() if e >= 0}
        flags = inside.tolist()
        assert used == {(i, j) for i, j in combinations(range(4), 2) if flags[i] != flags[j]}
        values = torch.empty(4, dtype=torch.float64)
        values[grid.tets[0]] = torch.where(inside, -size, size)
        points, faces = marching_tets(grid, values)
        assert len(faces) == (0, 1, 2, 1, 0)[int(inside.sum())]
        if len(faces) == 0:
            continue
        slope = torch.linalg.solve(torch.cat([corners, torch.ones(4, 1).double()], -1), values)[
            :3
        ]  # of the distance, which is linear in a tetrahedron
        assert (face_cross(points, faces) @ slope > 0).all()


def test_libigls_surface_to_the_last_digit() -> None:
    """marching_tets_*: isovalue 0.45 of the distance from the origin on an irregular grid."""
    folder = shared_data("data", "reference", "libigl_tests")
    lines = (folder / "marching_tets_input.mesh").read_text().split("\n")
    n = int(lines[3])
    vertices = [[float(x) for x in line.split()[:3]] for line in lines[4 : 4 + n]]
    start = lines.index("Tetrahedra") + 2
    count = int(lines[start - 1])
    tets = [[int(x) - 1 for x in line.split()[:4]] for line in lines[start : start + count]]
    values = (folder / "marching_tets_scalars.dmat").read_text().split()[2:]
    out = [line.split() for line in (folder / "marching_tets_output.obj").read_text().split("\n")]
    expected = torch.tensor(
        [[float(x) for x in w[1:]] for w in out if w[:1] == ["v"]], dtype=torch.float64
    )
    theirs = torch.tensor([[int(x) - 1 for x in w[1:]] for w in out if w[:1] == ["f"]])
    grid = tetrahedra(torch.tensor(vertices, dtype=torch.float64), torch.tensor(tets), cell=0.1)
    sdf = torch.tensor([float(x) for x in values], dtype=torch.float64) - 0.45
    points, faces = marching_tets(grid, sdf)
    assert points.shape == expected.shape and faces.shape == theirs.shape
    distance, match = torch.cdist(points, expected).min(-1)
    assert float(distance.max()) < 1e-7  # cdist's own rounding
    assert sorted(match.tolist()) == list(range(len(expected)))
    torch.testing.assert_close(points, expected[match], atol=1e-10, rtol=0)
    assert is_closed(faces) and is_closed(theirs)
    # They cut some quadrilaterals along the other diagonal: the other triangles are the same.
    ours = {tuple(sorted(t)) for t in match[faces].tolist()}
    same = len(ours & {tuple(sorted(t)) for t in theirs.tolist()})
    assert same > 0.75 * len(theirs)
    whole = [float(volumes(p, f).sum()) for p, f in ((points, faces), (expected, theirs))]
    assert whole[0] == pytest.approx(whole[1], rel=1e-3) and whole[0] > 0


def test_a_ball_has_its_area_and_volume_to_second_order() -> None:
    errors = []
    for resolution in (12, 24, 48):
        grid = double(resolution)
        points, faces = marching_tets(grid, ball(grid))
        assert is_closed(faces) and euler_characteristic(faces) == 2
        a, v = float(area(points, faces).sum()), float(volumes(points, faces).sum())
        errors.append((1 - a / (4 * math.pi * 0.49), 1 - v / (4 / 3 * math.pi * 0.343)))
        outward = (face_cross(points, faces) * (points[faces].mean(1) - CENTRE)).sum(-1)
        assert float(outward.min()) > -1e-9
    assert 0 < errors[-1][0] < 0.002 and 0 < errors[-1][1] < 0.003
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert all(3.2 < c / f < 5 for c, f in zip(coarse, fine, strict=True))


def test_a_torus_is_closed_and_has_a_hole() -> None:
    grid = tet_grid(30, 1.0)
    x, y, z = (grid.vertices - CENTRE.float()).unbind(-1)
    _, faces = marching_tets(grid, torch.hypot(torch.hypot(x, y) - 0.6, z) - 0.23)
    assert is_closed(faces) and euler_characteristic(faces) == 0
    directed = edges(faces)
    counts = directed.sort(-1).values.unique(dim=0, return_counts=True)[1]
    assert set(counts.tolist()) == {2}


def test_a_plane_is_exact_and_noise_is_closed() -> None:
    grid = double(9)
    normal = torch.tensor([0.48, 0.6, 0.64], dtype=torch.float64)
    points, faces = marching_tets(grid, grid.vertices @ normal - 0.123)
    torch.testing.assert_close(points @ normal, torch.full_like(points[:, 0], 0.123))
    side = face_cross(points, faces)
    torch.testing.assert_close(side, side.norm(dim=-1, keepdim=True) * normal, atol=1e-12, rtol=0)
    noise = torch.randn(len(grid.vertices), generator=rng(3), dtype=torch.float64)
    noise = torch.where(grid.vertices.abs().amax(-1) > 0.99, 1.0, noise)
    assert is_closed(marching_tets(grid, noise)[1])


def test_gradients_of_area_and_volume_are_those_of_differences() -> None:
    grid = double(7)
    offsets = 0.3 * torch.randn(len(grid.vertices), 3, generator=rng(5), dtype=torch.float64)
    sdf = ball(grid) + 0.02 * torch.sin(9 * grid.vertices[:, 0])

    def measure(sdf: Tensor, offsets: Tensor) -> Tensor:
        points, faces = marching_tets(grid, sdf, moved(grid, offsets))
        return torch.stack([area(points, faces).sum(), volumes(points, faces).sum()])

    inputs = (sdf.requires_grad_(), offsets.requires_grad_())
    assert torch.autograd.gradcheck(measure, inputs, eps=1e-6, fast_mode=True)
    (slope,) = torch.autograd.grad(measure(*inputs)[1], sdf)
    assert float(slope.max()) <= 1e-12  # more distance, less inside
    # Raising every distance by h shrinks the ball by h: d volume = -area.
    assert float(slope.sum()) == pytest.approx(-4 * math.pi * 0.49, rel=0.08)


def test_vertices_move_half_a_cell_at_most() -> None:
    grid = tet_grid(4, 1.0)
    far = moved(grid, torch.full_like(grid.vertices, 100.0)) - grid.vertices
    torch.testing.assert_close(far, torch.full_like(far, 0.25))


def test_signs_that_differ_cost_and_equal_ones_do_not() -> None:
    """One cut edge of distances a < 0 < b: log(1 + e^-a) + log(1 + e^b)."""
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    grid = tetrahedra(corners, torch.arange(4)[None], cell=1.0)
    assert float(sign_changes(grid, torch.tensor([1.0, 2.0, 0.5, 0.1]))) == 0
    values = torch.tensor([-0.4, 0.7, 0.2, 1.1])
    expected = [math.log1p(math.exp(0.4)) + math.log1p(math.exp(b)) for b in (0.7, 0.2, 1.1)]
    assert float(sign_changes(grid, values)) == pytest.approx(sum(expected) / 3, rel=1e-5)
