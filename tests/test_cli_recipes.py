"""The command line's recipes and playground, word for word."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_cli import Dreamlift, dreamlift
from test_scores import Recorder

from dreamlift.api import Request, finished, request, start
from dreamlift.io.images import save_png
from dreamlift.offers import RECIPES, Recipe
from dreamlift.prior import Embedding, Prompt
from dreamlift.priors.oracle import Oracle
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.recipes.gaussiandreamer import GaussianDreamer
from dreamlift.run import Run

__all__ = ["dreamlift"]

FINISH = "--finish.resolution 32 --finish.faces 600 --finish.texture 64 --finish.frames 2".split()


def test_explain_prints_the_algorithm_with_the_numbers_and_makes_nothing(
    dreamlift: Dreamlift, tmp_path: Path
) -> None:
    ended = dreamlift("generate", "--recipe", "csd", "--explain", "--strength", "3")
    assert ended.code == 0
    assert "arXiv:2310.19415" in ended.out[0]
    assert any(line.startswith("  strength       3.0 ") for line in ended.out)
    assert not (tmp_path / "runs").exists()


def test_explain_may_come_with_a_prompt_and_a_preset(dreamlift: Dreamlift) -> None:
    ended = dreamlift("generate", "a cone", "--explain", "--preset", "paper")
    assert ended.code == 0
    assert any(line.startswith("  steps          15000 ") for line in ended.out)


def test_the_flags_are_those_of_the_recipe(dreamlift: Dreamlift) -> None:
    assert dreamlift("generate", "a cone", "--recipe", "sdi", "--walk", "0").code == 2
    ended = dreamlift("generate", "a cone", "--recipe", "csd", "--walk", "3")
    assert ended.code == 2 and "walk" in ended.err


def test_a_negative_prompt_is_said_in_place_of_nothing(
    dreamlift: Dreamlift, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, embed = list[str](), Oracle.embed

    def listen(self: Oracle, prompt: Prompt) -> Embedding:
        told.append(prompt.text)
        return embed(self, prompt)

    monkeypatch.setattr(Oracle, "embed", listen)
    few = "--steps 2 --size 16 --samples 24 --init blob".split()
    asked = ("generate", "a cone", "--prior", "words", *few, *FINISH)
    folders: set[str] = set()
    for more, null in (((), ""), (("--negative", "a red ball"), "a red ball")):
        told.clear()
        ended = dreamlift(*asked, *more)
        assert ended.code == 0, ended.err
        folders.add(ended.out[-1])
        assert [text for text in told if "cone" not in text] == [null]
    assert len(folders) == 2
    ended = dreamlift(*asked, "--negative", "blurry, ugly")
    assert ended.code == 2
    assert "--negative says cannot be told. The embedded world does not know the" in ended.err
    ended = dreamlift(*asked[:4], "--recipe", "sjc", "--negative", "a ball")
    assert ended.code == 2
    assert "sjc has no --negative. Say --recipe with one that has: dreamfusion, " in ended.err
    assert len(ended.err.splitlines()) == 1


class Heard(Exception):
    """The negative prompt was said as one."""


class Listener(Recorder):
    """A prior that is asked until it hears the negative prompt, and shown nothing."""

    def embed(self, prompt: Prompt) -> Embedding:
        assert not (prompt.negative and "cone" in prompt.text), prompt.text
        if prompt.text == "a ball":
            assert prompt.negative
            raise Heard
        return super().embed(prompt)


ABLE = [each for each in RECIPES if {"negative", "bad"} & each.__dataclass_fields__.keys()]
ABLE.remove(GaussianDreamer)  # it says it once its first stage is done


@pytest.mark.parametrize("kind", ABLE)
def test_recipes_say_their_negative_prompt_as_one(kind: type[Recipe], tmp_path: Path) -> None:
    """Else a prior that was given a picture would follow it under both, and guidance would not."""
    save_png(tmp_path / "photo.png", torch.rand(16, 16, 4))
    known = kind.__dataclass_fields__
    numbers = {"negative": "a ball", "bad": "a ball", "picture": str(tmp_path / "photo.png")}
    recipe = kind(prompt="a cone", **{key: numbers[key] for key in numbers if key in known})
    with pytest.raises(Heard):
        recipe.run(Run(tmp_path / "run"), Listener(), [])


def test_a_run_without_a_negative_prompt_is_recorded_as_ever(
    dreamlift: Dreamlift, tmp_path: Path
) -> None:
    """Folders of runs that were begun before there was a --negative keep their names."""
    recipe = DreamFusion("a cone", steps=2)
    plain = request(recipe, prior=tmp_path / "words").config()
    assert "negative" not in plain
    said = request(replace(recipe, negative="a ball"), prior=tmp_path / "words")
    assert said.config() == {**plain, "negative": "a ball"}
    for asked in (request(recipe, prior=tmp_path / "words"), said):
        assert Request.of(start(asked)) == asked


def test_a_sketch_that_is_not_there_is_refused_before_any_work(
    dreamlift: Dreamlift, tmp_path: Path
) -> None:
    asked = ("generate", "a cone", "--prior", "words", "--recipe", "latent_nerf")
    ended = dreamlift(*asked, "--sketch", "none.glb")
    assert ended.code == 2 and "none.glb does not exist" in ended.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.seconds
def test_a_recipe_of_two_stages_leaves_its_files_and_is_brought_out_again(
    dreamlift: Dreamlift, tmp_path: Path
) -> None:
    few = "--steps 30 --fine-steps 2 --resolution 20 --fine-size 32".split()
    asked = ("generate", "a cone", "--prior", "words", "--recipe", "magic3d", *few, *FINISH)
    ended = dreamlift(*asked)
    assert ended.code == 0, ended.err
    folder = Path(ended.out[-1])
    assert (folder / "coarse" / "checkpoint.safetensors").is_file()
    assert (folder / "fine" / "checkpoint.safetensors").is_file()
    run = Run.open(folder)
    assert finished(run) is not None
    assert type(Request.of(run).recipe).__name__ == "Magic3D"
    again = dreamlift("export", str(folder), "--format", "stl")
    assert again.code == 0 and Path(again.out[-1]).is_file()
    assert dreamlift(*asked).out[-1] == str(folder)


def test_pictures_follow_a_guidance_once(dreamlift: Dreamlift, tmp_path: Path) -> None:
    asked = ("image", "a cone", "--prior", "words", "--optimise", "csd", "--steps", "2")
    ended = dreamlift(*asked, "--count", "2")
    assert ended.code == 0, ended.err
    assert Path(ended.out[-1]) == Path("image-a-cone-csd-0.png")
    assert (tmp_path / "image-a-cone-csd-0.png").is_file()
    assert dreamlift(*asked, "--count", "2").code == 2  # nothing is overwritten
    assert "The count must be 1 to 100" in dreamlift(*asked, "--count", "0", "--out", "x.png").err
