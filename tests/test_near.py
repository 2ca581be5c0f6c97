"""The graphs near one: drawable, in known words, and visibly others."""

import itertools
import random
from collections import Counter

import pytest

from dreamlift.grammar import parse
from dreamlift.graph import Graph
from dreamlift.toybox.drawable import drawable
from dreamlift.toybox.meaning import BUILT
from dreamlift.toybox.near import EVERY, FIRST, RELATED, Known, neighbours
from dreamlift.words import NOUNS, PATTERNS, SIZES, WOVEN

CUBE = "a small red cube on top of a large blue ball"


def near(text: str, count: int, seed: int, known: Known = EVERY) -> list[Graph]:
    return list(itertools.islice(neighbours(parse(text), random.Random(seed), known), count))


@pytest.mark.parametrize(
    "text",
    [
        "a red cube on top of a blue ball", "a mug", "a chair in the shape of a green frog",
        "stilts", "a large santa hat on stilts", "a fat striped cat wearing a golden crown",
        "a house with a tree", "a dragon left of a wooden boat", "a car made of a hamburger",
        "a pig in a checkered sweater", "a chick eating a banana",
    ],
)  # fmt: skip
def test_a_neighbour_can_be_drawn_and_is_another(text: str) -> None:
    graph = parse(text)
    some = near(text, 80, 6)
    for other in some:
        drawable(other)
        assert other != graph and len(other.things) == len(graph.things)
    assert some == near(text, 80, 6)


def test_neighbours_swap_colours_and_roles_and_change_words() -> None:
    some = set(near("a red cube on top of a blue ball", 800, 7))
    for text in (
        "a blue cube on top of a red ball",
        "a blue ball on top of a red cube",
        "a red cube next to a blue ball",
        "a green cube on top of a blue ball",
        "a red frog on top of a blue ball",
    ):
        assert parse(text) in some, text
    striped = set(near("a striped red mug next to a golden cat", 1500, 8))
    for text in (
        "a golden mug next to a striped red cat",
        "a spotted red mug next to a golden cat",
        "a striped red mug next to a wooden cat",
        "a wooden mug next to a golden cat",
    ):
        assert parse(text) in striped, text
    assert parse("a tall cube") in near("a small cube", 200, 9)


def test_every_noun_relation_pattern_and_size_comes_in() -> None:
    some = near("a small mug on top of a large striped red frog", 2000, 10)
    things = [thing for other in some for thing in other.things]
    assert {thing.noun for thing in things} == {*NOUNS} - {"stilts"}
    assert {thing.size for thing in things} == {*SIZES}
    assert {thing.pattern for thing in things} == {None, *PATTERNS}
    some += near("a car next to a golden hamburger", 400, 10)
    some += near("a frog on top of a hat", 400, 10)
    assert {link.relation for other in some for link in other.links} == {*RELATED}


def test_half_of_the_new_nouns_are_of_the_first_world() -> None:
    """Of the 82 others 16 are; drawn from all, these add their share to the half."""
    some = near("a dragon", 1500, 11)
    first = sum(other.subject.noun in FIRST.nouns for other in some) / len(some)
    assert first == pytest.approx(0.5 + 0.5 * 16 / 82, abs=0.04)


@pytest.mark.parametrize(
    "known",
    [
        FIRST,
        Known(nouns=("cat", "banana", "pig"), relations=("eating", "next to")),
        Known(patterns=("golden", "spotted"), sizes=("fat",)),
    ],
)
@pytest.mark.parametrize("text", ["a tall rainbow frog wearing a hat", "a small striped red mug"])
def test_new_words_are_known_ones(text: str, known: Known) -> None:
    graph = parse(text)
    some = near(text, 300, 12, known)
    said = {(t.noun, t.pattern, t.size) for other in some for t in other.things}
    nouns, patterns, sizes = (set(values) for values in zip(*said, strict=True))
    own = {t.noun for t in graph.things}, {t.pattern for t in graph.things}
    assert nouns <= own[0] | set(known.nouns)
    assert patterns <= own[1] | set(known.patterns) | {None}
    assert sizes <= {t.size for t in graph.things} | set(known.sizes) | {None}
    links = {k.relation for other in some for k in other.links}
    assert links <= {k.relation for k in graph.links} | set(known.relations)
    assert nouns - own[0] and (not graph.links or len(links) > 1)


def test_no_word_is_left_out_of_a_neighbour() -> None:
    for other in near(CUBE, 400, 8):
        said = [bool(t.size) + bool(t.colour or t.pattern) for t in other.things]
        if other.links[0].relation not in BUILT:
            assert said == [2, 2], other


def test_lenses_stay_in_their_glasses() -> None:
    """Whatever else changes, so that no word is only left out."""
    lenses = "left lens is red, right lens is blue"
    some = [t for g in near(f"fat yellow sunglasses, {lenses}", 400, 13) for t in g.things]
    glasses = [t for t in some if t.noun == "sunglasses"]
    assert {t.lenses for t in glasses} == {("red", "blue")} and len(glasses) > 50
    assert {t.size for t in glasses} == {*SIZES} and len({t.colour for t in glasses}) > 5
    worn = near(f"a pink cat wearing golden sunglasses, {lenses}", 400, 13)
    assert parse(f"a golden cat wearing pink sunglasses, {lenses}") in worn


def test_what_is_in_a_paint_of_its_own_has_no_colour() -> None:
    """A red striped thing there is, a red golden one there is not."""
    seen: set[str | None] = set()
    for other in near("a striped red mug on top of a spotted blue cube", 800, 14):
        for thing in other.things:
            assert thing.colour is None or thing.pattern in (None, *WOVEN), other
            seen.add(thing.pattern)
    assert seen >= {*PATTERNS}


def test_what_is_built_of_another_says_no_paint() -> None:
    met: Counter[str] = Counter()
    for text in ("a chair on top of a red frog", "a car next to a golden hamburger"):
        for other in near(text, 300, 15, Known(relations=BUILT)):
            link = other.links[0]
            if link.relation in BUILT:
                made = other.things[link.subject]
                assert made.colour is None and made.pattern is None, other
                met[link.relation] += 1
    assert min(met[relation] for relation in BUILT) > 3
