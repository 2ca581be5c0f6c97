"""The frozen lists keep what they promise, and their captions can be told apart."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from learned import any_held

from dreamlift.grammar import parse
from dreamlift.graph import Graph
from dreamlift.phrases import phrase
from dreamlift.toybox import lists
from dreamlift.toybox.captions import HELD_PAIRS, picture_graph, shape_graph, text_graph
from dreamlift.toybox.drawable import drawable
from dreamlift.toybox.lists import (
    AMONG,
    HELD_OUT,
    REPORT,
    SINGLES,
    TRAINED,
    TUNE,
    among,
    canonical,
    category,
    distinct,
    read_as,
    shapes_among,
)
from dreamlift.toybox.near import FIRST, Known, neighbours
from dreamlift.toybox.wide import wide_graph
from dreamlift.words import held, tokens

GALLERY = (
    "a small red cube is sitting on top of a large blue cube",
    "a traffic cone",
    "a frog on stilts",
    "a snowman wearing a santa hat",
    "a DSLR photo of a delicious hamburger",
)


def test_the_lists_have_their_sizes_and_share_no_prompt() -> None:
    assert len(TUNE) == 24
    assert (len(SINGLES), len(TRAINED), len(HELD_OUT)) == (10, 10, 20)
    graphs = {canonical(parse(text)) for text in (*TUNE, *REPORT)}
    assert len(graphs) == len(TUNE) + len(REPORT)


@pytest.mark.parametrize("prompt", [*TUNE, *REPORT])
def test_every_prompt_can_be_read_and_drawn(prompt: str) -> None:
    assert tokens(prompt)
    drawable(parse(prompt))


def test_nothing_tuned_or_trained_is_held_out_and_every_held_out_is() -> None:
    assert {category(p) for p in TUNE} == {"single", "trained pair"}
    assert {category(p) for p in SINGLES} == {"single"}
    assert {category(p) for p in TRAINED} == {"trained pair"}
    for prompt in HELD_OUT:
        a, b = parse(prompt).things
        assert held(a.noun, b.noun) and category(prompt) == "held-out pair"


def test_a_held_out_pair_beside_each_other_is_not_trained_on_top_the_same_way_round() -> None:
    """What is held out of one relation is held out of all: only next to has a mirror image."""
    trained = {tuple(t.noun for t in parse(p).things) for p in (*TUNE, *TRAINED)}
    assert not trained & {tuple(t.noun for t in parse(p).things) for p in HELD_OUT}


def test_the_report_covers_every_relation_with_held_pairs_and_the_gallery() -> None:
    relations = {parse(p).links[0].relation for p in HELD_OUT}
    assert relations == {r for r, pairs in HELD_PAIRS.items() if pairs}
    assert set(GALLERY) <= set(REPORT)
    with_colour = [any(t.colour for t in parse(p).things) for p in REPORT]
    assert 10 < sum(with_colour) < 30


@pytest.mark.seconds
@pytest.mark.parametrize("prompt", [SINGLES[1], TRAINED[0], HELD_OUT[0], HELD_OUT[14]])
def test_a_prompt_stands_among_256_captions_that_mean_something_else(prompt: str) -> None:
    captions = among(prompt)
    assert len(captions) == AMONG
    graphs = [parse(text) for text in captions]
    assert graphs[0] == Graph(parse(prompt).things, parse(prompt).links)
    assert len({canonical(graph) for graph in graphs}) == AMONG
    for graph in graphs:
        drawable(graph)


@pytest.mark.seconds
def test_a_neighbour_never_only_says_more() -> None:
    for prompt in ("a pumpkin", "a frog on top of a chair"):
        nouns = [tuple(t.noun for t in parse(text).things) for text in among(prompt)]
        links = [parse(text).links for text in among(prompt)]
        same = [n == nouns[0] and k == links[0] for n, k in zip(nouns, links, strict=True)]
        assert sum(same) == 1


@pytest.mark.seconds
def test_the_neighbours_are_frozen() -> None:
    """A change of these is a change of the metric."""
    assert among("a red ball")[1:4] == ("a green chair", "a large red frog", "a red traffic cone")
    assert among("a frog on stilts")[1:4] == (
        "a pyramid on stilts",
        "a cube on stilts",
        "a table on stilts",
    )
    assert among("a fat striped cat in a blue sweater")[1:4] == (
        "a fat blue cat in a striped sweater",
        "a fat striped cat in a white sweater",
        "a fat striped cat eating a blue sweater",
    )


@pytest.mark.seconds
@pytest.mark.parametrize("prompt", ["a red ball", "a small rainbow frog on top of a mug"])
def test_neighbours_are_in_the_words_of_their_reader(prompt: str) -> None:
    captions = among(prompt, known=FIRST)
    assert len(captions) == AMONG and captions != among(prompt)
    for graph in map(parse, captions):
        assert {t.noun for t in graph.things} <= {*FIRST.nouns}
        assert {k.relation for k in graph.links} <= {*FIRST.relations}
        assert {t.pattern for t in graph.things} <= {None, *FIRST.patterns}
        assert {t.size for t in graph.things} <= {None, *FIRST.sizes}


@pytest.mark.parametrize(
    ("prompt", "same"),
    [
        ("a vase with a flower", "a flower in a vase"),
        ("a vase with a flower", "a red flower in a vase"),
        ("a cat in a sweater", "a cat wearing a sweater"),
        ("a house with a tree", "a house next to a tree"),
        ("a house with a tree", "a house next to a small tree"),
        ("a cat left of a corgi", "a corgi next to a cat"),
        ("a cat behind a corgi", "a corgi left of a cat"),
        ("a frog next to a mug", "a mug next to a frog"),
    ],
)
def test_what_means_the_same_says_more_or_cannot_be_told_is_no_neighbour(
    prompt: str, same: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second graph nearby is the same one."""

    def near(graph: Graph, rng: random.Random, known: Known) -> Iterator[Graph]:
        for other in neighbours(graph, rng, known):
            yield parse(same)
            yield other

    monkeypatch.setattr(lists, "neighbours", near)
    captions = lists.among.__wrapped__(prompt, 20)
    assert len(captions) == 20 and same not in captions
    monkeypatch.setattr(lists, "read_as", lambda graph: graph)  # planted
    assert same in lists.among.__wrapped__(prompt, 20)


def test_wording_does_not_change_the_neighbours() -> None:
    plain, decorated = among("a hamburger"), among("a DSLR photo of a delicious burger")
    assert plain == decorated


@pytest.mark.seconds
def test_untextured_captions_have_no_colour_and_no_doubles() -> None:
    captions = shapes_among("a red mug next to a blue ball")
    graphs = [parse(text) for text in captions]
    assert all(g.untextured and not any(t.colour or t.pattern for t in g.things) for g in graphs)
    assert len({canonical(graph) for graph in graphs}) == len(graphs) > 50
    assert [t.noun for t in graphs[0].things] == ["mug", "ball"]


def test_things_beside_each_other_have_no_order_and_others_have() -> None:
    def same(a: str, b: str) -> bool:
        return canonical(parse(a)) == canonical(parse(b))

    assert same("a red mug next to a blue ball", "a blue ball next to a red mug")
    assert not same("a red mug next to a blue ball", "a blue mug next to a red ball")
    assert not same("a red mug on top of a blue ball", "a blue ball on top of a red mug")
    assert same("a red ball next to a small ball", "a small ball next to a red ball")
    graphs = [parse("a mug next to a ball"), parse("a ball next to a mug"), parse("a mug")]
    assert distinct(graphs) == [graphs[0], graphs[2]]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("a vase with a flower", "a flower in a vase"),
        ("a red vase with a striped blue flower", "a striped blue flower in a red vase"),
        ("a snowman with a hat", "a snowman wearing a hat"),
        ("a cat in a sweater", "a cat wearing a sweater"),
        ("a cat in an armchair", "a cat on top of an armchair"),
        ("a teddy bear with a book", "a teddy bear holding a book"),
        ("a table with a mug", "a mug on top of a table"),
        ("a house with a tree", "a tree next to a house"),
        ("a house with a large tree", "a large tree next to a house"),
    ],
)
def test_with_and_in_are_what_they_mean_of_their_nouns(said: str, meant: str) -> None:
    one, other = canonical(parse(said)), canonical(parse(meant))
    assert one == other and one.links[0].subject == 0


def test_sides_are_told_apart_in_words_and_not_in_pictures() -> None:
    sides = [parse(f"a cat {side} a mug") for side in ("left of", "right of", "behind", "next to")]
    assert len({canonical(graph) for graph in sides}) == 4
    assert {read_as(graph) for graph in sides} == {parse("a mug next to a cat")}
    assert distinct(sides) == sides[:1]
    below = parse("a cat on top of a mug")
    assert read_as(below) == canonical(below) == below


def test_beside_one_another_glasses_of_any_lenses_have_one_order() -> None:
    lenses = "sunglasses, left lens is red, right lens is blue"
    pair = parse(f"sunglasses next to {lenses}")
    other = Graph(pair.things[::-1], pair.links)
    assert pair != other and canonical(pair) == canonical(other)


def sampled(count: int, seed: int) -> int:
    """How many of so many random graphs of all kinds, said and read again, are held out."""
    rng = random.Random(seed)
    found = 0
    for i in range(count):
        graph = (shape_graph, picture_graph, text_graph, wide_graph)[i % 4](rng)
        found += any_held(graph)
        if i % 50 == 0:
            assert not any_held(parse(phrase(graph, rng)))
    return found


@pytest.mark.seconds
def test_many_captions_hold_no_held_out_composition() -> None:
    assert sampled(3_000, 0) == 0


@pytest.mark.slow
def test_a_million_captions_hold_no_held_out_composition() -> None:
    """In a process of its own, where annotations are not checked at every call."""
    code = "from test_lists import sampled; assert sampled(1_000_000, 1) == 0"
    folder = Path(__file__).parent
    path = os.pathsep.join([str(folder), str(folder.parent)])
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert ran.returncode == 0


def test_the_sampling_would_see_a_held_out_composition() -> None:
    rng = random.Random(0)
    pairs = {r: [*p, ("frog", "stilts")] for r, p in HELD_PAIRS.items()}
    assert sum(any_held(shape_graph(rng, pairs)) for _ in range(200)) > 80
