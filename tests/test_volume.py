"""Volume rendering in plain torch: closed forms, conventions, and gradients."""

import math

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.cameras import Cameras, orbit
from dreamlift.lights import Light
from dreamlift.render.grid import raw_of, vertices
from dreamlift.render.volume import (
    BALL,
    Marched,
    Matter,
    Rays,
    analytic_normals,
    fastest,
    finite_normals,
    march,
    march_grid,
    outward,
    sample_rays,
)

GREY = torch.tensor([0.2, 0.5, 0.7])


def _rays(
    cameras: Cameras, *, samples: int = 64, jitter: Tensor | None = None, dtype: torch.dtype
) -> Rays:
    cameras = Cameras(
        cameras.world_to_camera.to(dtype), cameras.K.to(dtype), cameras.height, cameras.width
    )
    origins, directions = (x.flatten(1, 2) for x in cameras.rays())
    return sample_rays(origins, directions, samples=samples, jitter=jitter)


def _view(azimuth: float = 25.0, elevation: float = 10.0, size: int = 16) -> Cameras:
    return orbit(torch.tensor([azimuth]), torch.tensor([elevation]), size=size)


def _blob(points: Tensor, center: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Tensor:
    """An opaque Gaussian blob's density."""
    r = points - points.new_tensor(center)
    return 60 * (-r.square().sum(-1) / (2 * 0.15**2)).exp()


def _matter(points: Tensor) -> Matter:
    """A lopsided field with exact normals and albedo that varies."""
    density = _blob(points, (0.1, -0.2, 0.3)) + 0.5
    normal = analytic_normals(lambda p: _blob(p, (0.1, -0.2, 0.3)) + 0.5, points)
    return Matter(density, (points * 0.3 + 0.5).clamp(0, 1), normal)


def _light(position: list[float], ambient: float = 0.3, textureless: bool = False) -> Light:
    return Light(
        torch.tensor([position]),
        torch.tensor([ambient]),
        torch.tensor([1 - ambient]),
        torch.tensor([textureless]),
    )


def _uniform(sigma: float):
    def field(points: Tensor) -> Matter:
        n = len(points)
        return Matter(points.new_full((n,), sigma), GREY.to(points).expand(n, 3))

    return field


@pytest.mark.parametrize("samples", [1, 2, 7, 64])
def test_uniform_density_is_exact_for_any_number_of_samples(samples: int) -> None:
    u = torch.rand(1, 256, generator=rng()).double()
    rays = _rays(_view(), samples=samples, jitter=u, dtype=torch.float64)
    closest = torch.linalg.cross(rays.origins, rays.directions).norm(dim=-1)
    chord = 2 * (BALL**2 - closest**2).clamp_min(0).sqrt()
    marched = march(_uniform(0.7), rays)
    hit = chord > 0.05  # a grazing ray of less than a thousandth of a sample is left out
    alpha = marched.alpha[..., 0]
    torch.testing.assert_close(alpha[hit], (1 - (-0.7 * chord).exp())[hit])
    torch.testing.assert_close(marched.color, marched.alpha * GREY.double())
    assert (alpha[chord == 0] == 0).all() and (chord == 0).any()


def test_weights_add_up_to_what_the_ray_does_not_pass() -> None:
    rays = _rays(_view(), dtype=torch.float64)
    white = march(lambda p: Matter(_blob(p), torch.ones_like(p)), rays)
    i = torch.arange(64)
    t = rays.first[..., None] + i * rays.step[..., None]
    points = rays.origins[..., None, :] + t[..., None] * rays.directions[..., None, :]
    thickness = (_blob(points) * rays.step[..., None] * (i < rays.count[..., None])).sum(-1)
    torch.testing.assert_close(white.color[..., 0], 1 - (-thickness).exp())
    torch.testing.assert_close(white.alpha[..., 0], white.color[..., 0])


def test_nearer_matter_hides_what_is_behind() -> None:
    red, blue = torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])

    def field(points: Tensor) -> Matter:
        x = points[:, :1]  # red toward +x, blue toward -x
        return Matter(100.0 * (x.abs()[:, 0] > 0.2), torch.where(x > 0, red, blue))

    middle = 16 * 8 + 8
    for azimuth, color in ((0.0, red), (180.0, blue)):
        marched = march(field, _rays(_view(azimuth, 0.0), dtype=torch.float32))
        torch.testing.assert_close(marched.color[0, middle], color)


def test_depth_of_a_thin_wall_is_its_distance_along_the_ray() -> None:
    def wall(points: Tensor) -> Matter:
        return Matter(1e4 * ((points[:, 0] - 0.4).abs() < 0.03), torch.ones_like(points))

    rays = _rays(orbit(torch.tensor([0.0]), torch.tensor([0.0]), distance=3.0), dtype=torch.float64)
    marched = march(wall, rays)
    distance = (0.43 - rays.origins[..., 0]) / rays.directions[..., 0]
    hit = marched.alpha[..., 0] > 0.999
    assert hit.sum() > 1000
    error = (marched.depth / marched.alpha)[..., 0][hit] - distance[hit]
    assert (error >= 0).all() and (error < 1.05 * 2 * BALL / 64).all()


def test_from_the_front_y_is_right_and_z_is_up() -> None:
    def centroid(center: tuple[float, float, float]) -> tuple[float, float]:
        field = lambda p: Matter(_blob(p, center), torch.ones_like(p))  # noqa: E731
        alpha = march(field, _rays(_view(0.0, 0.0, 32), dtype=torch.float32)).alpha
        alpha = alpha.reshape(32, 32)
        at = torch.arange(32) + 0.5
        return float((alpha.sum(0) * at).sum() / alpha.sum()), float(
            (alpha.sum(1) * at).sum() / alpha.sum()
        )

    x, y = centroid((0.0, 0.7, 0.0))
    assert x == pytest.approx(16 + 0.7 / 1.25 * 16, abs=0.3) and y == pytest.approx(16, abs=0.1)
    x, y = centroid((0.0, 0.0, 0.7))
    assert y == pytest.approx(16 - 0.7 / 1.25 * 16, abs=0.3) and x == pytest.approx(16, abs=0.1)


@pytest.mark.parametrize("normals", [analytic_normals, finite_normals])
def test_normals_of_a_gaussian_blob_are_radial_and_outward(normals) -> None:
    points = torch.randn(200, 3, generator=rng(), dtype=torch.float64) * 0.2
    points = points[points.norm(dim=-1) > 0.05]
    radial = points / points.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(normals(_blob, points), radial, atol=0.02, rtol=0)


def test_grid_normals_of_a_gaussian_blob_are_radial_and_outward() -> None:
    grid = torch.zeros(65, 65, 65, 4)
    grid[..., 0] = raw_of(_blob(vertices(65)).clamp_min(1e-6))
    rays = _rays(_view(size=32), dtype=torch.float32)
    light = _light([3.0, 1.0, 2.0])
    marched = march_grid(grid, rays, light=light)
    surface = rays.origins + rays.directions * marched.depth / marched.alpha
    radial = surface / surface.norm(dim=-1, keepdim=True)
    hit = marched.alpha[..., 0] > 0.99
    normal = marched.normal / marched.normal.norm(dim=-1, keepdim=True)
    cosine = (normal * radial).sum(-1)[hit]
    assert hit.sum() > 20 and cosine.min() > 0.97, cosine.min()


def test_a_flat_field_has_no_normal_and_a_finite_derivative() -> None:
    gradient = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    normal = outward(gradient)
    (slope,) = torch.autograd.grad(normal[0, 1], gradient)
    assert (normal == 0).all()
    torch.testing.assert_close(slope, torch.tensor([[0.0, -10.0, 0.0]]).double())


def _ball(points: Tensor, sign: float = 1.0) -> Matter:
    """A hard ball of radius 0.8 with radial normals."""
    r = points.norm(dim=-1, keepdim=True)
    return Matter(1e4 * (r[:, 0] < 0.8), GREY.to(points).expand_as(points), sign * points / r)


def test_a_light_behind_leaves_the_ambient_part_alone() -> None:
    cameras = _view(0.0, 0.0, 32)
    marched = march(_ball, _rays(cameras, dtype=torch.float32), light=_light([-50.0, 0, 0]))
    middle = 16 * 32 + 16
    torch.testing.assert_close(marched.color[0, middle], 0.3 * GREY)


def test_a_light_in_front_follows_lambert() -> None:
    rays = _rays(_view(0.0, 0.0, 32), dtype=torch.float64)
    marched = march(_ball, rays, light=_light([1e4, 1e4, 0.0]))
    n = marched.normal / marched.alpha.clamp_min(1e-9)
    cosine = (n @ torch.tensor([1.0, 1, 0]).double() / math.sqrt(2)).clamp_min(0)
    hit = marched.alpha[..., 0] > 0.99
    expected = (0.3 + 0.7 * cosine[..., None]) * GREY
    torch.testing.assert_close(marched.color[hit], expected[hit], atol=1e-3, rtol=0)


def test_shading_comes_before_compositing() -> None:
    """Two thin sheets whose normals oppose: averaged first, they would be unlit."""

    def field(points: Tensor) -> Matter:
        normal = torch.zeros_like(points)
        normal[:, 0] = torch.sign(points[:, 0])
        return Matter(torch.ones(len(points)), torch.ones_like(points), normal)

    marched = march(field, _rays(_view(0.0, 0.0), dtype=torch.float32), light=_light([9.0, 0, 0]))
    lit = (marched.color[..., 0] / marched.alpha[..., 0])[0, 16 * 8 + 8]
    assert lit > 0.3 + 0.7 * 0.5


def test_front_facing_normals_cost_nothing_and_the_penalty_moves_only_normals() -> None:
    rays = _rays(_view(0.0, 0.0, 32), dtype=torch.float32)
    light = _light([3.0, 0, 0])
    central = (rays.origins + 4 * rays.directions).norm(dim=-1) < 0.5
    good = march(_ball, rays, light=light).orientation[central]
    inside_out = march(lambda p: _ball(p, -1.0), rays, light=light).orientation[central]
    assert good.max() == 0 and inside_out.min() > 0.5

    sigma = torch.tensor(3.0, requires_grad=True)
    tilt = torch.tensor(1.0, requires_grad=True)

    def field(points: Tensor) -> Matter:
        m = _ball(points, -1.0)
        assert m.normal is not None
        return Matter(sigma * m.density / 1e4, m.albedo, tilt * m.normal)

    penalty = march(field, rays, light=light).orientation.sum()
    to_sigma, to_tilt = torch.autograd.grad(penalty, (sigma, tilt), allow_unused=True)
    assert to_sigma is None or to_sigma == 0
    assert to_tilt > 0


def test_a_textureless_picture_gives_no_gradient_to_albedo() -> None:
    views = orbit(torch.tensor([20.0, 20.0]), torch.tensor([10.0, 10.0]), size=8)
    rays = _rays(views, dtype=torch.float32)
    light = Light(
        torch.tensor([[3.0, 1, 2]] * 2),
        torch.full((2,), 0.3),
        torch.full((2,), 0.7),
        torch.tensor([True, False]),
    )
    grid = (torch.randn(9, 9, 9, 4, generator=rng()) - 1).requires_grad_()
    marched = march_grid(grid, rays, light=light)
    (blank,) = torch.autograd.grad(marched.color[0].square().sum(), grid, retain_graph=True)
    (textured,) = torch.autograd.grad(marched.color[1].square().sum(), grid)
    assert (blank[..., 1:] == 0).all() and blank[..., 0].abs().max() > 0
    assert textured[..., 1:].abs().max() > 0


def test_skipping_nothing_changes_no_bit_and_skipping_all_leaves_the_background() -> None:
    rays = _rays(_view(), dtype=torch.float32)
    light = _light([3.0, 1.0, 2.0])
    plain = march(_matter, rays, light=light)
    full = march(_matter, rays, light=light, occupied=torch.ones(6, 6, 6, dtype=torch.bool))
    none = march(_matter, rays, light=light, occupied=torch.zeros(6, 6, 6, dtype=torch.bool))
    for name in Marched.__dataclass_fields__:
        assert torch.equal(getattr(plain, name), getattr(full, name)), name
        assert (getattr(none, name) == 0).all(), name


def test_only_points_of_occupied_cells_are_asked_for() -> None:
    occupied = torch.zeros(2, 2, 2, dtype=torch.bool)
    occupied[1, 0, 1] = True

    def field(points: Tensor) -> Matter:
        x, y, z = points.unbind(-1)
        assert ((x >= 0) & (y <= 0) & (z >= 0)).all() and len(points) > 100
        return Matter(torch.ones(len(points)), torch.ones_like(points))

    march(field, _rays(_view(), dtype=torch.float32), occupied=occupied)


def test_each_sample_lies_in_its_stratum() -> None:
    u = torch.rand(1, 256, generator=rng())
    middle = _rays(_view(), samples=40, dtype=torch.float32)
    moved = _rays(_view(), samples=40, jitter=u, dtype=torch.float32)
    assert torch.equal(middle.count, moved.count) and middle.count.max() == 40
    torch.testing.assert_close(moved.first - middle.first, (u - 0.5) * middle.step)


def test_a_camera_inside_the_ball_sees_nothing_behind_it() -> None:
    origins, directions = torch.tensor([[[0.5, 0.0, 0.0]]]), torch.tensor([[[1.0, 0.0, 0.0]]])
    rays = sample_rays(origins, directions, samples=64)
    torch.testing.assert_close(rays.step * rays.count, torch.tensor([[BALL - 0.5]]))
    assert rays.first > 0


def test_a_picture_of_nothing_is_empty() -> None:
    origins, directions = torch.tensor([[[3.0, 0.0, 0.0]]]), torch.tensor([[[0.0, 1.0, 0.0]]])
    marched = march(_matter, sample_rays(origins, directions, samples=8), light=_light([3.0, 0, 0]))
    assert marched.color.shape == (1, 1, 3) and marched.alpha == 0


@pytest.mark.seconds
def test_gradients_agree_with_finite_differences() -> None:
    views = orbit(torch.tensor([20.0, 130.0]).double(), torch.tensor([10.0, 50.0]).double(), size=2)
    u = torch.rand(2, 4, generator=rng()).double()
    rays = _rays(views, samples=9, jitter=u, dtype=torch.float64)
    light = Light(
        torch.tensor([[3.0, 1, 2], [-1.0, -3, 1]]).double(),
        torch.tensor([0.3, 0.5]).double(),
        torch.tensor([0.7, 0.4]).double(),
        torch.tensor([False, True]),
    )
    grid = torch.randn(3, 3, 3, 4, generator=rng(2), dtype=torch.float64).requires_grad_()

    def everything(grid: Tensor) -> tuple[Tensor, ...]:
        m = march_grid(grid, rays, light=light)
        return m.color, m.alpha, m.depth, m.normal  # orientation stops a gradient on purpose

    assert torch.autograd.gradcheck(everything, (grid,))


def test_a_sample_in_nothing_leaves_the_gradient_finite() -> None:
    """Rounding puts samples just outside the ball, where density and gradient are exactly 0."""
    gradient = torch.tensor([[0.0, 0.0, 0.0], [0.3, -0.2, 0.1]]).requires_grad_()
    normal = outward(gradient, torch.tensor([[0.0], [0.5]]))
    (normal[0] * 0 + normal[1]).sum().backward()
    assert gradient.grad is not None
    assert bool(gradient.grad.isfinite().all())
    assert torch.equal(normal[0], torch.zeros(3))


def test_a_light_without_normals_is_refused() -> None:
    with pytest.raises(ValueError, match="A light needs normals"):
        march(_uniform(1.0), _rays(_view(), dtype=torch.float32), light=_light([3.0, 0, 0]))


def test_only_torch_serves_double_precision_and_moving_cameras() -> None:
    rays = _rays(_view(), dtype=torch.float32)
    grid = torch.zeros(5, 5, 5, 4)
    moving = Rays(rays.origins, rays.directions, rays.first.requires_grad_(), rays.step, rays.count)
    assert fastest(grid.double(), rays) is march_grid
    assert fastest(grid, moving) is march_grid
