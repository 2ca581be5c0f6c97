"""What pictures are asked, and what captions answer: every slot of a graph, and no more."""

import math

import pytest
import torch

from dreamlift.cameras import orbit
from dreamlift.grammar import parse
from dreamlift.graph import Graph, Thing
from dreamlift.learn.slots import (
    BESIDE,
    LINKS,
    NOTHING,
    OFFSETS,
    PAINTS,
    PLAYED,
    ROLES,
    SIZES,
    SLOTS,
    WEAVES,
    answers,
    azimuth_bins,
    fronted,
    indicator,
)
from dreamlift.toybox.lists import ASIDE
from dreamlift.words import COLOURS, NOUNS, PATTERNS, RELATIONS

N, R = len(NOUNS), len(ROLES)


def said(text: str) -> dict[str, str | None]:
    row = answers(parse(text))
    pairs = zip(SLOTS.items(), row, strict=True)
    return {slot: None if at < 0 else values[at] for (slot, values), at in pairs}


# -- what captions say --------------------------------------------------------------------------


def test_a_caption_answers_what_it_says_and_no_more() -> None:
    assert said("a small red cube on top of a rainbow ball, front view") == {
        "first noun": "cube", "second noun": "ball", "relation": "on top of",
        "first colour": "red", "second colour": "rainbow", "first size": "small",
        "second size": None, "first pattern": None, "second pattern": None,
    }  # fmt: skip
    assert said("an untextured mug") == {
        "first noun": "mug", "second noun": NOTHING, "relation": NOTHING, "first colour": None,
        "second colour": None, "first size": None, "second size": None, "first pattern": None,
        "second pattern": None,
    }  # fmt: skip


def test_a_colour_and_its_pattern_are_asked_apart() -> None:
    assert said("a fat striped red cat holding a spotted mug") == {
        "first noun": "cat", "second noun": "mug", "relation": "holding", "first colour": "red",
        "second colour": None, "first size": "fat", "second size": None,
        "first pattern": "striped", "second pattern": "spotted",
    }  # fmt: skip
    for paint in ("rainbow", "wooden", "stone", "golden"):
        row = said(f"a {paint} cat")
        assert (row["first colour"], row["first pattern"]) == (paint, None)


def test_every_word_of_the_toybox_has_an_answer() -> None:
    assert set(SLOTS["first noun"]) == set(NOUNS)
    assert {*PAINTS, *WEAVES} == {*COLOURS, *PATTERNS, "plain"}
    assert {*LINKS, *ASIDE, "with"} == {*RELATIONS, NOTHING}
    assert sorted({int(role) for row in PLAYED for role in row}) == [*range(R)]
    both = [LINKS[k] for k, row in enumerate(PLAYED.tolist()) if row == [BESIDE, BESIDE]]
    assert both == ["next to"] and len(PLAYED) == len(LINKS)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a vase with a flower", "a flower in a vase"),
        ("a red vase with a striped pink flower", "a striped pink flower in a red vase"),
        ("a snowman with a golden hat", "a snowman wearing a golden hat"),
        ("a cat in a sweater", "a cat wearing a sweater"),
        ("a table with a mug", "a mug on top of a table"),
        ("a house with a tree", "a tree next to a house"),
        ("a red cat left of a mug", "a red cat next to a mug"),
        ("a red cat right of a mug", "a mug next to a red cat"),
        ("a red cat behind a mug", "a red cat left of a mug"),
    ],
)
def test_a_caption_is_asked_as_what_is_built_and_can_be_seen(text: str, same: str) -> None:
    assert said(text) == said(same)
    assert torch.equal(indicator(parse(text)), indicator(parse(same)))


def test_beside_each_other_order_does_not_matter_and_on_top_it_does() -> None:
    assert said("a red mug next to a ball") == said("a ball next to a red mug")
    assert said("a red mug on top of a ball") != said("a ball on top of a red mug")
    row, turned = (
        indicator(parse(f"{t}")) for t in ("a mug next to a ball", "a ball next to a mug")
    )
    assert torch.equal(row, turned)


def test_what_is_not_read_is_refused_with_what_is() -> None:
    for graph, told in {
        Graph((Thing("unicorn"),)): "No first noun 'unicorn' is read; there are: cube, ball",
        Graph(
            (Thing("cone", size="tiny"),)
        ): "No first size 'tiny' is read; there are: small, large",
        Graph((Thing("cone", "beige"),)): "No first colour 'beige' is read; there are: red",
        parse("a frog on a cube on a ball"): "two things at most are read; here are 3",
    }.items():
        with pytest.raises(ValueError, match=told):
            answers(graph)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a mug", 2),
        ("a small red mug", 4),
        ("a red cube on top of a ball", 4),
        ("a red ball on top of a red ball", 5),
        ("a red mug next to a small blue ball", 1 + N + 3),
        ("a striped mug", 3),
        ("a tall striped red mug", 5),
        ("a striped red cat in a golden hat", 6),
        ("a striped cat left of a spotted cat", 1 + N + 2),
        ("a ball next to a ball", 1 + N),
        ("a red ball next to a blue ball", 1 + N + 2),
    ],
)
def test_a_caption_points_at_one_answer_for_each_thing_it_says(text: str, count: int) -> None:
    """Beside one another every noun has an answer: it is there or it is not."""
    row = indicator(parse(text))
    assert len(row) == len(LINKS) + R * N + N + R * N * (len(PAINTS) + 4 + 4) + 1
    assert row[:-1].sum() == count and set(row[:-1].tolist()) <= {0.0, 1.0}


def test_two_of_one_noun_unlike_in_pattern_are_twice_as_likely() -> None:
    for text, unlike in {
        "a striped cat next to a spotted cat": 1,
        "a striped red cat next to a spotted blue cat": 2,
        "a striped cat next to a striped cat": 0,
        "a striped cat next to a cat": 0,
        "a striped cat next to a spotted pig": 0,
    }.items():
        assert float(indicator(parse(text))[-1]) == pytest.approx(unlike * math.log(2)), text
    assert OFFSETS[-1] == sum(SIZES)


# -- views --------------------------------------------------------------------------------------


def test_bins_are_centred_on_the_front_and_grow_to_the_left_side() -> None:
    azimuth = torch.tensor([0.0, 22.0, -22.0, 23.0, 90.0, -90.0, 180.0, -157.0, 338.0])
    bins = azimuth_bins(orbit(azimuth, torch.full((9,), 20.0)))
    assert bins.tolist() == [0, 0, 0, 1, 2, 6, 4, 5, 0]


@pytest.mark.parametrize(
    ("text", "front"),
    [
        ("a frog", True),
        ("a cube", False),
        ("a cube on top of a frog", True),
        ("a frog on top of a cube", True),
        ("a snowman wearing a hat", True),
        ("a pumpkin wearing a hat", False),
        ("a chair in the shape of a pumpkin", True),
        ("a hat in the shape of a frog", False),
        ("a cube made of a snowman", False),
        ("a snowman made of an apple", True),
        ("a vase with a cat", True),
    ],
)
def test_a_front_is_the_subjects_or_of_what_it_is_put_with(text: str, front: bool) -> None:
    assert fronted(parse(text)) == front
