"""Flags that tyro would refuse without a way out."""

import pytest
from test_cli import Dreamlift, dreamlift

from dreamlift.commands import Image
from dreamlift.flags import refuse_choices

__all__ = ["dreamlift"]

MEANT = {
    "preset": (("generate", "a cone", "--preset", "papr"), "--preset 'papr'", "'paper'"),
    "before the prompt": (("generate", "--preset", "papr", "a cone"), "--preset 'papr'", "'paper'"),
    "recipe": (("generate", "a cone", "--recipe", "hiffa"), "--recipe 'hiffa'", "'hifa'"),
    "a recipe's own": (("generate", "a cone", "--init=blop"), "--init 'blop'", "'blob'"),
    "or none": (("image", "a cone", "--optimise", "sdss"), "--optimise 'sdss'", "'sds'"),
    "export": (("export", "run", "--format", "gbl"), "--format 'gbl'", "'glb'"),
    "reconstruct": (("reconstruct", "x", "--scene", "fild"), "--scene 'fild'", "'field'"),
}


@pytest.mark.parametrize("case", MEANT)
def test_the_nearest_choice_is_named(dreamlift: Dreamlift, case: str) -> None:
    arguments, said, near = MEANT[case]
    ended = dreamlift(*arguments)
    assert (ended.code, ended.out) == (2, [])
    assert ended.err.startswith(f"dreamlift: There is no {said}. Did you mean {near}? All: ")


def test_the_recipes_that_have_a_flag_are_named(dreamlift: Dreamlift) -> None:
    for flag in (("--picture", "frog.png"), ("--picture=frog.png",)):
        ended = dreamlift("generate", "a cone", *flag)
        said = "dreamfusion has no --picture. Say --recipe with one that has: zero123."
        assert (ended.code, ended.err) == (2, f"dreamlift: {said}\n")
    ended = dreamlift("generate", "a cone", "--recipe", "csd", "--no-interpolat")
    assert "Unrecognized" in ended.err, "no recipe has it"


def test_what_help_offers_is_taken() -> None:
    refuse_choices(("a cone", "--optimise", "None"), Image)
    refuse_choices(("a cone", "--optimise", "sds"), Image)


def test_a_flag_without_its_value_is_said_to_be_so(dreamlift: Dreamlift) -> None:
    ended = dreamlift("generate", "a cone", "--recipe", "--preset", "paper")
    assert ended.code == 2 and "Missing value for argument '--recipe'" in ended.err
