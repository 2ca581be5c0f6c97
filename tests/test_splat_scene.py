"""The cloud of Gaussians: it fits pictures, grows and is pruned as the paper says, and resumes."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import rng
from crowd import crowd, oblong, single
from torch import Tensor

from dreamlift.cameras import orbit, turntable
from dreamlift.fit import Stage, fit
from dreamlift.geometry.clouds import from_points, in_ball
from dreamlift.geometry.gaussians import Gaussians, base_colors, rotations, spacing
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.points import scatter
from dreamlift.geometry.surfels import from_mesh
from dreamlift.lights import Light
from dreamlift.likeness import photometric, psnr
from dreamlift.render.splat import Splats
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.densify import Densify, densified
from dreamlift.scenes.gaussians import PARAMETERS, Cloud, Rates
from dreamlift.step import Step


def _row(size: float, opacity: float, n: int = 1) -> Gaussians:
    means = torch.arange(3.0 * n).reshape(n, 3) / (3 * n)
    g = from_points(means, means, opacity=opacity)
    return replace(g, log_scales=torch.full((n, 3), size).log())


def _join(*parts: Gaussians) -> Gaussians:
    return Gaussians(
        torch.cat([g.means for g in parts]),
        torch.cat([g.quaternions for g in parts]),
        torch.cat([g.log_scales for g in parts]),
        torch.cat([g.opacity_logits for g in parts]),
        torch.cat([g.harmonics for g in parts]),
    )


RULES = Densify(extent=2.0, start=2, until=100, every=3, reset_every=12)


def test_a_round_clones_the_small_splits_the_large_and_prunes_the_faint() -> None:
    """Of 7: one small and pushed, two large and pushed, two faint, two left alone."""
    g = _join(_row(0.01, 0.5), _row(0.05, 0.5, 2), _row(0.01, 0.004, 2), _row(0.3, 0.5, 2))
    push = torch.tensor([2e-4, 3e-4, 5e-4, 1.0, 0, 1e-4, 0])
    change = densified(g, push, torch.zeros(7), RULES, rng(), late=False)
    assert change.kept.tolist() == [0, 5, 6]
    assert change.parent.tolist() == [0, 1, 2, 1, 2]
    assert torch.equal(change.made.means[0], g.means[0])
    torch.testing.assert_close(change.made.log_scales[1:].exp(), torch.full((4, 3), 0.05 / 1.6))
    late = densified(g, push, torch.tensor([21.0, 0, 0, 0, 0, 0, 0]), RULES, rng(), late=True)
    assert late.kept.tolist() == []  # 0 reached 21 pixels; .3 > .1 x 2
    assert late.parent.tolist() == [0, 1, 2, 1, 2]


def test_children_are_drawn_from_their_parent() -> None:
    parent = single(crowd(1, scale=0.3))
    many = parent[torch.zeros(4000, dtype=torch.long)]
    change = densified(many, torch.ones(4000), torch.zeros(4000), RULES, rng(1), late=False)
    assert len(change.kept) == 0 and len(change.parent) == 8000
    x = change.made.means - parent.means
    R = rotations(parent.quaternions)[0]
    measured = (x @ R).square().mean(0).sqrt()
    torch.testing.assert_close(measured, parent.log_scales[0].exp(), rtol=0.05, atol=0)


def _cloud(n: int = 30) -> tuple[Cloud, torch.optim.Adam]:
    cloud = Cloud(single(crowd(n, scale=0.15)), densify=RULES)
    return cloud, torch.optim.Adam(Rates().groups(cloud), eps=1e-15)


def _step(cloud: Cloud, optimizer: torch.optim.Adam, index: int) -> Rendering[Splats]:
    view = cloud.render(Shot(orbit(torch.tensor([40.0 * index]), torch.tensor([20.0]), size=24)))
    optimizer.zero_grad()
    (view.color * torch.linspace(-1, 1, 24)[:, None]).mean().backward()
    optimizer.step()
    cloud.adapt(Step(index, 50, rng(index)), view, optimizer)
    return view


def test_gradients_of_centres_are_gathered_in_units_of_half_a_picture() -> None:
    cloud, optimizer = _cloud()
    view = _step(cloud, optimizer, 0)
    gradient = view.aux.center.grad
    assert gradient is not None
    seen = view.aux.radius[0] > 0
    torch.testing.assert_close(cloud.push, gradient[0].norm(dim=-1) * 12 * seen)
    assert torch.equal(cloud.views, seen.float())
    # Two pictures, of whose losses the mean is taken, count as two pictures.
    twice = orbit(torch.tensor([0.0, 0.0]), torch.tensor([20.0, 20.0]), size=24)
    other, adam = _cloud()
    pair = other.render(Shot(twice))
    (pair.color * torch.linspace(-1, 1, 24)[:, None]).mean().backward()
    other.adapt(Step(0, 50, rng()), pair, adam)
    torch.testing.assert_close(other.push, 2 * cloud.push)
    assert torch.equal(other.views, 2 * cloud.views)


def test_adams_moments_follow_those_who_stay_and_are_zero_for_the_new() -> None:
    cloud, optimizer = _cloud()
    for index in range(2):
        _step(cloud, optimizer, index)
    before = {name: getattr(cloud, name) for name in PARAMETERS}
    frozen = copy.deepcopy(optimizer.state[before["rest"]]["exp_avg"])
    values = before["rest"].detach().clone()
    n = len(cloud)
    cloud.push[::3] = 1.0
    push = (cloud.push / cloud.views.clamp_min(1)).clone()
    cloud.adapt(Step(2, 50, rng(2)), _blank(cloud), optimizer)
    assert len(cloud) != n
    change = densified(cloud_of(before), push, torch.zeros(n), RULES, rng(2), late=False)
    k = len(change.kept)
    assert len(change.parent) > 5
    assert len(cloud) == k + len(change.parent)
    state = optimizer.state[cloud.rest]
    assert torch.equal(state["exp_avg"][:k], frozen[change.kept])
    assert frozen.abs().max() > 0 and not state["exp_avg"][k:].any()
    assert torch.equal(cloud.rest[:k], values[change.kept])
    assert torch.equal(cloud.rest[k:], values[change.parent])
    assert before["rest"] not in optimizer.state
    assert [group["params"][0] is getattr(cloud, group["name"]) for group in optimizer.param_groups]
    assert not cloud.push.any() and cloud.push.shape == (len(cloud),)
    _step(cloud, optimizer, 3)  # and it goes on


def cloud_of(parameters: dict[str, Tensor]) -> Gaussians:
    harmonics = torch.cat([parameters["dc"], parameters["rest"]], 1).detach()
    kept = (parameters[name].detach() for name in PARAMETERS[:4])
    return Gaussians(*kept, harmonics)


def _blank(cloud: Cloud) -> Rendering[Splats]:
    """A view that shows nothing and pushes nobody."""
    with torch.no_grad():
        view = cloud.render(Shot(orbit(torch.tensor([0.0]), torch.tensor([0.0]), size=8)))
    hidden = torch.zeros_like(view.aux.radius)
    return replace(view, aux=replace(view.aux, radius=hidden))


def test_opacities_are_cut_and_their_moments_forgotten_once_in_a_while() -> None:
    cloud, optimizer = _cloud()
    cloud.densify = replace(RULES, every=1000)
    for index in range(12):
        assert cloud.opacity_logits.sigmoid().max() > 0.5
        _step(cloud, optimizer, index)
    assert cloud.opacity_logits.sigmoid().max() <= 0.01 * (1 + 1e-6)
    assert not optimizer.state[cloud.opacity_logits]["exp_avg"].any()
    assert optimizer.state[cloud.means]["exp_avg"].any()


def test_one_degree_more_is_looked_at_every_so_many_steps() -> None:
    cloud = Cloud(single(crowd(5)), degree_every=2)
    optimizer = torch.optim.Adam(Rates().groups(cloud))
    degrees: list[int] = []
    for index in range(8):
        degrees.append(cloud.gaussians().degree)
        cloud.adapt(Step(index, 8, rng()), _blank(cloud), optimizer)
    assert degrees == [0, 0, 1, 1, 2, 2, 3, 3] and cloud.gaussians().degree == 3


def test_rates_are_the_papers() -> None:
    cloud, _ = _cloud()
    rates = {group["name"]: group["lr"] for group in Rates().groups(cloud, extent=3.0)}
    assert rates == pytest.approx(
        {"means": 4.8e-4, "quaternions": 1e-3, "log_scales": 5e-3, "opacity_logits": 0.05,
         "dc": 2.5e-3, "rest": 1.25e-4}
    )  # fmt: skip
    assert Rates().at(Step(15_000, 30_000, rng()))["means"] == pytest.approx(1.6e-5)


def test_points_become_round_gaussians_as_wide_as_their_neighbours_are_far() -> None:
    points = torch.rand(50, 3, generator=rng())
    color = torch.rand(50, 3, generator=rng(1))
    g = from_points(points, color)
    distances = torch.cdist(points, points).sort(1).values[:, 1:4]
    torch.testing.assert_close(spacing(points), distances.square().mean(1).sqrt())
    torch.testing.assert_close(g.log_scales.exp()[:, 2], spacing(points))
    torch.testing.assert_close(base_colors(g), color)
    torch.testing.assert_close(g.opacity_logits.sigmoid(), torch.full((50,), 0.1))
    assert g.degree == 3 and float(spacing(points[:1])) == pytest.approx(0.1)
    ball = in_ball(500, rng(2), radius=0.7)
    assert 0.6 < ball.means.norm(dim=-1).max() <= 0.7 and ball.degree == 0


def test_gaussians_of_a_mesh_lie_flat_on_it() -> None:
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0.5], [0, 1, -0.25], [0, 0, -1]])
    part = Surface(corners, torch.tensor([[0, 1, 2], [0, 2, 1]]), corners.abs())
    g = from_mesh([part], 200, rng())
    normal = scatter([part], 200, rng()).normal
    assert (normal[:, 2] < 0).any() and (normal[:, 2] > 0).any()
    torch.testing.assert_close(rotations(g.quaternions)[..., 2], normal)
    assert (g.log_scales.argmin(1) == 2).all()
    down = from_mesh([replace(part, vertices=corners * torch.tensor([1.0, 1, 0]))], 8, rng())
    assert rotations(down.quaternions)[..., 2].isfinite().all()


def test_depth_is_along_the_ray_and_normals_come_with_a_light() -> None:
    g = replace(_row(0.02, 0.9), means=torch.tensor([[0.0, 0.6, 0.4]]))
    cloud = Cloud(g)
    cameras = orbit(torch.tensor([0.0]), torch.tensor([0.0]), distance=2.0, size=64)
    view = cloud.render(Shot(cameras))
    best = int(view.alpha.argmax())
    assert view.depth is not None and view.normal is None
    depth = (view.depth / view.alpha).flatten()[best].item()
    assert depth == pytest.approx((4 + 0.36 + 0.16) ** 0.5, abs=0.02)
    light = Light(torch.tensor([[3.0, 0, 0]]), torch.tensor([0.0]), torch.tensor([1.0]),
                  torch.tensor([False]))  # fmt: skip
    lit = cloud.render(Shot(cameras, light))
    assert lit.normal is not None and lit.normal.shape == (1, 64, 64, 3)
    assert lit.color.max() < view.color.max()


def _pictures() -> tuple[Tensor, Shot]:
    truth = Cloud(single(crowd(12, degree=0, scale=0.2)))
    shot = Shot(turntable(6, size=32))
    with torch.no_grad():
        return truth.render(shot).color, shot


@pytest.mark.seconds
def test_a_cloud_learns_pictures_and_a_stopped_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    pictures, shot = _pictures()

    def stage() -> tuple[Stage[Splats], Cloud]:
        cloud = Cloud(
            in_ball(150, rng(3), radius=0.8),
            densify=Densify(start=10, until=100, every=15, push=2e-4, reset_every=None),
        )
        rates = Rates(means=(5e-3, 1e-3), dc=0.02)

        def shots(step: Step) -> Shot:
            k = int(torch.randint(6, (1,), generator=step.rng))
            return Shot(shot.cameras[k : k + 1])

        def objective(view: Rendering[Splats], shot_: Shot, step: Step) -> dict[str, Tensor]:
            same = (shot.cameras.world_to_camera == shot_.cameras.world_to_camera).flatten(1)
            return {"photometric": photometric(view.color, pictures[same.all(1)])}

        optimizer = torch.optim.Adam(rates.groups(cloud), eps=1e-15)
        return Stage(cloud, shots, objective, optimizer, 120, rates=rates.at), cloud

    whole, cloud = stage()
    fit(whole, Run(tmp_path / "whole"))
    assert len(cloud) != 150
    with torch.no_grad():
        assert psnr(cloud.render(shot).color, pictures) > 27
    broken, first = stage()

    def stop(moment: object) -> None:
        if len(first) != 150 and first.views.max() > 2:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fit(broken, Run(tmp_path / "broken"), [stop], checkpoint_steps=1)
    again, second = stage()
    fit(again, Run(tmp_path / "broken"))
    for name, value in cloud.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name


def test_a_cloud_is_no_cloud_of_another_degree() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        Cloud(single(crowd(4, degree=0))).load_state_dict(Cloud(single(crowd(5))).state_dict())
    assert oblong(1).height == 40
