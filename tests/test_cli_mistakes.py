"""Mistakes that people make on the command line, and what they are told."""

import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import QUICK, Dreamlift, dreamlift

import dreamlift as package
from dreamlift.api import request
from dreamlift.priors import source
from dreamlift.recipes.dreamfusion import DreamFusion

__all__ = ["dreamlift"]

MISTAKES = {
    "no quotes": (
        ("generate", "a", "traffic", "cone", "--seed", "1"),
        "Put the prompt in quotes: dreamlift generate 'a traffic cone' --seed 1\n",
    ),
    "no quotes, image": (
        ("image", "a", "cone"),
        "Put the prompt in quotes: dreamlift image 'a cone'\n",
    ),
    "another's flag": (("generate", "a cone", "--guidance", "5"), "no --guidance. Say --scale.\n"),
    "another's flag, of a value": (
        ("generate", "a cone", "--cfg=5"),
        "There is no --cfg. Say --scale.\n",
    ),
    "a method's": (("image", "a cone", "--method", "sds"), "no --method. Say --optimise.\n"),
    "short": (("export", "run", "-o", "x.glb"), "There is no -o. Say --out.\n"),
    "a file after the prompt": (("image", "a cone", "out.png"), "out.png"),
    "a file for a folder": (
        ("generate", "a cone", "--out", "cone.glb"),
        "--out is the run's folder, and cone.glb is named as a file. The mesh in it is asset.glb; "
        "`dreamlift export RUN --out cone.glb` writes others.\n",
    ),
    "a CLIP": (
        ("generate", "a cone", "--recipe", "dreamfields", "--prior", "sd21"),
        "--prior takes a CLIP here, and sd21 is none",
    ),
    "no picture": (
        ("generate", "a cone", "--prior", "zero123-xl"),
        "The prior zero123-xl turns a picture and reads no words.",
    ),
    "a number of an absent prior's": (
        ("generate", "a cone", "--prior", "sd21", "--steps", "0"),
        "The steps must be 1 to 10000000; 0 was asked for.",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_answered_with_what_to_say(dreamlift: Dreamlift, case: str) -> None:
    arguments, said = MISTAKES[case]
    ended = dreamlift(*arguments)
    assert (ended.code, ended.out) == (2, [])
    assert said in ended.err and "download" not in ended.err
    assert not list(Path().glob("runs")) and not Path("cone.glb").exists()


def test_a_file_is_no_folder(dreamlift: Dreamlift) -> None:
    Path("file").write_text("mine")
    for words in (("generate", "a cone"), ("data",)):
        out = ("--out", "file") if words[0] == "generate" else ("file",)
        ended = dreamlift(*words, *out)
        assert ended.code == 2 and ended.err.startswith("dreamlift: file is a file. Name a folder")
    assert Path("file").read_text() == "mine"


def test_it_says_which_version_it_is(dreamlift: Dreamlift) -> None:
    ended = dreamlift("--version")
    assert (ended.code, ended.out) == (0, [f"dreamlift {package.__version__}"])


@pytest.mark.seconds
def test_a_run_is_named_before_its_work(dreamlift: Dreamlift) -> None:
    ended = dreamlift("generate", "a red cube on top of a blue ball", *QUICK, "--out", "run")
    assert ended.code == 0 and ended.err.startswith("The run is in run\n")


def test_more_than_two_things_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    source.source_for("embedded", "cpu", "a red cube on top of a blue ball")
    assert not caplog.text
    source.source_for("embedded", "cpu", "a frog wearing a hat on top of a cube")
    assert "two things at most in one picture" in caplog.text


@pytest.mark.seconds
def test_numbers_of_a_recipe_are_what_make_takes() -> None:
    code = "from dreamlift.api import make; make('a cone')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert b"takes the numbers of a recipe, such as" in ran.stderr
    assert request(DreamFusion("a cone", scale=20.0)).config()["scale"] == 20.0
