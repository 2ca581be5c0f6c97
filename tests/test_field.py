"""The radiance field as a scene."""

import math
from functools import partial
from typing import Literal

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.cameras import Cameras, orbit, turntable
from dreamlift.lights import Light
from dreamlift.render.grid import raw_of, vertices
from dreamlift.render.volume import BALL
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.field import REFRESH, Field, Grid, Init, initial_raw
from dreamlift.scenes.frequencies import Frequencies
from dreamlift.step import Step

LIGHT = Light(
    torch.tensor([[3.0, 2.0, 1.0]]),
    torch.tensor([0.3]),
    torch.tensor([0.7]),
    torch.tensor([False]),
)


def _front(size: int = 17) -> Cameras:
    """An odd size: the middle ray goes through the origin."""
    return orbit(torch.tensor([0.0]), torch.tensor([0.0]), size=size)


def _ball(field: Field, radius: float = 0.5, density: float = 40.0) -> None:
    """Sets the grid to a ball, red where y > 0 and green elsewhere."""
    assert isinstance(field.body, Grid)
    finest = field.body.levels[-1]
    at = vertices(finest.shape[0])
    inside = at.norm(dim=-1) < radius
    with torch.no_grad():
        finest[..., 0] = raw_of(torch.where(inside, density, 1e-4))
        finest[..., 1:] = torch.where(
            at[..., 1:2] > 0, torch.tensor([4.0, -4, -4]), torch.tensor([-4.0, 4, -4])
        )


def _look(field: Field, times: int = 1) -> None:
    """Lets the field refresh its occupancy."""
    view = field.render(Shot(_front()))
    optimizer = torch.optim.Adam(field.parameters())
    for k in range(times):
        field.adapt(Step(REFRESH * (k + 1) - 1, 1000, rng()), view, optimizer)


@pytest.mark.parametrize("init", ["fog", "blob"])
@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("depth", [1.0, 4.0])
def test_the_first_picture_has_the_optical_depth_asked_for(
    network: bool, init: Init, depth: float
) -> None:
    body = Frequencies(partial(initial_raw, init=init, optical_depth=depth)) if network else None
    field = Field(body=body, init=init, optical_depth=depth)
    with torch.no_grad():
        view = field.render(Shot(_front()))
    got = -math.log1p(-float(view.alpha[0, 8, 8, 0]))
    assert got == pytest.approx(depth, rel=0.06)
    assert view.alpha[0, 0, 0, 0] < 0.05, "the corner looks past the ball"


def test_fog_is_level_and_a_blob_is_compact() -> None:
    away = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.9, 0.0]])
    fog, blob = (Field(init=init).density(away).detach() for init in ("fog", "blob"))
    assert fog[0] == pytest.approx(float(fog[1]), rel=1e-3)
    assert blob[1] < 0.1 * blob[0]


@pytest.mark.seconds
@pytest.mark.parametrize("init", ["fog", "blob"])
@pytest.mark.parametrize("light", [None, LIGHT], ids=["albedo", "lit"])
def test_the_gradient_is_alive_everywhere_at_step_0(init: Init, light: Light | None) -> None:
    field = Field(init=init)
    generator = rng(1)
    for azimuth in torch.arange(7.0, 360, 45).split(1):
        cameras = orbit(azimuth, azimuth / 6, size=64)
        rendering = field.render(Shot(cameras, light), rng=generator)
        target = torch.rand(rendering.color.shape, generator=generator)
        (rendering.color * target).sum().backward()
    assert isinstance(field.body, Grid)
    for level in field.body.levels:
        assert level.grad is not None
        inside = vertices(level.shape[0]).norm(dim=-1) <= 1
        assert (level.grad[inside] != 0).all(), f"level {level.shape[0]}"


def test_an_export_sees_what_the_camera_sees() -> None:
    field = Field()
    _ball(field)
    t = torch.linspace(-BALL, BALL, 4001)
    along = torch.stack([t, 0 * t, 0 * t], -1)
    alpha = 1 - math.exp(-torch.trapezoid(field.density(along), t).item())
    view = field.render(Shot(_front()))
    assert view.alpha[0, 8, 8, 0].item() == pytest.approx(alpha, abs=1e-3)
    at = torch.tensor([[0.45, 0.2, 0.0], [0.45, -0.2, 0.0]])
    left, right = view.color[0, 8, 5], view.color[0, 8, 11]
    torch.testing.assert_close(field.albedo(at), torch.stack([right, left]), atol=0.02, rtol=0)


def test_nothing_is_outside_the_bounds() -> None:
    field = Field()
    low, high = field.bounds
    assert torch.equal(low, torch.full((3,), -BALL)) and torch.equal(high, -low)
    outside = torch.nn.functional.normalize(torch.randn(50, 3, generator=rng()), dim=-1) * 1.201
    assert (field.density(outside) == 0).all()


def test_only_the_rng_makes_pictures_differ() -> None:
    field, shot = Field(), Shot(_front(), LIGHT)
    assert torch.equal(field.render(shot).color, field.render(shot).color)
    one, same, other = (field.render(shot, rng=rng(seed)).color for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_an_albedo_picture_has_no_normals_and_asks_for_none() -> None:
    field = Field()
    plain, lit = field.render(Shot(_front())), field.render(Shot(_front(), LIGHT))
    assert plain.normal is None and (plain.aux.orientation == 0).all()
    assert lit.normal is not None and lit.depth is not None
    assert lit.normal.shape == (1, 17, 17, 3) and lit.depth.shape == (1, 17, 17, 1)


@pytest.mark.parametrize("normals", ["finite", "analytic"])
@pytest.mark.parametrize("network", [False, True])
def test_every_body_and_kind_of_normal_can_be_lit_and_learned(
    network: bool, normals: Literal["finite", "analytic"]
) -> None:
    body = Frequencies(partial(initial_raw, init="blob", optical_depth=3.0)) if network else None
    field = Field(body=body, normals=normals, init="blob", samples=24, resolution=33)
    view = field.render(Shot(_front(), LIGHT))
    assert view.normal is not None
    toward = view.normal[0, 8, 8] / view.normal[0, 8, 8].norm()
    assert toward[0] > 0.9, "the front of a blob faces the camera, at +x"
    (view.color.square().sum() + view.aux.orientation.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in field.parameters())


def test_a_network_is_its_seed() -> None:
    shot = Shot(_front(9))
    one, same, other = (
        Field(body=Frequencies(seed=seed), samples=16).render(shot).color for seed in (1, 1, 2)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_empty_cells_are_skipped_and_the_picture_stays() -> None:
    field = Field()
    _ball(field)
    before = field.render(Shot(_front(32), LIGHT))
    _look(field)
    after = field.render(Shot(_front(32), LIGHT))
    assert field.occupied.float().mean() < 0.2
    torch.testing.assert_close(after.color, before.color, atol=2e-3, rtol=0)
    centers = vertices(65)[1::2, 1::2, 1::2]
    assert field.occupied[centers.norm(dim=-1) < 0.5].all()
    assert not field.occupied[centers.norm(dim=-1) > 0.8].any()


def test_fog_is_not_skipped() -> None:
    field = Field(optical_depth=1.0)
    _look(field)
    within = vertices(65)[1::2, 1::2, 1::2].norm(dim=-1) < 1
    assert field.occupied[within].all()


def test_what_grows_beside_the_object_is_seen_and_what_fades_comes_back() -> None:
    field = Field()
    _ball(field, radius=0.3)
    _look(field)
    small = int(field.occupied.sum())
    _ball(field, radius=0.4)  # the border of neighbours holds the next shell
    assert field.render(Shot(_front(33))).alpha[0, 16, 20] > 0.9
    _look(field)
    assert field.occupied.sum() > small
    _ball(field, radius=0.4, density=0.02)
    _look(field, times=40)
    assert field.occupied.any() and not field.occupied.all()


def _train(field: Field, optimizer: torch.optim.Adam, steps: range, generator: torch.Generator):
    for index in steps:
        azimuth = 360 * torch.rand(1, generator=generator)
        view = field.render(Shot(orbit(azimuth, azimuth / 9, size=16)), rng=generator)
        loss = (view.over(torch.ones(1, 1, 1, 3)) - 0.3).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        field.adapt(Step(index, 100, generator), view, optimizer)


@pytest.mark.seconds
def test_a_resumed_run_gives_the_same_bits() -> None:
    def fresh() -> tuple[Field, torch.optim.Adam]:
        field = Field(resolution=33, samples=32)
        return field, torch.optim.Adam(field.parameters(), lr=0.1, fused=True)

    (through, optimizer), generator = fresh(), rng(5)
    _train(through, optimizer, range(40), generator)

    (half, optimizer), generator = fresh(), rng(5)
    _train(half, optimizer, range(21), generator)
    (resumed, other), later = fresh(), torch.Generator()
    resumed.load_state_dict(half.state_dict())
    other.load_state_dict(optimizer.state_dict())
    later.set_state(generator.get_state())
    _train(resumed, other, range(21, 40), later)

    ours, theirs = resumed.state_dict(), through.state_dict()
    assert set(ours) == set(theirs) and {"seen", "occupied"} <= set(ours)
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
    assert not ours["occupied"].all(), "the run did skip"


def _psnr(field: Field, truth: Field, cameras: Cameras) -> float:
    def white(view: Rendering) -> Tensor:
        return view.over(torch.ones(1, 1, 1, 3))

    with torch.no_grad():
        shot = Shot(cameras)
        error = (white(field.render(shot)) - white(truth.render(shot))).square().mean()
    return -10 * math.log10(float(error))


@pytest.mark.seconds
@pytest.mark.parametrize("init", ["fog", "blob"])
def test_pictures_of_a_ball_rebuild_the_ball(init: Init) -> None:
    truth, field, generator = Field(), Field(init=init, resolution=33), rng()
    _ball(truth)
    optimizer = torch.optim.Adam(field.parameters(), lr=0.1, betas=(0.9, 0.99), fused=True)
    held_out = turntable(3, elevation=25.0, offset=11.0, size=32)
    before = _psnr(field, truth, held_out)
    for index in range(48):
        angle = torch.rand(2, 1, generator=generator)
        shot = Shot(orbit(360 * angle[0], 60 * angle[1] - 10, size=32))
        background = torch.rand(1, 1, 1, 3, generator=generator)
        view = field.render(shot, rng=generator)
        with torch.no_grad():
            target = truth.render(shot).over(background)
        loss = (view.over(background) - target).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        field.adapt(Step(index, 48, generator), view, optimizer)
    after = _psnr(field, truth, held_out)
    assert after > 24 and after > before + 10, (before, after)


def test_a_resolution_that_does_not_nest_is_refused() -> None:
    with pytest.raises(ValueError, match="Got 64; try 33, 65 or 129"):
        Field(resolution=64)
