"""Random scenes of the whole toybox: all of it turns up, and nothing that is held out."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from learned import any_held

from dreamlift.grammar import parse
from dreamlift.graph import BUILT, Graph, Thing
from dreamlift.phrases import phrase
from dreamlift.toybox import captions, wide
from dreamlift.toybox.captions import DRAWN_RELATIONS, TAUGHT_NOUNS
from dreamlift.toybox.drawable import drawable
from dreamlift.toybox.lists import canonical
from dreamlift.toybox.wide import (
    ALONE,
    RELATIONS,
    pair,
    possible,
    sized,
    wide_coloured,
    wide_graph,
)
from dreamlift.words import COLOURS, NOUNS, PATTERNS, SIZES, WOVEN, held
from dreamlift.words import RELATIONS as EVERY_RELATION


def drawn(count: int, seed: int) -> list[Graph]:
    rng = random.Random(seed)
    return [wide_graph(rng) for _ in range(count)]


@pytest.fixture(scope="module")
def scenes() -> list[Graph]:
    return drawn(3000, 1)


def painted(text: str, count: int, seed: int) -> list[Graph]:
    rng, graph = random.Random(seed), parse(text)
    return [wide_coloured(graph, rng) for _ in range(count)]


def share(some: Sequence[bool]) -> float:
    return sum(some) / len(some)


# -- scenes -------------------------------------------------------------------------------------


@pytest.mark.seconds
def test_every_noun_relation_and_size_turns_up(scenes: Sequence[Graph]) -> None:
    assert {t.noun for g in scenes if not g.links for t in g.things} == set(NOUNS)
    assert {t.size for g in scenes for t in g.things} == {None, *SIZES}
    relations = Counter(g.links[0].relation for g in scenes if g.links)
    assert set(relations) == set(RELATIONS) == set(EVERY_RELATION)
    assert sum(RELATIONS.values()) > 1 and min(relations.values()) > 5
    assert max(len(g.things) for g in scenes) == 2 and not any(g.view for g in scenes)
    both = [g for g in scenes if g.links]
    assert {g.things[0].noun for g in both} | {g.things[1].noun for g in both} == set(NOUNS)


def test_relations_are_drawn_by_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the first world: refusing what is held out or cannot be drawn changes no share."""
    monkeypatch.setattr(wide, "FIRST", 0.0)
    some = drawn(1500, 2)
    alone = share([not g.links for g in some])
    assert alone == pytest.approx(ALONE, abs=0.04)
    found = Counter(g.links[0].relation for g in some if g.links)
    for relation, weight in RELATIONS.items():
        expected = weight / sum(RELATIONS.values())
        assert found[relation] / found.total() == pytest.approx(expected, abs=0.04), relation


def test_three_in_ten_are_of_the_first_world(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = Graph((Thing("cube", "black"),))
    monkeypatch.setattr(captions, "shape_graph", lambda rng: mark)
    assert share([g == mark for g in drawn(2000, 3)]) == pytest.approx(0.3, abs=0.03)


def test_the_first_world_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide, "FIRST", 1.0)
    some = drawn(300, 4)
    assert {t.noun for g in some for t in g.things} <= set(TAUGHT_NOUNS)
    assert {g.links[0].relation for g in some if g.links} == set(DRAWN_RELATIONS)


@pytest.mark.seconds
def test_no_scene_is_or_is_built_as_a_held_out_composition(scenes: Sequence[Graph]) -> None:
    """A chest with a tree has a tree in a chest. Beside one another there is no first."""
    assert not any(map(any_held, scenes))
    assert not any(map(any_held, map(turned, scenes)))


def said_held(graph: Graph) -> bool:
    """As said alone, whatever "with" and "in" mean."""
    return any(held(graph.things[k.subject].noun, graph.things[k.object].noun) for k in graph.links)


def turned(graph: Graph) -> Graph:
    """As it is built, where that has an order."""
    built = canonical(graph)
    beside = any(link.relation == "next to" for link in built.links)
    return graph if beside else built


def test_a_held_out_composition_would_be_drawn_and_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: as said, and by way of "with"."""
    monkeypatch.setattr(wide, "shows_held", lambda graph: False)
    some = drawn(500, 5)
    assert sum(map(any_held, some)) > 10
    monkeypatch.setattr(wide, "RELATIONS", {"with": 1.0})
    monkeypatch.setattr(wide, "shows_held", said_held)
    assert sum(any_held(turned(g)) for g in drawn(600, 6)) > 5


@pytest.mark.seconds
def test_everything_drawn_can_be_drawn_and_is_read_as_it_is_said(scenes: Sequence[Graph]) -> None:
    rng = random.Random(7)
    for graph in scenes[:400]:
        drawable(graph)
        said = wide_coloured(graph, rng)
        drawable(said)
        assert parse(phrase(said)) == said


def test_two_things_are_never_of_one_noun_and_built_ones_have_the_size_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wide, "FIRST", 0.0)
    some = [g for g in drawn(800, 8) if g.links]
    assert all(a.noun != b.noun for a, b in (g.things for g in some))
    bare = [g.things[1].size for g in some if g.links[0].relation in (*BUILT, "on stilts")]
    assert bare and not any(bare)
    said = [bool(t.size) for g in some if g.links[0].relation == "next to" for t in g.things]
    assert share(said) == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize("relation", RELATIONS)
def test_pairs_are_mostly_such_as_can_be_drawn(relation: str) -> None:
    rng = random.Random(9)
    pairs = [pair(relation, rng) for _ in range(200)]
    fit = [a != b and possible(sized(a, relation, b, rng)) for a, b in pairs]
    assert share(fit) > 0.5
    assert len(set(pairs)) > 40


def test_what_cannot_be_drawn_is_not_possible() -> None:
    assert possible(parse("a cat wearing a crown"))
    assert not possible(parse("a cube wearing a sweater"))
    assert not possible(parse("a chair in the shape of a cat"))


# -- colours ------------------------------------------------------------------------------------


def test_every_colour_and_pattern_turns_up_and_a_paint_of_its_own_is_without_a_colour() -> None:
    things = [g.subject for g in painted("a cat", 2500, 10)]
    assert {t.colour for t in things} == {None, *COLOURS}
    assert {t.pattern for t in things} == {None, *PATTERNS}
    assert all(t.colour is None for t in things if t.pattern not in (None, *WOVEN))
    woven = [bool(t.colour) for t in things if t.pattern in WOVEN]
    assert share(woven) == pytest.approx(0.45, abs=0.08)
    assert share([t.pattern is not None for t in things]) == pytest.approx(0.15, abs=0.02)
    assert share([t.colour is not None for t in things]) == pytest.approx(
        0.45 * (0.85 + 0.15 * 3 / 7), abs=0.03
    )
    solid = [g.subject for g in painted("a cone", 800, 11)]
    assert share([bool(t.colour) for t in solid if t.pattern is None]) == pytest.approx(
        0.9, abs=0.03
    )


def test_every_pair_of_lenses_turns_up_on_glasses_alone() -> None:
    glasses = [g.things[1] for g in painted("a cat wearing sunglasses", 2500, 12)]
    told = [t.lenses for t in glasses if t.lenses != (None, None)]
    assert set(told) == {(a, b) for a in COLOURS for b in COLOURS}
    assert len(told) / 2500 == pytest.approx(0.4, abs=0.03)
    cats = [g.things[0] for g in painted("a cat wearing sunglasses", 200, 12)]
    assert {t.lenses for t in cats} == {(None, None)}


@pytest.mark.parametrize(
    "text", ["a chair in the shape of a frog", "a large car made of a hamburger"]
)
def test_what_is_built_of_another_is_unpainted_and_the_other_is_not(text: str) -> None:
    first = parse(text).things[0]
    some = painted(text, 300, 13)
    assert {g.things[0] for g in some} == {first}
    assert len({(g.things[1].colour, g.things[1].pattern) for g in some}) > 15


def test_colouring_keeps_all_else() -> None:
    graph = parse("a small cube next to a fat frog, back view")
    for other in painted("a small cube next to a fat frog, back view", 50, 14):
        assert (other.links, other.view, other.untextured) == (graph.links, graph.view, False)
        assert [(t.noun, t.size) for t in other.things] == [("cube", "small"), ("frog", "fat")]
