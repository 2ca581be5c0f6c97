"""dreamlift/geometry/lens.py: OpenCV's formulas, and photographs made straight."""

import math

import pytest
import torch

from dreamlift.geometry.lens import Lens, bend, shrink, straighten

PLAIN = Lens(110.0, 100.0, 61.5, 44.0, 120, 90, (0.21, -0.17, 0.05), (0.02, -0.03))
FISHEYE = Lens(90.0, 95.0, 58.0, 47.0, 120, 90, fisheye=(0.05, -0.02, 0.008, -0.001))


def opencv(lens: Lens, x: float, y: float) -> tuple[float, float]:
    """cv2.projectPoints of (x, y, 1) with (k1, k2, p1, p2, k3), in pixels, as its manual has it."""
    k1, k2, k3 = lens.radial
    p1, p2 = lens.tangential
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    xd = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    yd = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    return lens.fx * xd + lens.cx, lens.fy * yd + lens.cy


def opencv_fisheye(lens: Lens, x: float, y: float) -> tuple[float, float]:
    """cv2.fisheye.projectPoints."""
    assert lens.fisheye is not None
    r = math.hypot(x, y)
    t = math.atan(r)
    k1, k2, k3, k4 = lens.fisheye
    td = t * (1 + k1 * t**2 + k2 * t**4 + k3 * t**6 + k4 * t**8)
    return lens.fx * td / r * x + lens.cx, lens.fy * td / r * y + lens.cy


@pytest.mark.parametrize(("lens", "formula"), [(PLAIN, opencv), (FISHEYE, opencv_fisheye)])
def test_directions_are_bent_as_opencv_bends_them(lens: Lens, formula) -> None:
    at = torch.tensor([[0.3, -0.2], [-0.25, 0.1], [0.01, 0.22]], dtype=torch.float64)
    bent = bend(lens, at) * torch.tensor([lens.fx, lens.fy]) + torch.tensor([lens.cx, lens.cy])
    for (x, y), got in zip(at.tolist(), bent.tolist(), strict=True):
        assert got == pytest.approx(formula(lens, x, y), abs=1e-4)


def test_the_axis_stays_where_it_is() -> None:
    for lens in (PLAIN, FISHEYE):
        nothing = torch.zeros(1, 2, dtype=torch.float64)
        assert bend(lens, nothing).tolist() == [[0.0, 0.0]]


def test_a_formula_that_folds_over_says_so() -> None:
    """With k1 = -1 the picture's radius grows up to r = 3 ** -.5 and shrinks beyond."""
    lens = Lens(100.0, 100.0, 50.0, 50.0, 100, 100, (-1.0, 0.0, 0.0))
    bent = bend(lens, torch.tensor([[0.57, 0.0], [0.58, 0.0]]))
    assert bent[0].isfinite().all() and bent[1].isnan().all()


def world(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """What is seen in direction (x, y, 1): smooth, and different everywhere."""
    return torch.stack([0.5 + 0.4 * (5 * x + y).sin(), 0.5 + 0.4 * (3 * y - 2 * x).cos()], -1)


def photograph(lens: Lens, formula) -> torch.Tensor:
    """What the lens itself takes: each pixel's direction by bisection along its radius' search."""
    rows = []
    for i in range(lens.height):
        for j in range(lens.width):
            x, y = (j + 0.5 - lens.cx) / lens.fx, (i + 0.5 - lens.cy) / lens.fy
            for _ in range(40):
                u, v = formula(lens, x or 1e-12, y)
                x -= (u - j - 0.5) / lens.fx
                y -= (v - i - 0.5) / lens.fy
            rows.append((x, y))
    x, y = torch.tensor(rows, dtype=torch.float64).reshape(lens.height, lens.width, 2).unbind(-1)
    return world(x, y).float()


@pytest.mark.parametrize(("lens", "formula"), [(PLAIN, opencv), (FISHEYE, opencv_fisheye)])
def test_a_straightened_photograph_is_a_pinhole_s(lens: Lens, formula) -> None:
    lens = lens.resized(40, 30)
    y, x = torch.meshgrid(
        (torch.arange(30) + 0.5 - lens.cy) / lens.fy,
        (torch.arange(40) + 0.5 - lens.cx) / lens.fx,
        indexing="ij",
    )
    taken = photograph(lens, formula)
    seen, known = straighten(taken, lens)
    inside = known[..., 0] > 0
    inside[[0, -1]] = inside[:, [0, -1]] = False  # half a pixel of the border is extended
    assert inside.float().mean() > 0.8
    error = (seen - world(x, y))[inside].abs()
    assert error.mean() < 2e-3 and error.max() < 0.02
    assert (taken - world(x, y))[inside].abs().mean() > 8e-3  # it was not straight before


def test_what_the_photograph_does_not_show_is_not_known() -> None:
    """A barrel lens squeezes the world into its picture, a cushion does not."""
    picture = torch.rand(20, 30, 3, generator=torch.Generator().manual_seed(0))
    for k1, all_known in ((-0.3, True), (0.3, False)):
        lens = Lens(20.0, 20.0, 15.0, 10.0, 30, 20, (k1, 0.0, 0.0))
        seen, known = straighten(picture, lens)
        assert bool((known == 1).all()) == all_known
        assert bool((seen[known[..., 0] == 0] == 0).all())
        assert known[10, 15, 0] == 1


def test_a_pinhole_s_photograph_is_left_as_it_is() -> None:
    picture = torch.rand(6, 9, 4)
    lens = Lens(7.0, 8.0, 4.0, 3.0, 9, 6)
    seen, known = straighten(picture, lens)
    assert seen is picture and bool((known == 1).all())
    with pytest.raises(ValueError, match="The lens is of 9x6 pixels, the picture 5x6"):
        straighten(picture[:, :5], lens)


def test_a_point_is_seen_at_the_same_place_of_a_smaller_picture() -> None:
    lens = PLAIN.resized(60, 45)
    for x, y in ((0.1, 0.2), (-0.2, 0.05)):
        (u, v), (p, q) = opencv(PLAIN, x, y), opencv(lens, x, y)
        assert (p, q) == pytest.approx((u / 2, v / 2))


def test_shrinking_takes_means_and_leaves_off_what_fills_no_square() -> None:
    picture = torch.arange(5 * 7, dtype=torch.float32).reshape(5, 7, 1)
    small = shrink(picture, 2)
    assert small.shape == (2, 3, 1)
    assert small[1, 2, 0] == (18 + 19 + 25 + 26) / 4
    assert shrink(picture, 1) is picture
