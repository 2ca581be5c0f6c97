"""render/hashgrid.py against golden indices of tiny-cuda-nn, and closed forms of interpolation."""

import itertools

import pytest
import torch
from conftest import rng

from dreamlift.cameras import orbit
from dreamlift.render.hashgrid import Layout, encode, hashed, index
from dreamlift.scene import Shot
from dreamlift.scenes.field import REFRESH, Field, initial_density
from dreamlift.scenes.hashed import SMALL as HASH
from dreamlift.scenes.hashed import Hashed
from dreamlift.scenes.restore import restored
from dreamlift.step import Step

SMALL = Layout(levels=3, features=2, log_size=5, coarsest=2, growth=2.0)


@pytest.mark.parametrize(
    ("vertex", "entry"),
    [
        ((1, 2, 3), 128476),
        ((0, 0, 1), 153493),
        ((100, 200, 300), 110768),
        ((511, 511, 511), 474075),
    ],
)
def test_hashes_are_the_golden_ones(vertex: tuple[int, int, int], entry: int) -> None:
    assert int(hashed(torch.tensor([vertex]), 1 << 19)) == entry


def test_the_papers_levels_grow_from_16_to_2048() -> None:
    layout = Layout()
    assert layout.growth == pytest.approx(1.381913, abs=1e-6)
    assert (layout.resolution(0), layout.resolution(15)) == (16, 2048)
    assert layout.entries(0) == 4096  # 16^3, a multiple of 8 already
    assert layout.resolution(1) == 23  # ceil(16 x 1.3819 - 1) + 1
    assert layout.entries(1) == 12_168  # 23^3 = 12,167
    assert layout.entries(15) == 1 << 19
    assert layout.starts[1:3] == (4096, 4096 + 12_168)


def test_a_size_is_rounded_up_to_eight() -> None:
    assert Layout(coarsest=5, growth=2).entries(0) == 128  # of 125 vertices


def test_a_level_that_fits_gives_every_vertex_its_own_entry() -> None:
    vertices = torch.tensor([*itertools.product(range(6), repeat=3)])
    assert index(vertices, 6, 216).unique().numel() == 216
    assert index(torch.tensor([[1, 2, 3]]), 6, 216).tolist() == [1 + 6 * 2 + 36 * 3]
    assert (
        index(torch.tensor([[1, 2, 3]]), 7, 216).tolist()
        == hashed(torch.tensor([[1, 2, 3]]), 216).tolist()
    )


def test_a_level_that_fits_reproduces_trilinear_functions() -> None:
    layout = Layout(levels=1, features=1, log_size=10, coarsest=8)
    n, s = layout.resolution(0), layout.scale(0)
    at = torch.tensor([*itertools.product(range(n), repeat=3)]).double()
    table = torch.zeros(layout.entries(0), 1).double()

    def f(x: torch.Tensor) -> torch.Tensor:
        a, b, c = x.unbind(-1)
        return 1 + 2 * a - b + 3 * a * b * c + b * c

    table[index(at.long(), n, len(table)), 0] = f((at - 0.5) / s)
    points = 0.9 * torch.rand(50, 3, generator=rng(), dtype=torch.float64)
    torch.testing.assert_close(encode(table, points, layout)[:, 0], f(points))


def test_the_weights_of_a_query_add_up_to_one_in_each_level() -> None:
    table = torch.zeros(SMALL.starts[-1], 2, dtype=torch.float64, requires_grad=True)
    points = torch.rand(7, 3, generator=rng(2), dtype=torch.float64)
    features = encode(table, points, SMALL)
    assert features.shape == (7, 6)
    features.sum().backward()
    assert table.grad is not None
    for start, end in itertools.pairwise(SMALL.starts):
        assert float(table.grad[start:end].sum()) == pytest.approx(7 * 2)


def test_gradients_are_those_of_finite_differences() -> None:
    table = torch.randn(SMALL.starts[-1], 2, generator=rng(3), dtype=torch.float64)
    points = torch.rand(4, 3, generator=rng(4), dtype=torch.float64)
    table.requires_grad_()
    points.requires_grad_()
    assert torch.autograd.gradcheck(lambda t, p: encode(t, p, SMALL), (table, points))


def test_the_gradient_to_a_point_is_constant_along_its_axis_in_a_cell() -> None:
    layout = Layout(levels=1, features=1, log_size=10, coarsest=8)
    table = torch.randn(layout.entries(0), 1, generator=rng(5), dtype=torch.float64)
    s = layout.scale(0)
    points = torch.tensor([[3.6, 2.7, 4.8], [3.9, 2.7, 4.8]], dtype=torch.float64) / s
    points.requires_grad_()
    (slope,) = torch.autograd.grad(encode(table, points, layout).sum(), points)
    assert float(slope[0, 0]) == pytest.approx(float(slope[1, 0]))
    assert float(slope[0, 1]) != pytest.approx(float(slope[1, 1]))


def test_a_hashed_field_begins_as_fog_and_its_table_learns() -> None:
    field = Field(body=Hashed())
    points = torch.randn(40, 3, generator=rng(6)) * 0.4
    with torch.no_grad():
        fog = initial_density(points, "fog", 3.0)
        torch.testing.assert_close(field.density(points), fog, rtol=1e-3, atol=1e-4)
    cameras = orbit(torch.tensor([20.0]), torch.tensor([10.0]), size=6)
    view = field.render(Shot(cameras), rng=rng())
    (view.color.square().mean() + view.alpha.mean()).backward()
    table = field.get_parameter("body.table")
    assert table.grad is not None
    touched = (table.grad != 0).any(-1)
    assert all(bool(touched[a:b].any()) for a, b in itertools.pairwise(HASH.starts))
    before = field.occupied.clone()
    adam = torch.optim.Adam(field.parameters())
    field.adapt(Step(REFRESH - 1, 100, rng()), view, adam)
    assert bool(field.seen.any()) and field.occupied.shape == before.shape


def test_a_hashed_field_can_begin_again_and_has_no_finer_grid() -> None:
    field = Field(body=Hashed())
    drawn = field.get_parameter("body.table").clone()
    with torch.no_grad():
        field.get_parameter("body.table").add_(1)
    field.revive()
    assert torch.equal(field.get_parameter("body.table"), drawn)
    with pytest.raises(ValueError, match="Only a grid has a finer one"):
        field.finer()


def test_a_hashed_body_is_known_by_its_numbers() -> None:
    layout = Layout(levels=3, log_size=9, coarsest=5, growth=1.37123456789)
    body = Hashed(layout, init="blob", optical_depth=2.3, seed=4)
    again = Hashed.of(body.double().state_dict()["numbers"])
    assert again.layout == layout and again.init == "blob" and again.optical_depth == 2.3
    assert torch.equal(again.table.double(), body.table) and again.seed == 4


def test_a_hashed_field_is_restored_from_its_state() -> None:
    field = Field(body=Hashed(Layout(levels=2, log_size=9, growth=1.5), init="blob", seed=5))
    with torch.no_grad():
        field.get_parameter("body.table").add_(0.1)
    back = restored(field.state_dict())
    assert isinstance(back, Field) and isinstance(back.body, Hashed)
    points = torch.randn(30, 3, generator=rng(2)) * 0.5
    for one, two in zip(field.query(points), back.query(points), strict=True):
        torch.testing.assert_close(one, two)
