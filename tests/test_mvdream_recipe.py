"""The recipe for priors of four views: its cameras, its gradient in closed form, whole runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import rng
from exact import close, draw, mean, numbers, oracle, said, times
from test_recipes import oracle as cone
from test_scores import Recorder
from tiny_prior import FINISH

from dreamlift.cameras import turntable
from dreamlift.errors import BadInput
from dreamlift.fit import Moment
from dreamlift.guidance import reconstruct, rescale
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import noise_to_signal
from dreamlift.recipes import mvdream
from dreamlift.recipes.mvdream import MVDream
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.views import Views

FEW = MVDream("a cone", steps=2, batch=8, size=16, init="blob")


class Shots:
    """An observer that keeps what a run drew, by way of the prior that is told it."""

    def __init__(self, prior: Recorder) -> None:
        self.prior, self.cameras, condition = prior, list[Any](), prior.condition

        def told(mix: Sequence[Any], shot: Shot) -> Any:
            self.cameras.append(shot.cameras)
            self.background = shot.background
            return condition(mix, shot)

        prior.condition = told  # type: ignore[method-assign]


def ran(recipe: MVDream, prior: Recorder, folder: Path) -> Shots:
    kept = Shots(prior)
    prior.encode = lambda x, rng=None: x[:, ::4, ::4].permute(0, 3, 1, 2) * 2 - 1  # type: ignore[method-assign]
    recipe.run(Run(folder), prior, [])
    return kept


def check_around() -> None:
    """A quarter turn apart, at one elevation and distance, before one background; groups differ."""
    shot = Views(together=4).draw(12, rng(3))
    azimuth, elevation, distance = (
        x.reshape(3, 4) for x in (shot.cameras.azimuth, shot.cameras.elevation,
                                  shot.cameras.distance)
    )  # fmt: skip
    gaps = (azimuth.roll(-1, 1) - azimuth) % 360
    torch.testing.assert_close(gaps, torch.full_like(gaps, 90.0), atol=1e-3, rtol=0)
    assert shot.background is not None
    for x in (elevation, distance, shot.background.reshape(3, 4, 3)[..., 0]):
        torch.testing.assert_close(x, x[:, :1].expand_as(x), atol=1e-4, rtol=0)
        assert len(x[:, 0].unique()) == 3
    forward = shot.cameras.world_to_camera[:4, 2, :3]
    level = forward[:, :2] / forward[:, :2].norm(dim=-1, keepdim=True)
    right = torch.tensor([[1.0, 0, -1, 0], [0, 1, 0, -1], [-1, 0, 1, 0], [0, -1, 0, 1]])
    torch.testing.assert_close(level @ level.T, right, atol=1e-4, rtol=0)


def check_one_t(tmp_path: Path) -> None:
    """The four of a group share their t, and two groups do not."""
    prior = Recorder(views=4)
    kept = ran(FEW, prior, tmp_path)
    assert len(prior.asked) == FEW.steps
    for _, t, conditions in prior.asked:
        assert conditions == 2 and len(t) == 8 and len(t.unique()) == 2
        assert torch.equal(t.reshape(2, 4), t[::4, None].expand(2, 4))
    assert all(len(cameras) == 8 for cameras in kept.cameras)
    for cameras in kept.cameras:
        assert -1e-3 < cameras.elevation.min() and cameras.elevation.max() < 30.001


def check_gradient() -> None:
    """x - x0_hat: with phi = 0 SDS of w = sigma / alpha; else x0_hat shrunk toward eps_y's spread.

    Against the Gaussian's own formula: x0_hat = mu + (alpha s)^2 / V ... of the guided mean.
    """
    prior, (z, noise) = oracle(0.4), draw()
    t, shot = times(prior), Shot(turntable(3, size=4))
    y, null = said(prior), said(prior, 0.0)

    def pulled(phi: float) -> torch.Tensor:
        score = rescale.Rescaled(prior, y, null, 6.0, phi, "x0")
        return reconstruct.Reconstruct(score, steps=1).gradient(z, t, noise, shot)

    plain = SDS(cfg(prior, y, null, 6.0), weight=noise_to_signal).gradient(z, t, noise, shot)
    close(pulled(0.0), plain, 1e-8)
    alpha, sigma, variance = numbers(prior, t)
    z_t = alpha * z + sigma * noise

    def clean(share: float) -> torch.Tensor:
        return (alpha * prior.std**2 * z_t + sigma**2 * mean(share)) / variance

    ratio = clean(1.0).flatten(1).std(1) / clean(6.0).flatten(1).std(1)
    shrunk = clean(6.0) * (1 + 0.5 * (ratio - 1))[:, None, None, None]
    close(pulled(0.5), z - shrunk, 1e-8)


def check_what_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe asks for that gradient: one step, w = 1, x0's spread, the negative for null."""
    found = list[reconstruct.Reconstruct]()

    def follow(self: Any, guidance: Any, *_: Any, **__: Any) -> Any:
        found.append(guidance)
        return self.scene()

    monkeypatch.setattr(mvdream.DreamFusion, "follow", follow)
    prior = Recorder(views=4)
    replace(FEW, negative="a ball", rescale=0.3).run(Run(tmp_path), prior)
    [toward] = found
    assert isinstance(toward, reconstruct.Reconstruct) and toward.steps == 1
    score = toward.score
    assert isinstance(score, rescale.Rescaled)
    assert (score.phi, score.of, score.scale) == (0.3, "x0", 7.5)
    assert set(prior.texts) == {"a cone", "a ball"}
    ones = torch.ones(2)
    assert torch.equal(toward.weight(prior.schedule, 0.3 * ones), ones)


def test_the_four_cameras_are_orthogonal() -> None:
    check_around()


def test_a_group_shares_its_t(tmp_path: Path) -> None:
    check_one_t(tmp_path)


def test_the_gradient_is_that_of_the_clean_sample_s_distance() -> None:
    check_gradient()


def test_what_is_followed_is_the_paper_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_what_is_followed(tmp_path, monkeypatch)


def test_alone_cameras_are_drawn_as_ever() -> None:
    """With groups of one nothing changed: three numbers a camera, in this order."""
    u = torch.rand(3, 5, generator=rng(4))
    cameras = Views().cameras(5, rng(4))
    torch.testing.assert_close(cameras.azimuth, 360 * u[0] - 180, atol=1e-3, rtol=0)
    torch.testing.assert_close(cameras.elevation, 85 * u[1] - 10, atol=1e-3, rtol=0)


def test_priors_of_single_views_are_told_each_ones_side(tmp_path: Path) -> None:
    prior = Recorder()
    ran(replace(FEW, batch=4), prior, tmp_path)
    assert "a cone, back view" in prior.texts and "a cone, left side view" in prior.texts


def test_the_paper_s_t_falls_to_its_ends_in_four_fifths_of_the_steps() -> None:
    recipe = MVDream("a cone").paper()
    times = mvdream.Annealed(recipe.t_start, recipe.t_end, until=recipe.t_until)
    assert times.bounds(0.0) == (0.98, 0.98)
    assert times.bounds(0.4) == pytest.approx((0.5, 0.74))
    assert times.bounds(0.8) == times.bounds(1.0) == pytest.approx((0.02, 0.5))
    assert (recipe.scale, recipe.rescale, recipe.batch % 4) == (50.0, 0.5, 0)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [({"batch": 6}, "multiple of 4; 6"), ({"batch": 1}, "Say --batch 4"),
     ({"rescale": 1.5}, "0 to 1; 1.5")],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(numbers: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        MVDream("a cone", **numbers)


@pytest.mark.seconds
def test_it_finds_what_an_oracle_of_four_views_has_in_mind(tmp_path: Path) -> None:
    prior, values = replace(cone(), views=4), list[float]()

    def watch(moment: Moment) -> None:
        values.append(moment.terms["guidance"])

    recipe = MVDream("a yellow cone", steps=50, size=24)
    field = recipe.run(Run(tmp_path), prior, [watch])
    shot, white = Shot(turntable(6, elevation=15, offset=20, size=32)), torch.ones(1, 1, 1, 3)
    with torch.no_grad():
        truth, found = prior.truth(shot), field.render(shot)
        inside = truth.alpha[..., 0] > 0.9
        error = (found.over(white) - truth.over(white))[inside].square().mean()
        overlap = ((found.alpha > 0.5) & (truth.alpha > 0.5)).sum()
        union = ((found.alpha > 0.5) | (truth.alpha > 0.5)).sum()
    assert -10 * float(error.log10()) > 18 and float(overlap / union) > 0.8


@pytest.mark.weights
def test_a_tiny_mvdream_runs_to_a_glb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tiny_others

    from dreamlift.cli import main
    from dreamlift.export import FILES

    monkeypatch.chdir(tmp_path)
    tiny_others.mvdream(tmp_path / "mv")
    few = "--steps 4 --size 16 --init blob --device cpu --negative ugly".split()
    few += [f"--finish.{k}={v}" for k, v in vars(FINISH).items() if k != "smooth"]
    asked = ["generate", "a red mug", "--prior", "./mv", "--out", "run", *few]
    assert main([*asked, "--recipe", "mvdream"]) == 0, capsys.readouterr().err
    assert all((tmp_path / "run" / name).exists() for name in FILES)
    assert main(["export", "run", "--format", "stl"]) == 0
    capsys.readouterr()
    for refused in (["--recipe", "mvdream", "--batch", "6"], ["--recipe", "sjc"]):
        plain = ["generate", "a red mug", "--prior", "./mv", "--out", "other", *refused]
        assert main(plain) == 2
    assert "as `dreamlift generate --recipe mvdream` draws them" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def apart(self: Views, n: int, rng: Any, *, size: int = 64) -> Any:
    return CAMERAS(replace(self, together=1), n, rng, size=size)


def turned(degrees: float) -> Any:
    def wrong(self: Views, n: int, rng: Any, *, size: int = 64) -> Any:
        cameras = CAMERAS(self, n, rng, size=size)
        turn = degrees * (torch.arange(n) % self.together)
        return mvdream_orbit(cameras, turn, size)

    return wrong


def mvdream_orbit(cameras: Any, turn: torch.Tensor, size: int) -> Any:
    from dreamlift.cameras import orbit

    return orbit(cameras.azimuth + turn, cameras.elevation, distance=cameras.distance, size=size)


CAMERAS = Views.cameras
BACKGROUNDS = Views.backgrounds


@pytest.mark.parametrize(
    ("attribute", "wrong"),
    [
        ("cameras", apart),
        ("cameras", turned(-45.0)),
        ("backgrounds", lambda self, n, rng: BACKGROUNDS(Views(), n, rng)),
    ],
)
def test_cameras_that_do_not_belong_together_are_caught(
    attribute: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Views, attribute, wrong)
    with pytest.raises(AssertionError):
        check_around()


def a_t_each(times: Any, prior: Any, like: Any, step: Any) -> Any:
    return prior.schedule.snap(times(len(like), step))


def test_a_t_for_each_view_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconstruct, "draw", a_t_each)
    with pytest.raises(AssertionError):
        check_one_t(tmp_path)


def of_the_noise(*numbers: Any) -> rescale.Rescaled:
    return rescale.Rescaled(*numbers[:5], "eps", *numbers[6:])


def test_the_spread_of_the_noise_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as planted:
        planted.setattr(mvdream, "Rescaled", of_the_noise)
        with pytest.raises(AssertionError):
            check_what_is_followed(tmp_path, planted)
