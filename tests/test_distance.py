"""Signed distances of meshes: closed forms, holes, parts in one another, and the twins."""

import inspect
from pathlib import Path

import pytest
import torch
import trimesh
from conftest import rng
from test_raycast_twins import lumpy
from torch import Tensor

from dreamlift.render.distance import signed_distance, signed_distance_torch, winding
from dreamlift.render.distance_warp import signed_distance_warp

SIDES = torch.tensor([0.7, 0.4, 0.9], dtype=torch.float64)


def box() -> tuple[Tensor, Tensor]:
    solid = trimesh.creation.box(extents=SIDES.numpy())
    return torch.from_numpy(solid.vertices.copy()), torch.from_numpy(solid.faces.copy()).long()


def points(n: int = 400) -> Tensor:
    return 1.6 * torch.rand(n, 3, generator=rng(0), dtype=torch.float64) - 0.8


def test_a_box_has_the_distance_of_a_box() -> None:
    q = points().abs() - SIDES / 2
    true = q.clamp_min(0).norm(dim=-1) + q.amax(-1).clamp_max(0)
    assert 20 < int((true < 0).sum())
    torch.testing.assert_close(signed_distance_torch(points(), *box()), true, atol=1e-12, rtol=0)


def test_a_mesh_goes_once_round_what_is_inside_and_half_round_what_is_on_its_plane() -> None:
    vertices, faces = box()
    at = torch.tensor([[0.1, -0.1, 0.2], [0.6, 0.1, 0.0]], dtype=torch.float64)
    found = winding(at, vertices[faces])
    torch.testing.assert_close(found, torch.tensor([1.0, 0.0]).double(), atol=1e-12, rtol=0)
    # A square seen from its middle line at half its side: a cube's side, a sixth of all around.
    square = torch.tensor([[1.0, 1, 1], [-1, 1, 1], [-1, -1, 1], [1, -1, 1]], dtype=torch.float64)
    corners = square[torch.tensor([[0, 1, 2], [0, 2, 3]])]
    assert float(winding(torch.zeros(1, 3).double(), corners)) == pytest.approx(1 / 6)


def test_a_missing_side_leaves_the_inside_inside() -> None:
    vertices, faces = box()
    at = torch.tensor([[0.0, 0.0, 0.0], [0.05, 0.1, -0.2]], dtype=torch.float64)
    assert bool((signed_distance_torch(at, vertices, faces[2:]) < 0).all())


def test_inside_of_one_of_two_is_inside() -> None:
    vertices, faces = box()
    two = torch.cat([vertices, vertices + 0.3])
    both = torch.cat([faces, faces + len(vertices)])
    alone = [signed_distance_torch(points(), v, faces) for v in (vertices, vertices + 0.3)]
    found = signed_distance_torch(points(), two, both)
    assert bool(((found < 0) == ((alone[0] < 0) | (alone[1] < 0))).all())
    outside = found > 0
    torch.testing.assert_close(found[outside], torch.minimum(*alone)[outside])


def test_triangles_without_an_area_are_edges_and_no_triangles_are_far() -> None:
    line = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0.5, 0, 0]], dtype=torch.float64)
    at = torch.tensor([[0.3, 0.4, 0.0], [2.0, 0.0, 0.0]], dtype=torch.float64)
    found = signed_distance_torch(at, line, torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(found, torch.tensor([0.4, 1.0], dtype=torch.float64))
    none = torch.zeros(0, 3, dtype=torch.long)
    assert bool(signed_distance_torch(at, line, none).isinf().all())
    assert bool(signed_distance(at.float(), line.float(), none).isinf().all())


def test_the_twins_have_one_signature() -> None:
    assert str(inspect.signature(signed_distance_torch)) == str(
        inspect.signature(signed_distance_warp)
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_the_twins_agree(threads: int) -> None:
    vertices, faces = lumpy(9, 14)
    at = points(600).float()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        fast = signed_distance(at, vertices, faces)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(fast, signed_distance_torch(at, vertices, faces), atol=2e-6, rtol=0)
    assert 0.1 < float((fast < 0).float().mean()) < 0.9


@pytest.mark.gpu
def test_the_twins_agree_on_a_gpu() -> None:
    vertices, faces = (x.cuda() for x in lumpy(9, 14))
    at = points(600).float().cuda()
    found = [f(at, vertices, faces) for f in (signed_distance_torch, signed_distance_warp)]
    torch.testing.assert_close(*found, atol=2e-6, rtol=0)


@pytest.mark.seconds
def test_the_kernel_compiles_for_cuda(tmp_path: Path) -> None:
    import warp as wp

    import dreamlift.render.distance_warp as twin

    wp.compile_aot_module(twin, arch=[80, 90], use_ptx=True, module_dir=str(tmp_path))
    assert [path for path in tmp_path.rglob("*.ptx") if path.stat().st_size > 0]
