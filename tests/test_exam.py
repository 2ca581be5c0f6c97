"""The judge's exams: rough pictures with questions, and what right and wrong readings cost."""

import math
import random
from collections import Counter
from dataclasses import replace

import pytest
import torch
from learned import any_held
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.grammar import parse
from dreamlift.graph import Graph
from dreamlift.learn.exam import (
    GRID,
    SEEN,
    SHARES,
    WIDE_SHARES,
    Exam,
    Reading,
    any_graph,
    asked,
    exam,
    marks,
    places,
    told,
)
from dreamlift.learn.pictures import Pool
from dreamlift.learn.rough import Elsewhere
from dreamlift.learn.slots import BINS, LINKS, PAINTS, ROLES, SLOTS, WEAVES, answers, azimuth_bins
from dreamlift.toybox.meaning import BUILT
from dreamlift.views import Views, direction
from dreamlift.words import NOUNS, SIZES

N, R = len(NOUNS), len(ROLES)
TEXTS = (
    "a small red cube on top of a blue frog",
    "a mug next to a large ball",
    "a frog wearing a large red hat",
    "a large pumpkin on stilts",
    "a chair in the shape of a green hamburger",
    "a rainbow ring",
    "a fat striped red cat holding a checkered mug",
    "a house made of a golden cake",
)
"""One of each relation of the first world, a lone thing, patterns, and what is made of another."""
ALL = len(TEXTS)
WRONG = -math.log(1e-9)
"""What being certain of the opposite costs."""
ELSEWHERE = -0.2 * math.log(1e-3)
"""What looking where a thing is not costs."""
FLOOR = 2 * 0.2 * math.log(2)
"""What beside one another costs whoever looks for both at once with half of an eye each."""


# -- exams --------------------------------------------------------------------------------------


def pool(text: str | None = None, side: int = 64, views: Views | None = None) -> Pool:
    def graphs(rng: random.Random) -> Graph:
        return any_graph(rng) if text is None else parse(text)

    views = Elsewhere(side=side) if views is None else views
    return Pool(8, seed=1, views=views, per_step=4, size=side, graphs=graphs)


@pytest.mark.seconds
def test_exams_are_of_all_compositions() -> None:
    rng = random.Random(0)
    graphs = [any_graph(rng) for _ in range(900)]
    pairs = [graph for graph in graphs if graph.links]
    assert {graph.links[0].relation for graph in pairs} == {*LINKS} - {"nothing"}
    assert len({t.noun for graph in graphs for t in graph.things}) > 80
    assert {t.size for graph in graphs for t in graph.things} == {None, *SIZES}
    assert 0.05 < sum(map(any_held, pairs)) / len(pairs) < 0.16
    same = [g.links[0].relation for g in pairs if g.things[0].noun == g.things[1].noun]
    assert set(same) <= {"next to"}


@pytest.mark.parametrize("shares", [SHARES, WIDE_SHARES])
def test_relations_come_as_often_as_is_said(shares: dict[str | None, float]) -> None:
    assert sum(shares.values()) == pytest.approx(1)
    rng, n = random.Random(2), 3000
    graphs = [any_graph(rng, shares) for _ in range(n)]
    said = Counter(graph.links[0].relation if graph.links else None for graph in graphs)
    for relation, share in shares.items():
        assert abs(said[relation] / n - share) < 4 * (share / n) ** 0.5, relation


def test_an_exam_asks_what_its_graphs_say_and_follows_from_its_step() -> None:
    of = pool("a red frog on top of a cube")
    one, same, other = (exam(of, 6, 0, step) for step in (1, 1, 2))
    assert torch.equal(one.x, same.x) and not torch.equal(one.x, other.x)
    assert one.x.shape == (6, 64, 64, 3) and 0 <= one.x.min() and one.x.max() <= 1
    nouns = [SLOTS["first noun"].index("frog"), SLOTS["second noun"].index("cube")]
    assert (one.slots[:, :2] == torch.tensor(nouns)).all() and (one.view >= 0).all()
    assert (exam(pool("a cube"), 4, 0, 0).view == -1).all()


def test_colours_are_not_asked_of_untextured_pictures() -> None:
    blank = Elsewhere(side=64, shares=(0.0, 0.0, 1.0))
    truth = exam(pool("a red cube", views=blank), 12, 0, 0)
    assert (truth.slots[:, [3, 7]] == -1).all() and (truth.slots[:, 0] >= 0).all()


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("a red cat", "plain", None),
        ("a golden cat", "plain", None),
        ("a striped red cat", "striped", None),
        ("an untextured cat", None, None),
        ("a spotted cat wearing a hat", "spotted", "plain"),
        ("a vase with a checkered flower", "checkered", "plain"),
        ("a cat next to a striped mug", "striped", "plain"),
        ("a chair in the shape of a frog", None, "plain"),
        ("a car made of a striped hamburger", None, "striped"),
        ("an untextured chair next to a cone", None, None),
    ],
)
def test_what_has_no_pattern_is_asked_as_plain_but_what_is_built_of_another_is_not(
    text: str, first: str | None, second: str | None
) -> None:
    """In the order of the questions: beside one another the vocabulary's. All else is as said."""
    *rest, a, b = told(parse(text))
    assert [None if at < 0 else WEAVES[at] for at in (a, b)] == [first, second]
    assert rest == answers(parse(text))[:7]


def test_true_pictures_ask_for_patterns_as_they_are_painted() -> None:
    plain, built = (
        exam(pool(text, views=Views(shares=(1.0, 0.0, 0.0))), 64, 0, 0, roughly=False).slots
        for text in ("a cat on top of a cube", "a car made of a hamburger")
    )
    assert (plain[:, 7:] >= 0).all() and (built[:, 7] == -1).all() and (built[:, 8] >= 0).all()
    told = [[WEAVES[at] for at in row] for row in plain[:, 7:].T.tolist()]
    assert all("plain" in row and len({*row}) > 1 for row in told)


def test_masks_follow_the_canonical_order() -> None:
    """In "a mug next to a ball" the ball is the first: the vocabulary's order."""
    turned = exam(pool("a small mug next to a large ball"), 8, 0, 0, roughly=False)
    area = turned.things.sum(-1)
    assert SLOTS["first noun"][int(turned.slots[0, 0])] == "ball"
    assert (area[:, 0] > area[:, 1]).all()


def test_masks_follow_what_with_means() -> None:
    """A table with a mug is a mug on top of a table: the mug is the first, and above."""
    of = exam(pool("a table with a mug"), 8, 0, 0, roughly=False)
    assert [SLOTS["first noun"][at] for at in of.slots[:, 0]] == ["mug"] * 8
    row = torch.arange(GRID).repeat_interleave(GRID)
    height = -(of.things * row).sum(-1) / of.things.sum(-1)
    assert float((height[:, 0] > height[:, 1]).float().mean()) > 0.7


def test_graphs_and_cameras_are_those_of_the_pictures() -> None:
    of = exam(pool("a frog"), 8, 0, 0, said=1.0)
    azimuth, elevation = of.cameras.azimuth.tolist(), of.cameras.elevation.tolist()
    sides = [f"{direction(a, e)} view" for a, e in zip(azimuth, elevation, strict=True)]
    assert [graph.view for graph in of.graphs] == sides
    assert of.view.tolist() == azimuth_bins(of.cameras).tolist()
    for graph, row in zip(of.graphs, of.slots.tolist(), strict=True):
        assert told(graph) == row


def test_finer_pictures_are_averaged_down() -> None:
    coarse, fine = (exam(pool("a cube", side), 8, 0, 0, roughly=False) for side in (64, 128))
    assert fine.x.shape == coarse.x.shape and fine.things.shape == coarse.things.shape
    torch.testing.assert_close(fine.things, coarse.things, atol=0.02, rtol=0)


# -- questions ----------------------------------------------------------------------------------


def paper(*texts: str) -> Exam:
    """Questions about captions; the first thing is seen in the upper left, the second below."""
    slots = torch.tensor([answers(parse(text)) for text in texts])
    things = torch.zeros(len(texts), 2, GRID, GRID)
    things[:, 0, 2:5, 1:8], things[:, 1, 6:11, 3:9] = 1.0, 1.0
    things[slots[:, 1] == N, 1] = 0.0
    shaped = torch.isin(slots[:, 2], torch.tensor([LINKS.index(r) for r in BUILT]))
    things[shaped, 1] = things[shaped, 0]
    view = torch.arange(len(texts)) % BINS
    n = len(texts)
    cameras = orbit(view * 360.0 / BINS, torch.zeros(n))
    graphs = [parse(text) for text in texts]
    return Exam(torch.zeros(n, 64, 64, 3), slots, view, things.flatten(2), graphs, cameras)


def test_things_are_asked_for_by_noun_and_by_the_role_they_play() -> None:
    nouns, roles = asked(paper(*TEXTS, "a red ball next to a blue ball"))
    found = [[(ROLES[r], NOUNS[n]) for n, r in zip(*row, strict=True)]
             for row in zip(nouns.tolist(), roles.tolist(), strict=True)]  # fmt: skip
    assert found == [
        [("upper", "cube"), ("lower", "frog")],
        [("beside", "ball"), ("beside", "mug")],
        [("wearer", "frog"), ("worn", "hat")],
        [("stilted", "pumpkin"), ("stilts", "stilts")],
        [("shape", "chair"), ("body", "hamburger")],
        [("alone", "ring"), ("alone", "ring")],
        [("holder", "cat"), ("held", "mug")],
        [("made", "house"), ("material", "cake")],
        [("beside", "ball"), ("beside", "ball")],
    ]


# -- marks --------------------------------------------------------------------------------------


def sure(index: Tensor, n: int) -> Tensor:
    return (torch.nn.functional.one_hot(index.clamp_min(0), n).float() + 1e-9).log()


def perfect(truth: Exam) -> Reading:
    """Certain of everything that is asked, with its eyes on its things; vague about the rest."""
    b, _, p = truth.things.shape
    nouns, roles = asked(truth)
    read = torch.full((b, R, N), -math.log(N))
    looks = truth.things / truth.things.sum(-1, keepdim=True).clamp_min(1e-6)
    sought = torch.full((b, R, p), 1 / p)
    for i in range(b):
        for k in (1, 0):
            read[i, roles[i, k]] = sure(nouns[i, k], N)
            sought[i, roles[i, k]] = looks[i, k]
        if ROLES[int(roles[i, 0])] == "beside":
            sought[i, roles[i, 0]] = looks[i].mean(0)
    there = torch.zeros(b, N).scatter(1, nouns, 1.0)
    read[:, ROLES.index("beside")] = (there + 1e-9).log()
    colours, sizes = sure(truth.slots[:, 3:5], len(PAINTS)), sure(truth.slots[:, 5:7], 4)
    weaves = sure(truth.slots[:, 7:9], len(WEAVES))
    which = torch.where(truth.things.amax(1) > SEEN, truth.things.argmax(1), 2)
    either = which.clamp_max(1)
    role = torch.where(which < 2, roles.gather(1, either), R)
    return Reading(
        sure(truth.slots[:, 2], len(LINKS)), read, (1 - there + 1e-9).log(), colours, sizes,
        weaves, sure(truth.view, BINS), sure(nouns.gather(1, either), N),
        sure(truth.slots[:, 3:5].gather(1, either), len(PAINTS)), sure(role, R + 1), sought, looks,
    )  # fmt: skip


def test_a_perfect_reading_is_all_right_and_costs_nothing() -> None:
    truth = paper(*TEXTS)
    loss, right = marks(perfect(truth), truth)
    assert set(right) == {*SLOTS, "view", "beside"} and set(right.values()) == {1.0}
    assert float(loss) == pytest.approx(FLOOR / len(TEXTS), abs=1e-4)
    for text in TEXTS:
        alone = paper(text)
        floor = FLOOR if "next to" in text else 0.0
        assert float(marks(perfect(alone), alone)[0]) == pytest.approx(floor, abs=1e-4), text


@pytest.mark.parametrize("text", ["a red cube on top of a blue frog", "a mug next to a red ball"])
def test_of_true_pictures_too(text: str) -> None:
    truth = exam(pool(text), 6, 0, 0, roughly=False)
    most = truth.things == truth.things.amax(1, keepdim=True)
    truth = replace(truth, things=torch.where(most & (truth.things > 0.9), 1.0, 0.0))
    loss, right = marks(perfect(truth), truth)
    slots = {slot for slot, row in zip(SLOTS, truth.slots.T, strict=True) if (row >= 0).any()}
    if "next to" in text:
        slots = slots - {"first noun", "second noun"} | {"beside"}
    assert all(right[slot] == 1 for slot in (*slots, "view"))
    assert float(loss) <= FLOOR + 1e-4


def roll(log: Tensor) -> None:
    log.copy_(log.roll(1, -1))


@pytest.mark.parametrize(
    ("slot", "asked_in"),
    [
        ("relation", 8), ("first noun", 7), ("second noun", 6), ("first colour", 3),
        ("second colour", 4), ("first size", 4), ("second size", 1), ("first pattern", 1),
        ("second pattern", 1), ("view", 8),
    ],
)  # fmt: skip
def test_a_wrong_reading_costs_by_its_slot(slot: str, asked_in: int) -> None:
    """How many of the eight ask for it: nouns by role except beside, paints where they are said."""
    truth = paper(*TEXTS)
    read = perfect(truth)
    before, _ = marks(read, truth)
    k = int(slot.startswith("second"))
    if "noun" in slot:
        roles = [
            ("upper", "wearer", "stilted", "shape", "alone", "holder", "made"),
            ("lower", "worn", "stilts", "body", "held", "material"),
        ]
        for role in roles[k]:
            roll(read.nouns[:, ROLES.index(role)])
    else:
        logs = {"relation": read.relation, "view": read.view}
        logs |= {f"{w} colour": read.colours[:, i] for i, w in enumerate(("first", "second"))}
        logs |= {f"{w} size": read.sizes[:, i] for i, w in enumerate(("first", "second"))}
        logs |= {f"{w} pattern": read.weaves[:, i] for i, w in enumerate(("first", "second"))}
        roll(logs[slot])
    after, right = marks(read, truth)
    assert {name for name, share in right.items() if share < 1} == {slot}
    assert right[slot] == 0
    assert float(after - before) == pytest.approx(WRONG * asked_in / ALL, rel=1e-4)


@pytest.mark.parametrize("noun", ["mug", "cone"])
def test_beside_a_thing_missed_or_made_up_costs_as_much(noun: str) -> None:
    truth = paper(*TEXTS)
    read = perfect(truth)
    before, _ = marks(read, truth)
    there, i = read.nouns[:, ROLES.index("beside")], NOUNS.index(noun)
    kept = there[:, i].clone()
    there[:, i], read.absent[:, i] = read.absent[:, i].clone(), kept
    after, right = marks(read, truth)
    assert {name for name, share in right.items() if share < 1} == {"beside"}
    assert float(after - before) == pytest.approx(WRONG / ALL, rel=1e-4)


def test_nothing_counts_as_right_or_wrong_where_nothing_is_asked() -> None:
    truth = replace(paper("a mug"), view=torch.tensor([-1]))
    read = perfect(truth)
    unasked = [read.nouns[:, k] for k, role in enumerate(ROLES) if role != "alone"]
    for log in (read.colours, read.sizes, read.weaves, read.view, read.absent, *unasked):
        log.copy_(torch.rand_like(log).log())
    loss, right = marks(read, truth)
    assert {slot for slot, share in right.items() if share} == {"relation", "first noun"}
    assert float(loss) == pytest.approx(0, abs=1e-4)


# -- places -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "seen_in"), [(0, 8), (1, 7)])
def test_looking_for_a_thing_elsewhere_costs(k: int, seen_in: int) -> None:
    """Its second thing is looked for in seven of the eight."""
    truth = paper(*TEXTS)
    read = perfect(truth)
    before = places(read, truth)
    read.looks[:, k] = 0.0
    read.looks[:, k, -1] = 1.0
    assert float(places(read, truth) - before) == pytest.approx(ELSEWHERE * seen_in / ALL, rel=1e-3)


@pytest.mark.parametrize(
    ("role", "cost"),
    [("lower", ELSEWHERE), ("body", ELSEWHERE), ("alone", ELSEWHERE), ("held", ELSEWHERE),
     ("material", ELSEWHERE),
     ("beside", 2 * ELSEWHERE - FLOOR)],
)  # fmt: skip
def test_looking_for_a_role_elsewhere_costs(role: str, cost: float) -> None:
    truth = paper(*TEXTS)
    read = perfect(truth)
    before = places(read, truth)
    read.sought[:, ROLES.index(role)] = 0.0
    read.sought[:, ROLES.index(role), -1] = 1.0
    assert float(places(read, truth) - before) == pytest.approx(cost / ALL, rel=1e-3)


def test_a_look_costs_by_how_much_of_it_falls_on_the_thing() -> None:
    truth = paper("a cube on top of a frog")
    read = perfect(truth)
    read.looks[:, 1] *= 0.25
    read.sought[:, ROLES.index("upper")] *= 0.5
    expected = 0.2 * (math.log(4) + math.log(2))
    assert float(places(read, truth)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("what", "shown"), [("noun", 11), ("paint", 5), ("things' role", 11), ("no role", 8)]
)
def test_places_show_things_that_stand_apart_and_where_nothing_is(what: str, shown: int) -> None:
    """Eleven things do: not those of which one is built of the other. Five are in a paint."""
    truth = paper(*TEXTS)
    read = perfect(truth)
    before = places(read, truth)
    bare = truth.things.amax(1) < SEEN
    if "role" in what:
        here = bare if what == "no role" else ~bare
        read.role.copy_(torch.where(here[..., None], read.role.roll(1, -1), read.role))
    else:
        roll(read.noun if what == "noun" else read.paint)
    assert float(places(read, truth) - before) == pytest.approx(WRONG * shown / ALL, rel=1e-4)


def test_every_thing_counts_as_much_however_many_places_show_it() -> None:
    """The cube covers 21 places, the frog 30; a third of the cube's are misread."""
    truth = paper("a cube on top of a frog")
    read = perfect(truth)
    at = truth.things[0, 0].nonzero()[:7, 0]
    read.noun[:, at] = read.noun[:, at].roll(1, -1)
    assert float(places(read, truth)) == pytest.approx(WRONG * 7 / 21, rel=1e-4)
