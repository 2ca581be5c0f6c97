"""The Warp hash grid against its torch specification: values, gradients, hashes, the CUDA build."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import warp as wp
from conftest import rng
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.lights import Light
from dreamlift.render import hashgrid_warp
from dreamlift.render.hashgrid import Layout, encode, encode_torch, fast
from dreamlift.render.hashgrid_warp import encode_warp
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.hashed import SMALL, Hashed

Encode = Callable[[Tensor, Tensor, Layout], Tensor]
LAYOUTS = {
    "the field's": SMALL,
    "the paper's": Layout(),
    "sides that fit no power of two, three features": Layout(4, 3, 9, coarsest=5, growth=1.7),
}
both = pytest.mark.parametrize("twin", [encode_torch, encode_warp], ids=["torch", "warp"])


def given(layout: Layout, n: int = 3000) -> tuple[Tensor, Tensor]:
    """A table of large numbers; points anywhere, and in corners of the cube."""
    table = torch.randn(layout.starts[-1], layout.features, generator=rng(1))
    points = torch.rand(n, 3, generator=rng(2))
    points[:3] = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0.3]])
    return table.requires_grad_(), points.requires_grad_()


def outcome(twin: Encode, table: Tensor, points: Tensor, layout: Layout) -> list[Tensor]:
    features = twin(table, points, layout)
    upstream = torch.randn(features.shape, generator=rng(3)).to(features)
    return [features.detach(), *torch.autograd.grad(features, (table, points), upstream)]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_twins_have_one_signature() -> None:
    slow, quick = (inspect.signature(f) for f in (encode_torch, encode_warp))
    assert str(slow) == str(quick) == str(inspect.signature(encode))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_twins_agree(layout: Layout) -> None:
    """In values to 1e-5, in gradients to 1e-5 of their norm."""
    table, points = given(layout)
    slow, quick = (outcome(f, table, points, layout) for f in (encode_torch, encode_warp))
    torch.testing.assert_close(quick[0], slow[0], atol=1e-5, rtol=0)
    for ours, theirs in zip(quick[1:], slow[1:], strict=True):
        assert theirs.any() and (ours - theirs).norm() < 1e-5 * theirs.norm()


@both
@pytest.mark.parametrize(
    ("vertex", "entry"),
    [
        ((1, 2, 3), 128476),
        ((0, 0, 1), 153493),
        ((100, 200, 300), 110768),
        ((511, 511, 511), 474075),
    ],
)
def test_a_vertex_is_looked_up_at_its_golden_hash(
    twin: Encode, vertex: tuple[int, int, int], entry: int
) -> None:
    layout = Layout(levels=1, features=1, coarsest=1024)
    table = torch.zeros(layout.starts[-1], 1, requires_grad=True)
    points = (torch.tensor([vertex]) - 0.5) / layout.scale(0)
    features = twin(table, points.clamp_min(0), layout)
    features.sum().backward()
    assert table.grad is not None
    if min(vertex) > 0:  # else the point lies half a cell inside of the cube's face
        assert float(table.grad[entry]) == pytest.approx(1, abs=1e-3)
    assert float(table.grad[entry]) > 0.24


@both
def test_a_level_that_fits_is_kept_row_by_row(twin: Encode) -> None:
    layout = Layout(levels=1, features=1, log_size=10, coarsest=8)
    table = torch.zeros(layout.starts[-1], 1, requires_grad=True)
    twin(table, (torch.tensor([[1, 2, 3]]) - 0.5) / layout.scale(0), layout).sum().backward()
    assert table.grad is not None
    assert int(table.grad.argmax()) == 1 + 8 * 2 + 64 * 3


def test_only_what_is_asked_for_has_a_gradient() -> None:
    table, points = given(SMALL, 40)
    whole = outcome(encode_warp, table, points, SMALL)
    alone = encode_warp(table, points.detach(), SMALL)
    upstream = torch.randn(alone.shape, generator=rng(3))
    assert torch.equal(torch.autograd.grad(alone, table, upstream)[0], whole[1])
    moving = encode_warp(table.detach(), points, SMALL)
    assert torch.equal(torch.autograd.grad(moving, points, upstream)[0], whole[2])


def test_no_points_have_no_features() -> None:
    table, points = given(SMALL, 3)
    features = encode_warp(table, points[:0], SMALL)
    assert features.shape == (0, 24)
    (gradient,) = torch.autograd.grad(features.sum(), table)
    assert gradient.shape == table.shape and not gradient.any()


def test_a_gradient_can_be_differentiated_again() -> None:
    """As analytic normals need it, which a loss then shapes."""
    table, points = given(SMALL, 50)
    found: list[Tensor] = []
    for twin in (encode_torch, encode_warp):
        (slope,) = torch.autograd.grad(
            twin(table, points, SMALL).square().sum(), points, create_graph=True
        )
        found += torch.autograd.grad(slope.square().sum(), table)
    assert found[0].any() and (found[1] - found[0]).norm() < 1e-4 * found[0].norm()


@pytest.mark.parametrize("normals", ["finite", "analytic"])
def test_a_lit_field_learns_alike(normals: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(levels=4, log_size=12, growth=1.7)
    kind = "analytic" if normals == "analytic" else "finite"
    field = Field(body=Hashed(layout), normals=kind, samples=12)
    table = field.get_parameter("body.table")
    with torch.no_grad():
        table.mul_(3000)
    light = Light(
        torch.tensor([[2.0, 3, 1]]), torch.tensor([0.3]), torch.tensor([0.7]), torch.tensor([False])
    )
    shot = Shot(orbit(torch.tensor([20.0]), torch.tensor([10.0]), size=5), light)
    found: list[Tensor] = []
    for twin in (encode_torch, encode_warp):
        monkeypatch.setattr("dreamlift.scenes.hashed.encode", twin)
        view = field.render(shot)
        loss = view.color.square().sum() + view.aux.orientation.sum()
        found += [view.color.detach(), torch.autograd.grad(loss, table)[0]]
    torch.testing.assert_close(found[2], found[0], atol=1e-4, rtol=0)
    assert found[1].any() and (found[3] - found[1]).norm() < 1e-3 * found[1].norm()


@pytest.mark.usefixtures("two_threads")
def test_two_threads_give_the_bits_of_one() -> None:
    """No level is shared by two threads, no point either."""
    table, points = given(SMALL, 2001)
    two = outcome(encode_warp, table, points, SMALL)
    torch.set_num_threads(1)
    one = outcome(encode_warp, table, points, SMALL)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_single_precision_is_looked_up_in_warp_and_double_in_torch() -> None:
    table, points = given(SMALL, 5)
    assert fast(table, points) and not fast(table.double(), points.double())
    assert "Encode" in type(encode(table, points, SMALL).grad_fn).__name__
    assert encode(table.double(), points.double(), SMALL).dtype == torch.float64


def test_a_table_of_another_layout_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(40, 2\). Make it with torch.zeros"):
        encode(torch.zeros(40, 2), torch.zeros(1, 3), SMALL)


@pytest.mark.seconds
def test_the_kernels_compile_for_cuda(tmp_path: Path) -> None:
    wp.compile_aot_module(hashgrid_warp, arch=[80, 90], use_ptx=True, module_dir=tmp_path)
    built = [path.read_text() for path in tmp_path.rglob("*.ptx")]
    assert len(built) == 2
    assert all(name in ptx for ptx in built for name in ("forward", "to_table", "to_points"))


@pytest.mark.gpu
def test_a_gpu_agrees_with_the_cpu() -> None:
    table, points = given(SMALL)
    here = outcome(encode_warp, table, points, SMALL)
    far = (table.detach().cuda().requires_grad_(), points.detach().cuda().requires_grad_())
    for ours, theirs in zip(outcome(encode_warp, *far, SMALL), here, strict=True):
        assert (ours.cpu() - theirs).norm() < 1e-4 * theirs.norm()
