"""The Warp splatter against its torch specification: values, gradients, bits, CUDA."""

import inspect
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import warp as wp
from conftest import rng
from crowd import crowd, oblong, single
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.lights import Light
from dreamlift.render import splat, splat_lists_warp, splat_warp
from dreamlift.render.splat import Footprints, fastest, project

SMOOTH = ("center", "conic", "opacity", "carried")
LIGHT = Light(
    torch.tensor([[2.0, 3.0, 1.0], [-3.0, 0.5, 2.0]]),
    torch.tensor([0.3, 0.5]),
    torch.tensor([0.7, 0.4]),
    torch.tensor([False, True]),
)


def _cameras(height: int = 53, width: int = 70) -> Cameras:
    double = oblong(2, height=height, width=width)
    return Cameras(double.world_to_camera.float(), double.K.float(), height, width)


def _footprints(
    n: int = 300, light: Light | None = None, cameras: Cameras | None = None
) -> Footprints:
    footprints = project(single(crowd(n)), cameras or _cameras(), light=light)
    return _leaves(footprints)


def _leaves(footprints: Footprints) -> Footprints:
    """The same, wanting gradients of its own."""
    leaves = {name: getattr(footprints, name).clone().requires_grad_() for name in SMOOTH}
    return replace(footprints, **leaves)


def _gradients(picture: Tensor, footprints: Footprints) -> list[Tensor]:
    given = torch.randn(picture.shape, generator=rng(4)).to(picture.device)
    leaves = [getattr(footprints, name) for name in SMOOTH]
    return list(torch.autograd.grad((picture * given).sum(), leaves, retain_graph=True))


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_twins_have_one_signature() -> None:
    slow, fast = (inspect.signature(m.composite) for m in (splat, splat_warp))
    assert str(slow) == str(fast)


@pytest.mark.parametrize("light", [None, LIGHT], ids=["albedo", "lit"])
def test_the_twins_agree(light: Light | None) -> None:
    """To 1e-4 in values, but for 1 in 1,000 pixels where rounding decides a cut-off; gradients to
    1e-3."""
    footprints, cameras = _footprints(light=light), _cameras()
    slow, fast = (
        m.composite(footprints, cameras.height, cameras.width) for m in (splat, splat_warp)
    )
    assert slow.shape == fast.shape and slow[..., -1].max() > 0.99 and slow[..., -1].min() == 0
    wrong = (fast - slow).abs().amax(-1) > 1e-4
    assert wrong.double().mean() <= 1e-3
    ours, theirs = (_gradients(picture, footprints) for picture in (fast, slow))
    for name, mine, its in zip(SMOOTH, ours, theirs, strict=True):
        assert (mine - its).norm() < 1e-3 * its.norm(), name


def test_gradients_reach_the_gaussians_and_the_cameras() -> None:
    cameras = _cameras()
    found: list[list[Tensor]] = []
    for twin in (splat, splat_warp):
        g = single(crowd(100))
        leaves = [getattr(g, f.name).requires_grad_() for f in fields(g)]
        W = cameras.world_to_camera.clone().requires_grad_()
        footprints = project(g, replace(cameras, world_to_camera=W))
        picture = twin.composite(footprints, cameras.height, cameras.width)
        given = torch.randn(picture.shape, generator=rng(4))
        found.append(list(torch.autograd.grad((picture * given).sum(), [*leaves, W])))
    for mine, its in zip(*found, strict=True):
        assert (mine - its).norm() < 1e-3 * its.norm()


def test_crowded_pixels_are_closed_alike() -> None:
    """Thousands of opaque splats over one another: cap, early end and rounding of T."""
    cameras = _cameras(24, 40)
    g = single(crowd(4000, scale=0.2))
    footprints = _leaves(project(replace(g, opacity_logits=g.opacity_logits + 3), cameras))
    slow, fast = (m.composite(footprints, 24, 40) for m in (splat, splat_warp))
    wrong = (fast - slow).abs().amax(-1) > 1e-4
    assert slow[..., -1].median() > 0.999 and wrong.double().mean() <= 5e-3
    ours, theirs = (_gradients(picture, footprints) for picture in (fast, slow))
    for name, mine, its in zip(SMOOTH, ours, theirs, strict=True):
        assert (mine - its).norm() < 1e-2 * its.norm(), name


def test_squares_list_the_same_by_counting_and_by_sorting() -> None:
    footprints = _footprints(200)
    rects = splat_lists_warp.reached(footprints, 53, 70)
    counted = splat_lists_warp.lists(rects, footprints.depth, 14, 18, 1)
    depth = footprints.depth
    order = (depth.argsort(dim=-1, stable=True) + torch.tensor([[0], [200]])).flatten().int()
    empty = torch.zeros(2 * 14 * 18 + 1, dtype=torch.int32)
    sorted_ = splat_lists_warp.by_sorting(rects.flatten(0, 1), order, empty, 200, 14, 18)
    assert torch.equal(counted[0], sorted_[0]) and torch.equal(counted[1], sorted_[1])


def test_no_splats_and_none_in_sight_are_nothing() -> None:
    footprints, cameras = _footprints(5), _cameras()
    hidden = replace(footprints, radius=torch.zeros_like(footprints.radius))
    picture = splat_warp.composite(hidden, cameras.height, cameras.width)
    assert not picture.any() and not any(x.any() for x in _gradients(picture, hidden))
    none = project(single(crowd(0)), cameras)
    for twin in (splat, splat_warp):
        assert not twin.composite(none, cameras.height, cameras.width).any()


@pytest.mark.usefixtures("two_threads")
def test_two_threads_give_the_same_bits_every_time_and_the_pictures_of_one() -> None:
    footprints, cameras = _footprints(), _cameras()
    runs: list[list[Tensor]] = []
    for _ in range(3):
        picture = splat_warp.composite(footprints, cameras.height, cameras.width)
        runs.append([picture, *_gradients(picture, footprints)])
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))
    torch.set_num_threads(1)
    one = splat_warp.composite(footprints, cameras.height, cameras.width)
    assert torch.equal(one, runs[0][0])
    for mine, its in zip(_gradients(one, footprints), runs[0][1:], strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-4)


def test_single_precision_is_composited_in_warp_and_double_in_torch() -> None:
    footprints = _footprints(5)
    assert fastest(footprints) is splat_warp.composite
    assert fastest(project(crowd(5), oblong())) is splat.composite


@pytest.mark.seconds
def test_the_kernels_compile_for_cuda(tmp_path: Path) -> None:
    names = {splat_warp: ("forward", "backward"), splat_lists_warp: ("count", "fill")}
    for module, kernels in names.items():
        folder = tmp_path / kernels[0]
        wp.compile_aot_module(module, arch=[80, 90], use_ptx=True, module_dir=folder)
        built = [path.read_text() for path in folder.rglob("*.ptx")]
        assert len(built) == 2
        assert all(name in ptx for ptx in built for name in kernels)


@pytest.mark.gpu
def test_a_gpu_agrees_with_the_cpu() -> None:
    near = _footprints(light=LIGHT)
    moved = {f.name: getattr(near, f.name).detach().cuda() for f in fields(Footprints)}
    far = Footprints(**{k: v.requires_grad_(k in SMOOTH) for k, v in moved.items()})
    here, there = (splat_warp.composite(x, 53, 70) for x in (near, far))
    wrong = (there.cpu() - here).abs().amax(-1) > 1e-4
    assert wrong.double().mean() <= 1e-3
    for mine, its in zip(_gradients(there, far), _gradients(here, near), strict=True):
        assert (mine.cpu() - its).norm() < 1e-3 * its.norm()
