"""recipes/splatting.py, distil/seeds.py and posed.turns: photographs to Gaussians."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import rng

from dreamlift.cameras import orbit
from dreamlift.distil.seeds import anywhere, at_points, on_field
from dreamlift.geometry.gaussians import base_colors
from dreamlift.posed import Posed, spread, turns
from dreamlift.recipes.splatting import GAUSSIANS, Splatting
from dreamlift.render.grid import raw_of, vertices
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.gaussians import Cloud
from dreamlift.step import Step

QUICK = Splatting(steps=6, count=60, coarse=3, degree=1, begin="random")


def ball(radius: float = 0.5) -> Field:
    """Red where x > 0, blue elsewhere; opaque within a cell."""
    field = Field(resolution=65, levels=1, samples=128)
    at = vertices(65)
    with torch.no_grad():
        grid = field.get_parameter("body.levels.0")
        grid[..., 0] = raw_of(torch.where(at.norm(dim=-1) < radius, 200.0, 1e-6))
        grid[..., 1] = torch.where(at[..., 0] > 0, 9.0, -9.0)
        grid[..., 2] = -9
        grid[..., 3] = -grid[..., 1]
    return field


def photos(size: int = 24, b: int = 5) -> Posed:
    """Of the ball, from around; the first is held out."""
    cameras = orbit(torch.arange(b) * 67.0, torch.linspace(-20, 50, b), size=size)
    with torch.no_grad():
        view = ball().render(Shot(cameras))
    held = torch.arange(b) == 0
    ones = torch.ones_like(view.alpha)
    return Posed([str(i) for i in range(b)], cameras, view.color, view.alpha, ones, held, eye())


def eye() -> torch.Tensor:
    return torch.eye(4, dtype=torch.float64)


def test_at_30_000_steps_the_numbers_are_the_papers() -> None:
    rules = Splatting(steps=30_000).growth(2.5)
    assert (rules.start, rules.until, rules.every, rules.reset_every) == (500, 15_000, 100, 3000)
    assert (rules.push, rules.small, rules.faintest, rules.extent) == (2e-4, 0.01, 0.005, 2.5)
    assert (rules.widest, rules.largest) == (20, 0.1)
    cloud = (
        Splatting(steps=30_000, count=10, begin="random")
        .start(Run(Path()), photos(), (), device="cpu")
        .scene
    )
    assert cloud.degree_every == 1000


def test_a_short_run_grows_too() -> None:
    rules = Splatting(steps=300).growth(1.0)
    grown = [done for done in range(1, 300) if done < rules.until and rules.grows(done)]
    assert grown == [60, 90, 120, 150]


def test_every_photograph_has_its_turn_before_any_has_its_second() -> None:
    posed = photos()
    draw = turns(posed, seed=3)
    laps = [[draw(5 * lap + i).names[0] for i in range(5)] for lap in range(3)]
    assert all(sorted(lap) == ["0", "1", "2", "3", "4"] for lap in laps)
    assert laps[0] != laps[1] or laps[1] != laps[2]
    assert draw(7).names == turns(posed, seed=3)(7).names


def test_the_extent_is_that_of_the_cameras_places() -> None:
    cameras = orbit(torch.tensor([0.0, 180.0]), torch.zeros(2), size=8)
    assert spread(cameras) == pytest.approx(1.1 * float(cameras.distance[0]))


def test_gaussians_begin_where_rays_end_in_the_colours_seen_there() -> None:
    cloud = on_field(ball(), photos(), 500, rng(1), degree=2)
    assert len(cloud) == 500 and cloud.degree == 2
    assert float((cloud.means.norm(dim=-1) - 0.5).abs().mean()) < 0.03
    right = cloud.means[:, 0].abs() > 0.1
    red = base_colors(cloud)[right, 0] > 0.5
    assert float((red == (cloud.means[right, 0] > 0)).float().mean()) > 0.98


def test_an_empty_field_says_nothing_and_gaussians_begin_anywhere() -> None:
    empty = ball()
    with torch.no_grad():
        empty.get_parameter("body.levels.0")[..., 0] = -30
    cloud = on_field(empty, photos(), 300, rng(), degree=0)
    assert len(cloud) == 300
    assert float(cloud.means.abs().max()) <= 1.05 and float(cloud.means.std()) > 0.5
    assert float((base_colors(cloud) - 0.5).abs().max()) < 1e-6


def test_points_that_came_are_where_gaussians_begin() -> None:
    points, colors = torch.randn(1500, 3, generator=rng()), torch.rand(1500, 3, generator=rng(1))
    posed = replace(photos(), points=points, colors=colors)
    assert Splatting().begins_at(posed) == "points"
    cloud = at_points(posed, 3)
    torch.testing.assert_close(cloud.means, points)
    torch.testing.assert_close(base_colors(cloud), colors, atol=1e-6, rtol=0)
    few = replace(posed, points=points[:999], colors=colors[:999])
    assert Splatting().begins_at(few) == Splatting().begins_at(photos()) == "field"
    assert Splatting(begin="random").begins_at(posed) == "random"
    with pytest.raises(ValueError, match="No points came"):
        at_points(photos(), 0)
    assert len(anywhere(7, rng(), degree=0)) == 7


def learned(folder: Path, posed: Posed, recipe: Splatting = QUICK) -> dict[str, torch.Tensor]:
    return recipe.run(Run.create(folder, {}), posed).scene.state_dict()


@pytest.mark.parametrize("what", ["held out", "unknown"])
def test_what_is_not_to_be_learned_from_changes_nothing(tmp_path: Path, what: str) -> None:
    posed = photos()
    images, known = posed.images.clone(), posed.known.clone()
    if what == "held out":
        images[0] = 0.3
    else:
        known[:, :, :5] = 0
        images[:, :, :5] = 0.3
    other = replace(posed, images=images, known=known)
    states = [learned(tmp_path / str(i), replace(p, known=known)) for i, p in
              enumerate((posed, other))]  # fmt: skip
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("behind", ["random", "black", "learned"])
def test_what_stands_behind(tmp_path: Path, behind: Any) -> None:
    recipe = replace(QUICK, background=behind)
    run, posed = Run.create(tmp_path, {}), photos()
    made = recipe.start(run, posed, (), device="cpu")
    assert (made.behind is not None) == (behind == "learned")
    stage = recipe.stage(made, posed)
    assert ("behind" in stage.keep) == (behind == "learned")
    backs = [stage.shots(Step(i, 6, rng(i))).background for i in range(2)]
    assert backs[0] is not None and backs[1] is not None
    assert bool((backs[0] == backs[1]).all()) == (behind != "random")


def unplugged(at: int, stage: str) -> Callable[[Any], None]:
    """Presses Ctrl-C in the middle of a stage."""

    def watch(moment: Any) -> None:
        if moment.run.stage == stage and moment.step.index == at:
            os.kill(os.getpid(), signal.SIGINT)

    return watch


@pytest.mark.parametrize("stage", ["field", GAUSSIANS])
def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path: Path, stage: str) -> None:
    recipe = replace(QUICK, begin="field", count=100)
    posed = photos(16)
    whole = learned(tmp_path / "whole", posed, recipe)
    run = Run.create(tmp_path / "cut", {})
    with pytest.raises(KeyboardInterrupt):
        recipe.run(run, posed, (unplugged(1, stage),))
    again = recipe.run(run, posed).scene.state_dict()
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.seconds
def test_a_ball_is_rebuilt_and_its_cloud_grows(tmp_path: Path) -> None:
    posed = photos(32, 9)
    recipe = Splatting(steps=200, count=300, coarse=40)
    made = recipe.run(Run.create(tmp_path, {}), posed)
    assert isinstance(made.scene, Cloud) and len(made.scene) != 300
    truth = posed.images[:1] + 1 - posed.alpha[:1]
    error = (made.picture(posed.cameras[:1]) - truth).square().mean()
    assert float(-10 * error.log10()) > 17
