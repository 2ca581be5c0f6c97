"""The picture as a scene."""

import pytest
import torch
from conftest import rng

from dreamlift.cameras import turntable
from dreamlift.scene import Shot
from dreamlift.scenes.image import Image


def test_an_image_is_itself_from_every_camera() -> None:
    rgb = torch.rand(6, 6, 3, generator=rng()) * 0.9 + 0.05
    view = Image(rgb).render(Shot(turntable(3, size=6)))
    torch.testing.assert_close(view.color, rgb.expand(3, 6, 6, 3))
    assert (view.alpha == 1).all()


def test_each_pixel_follows_its_own_gradient() -> None:
    scene = Image(torch.full((5, 5, 3), 0.5))
    view = scene.render(Shot(turntable(2, size=5)))
    view.color[1, 2, 4, 0].backward()
    assert scene.logits.grad is not None
    expected = torch.zeros(5, 5, 3)
    expected[2, 4, 0] = 0.25  # the slope of a sigmoid at 1/2
    torch.testing.assert_close(scene.logits.grad, expected)


def test_black_and_white_stay_finite() -> None:
    scene = Image(torch.tensor([0.0, 1.0, 0.5]).expand(4, 4, 3))
    assert scene.logits.isfinite().all()


def test_another_size_is_refused_with_its_numbers() -> None:
    scene = Image(torch.full((8, 8, 3), 0.5))
    with pytest.raises(ValueError, match=r"it is 8x8, the cameras ask for 16x16.*size=8"):
        scene.render(Shot(turntable(1, size=16)))
