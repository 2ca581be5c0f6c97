"""The compiled ray caster against its specification."""

import inspect

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.render.raycast import Hits, raycast_torch
from dreamlift.render.raycast_warp import raycast_warp


def lumpy(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """A closed ball of triangles with random radii."""
    i, j = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    theta, phi = torch.pi * (i + 0.5) / rows, 2 * torch.pi * j / columns
    unit = torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], -1)
    radius = 0.6 + 0.3 * torch.rand(rows, columns, 1, generator=rng(3))
    number = i * columns + j
    right = i * columns + (j + 1) % columns
    a, b = number[:-1].flatten(), right[:-1].flatten()
    c, d = number[1:].flatten(), right[1:].flatten()
    faces = torch.cat([torch.stack([a, c, b], -1), torch.stack([b, c, d], -1)])
    return (radius * unit).reshape(-1, 3), faces


def rays(device: str = "cpu") -> tuple[Tensor, Tensor]:
    cameras = orbit(
        torch.tensor([20.0, 200.0], device=device), torch.tensor([-8.0, 61.0]).to(device)
    )
    origins, directions = cameras.rays()
    return origins.reshape(-1, 3), directions.reshape(-1, 3)


def check_twins(reference: Hits, fast: Hits) -> None:
    """All but one pixel in a thousand the same face; those the same to rounding."""
    same = reference.face == fast.face
    assert float(same.float().mean()) >= 0.999
    assert 0.1 < float((reference.face >= 0).float().mean()) < 0.9
    hit = same & (reference.face >= 0)
    torch.testing.assert_close(reference.distance[hit], fast.distance[hit], atol=1e-5, rtol=0)
    apart = (reference.barycentric - fast.barycentric)[hit].abs()
    assert float(apart.quantile(0.999)) < 1e-3


def test_the_twins_have_one_signature():
    assert str(inspect.signature(raycast_torch)) == str(inspect.signature(raycast_warp))


@pytest.mark.parametrize("threads", [1, 3])
def test_the_twins_see_the_same(threads: int):
    vertices, faces = lumpy(9, 14)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        fast = raycast_warp(*rays(), vertices, faces)
    finally:
        torch.set_num_threads(before)
    check_twins(raycast_torch(*rays(), vertices, faces), fast)


@pytest.mark.gpu
def test_the_twins_see_the_same_on_a_gpu():
    vertices, faces = (x.cuda() for x in lumpy(9, 14))
    seen = rays("cuda")
    check_twins(raycast_torch(*seen, vertices, faces), raycast_warp(*seen, vertices, faces))


@pytest.mark.seconds
def test_the_kernel_compiles_for_cuda(tmp_path):
    """Proved without a GPU: Warp writes the PTX."""
    import warp as wp

    import dreamlift.render.raycast_warp as twin

    wp.compile_aot_module(twin, arch=[80, 90], use_ptx=True, module_dir=str(tmp_path))
    assert [path for path in tmp_path.rglob("*.ptx") if path.stat().st_size > 0]
