"""The Warp projection against its torch specification: values, gradients, bits, CUDA."""

import inspect
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import warp as wp
from conftest import rng
from crowd import crowd, oblong, single
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.lights import Light
from dreamlift.render import project_warp, splat
from dreamlift.render.splat import Footprints, projected

SMOOTH = ("center", "conic", "opacity", "carried")
LIGHT = Light(
    torch.tensor([[2.0, 3.0, 1.0], [-3.0, 0.5, 2.0]]),
    torch.tensor([0.3, 0.5]),
    torch.tensor([0.7, 0.4]),
    torch.tensor([False, True]),
)


def _cameras() -> Cameras:
    """Two, not of square pixels; the second stands amid the crowd, so that some lie behind it."""
    double = oblong(2, height=53, width=70)
    W = double.world_to_camera.clone()
    W[1, 2, 3] -= 2.9
    return Cameras(W.float(), double.K.float(), 53, 70)


def _gradients(seen: Footprints, gaussians: Gaussians) -> list[Tensor]:
    """Of random weights of what is drawn."""
    total = torch.zeros(())
    for name in SMOOTH:
        value = getattr(seen, name)
        given = torch.randn(value.shape, generator=rng(4))
        drawn = (seen.radius > 0)[..., None] if value.dim() == 3 else 1.0
        total = total + (given * drawn * value).sum()
    return list(torch.autograd.grad(total, _leaves(gaussians), retain_graph=True))


def _leaves(gaussians: Gaussians) -> list[Tensor]:
    return [getattr(gaussians, field.name).requires_grad_() for field in fields(Gaussians)]


def test_the_twins_have_one_signature() -> None:
    slow, fast = (inspect.signature(m.project) for m in (splat, project_warp))
    assert str(slow) == str(fast)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("light", [None, LIGHT], ids=["albedo", "lit"])
def test_the_twins_agree(light: Light | None, degree: int) -> None:
    """Values to 1e-4 of what is drawn, the same radii and gradients to 1e-3."""
    g, cameras = single(crowd(400, degree=degree)), _cameras()
    _leaves(g)
    slow, fast = (m.project(g, cameras, light=light) for m in (splat, project_warp))
    assert (slow.radius > 0).any(1).all() and (slow.depth[1] < 0).any()
    assert torch.equal(slow.radius, fast.radius)
    torch.testing.assert_close(fast.depth, slow.depth, atol=1e-5, rtol=1e-5)
    for name in SMOOTH:
        mine, its = (getattr(x, name) for x in (fast, slow))
        drawn = slow.radius > 0 if mine.dim() == 3 else slice(None)
        torch.testing.assert_close(mine[drawn], its[drawn], atol=1e-4, rtol=1e-4)
    mine, its = (_gradients(x, g) for x in (fast, slow))
    for field, a, b in zip(fields(Gaussians), mine, its, strict=True):
        assert (a - b).norm() < 1e-3 * b.norm(), field.name


def test_threads_change_no_bit() -> None:
    g, cameras = single(crowd(301)), _cameras()
    leaves = _leaves(g)
    before, runs = torch.get_num_threads(), list[list[Tensor]]()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            seen = project_warp.project(g, cameras)
            runs.append([seen.center, seen.conic, seen.carried, *_gradients(seen, g)])
    finally:
        torch.set_num_threads(before)
    assert len(leaves) == 5 and all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_what_is_behind_or_not_finite_is_not_drawn() -> None:
    g = single(crowd(40))
    g.means[0] = torch.nan
    g.log_scales[1] = 200.0
    seen = [m.project(g, _cameras()) for m in (splat, project_warp)]
    assert (seen[1].radius[:, :2] == 0).all()
    assert torch.equal(seen[0].radius, seen[1].radius)
    none = project_warp.project(single(crowd(0)), _cameras())
    assert none.center.shape == (2, 0, 2)


def test_single_precision_is_projected_in_warp_and_cameras_that_learn_in_torch() -> None:
    g, cameras = single(crowd(5)), _cameras()
    _leaves(g)
    assert "_Project" in type(projected(g, cameras).center.grad_fn).__name__
    W = cameras.world_to_camera.clone().requires_grad_()
    seen = projected(g, replace(cameras, world_to_camera=W))
    assert torch.autograd.grad(seen.center.sum(), W)[0].abs().sum() > 0
    double = projected(crowd(5), oblong())
    assert double.center.dtype == torch.float64


@pytest.mark.seconds
def test_the_kernel_compiles_for_cuda(tmp_path: Path) -> None:
    wp.compile_aot_module(project_warp, arch=[80, 90], use_ptx=True, module_dir=tmp_path)
    built = [path.read_text() for path in tmp_path.rglob("*.ptx")]
    assert len(built) == 2 and all("footprint" in ptx for ptx in built)


@pytest.mark.gpu
def test_a_gpu_agrees_with_the_cpu() -> None:
    near, cameras = single(crowd(300)), _cameras()
    far = Gaussians(*(x.detach().cuda().requires_grad_() for x in _leaves(near)))
    here = project_warp.project(near, cameras)
    there = project_warp.project(far, cameras.to("cuda"))
    assert (there.radius.cpu() != here.radius).double().mean() <= 1e-3
    drawn = here.radius > 0
    torch.testing.assert_close(there.conic.cpu()[drawn], here.conic[drawn], atol=1e-4, rtol=1e-4)
    back = (torch.autograd.grad(x.center.sum() + x.carried.sum(), _leaves(g))
            for x, g in ((there, far), (here, near)))  # fmt: skip
    for mine, its in zip(*back, strict=True):
        assert (mine.cpu() - its).norm() <= 1e-3 * its.norm().clamp_min(1e-6)
