"""A mesh under an environment: closed forms, maps in their places, gradients of materials."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from conftest import rng
from test_formats import glossy
from torch import Tensor

from dreamlift.cameras import look_at
from dreamlift.geometry.mesh import Material, Surface
from dreamlift.geometry.srgb import to_linear, to_srgb
from dreamlift.render.environment import (
    Environment,
    constant,
    environment,
    shade_environment,
    studio,
)
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh

pytestmark = pytest.mark.seconds  # the table of the split sum


def front(size: int = 32) -> Shot:
    """Straight onto +x sides, from so far that all rays are nearly parallel."""
    at = torch.tensor([[40.0, 0.0, 0.0]])
    return Shot(look_at(at, torch.zeros(1, 3), fov_y=torch.tensor([1.6]), size=size))


def flat(material: Material, base: Tensor) -> Surface:
    part = glossy()
    return replace(part, texture=None, colors=base.expand(4, 3), material=material)


def middle(mesh: Mesh, size: int = 32) -> Tensor:
    with torch.no_grad():
        return mesh.render(front(size)).color[0, size // 2, size // 2]


def sun() -> Environment:
    """Light that comes from +y rather than from -y, and from above."""
    u = torch.linspace(0, 2 * torch.pi, 65)[:-1] + torch.pi / 64
    picture = (1 + 0.8 * u.sin()).expand(32, -1)[..., None] * torch.tensor([0.5, 0.4, 0.3])
    return environment(picture * torch.linspace(1.2, 0.4, 32)[:, None, None])


BASE = torch.tensor([0.7, 0.5, 0.2])


def test_a_furnace_shows_a_rough_surface_as_the_split_sum_says() -> None:
    light = constant(torch.tensor([0.6, 0.8, 0.5]))
    for roughness, metallic in ((1.0, 0.0), (0.4, 0.3), (0.1, 1.0)):
        mesh = Mesh([flat(Material(roughness, metallic), BASE)], environment=light)
        n = torch.tensor([1.0, 0.0, 0.0])
        factors = torch.tensor(roughness), torch.tensor(metallic)
        expected = to_srgb(shade_environment(to_linear(BASE), n, n, *factors, light))
        torch.testing.assert_close(middle(mesh), expected, atol=1e-3, rtol=0)


def test_a_white_mirror_in_a_furnace_shows_the_furnace() -> None:
    light = constant(torch.tensor([0.6, 0.8, 0.5]))
    mesh = Mesh([flat(Material(0.0, 1.0), torch.ones(3))], environment=light)
    expected = to_srgb(torch.tensor([0.6, 0.8, 0.5]))
    torch.testing.assert_close(middle(mesh), expected, atol=3e-3, rtol=0)


def test_a_shots_light_and_no_environment_show_what_they_did() -> None:
    part = flat(Material(0.2, 0.9), BASE)
    torch.testing.assert_close(middle(Mesh([part])), BASE)
    plain = Mesh([replace(part, material=Material())], environment=studio())
    assert not torch.allclose(middle(plain), BASE, atol=0.02)


def test_roughness_and_metallic_are_read_where_they_lie() -> None:
    """Left half of the picture (u below a half, -y) a mirror, right half rough."""
    gloss = torch.ones(4, 8, 2)
    gloss[:, :4, 0] = 0.1
    part = flat(Material(1.0, 1.0, gloss), torch.ones(3))
    light = constant(torch.ones(3))
    with torch.no_grad():
        seen = Mesh([part], environment=light).render(front(64)).color[0]
    mirror, rough = seen[32, 24, 0], seen[32, 40, 0]
    assert float(mirror) > 0.98 and float(rough) < 0.9  # one bounce: rough metal loses light


def test_a_normal_map_leans_to_where_u_and_v_grow() -> None:
    """The lean of the map, 0.6 along u (+y), is that of a surface with that normal."""
    light = sun()
    for lean in ([0.6, 0.0, 0.8], [0.0, 0.6, 0.8], [-0.28, 0.0, 0.96]):
        bumps = (0.5 + 0.5 * torch.tensor(lean)).expand(8, 8, 3)
        mesh = Mesh([flat(Material(1.0, 0.0, None, bumps), BASE)], environment=light)
        n = torch.tensor([lean[2], lean[0], lean[1]])  # u is +y here, v is +z
        view = torch.tensor([1.0, 0.0, 0.0])
        ones = torch.tensor(1.0), torch.tensor(0.0)
        expected = to_srgb(shade_environment(to_linear(BASE), n, view, *ones, light))
        torch.testing.assert_close(middle(mesh), expected, atol=2e-3, rtol=0)
        view_of = Mesh([flat(Material(1.0, 0.0, None, bumps), BASE)]).render(front())
        assert view_of.normal is not None
        torch.testing.assert_close(view_of.normal[0, 16, 16], n, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["roughness", "metallic", "colors", "glosses.0"])
def test_gradients_of_materials_are_those_of_finite_differences(name: str) -> None:
    gloss = 0.3 + 0.5 * torch.rand(8, 8, 2, generator=rng(3))
    mesh = Mesh([flat(Material(0.8, 0.7, gloss), BASE)], environment=sun(), samples=1)
    weight = torch.rand(1, 12, 12, 3, generator=rng(4), dtype=torch.float64)

    def score() -> Tensor:
        return (mesh.render(front(12)).color * weight).sum()

    score().backward()
    phi = mesh.get_parameter(name)
    assert phi.grad is not None
    toward = torch.rand(phi.shape, generator=rng(5)) + 0.5
    ends: list[float] = []
    with torch.no_grad():
        for step in (1e-3, -1e-3):
            phi += step * toward
            ends.append(float(score()))
            phi -= step * toward
    found = float((phi.grad * toward).sum())
    assert found == pytest.approx((ends[0] - ends[1]) / 2e-3, rel=0.02)


def test_the_studio_lights_all_sides_and_white_is_not_burnt() -> None:
    n = F.normalize(torch.randn(200, 3, generator=rng(0)), dim=-1)
    sent = studio().diffuse(n)
    assert 0.1 < float(sent.min()) < 0.35 and 0.7 < float(sent.max()) < 1.0
