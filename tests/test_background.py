"""Learned backgrounds."""

import torch
from conftest import rng

from dreamlift.cameras import orbit, turntable
from dreamlift.scenes.background import Environment, Plain


def test_a_plain_background_is_one_colour_that_learns() -> None:
    background = Plain((0.2, 0.5, 0.9))
    directions = turntable(2, size=4).rays()[1]
    picture = background(directions)
    torch.testing.assert_close(picture, torch.tensor([0.2, 0.5, 0.9]).expand(2, 4, 4, 3))
    picture[..., 1].sum().backward()
    torch.testing.assert_close(background.logits.grad, torch.tensor([0.0, 32 * 0.25, 0.0]))


def test_an_environment_starts_smooth_and_grey() -> None:
    picture = Environment(rng=rng())(turntable(4, size=8).rays()[1])
    assert picture.shape == (4, 8, 8, 3)
    assert (picture - 0.5).abs().max() < 0.2


def test_an_environment_is_its_seed() -> None:
    directions = turntable(1, size=8).rays()[1]
    one, same, other = (Environment(rng=rng(seed))(directions) for seed in (3, 3, 4))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_an_environment_depends_on_where_one_looks_and_not_from_where() -> None:
    background = Environment(rng=rng())
    azimuth, elevation = torch.tensor([70.0]), torch.tensor([20.0])
    near, far = (
        orbit(azimuth, elevation, distance=d, frame=d * 0.4, size=8).rays() for d in (2.0, 5.0)
    )
    assert not torch.allclose(near[0], far[0])
    torch.testing.assert_close(background(near[1]), background(far[1]))


def test_an_environment_learns_a_sky_over_a_ground() -> None:
    background = Environment(rng=rng())
    optimizer = torch.optim.Adam(background.parameters(), lr=1e-2)
    directions = turntable(6, size=8, elevation=10.0).rays()[1]
    truth = torch.where(
        directions[..., 2:] > 0, torch.tensor([0.3, 0.6, 0.9]), torch.tensor([0.4, 0.3, 0.2])
    )
    for _ in range(150):
        loss = (background(directions) - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 2e-3
