"""Shading under environments: furnaces, closed forms, brute-force integrals, others' table."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import rng, shared_data
from torch import Tensor

from dreamlift.geometry.srgb import to_linear, to_srgb
from dreamlift.render.environment import (
    BLURS,
    Environment,
    brdf,
    constant,
    directions,
    environment,
    ggx,
    shade_environment,
    table,
)

UP = torch.tensor([0.0, 0.0, 1.0])


def seen_at(degrees: float) -> Tensor:
    a = math.radians(degrees)
    return torch.tensor([math.sin(a), 0.0, math.cos(a)])


def shade(
    light: Environment, degrees: float, base: list[float], roughness: float, metallic: float
) -> Tensor:
    values = (torch.tensor(x) for x in (roughness, metallic))
    return shade_environment(torch.tensor(base), UP, seen_at(degrees), *values, light)


def integral(
    picture: Tensor, degrees: float, base: list[float], roughness: float, metallic: float
) -> Tensor:
    """All light that a surface sends to the viewer: the sum over a fine sphere."""
    height = 256
    unit, share = directions(height)
    fine = F.interpolate(picture.permute(2, 0, 1)[None], scale_factor=height // len(picture))
    radiance = fine[0].permute(1, 2, 0).reshape(-1, 3)
    n = len(unit)
    sent = brdf(
        UP.expand(n, 3),
        seen_at(degrees).expand(n, 3),
        unit,
        torch.tensor(base).expand(n, 3),
        torch.full((n,), roughness),
        torch.full((n,), metallic),
    )
    return (sent * radiance * (unit[:, 2:].clamp_min(0) * share[:, None])).sum(0) * 4 * math.pi


def test_srgb_is_what_the_standard_says() -> None:
    x = torch.tensor([0.0, 0.04045, 0.5, 1.0], dtype=torch.float64)
    expected = torch.tensor([0.0, 0.0031308, 0.2140411, 1.0], dtype=torch.float64)
    torch.testing.assert_close(to_linear(x), expected, atol=1e-7, rtol=0)
    torch.testing.assert_close(to_srgb(to_linear(x)), x, atol=1e-6, rtol=0)


def test_microfacets_cover_the_surface_once() -> None:
    unit, share = directions(512)
    n_h = unit[:, 2].clamp_min(0)
    for alpha in (0.1, 0.35, 1.0):
        total = (ggx(n_h, torch.full_like(n_h, alpha)) * n_h * share).sum() * 4 * math.pi
        assert float(total) == pytest.approx(1, rel=2e-3)


def test_the_sphere_is_shared_out() -> None:
    unit, share = directions(16)
    assert float(share.sum()) == pytest.approx(1, rel=1e-6)
    torch.testing.assert_close((unit.mT * share) @ unit, torch.eye(3) / 3, atol=2e-3, rtol=0)
    torch.testing.assert_close(
        unit[0], F.normalize(torch.tensor([1.0, 0.098, 10.15]), dim=0), atol=0.01, rtol=0
    )


def test_in_a_white_furnace_a_white_mirror_vanishes_and_nothing_makes_light() -> None:
    white = constant(torch.ones(3))
    for degrees in (0.0, 40.0, 75.0):
        torch.testing.assert_close(
            shade(white, degrees, [1.0] * 3, 0.0, 1.0), torch.ones(3), atol=2e-3, rtol=0
        )
        for roughness in (0.3, 0.6, 1.0):
            metal = shade(white, degrees, [1.0] * 3, roughness, 1.0)
            assert 0.3 < float(metal[0]) < 1.002  # one bounce: rough metal loses light
    black = shade(white, 0.0, [0.0] * 3, 0.1, 0.0)
    torch.testing.assert_close(black, torch.full((3,), 0.04), atol=1e-3, rtol=0)


@pytest.mark.seconds
@pytest.mark.parametrize("degrees", [10.0, 60.0])
@pytest.mark.parametrize("roughness", [0.35, 0.7, 1.0])
@pytest.mark.parametrize("metallic", [0.0, 0.6])
def test_in_a_coloured_furnace_the_split_is_exact(
    degrees: float, roughness: float, metallic: float
) -> None:
    """What comes from everywhere alike can be taken out of the integral."""
    color, base = torch.tensor([0.3, 1.0, 2.0]), [0.8, 0.5, 0.2]
    expected = integral(color.expand(4, 8, 3), degrees, base, roughness, metallic)
    found = shade(constant(color), degrees, base, roughness, metallic)
    torch.testing.assert_close(found, expected, rtol=0.01, atol=2e-3)


@pytest.mark.seconds
def test_under_a_soft_sky_the_split_is_close_to_the_integral() -> None:
    unit, _ = directions(32)
    sun = F.normalize(torch.tensor([-0.5, 0.4, 0.7]), dim=0)
    sky = 0.3 + 0.2 * unit[:, 2:] + 2 * ((unit @ sun).clamp_min(0) ** 4)[:, None]
    picture = (sky * torch.tensor([1.0, 0.8, 0.6])).reshape(32, 64, 3)
    light = environment(picture)
    for degrees, roughness, metallic in ((30.0, 0.5, 1.0), (20.0, 0.8, 0.3), (45.0, 0.3, 0.0)):
        expected = integral(picture, degrees, [0.7, 0.6, 0.9], roughness, metallic)
        found = shade(light, degrees, [0.7, 0.6, 0.9], roughness, metallic)
        torch.testing.assert_close(found, expected, rtol=0.06, atol=0)


def test_a_slope_of_light_lights_as_two_thirds_of_itself() -> None:
    """Radiance 1 + x: irradiance over pi is 1 + 2/3 n_x; mirrored sharply, 1 + r_x."""
    unit, _ = directions(32)
    light = environment((1 + unit[:, :1]).expand(-1, 3).reshape(32, 64, 3))
    n = F.normalize(torch.randn(20, 3, generator=rng(1)), dim=-1)
    torch.testing.assert_close(light.diffuse(n)[:, 0], 1 + 2 / 3 * n[:, 0], atol=3e-3, rtol=0)
    sharp = light.mirrored(n, torch.zeros(20))
    torch.testing.assert_close(sharp[:, 1], 1 + n[:, 0], atol=0.02, rtol=0)
    slopes = [
        float(((light.mirrored(n, torch.full((20,), r))[:, 0] - 1) * n[:, 0]).sum()) for r in BLURS
    ]
    assert all(a > b for a, b in zip(slopes, slopes[1:], strict=False))  # rougher is flatter


def test_gradients_reach_the_picture_and_the_material() -> None:
    picture = torch.rand(8, 16, 3, generator=rng(2)).requires_grad_()
    base, rough, metal = (
        torch.rand(*s, generator=rng(3)).requires_grad_() for s in ((5, 3), (5,), (5,))
    )
    normal = F.normalize(torch.randn(5, 3, generator=rng(4)), dim=-1).requires_grad_()
    view = F.normalize(normal.detach() + 0.3 * torch.randn(5, 3, generator=rng(5)), dim=-1)
    shade_environment(base, normal, view, rough, metal, environment(picture)).sum().backward()
    for x in (picture, base, rough, metal, normal):
        assert x.grad is not None and x.grad.isfinite().all() and float(x.grad.norm()) > 0


def test_pictures_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="twice as wide"):
        environment(torch.zeros(8, 8, 3))


def test_the_table_is_nvdiffrecs() -> None:
    raw = shared_data("data", "reference", "threestudio", "bsdf_256_256.bin").read_bytes()
    theirs = torch.frombuffer(bytearray(raw), dtype=torch.float32).reshape(256, 256, 2)
    small = F.avg_pool2d(theirs.permute(2, 0, 1)[None], 4)[0].permute(1, 2, 0)
    apart = (table() - small).abs()
    # Their first rows, roughness below 0.03, are too sharp for the samples of either.
    assert float(apart.mean()) < 0.002 and float(apart[8:, 8:].max()) < 0.01
