"""Random graphs for pictures and for text."""

import random
from collections import Counter

import pytest
from learned import any_held

from dreamlift.grammar import parse
from dreamlift.graph import Graph, Link, Thing
from dreamlift.toybox.captions import (
    DRAWN_RELATIONS,
    HELD_PAIRS,
    SOLIDS,
    TAUGHT_NOUNS,
    TRAINED_PAIRS,
    coloured,
    pairs,
    picture_graph,
    shape_graph,
    text_graph,
)
from dreamlift.toybox.drawable import drawable
from dreamlift.toybox.nouns import TOYS
from dreamlift.words import NOUNS, PATTERNS, RELATIONS, held


def test_what_is_drawn_has_toys() -> None:
    assert set(TAUGHT_NOUNS) <= set(TOYS)
    assert set(SOLIDS) <= set(TAUGHT_NOUNS) and set(DRAWN_RELATIONS) <= set(RELATIONS)


@pytest.mark.seconds
@pytest.mark.parametrize("relation", DRAWN_RELATIONS)
def test_every_pair_can_be_drawn_and_is_trained_or_held(relation: str) -> None:
    every = pairs(relation)
    assert len(every) == len(set(every))
    assert sorted([*TRAINED_PAIRS[relation], *HELD_PAIRS[relation]]) == sorted(every)
    assert all(held(a, b) for a, b in HELD_PAIRS[relation])
    assert not any(held(a, b) for a, b in TRAINED_PAIRS[relation])
    for a, b in every:
        drawable(Graph((Thing(a), Thing(b)), (Link(relation, 0, 1),)))


def test_other_relations_have_no_pairs_yet() -> None:
    with pytest.raises(ValueError, match="This version draws on top of.*not 'riding'"):
        pairs("riding")


@pytest.mark.seconds
def test_pictures_are_of_every_noun_and_relation_and_can_be_drawn() -> None:
    rng = random.Random(1)
    graphs = [picture_graph(rng) for _ in range(1500)]
    for graph in graphs[:400]:
        drawable(graph)
    assert not any(map(any_held, graphs))
    nouns = Counter(thing.noun for graph in graphs for thing in graph.things)
    assert set(nouns) == set(TAUGHT_NOUNS)
    relations = Counter(graph.links[0].relation for graph in graphs if graph.links)
    assert set(relations) == set(DRAWN_RELATIONS)
    single = sum(not graph.links for graph in graphs) / len(graphs)
    assert single == pytest.approx(0.4, abs=0.05)


def test_pairs_are_drawn_from_the_table_given() -> None:
    rng = random.Random(2)
    table = {r: [("frog", "cube")] for r in DRAWN_RELATIONS}
    found = {tuple(t.noun for t in shape_graph(rng, table).things) for _ in range(60)}
    assert ("frog", "cube") in found and {len(nouns) for nouns in found} == {1, 2}


def test_an_imitating_thing_is_never_coloured_and_solids_mostly_are() -> None:
    rng = random.Random(3)
    shaped = parse("a chair in the shape of a cube")
    plain = parse("a cube on top of a frog")
    said: Counter[str] = Counter()
    for _ in range(400):
        assert coloured(shaped, rng).things[0] == Thing("chair")
        cube, frog = coloured(plain, rng).things
        said["cube"] += bool(cube.colour or cube.pattern)
        said["frog"] += bool(frog.colour or frog.pattern)
        said["rainbow"] += cube.pattern == "rainbow"
        assert not (cube.colour and cube.pattern)
    assert said["cube"] / 400 == pytest.approx(0.9, abs=0.06)
    assert said["frog"] / 400 == pytest.approx(0.45, abs=0.08)
    assert 5 < said["rainbow"] < 50


def test_colouring_keeps_all_else() -> None:
    graph = parse("a small cube next to a large frog, back view")
    painted = coloured(graph, random.Random(4))
    assert painted.links == graph.links and painted.view == graph.view
    assert [(t.noun, t.size) for t in painted.things] == [("cube", "small"), ("frog", "large")]


def test_text_is_of_the_whole_vocabulary() -> None:
    rng = random.Random(5)
    graphs = [text_graph(rng) for _ in range(4000)]
    assert not any(map(any_held, graphs))
    assert {t.noun for g in graphs for t in g.things} == set(NOUNS)
    assert {k.relation for g in graphs for k in g.links} == set(RELATIONS)
    assert {t.pattern for g in graphs for t in g.things} == {None, *PATTERNS}
    bare = [g for g in graphs if g.untextured]
    assert bare and not any(t.colour or t.pattern for g in bare for t in g.things)
