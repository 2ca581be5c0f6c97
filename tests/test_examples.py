"""The examples do what they say."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def main_of(name: str) -> Callable[..., Any]:
    return runpy.run_path(str(EXAMPLES / name))["main"]


@pytest.mark.seconds
def test_a_picture_becomes_what_the_prior_wants(tmp_path: Path) -> None:
    assert main_of("01_image.py")(tmp_path / "out.png") < 0.02
    assert (tmp_path / "out.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_field_becomes_the_oracles_scene(tmp_path: Path) -> None:
    assert main_of("02_oracle.py")(tmp_path / "out.png") > 23


@pytest.mark.seconds
def test_a_field_begins_to(tmp_path: Path) -> None:
    assert main_of("02_oracle.py")(tmp_path / "out.png", steps=60) > 13
