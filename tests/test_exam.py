"""The judge's exams: rough pictures with questions, and what right and wrong readings cost."""

import math
import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dreamlift.grammar import Graph, parse
from dreamlift.learn.exam import (
    EVERY_PAIR,
    GRID,
    SEEN,
    Exam,
    Reading,
    any_graph,
    asked,
    exam,
    marks,
    places,
)
from dreamlift.learn.pictures import Pool
from dreamlift.learn.rough import Elsewhere, lumpy, rough
from dreamlift.learn.slots import BINS, LINKS, PAINTS, ROLES, SLOTS, answers
from dreamlift.toybox.captions import HELD_PAIRS, TAUGHT_NOUNS
from dreamlift.views import Views

N, R = len(TAUGHT_NOUNS), len(ROLES)
TEXTS = (
    "a small red cube on top of a blue frog",
    "a mug next to a large ball",
    "a frog wearing a large red hat",
    "a large pumpkin on stilts",
    "a chair in the shape of a green hamburger",
    "a rainbow ring",
)
"""One of each relation, and a lone thing."""
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
    graphs = [any_graph(rng) for _ in range(250)]
    pairs = {(g.links[0].relation, g.things[0].noun, g.things[1].noun) for g in graphs if g.links}
    held = {(r, *pair) for r, every in HELD_PAIRS.items() for pair in every}
    assert len(pairs & held) > 3
    assert sum(map(len, EVERY_PAIR.values())) > 600


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
    assert (truth.slots[:, 3] == -1).all() and (truth.slots[:, 0] >= 0).all()


def test_masks_follow_the_canonical_order() -> None:
    """In "a mug next to a ball" the ball is the first: the vocabulary's order."""
    turned = exam(pool("a small mug next to a large ball"), 8, 0, 0, roughly=False)
    area = turned.things.sum(-1)
    assert SLOTS["first noun"][int(turned.slots[0, 0])] == "ball"
    assert (area[:, 0] > area[:, 1]).all()


def test_finer_pictures_are_averaged_down() -> None:
    coarse, fine = (exam(pool("a cube", side), 8, 0, 0, roughly=False) for side in (64, 128))
    assert fine.x.shape == coarse.x.shape and fine.things.shape == coarse.things.shape
    torch.testing.assert_close(fine.things, coarse.things, atol=0.02, rtol=0)


def test_rough_pictures_are_other_pictures_and_masks_only_move() -> None:
    x = torch.full((200, 4, 64, 64), 0.5)
    x[:, :, 20:40, 24:44] = 1.0
    y = rough(x, torch.Generator().manual_seed(1))
    spared = (x == y).flatten(1).all(1)
    assert float(spared.float().mean()) == pytest.approx(0.35, abs=0.1)
    assert y[:, :3].min() >= 0 and y[:, :3].max() <= 1
    assert y[:, 3].min() >= 0.5 - 1e-4 and y[:, 3].max() <= 1 + 1e-4
    area = (y[:, 3] > 0.75).float().sum((1, 2))
    assert area.min() > 0.75 * 400 and area.max() < 1.35 * 400
    shift = (y[:, 3] - x[:, 3]).abs().sum((1, 2))
    assert (shift[~spared] > 1).all()
    again = rough(x, torch.Generator().manual_seed(1))
    assert torch.equal(y, again)


def test_lumps_bend_normals_and_nothing_else() -> None:
    of = pool("a ball")
    traced, _, _ = of.seen(torch.arange(8))
    bent = lumpy(traced, torch.Generator().manual_seed(2), share=1.0)
    assert torch.equal(bent.depth, traced.depth) and torch.equal(bent.part, traced.part)
    covered = traced.coverage > 0.9
    torch.testing.assert_close(bent.normal[covered].norm(dim=-1), torch.ones(int(covered.sum())))
    cosine = (bent.normal * traced.normal).sum(-1)[covered]
    assert 0.3 < float(cosine.min()) < 0.999


def test_elsewhere_is_elsewhere() -> None:
    here, there = Views(), Elsewhere(side=32)
    rng = torch.Generator().manual_seed(3)
    cameras = there.cameras(400, rng)
    assert cameras.elevation.max() > here.elevation[1] and cameras.distance.min() < 3.2
    light = there.light(cameras, rng, textureless=torch.zeros(400, dtype=torch.bool))
    far = light.position.norm(dim=-1)
    assert far.min() < 2.5 and far.max() > 7
    behind = there.backgrounds(200, rng)
    assert behind.shape == (200, 32, 32, 3) and behind.min() >= 0 and behind.max() <= 1
    flat = (behind - behind[:, :1, :1]).abs().flatten(1).amax(1) < 1e-6
    assert float(flat.float().mean()) == pytest.approx(0.5, abs=0.12)


# -- questions ----------------------------------------------------------------------------------


def paper(*texts: str) -> Exam:
    """Questions about captions; the first thing is seen in the upper left, the second below."""
    slots = torch.tensor([answers(parse(text)) for text in texts])
    things = torch.zeros(len(texts), 2, GRID, GRID)
    things[:, 0, 2:5, 1:8], things[:, 1, 6:11, 3:9] = 1.0, 1.0
    things[slots[:, 1] == N, 1] = 0.0
    shaped = slots[:, 2] == LINKS.index("in the shape of")
    things[shaped, 1] = things[shaped, 0]
    view = torch.arange(len(texts)) % BINS
    return Exam(torch.zeros(len(texts), 64, 64, 3), slots, view, things.flatten(2))


def test_things_are_asked_for_by_noun_and_by_the_role_they_play() -> None:
    nouns, roles = asked(paper(*TEXTS, "a red ball next to a blue ball"))
    told = [[(ROLES[r], TAUGHT_NOUNS[n]) for n, r in zip(*row, strict=True)]
            for row in zip(nouns.tolist(), roles.tolist(), strict=True)]  # fmt: skip
    assert told == [
        [("upper", "cube"), ("lower", "frog")],
        [("beside", "ball"), ("beside", "mug")],
        [("wearer", "frog"), ("worn", "hat")],
        [("stilted", "pumpkin"), ("stilts", "stilts")],
        [("shape", "chair"), ("body", "hamburger")],
        [("alone", "ring"), ("alone", "ring")],
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
    colours, sizes = sure(truth.slots[:, 3:5], len(PAINTS)), sure(truth.slots[:, 5:7], 2)
    which = torch.where(truth.things.amax(1) > SEEN, truth.things.argmax(1), 2)
    either = which.clamp_max(1)
    role = torch.where(which < 2, roles.gather(1, either), R)
    return Reading(
        sure(truth.slots[:, 2], len(LINKS)), read, (1 - there + 1e-9).log(), colours, sizes,
        sure(truth.view, BINS), sure(nouns.gather(1, either), N),
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
        ("relation", 6), ("first noun", 5), ("second noun", 4), ("first colour", 2),
        ("second colour", 3), ("first size", 3), ("second size", 1), ("view", 6),
    ],
)  # fmt: skip
def test_a_wrong_reading_costs_by_its_slot(slot: str, asked_in: int) -> None:
    """How many of the six ask for it: nouns by role except beside, paints where they are said."""
    truth = paper(*TEXTS)
    read = perfect(truth)
    before, _ = marks(read, truth)
    k = int(slot.startswith("second"))
    if "noun" in slot:
        roles = [
            ("upper", "wearer", "stilted", "shape", "alone"),
            ("lower", "worn", "stilts", "body"),
        ]
        for role in roles[k]:
            roll(read.nouns[:, ROLES.index(role)])
    else:
        logs = {"relation": read.relation, "view": read.view}
        logs |= {f"{w} colour": read.colours[:, i] for i, w in enumerate(("first", "second"))}
        logs |= {f"{w} size": read.sizes[:, i] for i, w in enumerate(("first", "second"))}
        roll(logs[slot])
    after, right = marks(read, truth)
    assert {name for name, share in right.items() if share < 1} == {slot}
    assert right[slot] == 0
    assert float(after - before) == pytest.approx(WRONG * asked_in / 6, rel=1e-4)


@pytest.mark.parametrize("noun", ["mug", "cone"])
def test_beside_a_thing_missed_or_made_up_costs_as_much(noun: str) -> None:
    truth = paper(*TEXTS)
    read = perfect(truth)
    before, _ = marks(read, truth)
    there, i = read.nouns[:, ROLES.index("beside")], TAUGHT_NOUNS.index(noun)
    kept = there[:, i].clone()
    there[:, i], read.absent[:, i] = read.absent[:, i].clone(), kept
    after, right = marks(read, truth)
    assert {name for name, share in right.items() if share < 1} == {"beside"}
    assert float(after - before) == pytest.approx(WRONG / 6, rel=1e-4)


def test_nothing_counts_as_right_or_wrong_where_nothing_is_asked() -> None:
    truth = replace(paper("a mug"), view=torch.tensor([-1]))
    read = perfect(truth)
    for log in (read.colours, read.sizes, read.view, read.absent, read.nouns[:, :-1]):
        log.copy_(torch.rand_like(log).log())
    loss, right = marks(read, truth)
    assert {slot for slot, share in right.items() if share} == {"relation", "first noun"}
    assert float(loss) == pytest.approx(0, abs=1e-4)


# -- places -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "seen_in"), [(0, 6), (1, 5)])
def test_looking_for_a_thing_elsewhere_costs(k: int, seen_in: int) -> None:
    """Its second thing is looked for in five of the six."""
    truth = paper(*TEXTS)
    read = perfect(truth)
    before = places(read, truth)
    read.looks[:, k] = 0.0
    read.looks[:, k, -1] = 1.0
    assert float(places(read, truth) - before) == pytest.approx(ELSEWHERE * seen_in / 6, rel=1e-3)


@pytest.mark.parametrize(
    ("role", "cost"),
    [("lower", ELSEWHERE), ("body", ELSEWHERE), ("alone", ELSEWHERE),
     ("beside", 2 * ELSEWHERE - FLOOR)],
)  # fmt: skip
def test_looking_for_a_role_elsewhere_costs(role: str, cost: float) -> None:
    truth = paper(*TEXTS)
    read = perfect(truth)
    before = places(read, truth)
    read.sought[:, ROLES.index(role)] = 0.0
    read.sought[:, ROLES.index(role), -1] = 1.0
    assert float(places(read, truth) - before) == pytest.approx(cost / 6, rel=1e-3)


def test_a_look_costs_by_how_much_of_it_falls_on_the_thing() -> None:
    truth = paper("a cube on top of a frog")
    read = perfect(truth)
    read.looks[:, 1] *= 0.25
    read.sought[:, ROLES.index("upper")] *= 0.5
    expected = 0.2 * (math.log(4) + math.log(2))
    assert float(places(read, truth)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("what", "shown"), [("noun", 9), ("paint", 4), ("things' role", 9), ("no role", 6)]
)
def test_places_show_things_that_stand_apart_and_where_nothing_is(what: str, shown: int) -> None:
    """Nine things are: not those of which one has the shape of the other. Four are in a paint."""
    truth = paper(*TEXTS)
    read = perfect(truth)
    before = places(read, truth)
    bare = truth.things.amax(1) < SEEN
    if "role" in what:
        here = bare if what == "no role" else ~bare
        read.role.copy_(torch.where(here[..., None], read.role.roll(1, -1), read.role))
    else:
        roll(read.noun if what == "noun" else read.paint)
    assert float(places(read, truth) - before) == pytest.approx(WRONG * shown / 6, rel=1e-4)


def test_every_thing_counts_as_much_however_many_places_show_it() -> None:
    """The cube covers 21 places, the frog 30; a third of the cube's are misread."""
    truth = paper("a cube on top of a frog")
    read = perfect(truth)
    at = truth.things[0, 0].nonzero()[:7, 0]
    read.noun[:, at] = read.noun[:, at].roll(1, -1)
    assert float(places(read, truth)) == pytest.approx(WRONG * 7 / 21, rel=1e-4)
