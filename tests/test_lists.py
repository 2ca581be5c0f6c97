"""The frozen lists keep what they promise, and their captions can be told apart."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from learned import any_held

from dreamlift.grammar import Graph, parse
from dreamlift.phrases import phrase
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
    shapes_among,
)
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


def test_the_neighbours_are_frozen() -> None:
    """A change of these is a change of the metric."""
    assert among("a red ball")[1:4] == ("a green pumpkin", "a red cube", "a red hat")
    assert among("a frog on stilts")[1:4] == (
        "a traffic cone on stilts",
        "a cylinder on stilts",
        "a small orange ring on stilts",
    )


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


def sampled(count: int, seed: int) -> int:
    """How many of so many random graphs of both kinds, said and read again, are held out."""
    rng = random.Random(seed)
    found = 0
    for i in range(count):
        graph = (shape_graph, picture_graph, text_graph)[i % 3](rng)
        found += any_held(graph)
        if i % 50 == 0:
            assert not any_held(parse(phrase(graph, rng)))
    return found


@pytest.mark.seconds
def test_many_captions_hold_no_held_out_composition() -> None:
    assert sampled(6_000, 0) == 0


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
