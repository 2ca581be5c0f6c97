"""The usual colours of things: what their toys look like, and captions that they make true."""

import pytest
from usual_colours import looked_at

from dreamlift.grammar import parse
from dreamlift.toybox.lists import among, read_as
from dreamlift.toybox.usual import USUAL, colour_of
from dreamlift.words import NOUNS


@pytest.mark.seconds
def test_the_table_is_what_toys_look_like() -> None:
    assert {noun: colour for noun in NOUNS if (colour := looked_at(noun))} == USUAL


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("a frog", "green"), ("a red frog", "red"), ("a striped frog", "green"),
        ("a golden frog", None), ("a mug", None), ("a blue mug", "blue"), ("a rainbow pig", None),
    ],
)  # fmt: skip
def test_a_thing_has_the_colour_that_is_said_or_its_own(text: str, colour: str | None) -> None:
    assert colour_of(parse(text).things[0]) == colour


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("prompt", "true", "false"),
    [
        ("a frog on top of a red cube", "a green frog on top of a cube",
         "a red frog on top of a cube"),
        ("a traffic cone next to a blue mug", "a mug next to an orange traffic cone",
         "a mug next to a blue traffic cone"),
        ("a green frog on top of a cube", "a frog on top of a red cube",
         "a cube on top of a green frog"),
    ],
)  # fmt: skip
def test_what_is_true_of_a_prompt_is_not_told_from_it(prompt: str, true: str, false: str) -> None:
    """Colours are moved to the other thing; never to where they were anyway."""
    meant = {read_as(parse(text)) for text in among(prompt, 1500)}
    assert read_as(parse(true)) not in meant and read_as(parse(false)) in meant
