"""Densities of signed distances: closed forms of VolSDF and NeuS along rays."""

import math

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.render import skin as on_skin
from dreamlift.render.skin import Kind, Skin, density_under, neus_density
from dreamlift.render.volume import Matter, Rays, march, march_sections

W = torch.tensor(0.05, dtype=torch.float64)
KINDS: tuple[Kind, ...] = ("volsdf", "neus")


def along(depth: Tensor, rise: Tensor, step: float, kind: Kind) -> Tensor:
    """The weights w_i of one ray's samples."""
    if kind == "volsdf":
        thickness = on_skin.volsdf_density(depth, W) * step
    else:
        thickness = on_skin.neus_thickness(depth, rise, torch.full_like(depth, step), W)
    return (thickness - thickness.cumsum(-1)).exp() * -(-thickness).expm1()


def plane(
    cosine: float, n: int = 20_000, reach: float = 1.0
) -> tuple[Tensor, Tensor, float, Tensor]:
    """A ray into a half-space at an angle: how far it is, the depth there, the rise, the step."""
    step = 2 * reach / n
    t = -reach + (torch.arange(n, dtype=torch.float64) + 0.5) * step
    return t, cosine * t, step, torch.full_like(t, cosine)


def check_peak(cosine: float = 0.6) -> None:
    """NeuS's at the surface, at any angle; VolSDF's where (1 - y / 2)^2 = cos y / 2, y =
    exp(-depth / width): .27 widths under it, head-on."""
    t, depth, step, rise = plane(cosine)
    peak = t[along(depth, rise, step, "neus").argmax()]
    assert abs(float(peak)) <= step
    y = (1 + cosine / 2) * 2 - math.sqrt((2 + cosine) ** 2 - 4)
    if cosine == 1:
        assert -math.log(y) == pytest.approx(0.269, abs=1e-3)
    peak = cosine * t[along(depth, rise, step, "volsdf").argmax()]
    assert float(peak) == pytest.approx(-float(W) * math.log(y), abs=2 * step)


def check_telescopes(samples: int = 3) -> None:
    """Prod (1 - alpha_i) = Phi(d at the end) / Phi(d at the start): unbiased, however coarse."""
    _, depth, step, rise = plane(0.7, samples, reach=0.1)
    phi = torch.sigmoid((-0.7 * torch.tensor([-0.1, 0.1], dtype=torch.float64) - 0.03) / W)
    alpha = along(depth + 0.03, rise, step, "neus").sum()
    torch.testing.assert_close(alpha, 1 - phi[1] / phi[0])


def check_integral() -> None:
    """Optical depth .5 in front of it and (x - .5 width (1 - e^(-x / width))) / width inside."""
    for x in (0.0, 0.03, 0.2):
        n = 40_000
        step = (1 + x) / n
        depth = -1 + (torch.arange(n, dtype=torch.float64) + 0.5) * step
        passed = 1 - float(along(depth, torch.ones_like(depth), step, "volsdf").sum())
        w = float(W)
        optical = 0.5 + (x - 0.5 * w * (1 - math.exp(-x / w))) / w
        assert passed == pytest.approx(math.exp(-optical), rel=1e-4)


def check_leaving() -> None:
    """Nothing is absorbed where a ray leaves NeuS's surface."""
    _, depth, step, rise = plane(-1.0, 500)
    assert (along(depth, rise, step, "neus") == 0).all()
    assert along(depth, rise, step, "volsdf").sum() > 0.99


def test_the_section_is_neus_density_where_it_is_short() -> None:
    depth = torch.linspace(-0.2, 0.2, 41, dtype=torch.float64)
    ones = torch.ones_like(depth)
    short = on_skin.neus_thickness(depth, ones, 1e-5 * ones, W) / 1e-5
    torch.testing.assert_close(short, neus_density(depth, W), rtol=1e-6, atol=0)
    assert torch.equal(density_under(Skin("neus", W), depth), neus_density(depth, W))
    assert torch.equal(density_under(Skin("volsdf", W), depth), on_skin.volsdf_density(depth, W))


def ray(b: float) -> Rays:
    """Along x past the origin at a distance b, in 4,000 sections."""
    n, reach = 4000, 1.0
    step = torch.full((1, 1), 2 * reach / n, dtype=torch.float64)
    origin = torch.tensor([[[-reach, b, 0.0]]], dtype=torch.float64)
    direction = torch.tensor([[[1.0, 0.0, 0.0]]], dtype=torch.float64)
    return Rays(origin, direction, 0.5 * step, step, torch.full((1, 1), n, dtype=torch.int32))


@pytest.mark.parametrize("b", [0.0, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_depth_of_a_sphere_is_where_its_surface_is(kind: Kind, b: float) -> None:
    radius, skin = 0.5, Skin(kind, torch.tensor(0.005, dtype=torch.float64))

    def sphere(points: Tensor, v: Tensor, length: Tensor) -> Matter:
        r = points.norm(dim=-1)
        rise = -(points * v).sum(-1) / r
        density = (
            on_skin.volsdf_density(radius - r, skin.width)
            if kind == "volsdf"
            else on_skin.neus_thickness(radius - r, rise, length, skin.width) / length
        )
        return Matter(density, torch.ones_like(points))

    view = march_sections(sphere, ray(b))
    assert float(view.alpha) > 0.999
    surface = 1 - math.sqrt(radius**2 - b**2)
    assert float(view.depth / view.alpha) == pytest.approx(surface, abs=0.006)


def test_sections_that_ask_for_no_direction_are_a_plain_march() -> None:
    def field(points: Tensor) -> Matter:
        return Matter(points.square().sum(-1), points.sigmoid())

    one = march(field, ray(0.2))
    two = march_sections(lambda p, v, s: field(p), ray(0.2))
    assert torch.equal(one.color, two.color)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind: Kind) -> None:
    generator = rng(3)
    depth, rise = (torch.randn(12, generator=generator, dtype=torch.float64) for _ in range(2))
    depth, rise, width = 0.1 * depth, rise.clamp(0.1), W.clone()
    length = torch.full_like(depth, 0.05)
    inputs = tuple(x.requires_grad_() for x in (depth, rise, width))

    def thickness(depth: Tensor, rise: Tensor, width: Tensor) -> Tensor:
        if kind == "volsdf":
            return on_skin.volsdf_density(depth, width) * length
        return on_skin.neus_thickness(depth, rise, length, width)

    assert torch.autograd.gradcheck(thickness, inputs)


@pytest.mark.parametrize("cosine", [1.0, 0.6])
def test_the_weights_of_a_half_space_peak_where_the_papers_say(cosine: float) -> None:
    check_peak(cosine)


@pytest.mark.parametrize("samples", [1, 3, 40])
def test_neus_lets_through_a_half_space_what_the_ends_say_for_any_number_of_samples(
    samples: int,
) -> None:
    check_telescopes(samples)


def test_half_spaces_in_closed_form() -> None:
    check_integral()
    check_leaving()
