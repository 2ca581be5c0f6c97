"""Signed distances against sampled surfaces and closed forms, and how programs join them."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.geometry.primitives import (
    FAR,
    Solid,
    ball,
    box,
    cone,
    cylinder,
    distance,
    ellipsoid,
    pack,
    pyramid,
    rod,
    rotation,
    smooth_min,
    torus,
)

Sampler = Callable[[int], Tensor]
Inside = Callable[[Tensor], Tensor]


def measure(points: Tensor, *parts: list[Solid]) -> Tensor:
    """Distances of points to one scene, in float64."""
    program = pack([parts])
    doubled = type(program)(
        *(
            x.double() if x.is_floating_point() else x
            for x in (getattr(program, name) for name in program.__dataclass_fields__)
        )
    )
    return distance(doubled, points.double()[None])[0][0]


def uniform(n: int, low: float = -1.0, high: float = 1.0, *, columns: int = 3) -> Tensor:
    return low + (high - low) * torch.rand(n, columns, generator=rng(n), dtype=torch.float64)


def on_triangles(n: int, triangles: list[list[list[float]]]) -> Tensor:
    corners = torch.tensor(triangles, dtype=torch.float64)
    areas = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(
        dim=-1
    )
    which = torch.multinomial(areas, n, replacement=True, generator=rng(1))
    w = uniform(n, 0, 1, columns=2)
    w = torch.where(w.sum(-1, keepdim=True) > 1, 1 - w, w)
    a, b, c = corners[which].unbind(1)
    return a + w[:, :1] * (b - a) + w[:, 1:] * (c - a)


def turn_round(n: int, profile: Tensor) -> Tensor:
    """Points (r, z) of a profile turned about the z axis."""
    angle = 2 * math.pi * torch.rand(n, generator=rng(2), dtype=torch.float64)
    return torch.stack([profile[:, 0] * angle.cos(), profile[:, 0] * angle.sin(), profile[:, 1]], 1)


def on_box(n: int) -> Tensor:
    """The surface of the box of half sides 0.5, 0.3, 0.2."""
    u = uniform(n)
    face = torch.arange(n) % 3
    u[torch.arange(n), face] = u[torch.arange(n), face].sign()
    return u * torch.tensor([0.5, 0.3, 0.2])


def on_cone(n: int) -> Tensor:
    """The frustum of half height 0.4 and radii 0.5 below, 0.2 above."""
    ends = torch.tensor(
        [[[0.0, -0.4], [0.5, -0.4]], [[0.5, -0.4], [0.2, 0.4]], [[0.2, 0.4], [0, 0.4]]]
    )
    start, end = ends.double()[torch.arange(n) % 3].unbind(1)
    return turn_round(n, start + torch.rand(n, 1, generator=rng(3)) * (end - start))


def on_torus(n: int) -> Tensor:
    """The ring of radius 0.5 and tube 0.15."""
    a = 2 * math.pi * torch.rand(n, generator=rng(4), dtype=torch.float64)
    return turn_round(n, torch.stack([0.5 + 0.15 * a.cos(), 0.15 * a.sin()], 1))


def on_pyramid(n: int) -> Tensor:
    """Half height 0.4, half side 0.3."""
    b, top = 0.3, [0.0, 0.0, 0.4]
    base = [[-b, -b, -0.4], [b, -b, -0.4], [b, b, -0.4], [-b, b, -0.4]]
    sides = [[base[i], base[(i + 1) % 4], top] for i in range(4)]
    return on_triangles(n, [[base[0], base[1], base[2]], [base[0], base[2], base[3]], *sides])


EXACT: dict[str, tuple[Solid, Sampler, Inside]] = {
    "box": (box(0.5, 0.3, 0.2), on_box, lambda p: (p.abs() < torch.tensor([0.5, 0.3, 0.2])).all(1)),
    "cone": (
        cone(0.4, 0.5, 0.2),
        on_cone,
        lambda p: (p[:, 2].abs() < 0.4) & (p[:, :2].norm(dim=1) < 0.35 - 0.375 * p[:, 2]),
    ),
    "torus": (
        torus(0.5, 0.15),
        on_torus,
        lambda p: (p[:, :2].norm(dim=1) - 0.5) ** 2 + p[:, 2] ** 2 < 0.15**2,
    ),
    "pyramid": (
        pyramid(0.4, 0.3),
        on_pyramid,
        lambda p: (p[:, 2] > -0.4) & (p[:, :2].abs().amax(1) < 0.3 * (0.4 - p[:, 2]) / 0.8),
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_distance_is_that_of_the_nearest_point_of_the_surface(name: str) -> None:
    solid, sampler, inside = EXACT[name]
    points = uniform(400, -0.7, 0.7)
    nearest = torch.cdist(points, sampler(40000)).amin(1)
    d = measure(points, [solid])
    assert torch.equal(d < 0, inside(points))
    assert 10 < inside(points).sum() < 390
    # Samples miss the nearest point by some 0.01 along the surface, more often at an edge.
    assert torch.all(d.abs() <= nearest + 1e-9)
    assert torch.all(nearest <= torch.hypot(d.abs(), torch.tensor(0.025)) + 0.006)


@pytest.mark.parametrize("name", EXACT)
def test_surfaces_have_distance_nought(name: str) -> None:
    solid, sampler, _ = EXACT[name]
    torch.testing.assert_close(
        measure(sampler(500), [solid]), torch.zeros(500, dtype=torch.float64), atol=1e-6, rtol=0
    )


def test_a_ball_is_exact() -> None:
    points = uniform(200)
    d = measure(points, [ball(0.4).at(0.3, -0.2, 0.1)])
    exact = (points - torch.tensor([0.3, -0.2, 0.1])).norm(dim=1) - 0.4
    torch.testing.assert_close(d, exact, atol=1e-6, rtol=0)


def test_an_ellipsoid_is_exact_on_its_axes_and_to_a_third_elsewhere() -> None:
    radii = torch.tensor([0.6, 0.3, 0.2], dtype=torch.float64)
    solid = ellipsoid(0.6, 0.3, 0.2)
    axes = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(measure(axes * 1.5, [solid]), 1.5 - radii, atol=1e-6, rtol=0)
    sphere = torch.nn.functional.normalize(
        torch.randn(60000, 3, generator=rng(), dtype=torch.float64), dim=1
    )
    points = uniform(400)
    nearest = torch.cdist(points, sphere * radii).amin(1)
    d = measure(points, [solid])
    assert torch.equal(d < 0, (points / radii).norm(dim=1) < 1)
    assert torch.all(d.abs() <= 1.34 * nearest + 1e-3)
    outside = d > 0.02
    assert torch.all(d[outside] >= 0.66 * nearest[outside])


def test_the_centre_of_an_ellipsoid_is_its_least_radius_deep() -> None:
    d = measure(torch.zeros(1, 3), [ellipsoid(0.6, 0.3, 0.2)])
    torch.testing.assert_close(d, torch.tensor([-0.2], dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("rounded", "core"),
    [
        (box(0.5, 0.3, 0.2, 0.05), box(0.45, 0.25, 0.15)),
        (cone(0.4, 0.5, 0.2, 0.05), cone(0.35, 0.45, 0.15)),
    ],
    ids=["box", "cone"],
)
def test_rounding_stays_inside_and_is_a_smaller_solid_swollen(rounded: Solid, core: Solid) -> None:
    points = uniform(300)
    torch.testing.assert_close(
        measure(points, [rounded]), measure(points, [core]) - 0.05, atol=1e-6, rtol=0
    )


def test_a_rod_runs_from_end_to_end() -> None:
    start, end, radius = (0.3, -0.2, 0.1), (-0.4, 0.5, 0.2), 0.1
    a, b = torch.tensor(start).double(), torch.tensor(end).double()
    axis = torch.nn.functional.normalize(b - a, dim=0)
    off = torch.linalg.cross(axis, torch.tensor([0.0, 0, 1]).double())
    off = off / off.norm()
    along = torch.linspace(0, 1, 9)[1:-1, None].double()
    wall = a + along * (b - a) + radius * off
    torch.testing.assert_close(
        measure(wall, [rod(start, end, radius)]), torch.zeros(7).double(), atol=1e-6, rtol=0
    )
    tips = torch.stack([a - axis * 0.045, b + axis * 0.045])  # the rounded ends reach 0.45 radii on
    torch.testing.assert_close(
        measure(tips, [rod(start, end, radius)]), torch.zeros(2).double(), atol=1e-6, rtol=0
    )


def test_a_turn_is_right_handed_and_keeps_distances() -> None:
    moved = box(0.3, 0.1, 0.2).at(0.5, 0.1, 0).turned("z", 90).at(0, 0, 0.3)
    centre = torch.tensor([[-0.1, 0.5, 0.3]])  # x came to y, y to -x
    torch.testing.assert_close(
        measure(centre, [moved]), torch.tensor([-0.1]).double(), atol=1e-6, rtol=0
    )
    points = uniform(100)
    for axis in "xyz":
        R = torch.from_numpy(rotation(axis, 37.0))
        turned = measure(points @ R.T, [cone(0.4, 0.5, 0.2).turned(axis, 37.0)])
        torch.testing.assert_close(
            turned, measure(points, [cone(0.4, 0.5, 0.2)]), atol=1e-6, rtol=0
        )
    assert np.allclose(rotation("y", 90) @ [0, 0, 1], [1, 0, 0])


def test_scaling_scales_distances() -> None:
    points = uniform(100)
    solid = torus(0.4, 0.1).turned("x", 20).at(0.1, 0, 0.2)
    torch.testing.assert_close(
        measure(points * 1.7, [solid.scaled(1.7)]),
        1.7 * measure(points, [solid]),
        atol=1e-6,
        rtol=0,
    )


def test_stretched_solids_keep_their_surface_and_never_overstate() -> None:
    surface = on_cone(40000)
    solid = cone(0.4, 0.5, 0.2).turned("x", 30).stretched(1.5, 0.6, 1.0).at(0.1, 0.2, -0.1)
    world = surface @ torch.from_numpy(solid.linear).T + torch.from_numpy(solid.offset)
    torch.testing.assert_close(
        measure(world[:300], [solid]), torch.zeros(300).double(), atol=1e-6, rtol=0
    )
    points = uniform(300)
    d = measure(points, [solid])
    assert torch.all(d.abs() <= torch.cdist(points, world).amin(1) + 1e-9)


def test_padding_changes_nothing_and_scenes_keep_their_own_points() -> None:
    small = [[ball(0.3).at(0.2, 0, 0)]]
    large = [[box(0.2, 0.3, 0.1), torus(0.4, 0.1).melted(0.1)], [cone(0.2, 0.1).at(0, 0, 0.5)]]
    points = uniform(100).float()
    both, parts = distance(pack([small, large, []]), torch.stack([points, points + 0.1, points]))
    alone = [distance(pack([small]), points[None]), distance(pack([large]), points[None] + 0.1)]
    for i in range(2):
        assert torch.equal(both[i], alone[i][0][0])
        assert torch.equal(parts[i], alone[i][1][0])
    assert torch.all(both[2] == FAR)
    assert torch.all(parts[2] == 0)
    assert torch.all(distance(pack([[]]), points[None])[0] == FAR)


def test_the_nearest_part_owns_a_point() -> None:
    scene = [[ball(0.2)], [ball(0.2).at(1, 0, 0)], [ball(0.1).at(0, 1, 0), ball(0.1).at(0, 2, 0)]]
    points = torch.tensor([[[0.4, 0.0, 0.0], [0.6, 0.0, 0.0], [0.0, 0.8, 0.0], [0.0, 2.1, 0.3]]])
    assert distance(pack([scene]), points)[1].tolist() == [[0, 1, 2, 2]]


def test_cutting_and_keeping_are_maxima_within_the_part() -> None:
    points = uniform(300)
    a, b = box(0.5, 0.4, 0.3), ball(0.4).at(0.3, 0.1, 0.2)
    d_a, d_b = measure(points, [a]), measure(points, [b])
    torch.testing.assert_close(measure(points, [a, b.cutting()]), torch.maximum(d_a, -d_b))
    torch.testing.assert_close(measure(points, [a, b.keeping()]), torch.maximum(d_a, d_b))
    other = ball(0.1).at(0.3, 0.1, 0.2)
    torch.testing.assert_close(
        measure(points, [a, b.cutting()], [other]),
        torch.minimum(torch.maximum(d_a, -d_b), measure(points, [other])),
    )
    torch.testing.assert_close(  # in order: what comes after the cut is whole
        measure(points, [a, b.cutting(), other]),
        torch.minimum(torch.maximum(d_a, -d_b), measure(points, [other])),
    )


def test_joints_are_smooth_over_their_width() -> None:
    a, b = ball(0.3).at(-0.35, 0, 0), ball(0.3).at(0.35, 0, 0)
    middle = torch.tensor([[0.0, 0.1, 0.2]])  # equally far from both, where it shows most: k / 4
    apart = measure(middle, [a])
    torch.testing.assert_close(measure(middle, [a, b.melted(0.2)]), apart - 0.05)
    torch.testing.assert_close(measure(middle, [a, b.keeping().melted(0.2)]), apart + 0.05)
    points, bite = uniform(300), b.at(-0.35, 0, 0).cutting()
    sharp, smooth = measure(points, [a, bite]), measure(points, [a, bite.melted(0.2)])
    assert torch.all(smooth >= sharp - 1e-9)  # a smooth cut takes more away
    assert torch.any(smooth > sharp + 0.02)


def test_smooth_min_meets_its_closed_form() -> None:
    a, b = uniform(200)[:, 0], uniform(201)[:200, 1]
    k = torch.full_like(a, 0.3)
    smooth = smooth_min(a, b, k)
    far = (a - b).abs() >= 0.3
    assert torch.equal(smooth[far], torch.minimum(a, b)[far])
    h = 0.5 + (b - a)[~far] / (2 * 0.3)
    quilez = b[~far] + (a - b)[~far] * h - 0.3 * h * (1 - h)
    torch.testing.assert_close(smooth[~far], quilez)
    assert torch.equal(smooth_min(a, b, torch.zeros_like(a)), torch.minimum(a, b))


def test_stretching_shrinks_the_joint_with_the_thinnest_side() -> None:
    assert ball(1).melted(0.2).stretched(2, 0.5, 1).blend == pytest.approx(0.1)


def test_a_program_moves_and_splits() -> None:
    program = pack([[[ball(0.3)]], [[ball(0.2)], [cylinder(0.1, 0.2)]]])
    assert len(program) == 2
    assert len(program[torch.tensor([1, 1, 0])]) == 3
    assert torch.equal(program.to("cpu").size, program.size)
    assert program.kind.tolist() == [[0, -1], [0, 2]]
    assert program.part.tolist() == [[0, 0], [0, 1]]


def test_wrong_axes_and_rods_say_so() -> None:
    with pytest.raises(ValueError, match="'x', 'y' or 'z', not 'w'"):
        rotation("w", 10)
    with pytest.raises(ValueError, match="two different ends"):
        rod((0, 0, 1), (0, 0, 1), 0.1)
