"""dreamlift/lights.py: Lambert's law in closed form, and where DreamFusion puts its lights."""

import math

import pytest
import torch
from conftest import rng

from dreamlift.lights import Light, around_camera, shade


def light(
    *, ambient: float = 0.1, diffuse: float = 0.9, textureless: bool = False, b: int = 1
) -> Light:
    position = torch.tensor([[2.0, 3.0, 6.0]]).expand(b, 3)  # 7 from the origin
    return Light(
        position,
        torch.full((b,), ambient),
        torch.full((b,), diffuse),
        torch.full((b,), textureless),
    )


ALBEDO = torch.tensor([[0.2, 0.5, 0.8]])
ORIGIN = torch.zeros(1, 3)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 60.0, 89.0])
def test_brightness_is_ambient_plus_the_cosine(degrees: float) -> None:
    toward = torch.tensor([[2.0, 3.0, 6.0]]) / 7
    across = torch.tensor([[3.0, -2.0, 0.0]]) / math.sqrt(13)
    angle = math.radians(degrees)
    normal = math.cos(angle) * toward + math.sin(angle) * across
    expected = ALBEDO * (0.1 + 0.9 * math.cos(angle))
    torch.testing.assert_close(shade(ALBEDO, normal, ORIGIN, light()), expected)


def test_a_light_behind_leaves_the_ambient_part_exactly() -> None:
    normal = -torch.tensor([[2.0, 3.0, 6.0]]) / 7
    assert torch.equal(shade(ALBEDO, normal, ORIGIN, light()), ALBEDO * 0.1)


def test_a_full_ambient_light_is_the_albedo() -> None:
    normal = torch.tensor([[0.0, 0.0, 1.0]])
    flat = light(ambient=1.0, diffuse=0.0)
    assert torch.equal(shade(ALBEDO, normal, ORIGIN, flat), ALBEDO)


def test_textureless_pictures_have_no_gradient_to_the_albedo() -> None:
    albedo = ALBEDO.clone().requires_grad_()
    normal = torch.tensor([[0.6, 0.0, 0.8]]).requires_grad_()
    color = shade(albedo, normal, ORIGIN, light(textureless=True))
    cosine = (0.6 * 2 + 0.8 * 6) / 7
    torch.testing.assert_close(color, torch.full((1, 3), 0.1 + 0.9 * cosine))
    color.sum().backward()
    assert albedo.grad is not None
    assert normal.grad is not None
    assert (albedo.grad == 0).all()
    assert (normal.grad != 0).any()


def test_the_light_is_a_point_not_a_direction() -> None:
    normal = torch.tensor([[0.0, 0.0, 1.0]])
    point = torch.tensor([[2.0, 3.0, 1.0]])  # straight below the light
    torch.testing.assert_close(shade(ALBEDO, normal, point, light()), ALBEDO * 1.0)


def test_each_picture_has_its_own_light() -> None:
    """A batch over pixels and samples equals a loop over everything."""
    g = rng(4)
    b, h, w = 3, 2, 5
    albedo = torch.rand(b, h, w, 3, generator=g)
    normal = torch.nn.functional.normalize(torch.randn(b, h, w, 3, generator=g), dim=-1)
    point = torch.randn(b, h, w, 3, generator=g)
    many = Light(
        3 * torch.randn(b, 3, generator=g),
        torch.rand(b, generator=g),
        torch.rand(b, generator=g),
        torch.tensor([False, True, False]),
    )
    expected = torch.empty(b, h, w, 3)
    for i in range(b):
        for y in range(h):
            for x in range(w):
                toward = many.position[i] - point[i, y, x]
                cosine = max(0.0, float(normal[i, y, x] @ toward / toward.norm()))
                strength = many.ambient[i] + many.diffuse[i] * cosine
                rho = torch.ones(3) if many.textureless[i] else albedo[i, y, x]
                expected[i, y, x] = rho * strength
    torch.testing.assert_close(shade(albedo, normal, point, many), expected)


def test_lights_are_picked_like_cameras() -> None:
    many = Light(torch.randn(4, 3), torch.rand(4), torch.rand(4), torch.arange(4) % 2 == 1)
    picked = many[torch.tensor([2, 3])]
    assert len(many) == 4
    assert len(picked) == 2
    assert torch.equal(picked.position, many.position[2:])
    assert picked.textureless.tolist() == [False, True]


def test_lights_stand_around_the_camera_at_bounded_distance() -> None:
    camera = torch.tensor([[1.0, -2.0, 0.5]]).expand(20_000, 3)
    positions = around_camera(camera, rng(5), near=0.8, far=1.5)
    distance = positions.norm(dim=-1)
    assert distance.min() >= 0.8
    assert distance.max() <= 1.5
    torch.testing.assert_close(distance.mean(), torch.tensor(1.15), atol=0.01, rtol=0)
    cosine = torch.nn.functional.cosine_similarity(positions, camera, dim=-1)
    torch.testing.assert_close(cosine.mean(), torch.tensor(mean_cosine()), atol=0.01, rtol=0)


def mean_cosine() -> float:
    """E[cos(u, n)] for n ~ N(u, I) in 3D, |u| = 1, by quadrature over radius and angle."""
    top = bottom = 0.0
    for i in range(1, 400):
        r = i * 0.02
        for j in range(-100, 100):
            c = (j + 0.5) / 100
            weight = r * r * math.exp(-(r * r - 2 * r * c + 1) / 2)
            top += weight * c
            bottom += weight
    return top / bottom


def test_lights_are_drawn_from_the_generator_alone() -> None:
    camera = torch.randn(3, 3, generator=rng(6))
    assert torch.equal(around_camera(camera, rng(7)), around_camera(camera, rng(7)))
    assert not torch.equal(around_camera(camera, rng(7)), around_camera(camera, rng(8)))
