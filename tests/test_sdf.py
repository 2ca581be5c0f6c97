"""A field of signed distances as a scene."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import rng
from tiny_prior import FINISH

from dreamlift.cameras import Cameras, orbit
from dreamlift.convert.cut import cut
from dreamlift.convert.finish import Finish
from dreamlift.convert.volume_to_sdf import volume_distances
from dreamlift.export import bring_out, export
from dreamlift.fit import Stage, fit, made
from dreamlift.geometry.mesh import volumes
from dreamlift.guidance import eikonal as on_eikonal
from dreamlift.lights import Light
from dreamlift.render.skin import Kind
from dreamlift.render.volume import BALL, RayIntegrals, march_grid, sample_rays
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.field import REFRESH, Grid
from dreamlift.scenes.frequencies import Frequencies
from dreamlift.scenes.sdf import SDF, UNIT, sphere
from dreamlift.step import Step

BODIES = (False, True)
"""On a grid, and on a network."""


def body(network: bool, radius: float = 0.7) -> Frequencies | None:
    return Frequencies(partial(sphere, radius=radius)) if network else None


KINDS: tuple[Kind, ...] = ("volsdf", "neus")
LIGHT = Light(
    torch.tensor([[3.0, 2.0, 1.0]]),
    torch.tensor([0.3]),
    torch.tensor([0.7]),
    torch.tensor([False]),
)


def front(size: int = 33) -> Cameras:
    return orbit(torch.tensor([0.0]), torch.tensor([0.0]), size=size)


def inside(n: int = 500, radius: float = 1.0) -> torch.Tensor:
    points = torch.randn(n, 3, generator=rng(1))
    shell = torch.rand(n, 1, generator=rng(2)) * (radius - 0.2) + 0.2
    return points / points.norm(dim=-1, keepdim=True) * shell


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", BODIES)
def test_it_begins_as_the_sphere_that_was_asked_for(network: bool, kind: Kind) -> None:
    scene = SDF(kind=kind, body=body(network, 0.6), radius=0.6, widths=(0.01, 0.01), samples=64)
    if not network:
        points = inside()
        wanted = points.norm(dim=-1) - 0.6
        torch.testing.assert_close(scene.distance(points), wanted, atol=2e-3, rtol=0)
    with torch.no_grad():
        view = scene.render(Shot(front(), LIGHT))
    # The outline is wider by perspective; VolSDF's, whose rays need not enter, by 3 widths more.
    wide, most = (r / (1 - (r / 4) ** 2) ** 0.5 * 33 / 2.5 for r in (0.6, 0.63))
    area = float(view.alpha.sum()) / math.pi
    assert 0.96 * wide**2 < area < 1.04 * (wide if kind == "neus" else most) ** 2
    assert view.normal is not None and view.depth is not None
    assert float(view.normal[0, 16, 16, 0]) > 0.9, "the front faces the camera, at +x"
    assert float(view.depth[0, 16, 16, 0]) == pytest.approx(3.4, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_and_the_grid_show_the_same_sphere(kind: Kind) -> None:
    """Two roads: the march through a table of slopes, and differentiation of a function."""
    seen: list[Rendering[RayIntegrals]] = []
    for network in BODIES:
        scene = SDF(kind=kind, body=body(network), widths=(0.05, 0.05), resolution=97, samples=64)
        for name, value in scene.named_parameters():
            if "network" in name:
                value.data.zero_()
        seen.append(scene.render(Shot(front(17), LIGHT)))
    one, two = seen
    torch.testing.assert_close(one.alpha, two.alpha, atol=0.02, rtol=0)
    torch.testing.assert_close(one.color, two.color, atol=0.02, rtol=0)


@pytest.mark.parametrize("network", BODIES)
def test_its_gradient_is_one_long_and_the_loss_pulls_it_there(network: bool) -> None:
    scene, points = SDF(body=body(network)), inside(radius=0.9)
    gradient = scene.gradient(points).detach()
    radial = points / points.norm(dim=-1, keepdim=True)
    if not network:
        torch.testing.assert_close(gradient, radial, atol=0.05, rtol=0)
        assert float(on_eikonal.eikonal(gradient)) < 1e-3
    with torch.no_grad():
        for value in scene.body.parameters():
            value.mul_(1.7)
    adam = torch.optim.Adam(scene.body.parameters(), lr=0.01)
    losses: list[float] = []
    for _ in range(25):
        loss = on_eikonal.eikonal(scene.gradient(points))
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_the_eikonal_loss_in_closed_form() -> None:
    check_eikonal()


def check_eikonal() -> None:
    """0 on true distances (a sphere's, a plane's), (k - 1)^2 on k times one; finite differences."""
    points = inside().double()
    ball = points / points.norm(dim=-1, keepdim=True)
    plane = torch.tensor([[0.48, 0.6, 0.64]]).double().expand(9, 3)
    for true in (ball, plane):
        assert float(on_eikonal.eikonal(true)) == pytest.approx(0, abs=1e-20)
        assert float(on_eikonal.eikonal(1.3 * true)) == pytest.approx(0.09)
    given = torch.randn(5, 3, generator=rng(4), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(on_eikonal.eikonal, (given,))
    zero = torch.zeros(2, 3, requires_grad=True)
    on_eikonal.eikonal(zero).backward()
    assert zero.grad is not None and zero.grad.isfinite().all()


def test_a_grid_is_its_own_march_in_world_units() -> None:
    scene = SDF(widths=(0.08, 0.08), samples=40)
    assert isinstance(scene.body, Grid)
    origins, directions = (x.flatten(1, 2) for x in front(9).rays())
    rays = sample_rays(origins, directions, samples=40)
    grid = scene.body.dense() * torch.tensor([UNIT, 1, 1, 1])
    wanted = march_grid(grid, rays, skin=scene.skin).alpha.reshape(1, 9, 9, 1)
    torch.testing.assert_close(scene.render(Shot(front(9))).alpha, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", BODIES)
def test_every_number_can_be_learned(network: bool, kind: Kind) -> None:
    scene = SDF(kind=kind, body=body(network), widths=None, samples=24, resolution=33)
    view = scene.render(Shot(front(17), LIGHT))
    (view.color.square().sum() + view.aux.orientation.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in scene.parameters())
    assert scene.log_width.grad is not None and float(scene.log_width.grad) != 0


def test_the_skin_narrows_over_a_stage_unless_it_is_learned() -> None:
    scene, fixed = SDF(widths=(0.2, 0.05)), SDF(widths=None)
    adam = torch.optim.Adam(scene.parameters())
    view = scene.render(Shot(front(9)))
    assert scene.skin.width.item() == pytest.approx(0.2)
    for index, width in ((49, 0.1), (99, 0.05)):
        for one in (scene, fixed):
            one.adapt(Step(index, 100, rng()), view, adam)
        assert scene.skin.width.item() == pytest.approx(width)
        assert fixed.skin.width.item() == pytest.approx(0.1)


def test_empty_cells_are_skipped_and_the_picture_stays() -> None:
    scene = SDF(widths=(0.03, 0.03))
    before = scene.render(Shot(front(), LIGHT))
    scene.adapt(Step(REFRESH - 1, 10**6, rng()), before, torch.optim.Adam(scene.parameters()))
    after = scene.render(Shot(front(), LIGHT))
    assert 0.1 < scene.occupied.float().mean() < 0.6
    torch.testing.assert_close(after.color, before.color, atol=2e-3, rtol=0)


@pytest.mark.parametrize("width", [0.2, 0.02])
def test_what_comes_out_is_the_zero_level_whatever_the_skin(width: float) -> None:
    scene = SDF(radius=0.7, widths=(width, width))
    found = cut(scene, Finish(resolution=64, smooth=0.0))
    volume = float(volumes(found.vertices.double(), found.faces).sum())
    assert volume == pytest.approx(4 / 3 * math.pi * 0.7**3, rel=0.01)
    assert found.reach == pytest.approx(math.log(2) * width)
    points = inside(100)
    away = volume_distances(scene, points, Finish(resolution=64, smooth=0.0))
    torch.testing.assert_close(away, points.norm(dim=-1) - 0.7, atol=0.01, rtol=0)


def test_nothing_outside_the_ball_comes_out() -> None:
    scene = SDF()
    assert isinstance(scene.body, Grid)
    with torch.no_grad():
        scene.body.levels[-1][..., 0] = 3.0  # inside everywhere
    found = cut(scene, Finish(resolution=48, smooth=0.0))
    assert float(found.vertices.norm(dim=-1).max()) == pytest.approx(BALL, abs=0.02)
    outside = 1.21 * inside() / inside().norm(dim=-1, keepdim=True)
    assert (scene.density(outside) == 0).all()


def test_it_is_exported_with_its_colours(tmp_path: Path) -> None:
    scene = SDF(widths=(0.05, 0.02))
    assert isinstance(scene.body, Grid)
    with torch.no_grad():
        scene.body.levels[-1][..., 1:] = torch.tensor([2.0, -2.0, 0.0])
    [part], report = bring_out(scene, FINISH)
    assert report.components == 1 and not report.concern
    assert part.texture is not None
    wanted = torch.tensor([2.0, -2.0, 0.0]).sigmoid()
    torch.testing.assert_close(part.texture.mean((0, 1)), wanted, atol=0.02, rtol=0)
    assert export(scene, tmp_path, finish=FINISH).glb.is_file()


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path: Path) -> None:
    """The width, the occupied cells and phi come back from a checkpoint."""

    def stage(scene: SDF) -> Stage[RayIntegrals]:
        adam = torch.optim.Adam([p for p in scene.parameters() if p.requires_grad], lr=0.1)
        shot = Shot(front(16))
        return Stage(scene, lambda _: shot, lambda v, s, k: {"less": v.alpha.mean()}, adam, 20)

    class Enough(Exception):
        pass

    def stop(moment: object) -> None:
        if getattr(moment, "step").index == 17:  # noqa: B009
            raise Enough

    one, two, three = (SDF(resolution=33, samples=32) for _ in range(3))
    fit(stage(one), Run(tmp_path / "one"))
    with pytest.raises(Enough):
        fit(stage(two), Run(tmp_path / "two"), [stop], checkpoint_steps=5)
    fit(stage(three), Run(tmp_path / "two"))
    again = made(SDF(resolution=33), Run(tmp_path / "two"))
    for name, value in one.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert again.skin.width.item() == pytest.approx(0.02)
    assert not again.occupied.all()
