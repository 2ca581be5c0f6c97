"""The Warp march against its torch specification: values, gradients, bits, and the CUDA build."""

import inspect
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import warp as wp
from conftest import rng
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.lights import Light
from dreamlift.render import volume, volume_warp
from dreamlift.render.grid import vertices
from dreamlift.render.skin import Kind, Skin
from dreamlift.render.volume import Marched, Rays, fastest, sample_rays

NAMES = [field.name for field in fields(Marched)]


def _rays(size: int = 24) -> Rays:
    views = orbit(torch.tensor([30.0, -100.0]), torch.tensor([20.0, 50.0]), size=size)
    origins, directions = (x.flatten(1, 2) for x in views.rays())
    jitter = torch.rand(origins.shape[:2], generator=rng(3))
    return sample_rays(origins, directions, samples=48, jitter=jitter)


def _grid(side: int = 33) -> Tensor:
    """A lumpy object, opaque in places, with colours that vary."""
    coarse = torch.randn(1, 4, 7, 7, 7, generator=rng(1))
    fine = torch.nn.functional.interpolate(
        coarse, size=(side,) * 3, mode="trilinear", align_corners=True
    )
    grid = 2 * fine[0].permute(1, 2, 3, 0).contiguous()
    grid[..., 0] += 1 - 4 * vertices(side).norm(dim=-1)
    return grid


LIGHT = Light(
    torch.tensor([[2.0, 3.0, 1.0], [-3.0, 0.5, 2.0]]),
    torch.tensor([0.3, 0.5]),
    torch.tensor([0.7, 0.4]),
    torch.tensor([False, True]),
)
OCCUPIED = torch.rand(8, 8, 8, generator=rng(2)) < 0.7


def _cotangents(marched: Marched) -> dict[str, Tensor]:
    generator = rng(4)
    shapes = {name: getattr(marched, name).shape for name in NAMES}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def _gradient(marched: Marched, grid: Tensor, names: list[str]) -> Tensor:
    given = _cotangents(marched)
    loss = torch.stack(
        [(getattr(marched, n) * given[n].to(grid.device)).sum() for n in names]
    ).sum()
    return torch.autograd.grad(loss, grid, retain_graph=True)[0]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_twins_have_one_signature() -> None:
    slow, fast = (inspect.signature(m.march_grid) for m in (volume, volume_warp))
    assert str(slow) == str(fast)


@pytest.mark.parametrize("occupied", [None, OCCUPIED], ids=["all", "skipping"])
@pytest.mark.parametrize("light", [None, LIGHT], ids=["albedo", "lit"])
def test_the_twins_agree(light: Light | None, occupied: Tensor | None) -> None:
    """To 1e-4 in values and 1e-3 in gradients; Warp's rays end at transmittance 1e-5."""
    grid, rays = _grid().requires_grad_(), _rays()
    slow = volume.march_grid(grid, rays, light=light, occupied=occupied)
    fast = volume_warp.march_grid(grid, rays, light=light, occupied=occupied)
    assert slow.alpha.min() == 0 and slow.alpha.max() > 0.99
    for name in NAMES:
        torch.testing.assert_close(
            getattr(fast, name), getattr(slow, name), atol=1e-4, rtol=0, msg=name
        )
    for name in NAMES if light else ["color", "alpha", "depth"]:
        ours, theirs = (_gradient(m, grid, [name]) for m in (fast, slow))
        assert (ours - theirs).norm() < 1e-3 * theirs.norm(), name


@pytest.mark.parametrize("light", [None, LIGHT], ids=["albedo", "lit"])
@pytest.mark.parametrize("kind", ["volsdf", "neus"])
def test_the_twins_agree_about_distances_and_the_width_of_their_skin(
    kind: Kind, light: Light | None
) -> None:
    depths = torch.cat([_grid()[..., :1] * 0.3, _grid()[..., 1:]], -1)
    grid, rays = depths.requires_grad_(), _rays()
    width = torch.tensor(0.07, requires_grad=True)
    slow, fast = (
        m.march_grid(grid, rays, light=light, occupied=OCCUPIED, skin=Skin(kind, width))
        for m in (volume, volume_warp)
    )
    assert slow.alpha.min() == 0 and slow.alpha.max() > 0.99
    for name in NAMES if light else ["color", "alpha", "depth"]:
        one, two = getattr(fast, name), getattr(slow, name)
        torch.testing.assert_close(one, two, atol=1e-4, rtol=0, msg=name)
        ours, theirs = (_gradient(m, grid, [name]) for m in (fast, slow))
        assert (ours - theirs).norm() <= 1e-3 * theirs.norm(), name
        if name == "orientation":  # which has no gradient to weights; NeuS's face the camera
            assert theirs.any() == (kind == "volsdf")
            continue
        ours, theirs = (_gradient(m, width, [name]) for m in (fast, slow))
        assert abs(ours - theirs) < 1e-3 * abs(theirs) + 1e-2, (name, ours, theirs)


def test_an_opaque_wall_hides_and_gives_no_gradient_to_what_is_behind() -> None:
    grid = torch.full((33, 33, 33, 4), 5.0).requires_grad_()
    origins, directions = torch.tensor([[[3.0, 0.1, 0.2]]]), torch.tensor([[[-1.0, 0.0, 0.0]]])
    marched = volume_warp.march_grid(grid, sample_rays(origins, directions, samples=64))
    marched.color.sum().backward()
    assert grid.grad is not None
    x = vertices(33)[..., 0]
    assert grid.grad[x > 0.95].abs().sum() > 0 and (grid.grad[x < 0.8] == 0).all()


def test_a_textureless_picture_gives_no_gradient_to_albedo() -> None:
    light = replace(LIGHT, textureless=torch.tensor([True, True]))
    grid = _grid().requires_grad_()
    marched = volume_warp.march_grid(grid, _rays(), light=light)
    gradient = _gradient(marched, grid, NAMES)
    assert (gradient[..., 1:] == 0).all() and gradient[..., 0].abs().max() > 0


def test_skipping_nothing_changes_no_bit_and_skipping_all_leaves_the_background() -> None:
    grid, rays = _grid(), _rays()
    everything = torch.ones(8, 8, 8, dtype=torch.bool)
    plain = volume_warp.march_grid(grid, rays, light=LIGHT)
    full = volume_warp.march_grid(grid, rays, light=LIGHT, occupied=everything)
    none = volume_warp.march_grid(grid, rays, light=LIGHT, occupied=~everything)
    for name in NAMES:
        assert torch.equal(getattr(plain, name), getattr(full, name)), name
        assert (getattr(none, name) == 0).all(), name


@pytest.mark.usefixtures("two_threads")
def test_two_threads_give_the_same_bits_every_time() -> None:
    grid, rays = _grid().requires_grad_(), _rays(33)  # an odd number of rays, dealt out in two
    runs: list[list[Tensor]] = []
    for _ in range(5):
        marched = volume_warp.march_grid(grid, rays, light=LIGHT, occupied=OCCUPIED)
        runs.append([marched.color, marched.depth, _gradient(marched, grid, NAMES)])
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))


@pytest.mark.usefixtures("two_threads")
def test_two_threads_do_the_work_of_one() -> None:
    grid, rays = _grid().requires_grad_(), _rays(33)
    two = volume_warp.march_grid(grid, rays, light=LIGHT)
    torch.set_num_threads(1)
    one = volume_warp.march_grid(grid, rays, light=LIGHT)
    assert torch.equal(one.color, two.color)
    torch.testing.assert_close(_gradient(one, grid, NAMES), _gradient(two, grid, NAMES))


def test_single_precision_marches_in_warp() -> None:
    assert fastest(_grid(), _rays()) is volume_warp.march_grid


@pytest.mark.seconds
def test_the_kernels_compile_for_cuda(tmp_path: Path) -> None:
    wp.compile_aot_module(volume_warp, arch=[80, 90], use_ptx=True, module_dir=tmp_path)
    built = [path.read_text() for path in tmp_path.rglob("*.ptx")]
    assert len(built) == 2
    assert all("forward" in ptx and "backward" in ptx for ptx in built)


@pytest.mark.gpu
def test_a_gpu_agrees_with_the_cpu() -> None:
    def cuda(x: Tensor) -> Tensor:
        return x.cuda()

    rays, light = _rays(), LIGHT
    there = Rays(*(cuda(getattr(rays, f.name)) for f in fields(Rays)))
    lamp = Light(*(cuda(getattr(light, f.name)) for f in fields(Light)))
    near, far = _grid().requires_grad_(), _grid().cuda().requires_grad_()
    here = volume_warp.march_grid(near, rays, light=light, occupied=OCCUPIED)
    over = volume_warp.march_grid(far, there, light=lamp, occupied=OCCUPIED.cuda())
    torch.testing.assert_close(over.color.cpu(), here.color, atol=1e-4, rtol=0)
    ours, theirs = _gradient(over, far, NAMES).cpu(), _gradient(here, near, NAMES)
    assert (ours - theirs).norm() < 1e-3 * theirs.norm()
