"""The recipe that begins with a picture: what is fitted to it, what is told, what is kept of it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_cli import Dreamlift, dreamlift
from test_recipes import oracle as cone
from test_scores import Recorder
from tiny_prior import FINISH, picture

from dreamlift.api import Request, resume, start
from dreamlift.api import request as request_of
from dreamlift.asked import PICTURE
from dreamlift.cameras import orbit
from dreamlift.cli import main
from dreamlift.errors import BadInput
from dreamlift.export import FILES
from dreamlift.fit import Moment
from dreamlift.io.images import save_png
from dreamlift.offers import check_numbers
from dreamlift.prior import Prompt
from dreamlift.recipes import zero123
from dreamlift.recipes.zero123 import Zero123
from dreamlift.run import Run
from dreamlift.scene import Shot

__all__ = ["dreamlift"]

SMALL = [f"--finish.{k}={v}" for k, v in vars(FINISH).items() if k != "smooth"]
FEW = "--steps 4 --size 16 --init blob --device cpu".split()


def fitted(recipe: Zero123, prior: Any, folder: Path) -> tuple[float, float, list[float]]:
    """Mean squared error at the picture's camera before white, that of opacity, and its course."""
    course = list[float]()

    def watch(moment: Moment) -> None:
        course.append(moment.terms["picture"])

    field = recipe.run(Run(folder), prior, [watch])
    seen = recipe.view()
    with torch.no_grad():
        view = field.render(Shot(seen.camera.resized(32, 32)))
    wanted = torch.nn.functional.interpolate(
        torch.cat([seen.image + 1 - seen.alpha, seen.alpha], -1).permute(2, 0, 1)[None], (32, 32),
        mode="area",
    )[0].permute(1, 2, 0)  # fmt: skip
    found = torch.cat([view.over(torch.ones(1, 1, 1, 3)), view.alpha], -1)[0]
    error = (found - wanted).square()
    return float(error[..., :3].mean()), float(error[..., 3].mean()), course


def silent() -> Recorder:
    """A prior that says nothing: what it predicts is 0 wherever it is asked."""
    prior = Recorder()
    prior.encode = lambda x, rng=None: 0 * x[:, :4, :4].permute(0, 3, 1, 2)  # type: ignore[method-assign]
    return prior


def check_reference(tmp_path: Path) -> None:
    """With a prior that says nothing the field comes to show the picture where it was taken."""
    asked = Zero123("", picture=str(picture("a red cube on top of a blue ball", 70.0, 30.0)))
    asked = replace(asked, azimuth=70.0, elevation=30.0, steps=40, size=24)
    colour, opacity, course = fitted(asked, silent(), tmp_path / "a")
    assert colour < 0.006 and opacity < 0.012
    assert sum(course[-10:]) < 0.12 * sum(course[:10])


def check_side(tmp_path: Path) -> None:
    """Of a cube on a ball, seen from its side, elsewhere is not what the picture shows."""
    asked = Zero123("", picture=str(picture("a red cube on top of a blue ball", 70.0, 30.0)))
    view = replace(asked, azimuth=70.0, elevation=30.0).view()
    wanted = orbit(torch.tensor([70.0]), torch.tensor([30.0]), size=256)
    torch.testing.assert_close(view.camera.world_to_camera, wanted.world_to_camera)
    torch.testing.assert_close(view.camera.K, wanted.K)
    assert bool((view.image <= view.alpha + 1e-6).all()), "colour times alpha"


def test_the_view_of_the_picture_is_fitted_to_it(tmp_path: Path) -> None:
    check_reference(tmp_path)


def test_the_picture_s_camera_is_where_it_was_taken(tmp_path: Path) -> None:
    check_side(tmp_path)


def test_what_is_told_is_the_picture_and_its_place_with_every_sentence(tmp_path: Path) -> None:
    prior, told = silent(), list[Prompt]()
    embed = prior.embed

    def listen(prompt: Prompt) -> Any:
        told.append(prompt)
        return embed(prompt)

    prior.embed = listen  # type: ignore[method-assign]
    asked = Zero123("a cone", picture=str(picture()), steps=1, size=16, negative="a ball")
    asked.run(Run(tmp_path), prior)
    null = [prompt for prompt in told if not prompt.views]
    assert [prompt.text for prompt in null] == ["a ball"]
    views = {id(prompt.views[0]): prompt.views[0] for prompt in told if prompt.views}
    [seen] = views.values()
    assert float(seen.camera.azimuth) == pytest.approx(0, abs=1e-3)
    assert float(seen.camera.elevation) == pytest.approx(15, abs=1e-3)


@pytest.mark.seconds
def test_the_picture_helps_where_it_was_taken_and_the_prior_elsewhere(tmp_path: Path) -> None:
    """Against the oracle of the same cone: the reference error falls with the picture's weights."""
    asked = Zero123("a yellow cone", picture=str(picture()), steps=40, size=32)
    with_it = fitted(asked, cone(), tmp_path / "with")
    without = fitted(replace(asked, rgb=0.0, mask=0.0), cone(), tmp_path / "without")
    assert with_it[0] < 0.6 * without[0] and with_it[1] < without[1]


def test_a_picture_from_below_or_the_right_is_a_place_too() -> None:
    check_numbers(Zero123("a cone", picture="a.png", elevation=-20.0, azimuth=-90.0))
    with pytest.raises(BadInput, match="must be 0 to 10000000; -1"):
        check_numbers(Zero123("a cone", picture="a.png", rgb=-1.0))


def test_the_run_keeps_what_the_picture_shows_and_its_file_may_go(
    dreamlift: Dreamlift, tmp_path: Path
) -> None:
    mine = tmp_path / "mug.png"
    mine.write_bytes(picture().read_bytes())
    words = ("generate", "a cone", "--prior", "words", "--recipe", "zero123", *FEW, *SMALL)
    ended = dreamlift(*words, "--picture", "mug.png")
    assert ended.code == 0, ended.err
    folder = tmp_path / ended.out[-1]
    assert folder.parent.name == "zero123" and (folder / PICTURE).is_file()
    kept = json.loads((folder / "config.json").read_text())["picture"]
    assert len(kept) == 16 and "mug" not in kept
    mine.rename(tmp_path / "elsewhere.png")
    again = dreamlift(*words, "--picture", "elsewhere.png")  # the same picture, by another name
    assert again.out[-1] == ended.out[-1]
    (tmp_path / "elsewhere.png").unlink()
    assert dreamlift("export", str(folder), "--format", "stl").code == 0
    (folder / "report.json").unlink()
    assert resume(folder, observers=()).glb.is_file()
    assert Request.of(Run.open(folder)).recipe.made(Run(folder)) is not None
    save_png(folder / PICTURE, torch.rand(256, 256, 4).round())
    (folder / "report.json").unlink()
    with pytest.raises(BadInput, match="not the picture that the run was started with"):
        resume(folder, observers=())


def test_another_picture_is_another_run(dreamlift: Dreamlift, tmp_path: Path) -> None:
    pictures = (picture(), picture("a yellow cone", 0.0, 60.0))
    folders = [
        start(request_of(Zero123("a cone", picture=str(each)), prior="words")).path
        for each in pictures
    ]
    assert len(set(folders)) == 2


REFUSED: dict[str, tuple[Sequence[str], str]] = {
    "no picture": ((), "Say --picture PHOTO.png"),
    "no file": (("--picture", "none.png"), "Cannot read the picture none.png"),
    "no object": (("--picture", "noisy.png"), "what is behind the object is not plain"),
    "no words": (("--picture", "cone.png"), "follows words and does not see the picture"),
    "bad negative": (
        ("a cone", "--picture", "cone.png", "--negative", "blurry"),
        "What --negative says cannot be told. The embedded world does not know the word 'blurry'",
    ),
    "bad words": (("a zzz", "--picture", "cone.png"), "does not know the word 'zzz'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_before_any_work(
    name: str, dreamlift: Dreamlift, tmp_path: Path
) -> None:
    save_png(tmp_path / "noisy.png", torch.rand(40, 50, 3))
    (tmp_path / "cone.png").write_bytes(picture().read_bytes())
    more, said = REFUSED[name]
    ended = dreamlift("generate", *more, "--recipe", "zero123", "--prior", "words", *FEW)
    assert ended.code == 2 and said in ended.err, ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.weights
def test_a_tiny_zero123_runs_to_a_glb_without_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tiny_pipelines

    monkeypatch.chdir(tmp_path)
    tiny_pipelines.zero123(tmp_path / "z")
    (tmp_path / "mug.png").write_bytes(picture().read_bytes())
    asked = ["generate", "--recipe", "zero123", "--picture", "mug.png", "--prior", "./z"]
    assert main([*asked, *FEW, *SMALL]) == 0, capsys.readouterr().err
    folder = Path(capsys.readouterr().out.splitlines()[-1])
    assert folder.name.startswith("mug-")
    assert all((folder / name).exists() for name in FILES)
    for refused, said in (
        ([*asked, "--negative", "ugly"], "reads no words: leave --negative out, or follow"),
        (["generate", "a mug", "--prior", "./z"], "Say --recipe zero123 --picture PHOTO.png"),
    ):
        assert main(refused) == 2
        assert said in capsys.readouterr().err


def elsewhere(azimuth: Any, elevation: Any, **more: Any) -> Any:
    return orbit(azimuth + 90, elevation, **more)


def test_a_picture_taken_elsewhere_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zero123, "orbit", elsewhere)
    with pytest.raises(AssertionError):
        check_side(tmp_path)


def upside_down(path: Path) -> torch.Tensor:
    return READ(path).flip(0)


READ = zero123.read_cutout


def weakly(self: Any, *args: Any, beside: Any, **more: Any) -> Any:
    def nothing(scene: Any, step: Any) -> Any:
        return {key: 0 * value for key, value in beside(scene, step).items()}

    return FOLLOW(self, *args, beside=nothing, **more)


FOLLOW, VIEW = zero123.DreamFusion.follow, Zero123.view


def test_a_picture_that_counts_nothing_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zero123.DreamFusion, "follow", weakly)
    with pytest.raises(AssertionError):
        check_reference(tmp_path)


def test_a_picture_that_is_read_upside_down_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = list[Any]()

    def view(self: Zero123) -> Any:
        """The first look is the recipe's, the second the test's own."""
        looks.append(self)
        monkeypatch.setattr(zero123, "read_cutout", upside_down if len(looks) == 1 else READ)
        return VIEW(self)

    monkeypatch.setattr(Zero123, "view", view)
    with pytest.raises(AssertionError):
        check_reference(tmp_path)
