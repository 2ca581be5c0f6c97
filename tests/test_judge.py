"""The judge: exact captions, and a network that learns to read pictures."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
import torch
from torch import Tensor

from dreamlift.grammar import parse
from dreamlift.graph import Graph
from dreamlift.learn import judge as judging
from dreamlift.learn.exam import SHARES, WIDE_SHARES, Reading, any_graph, asked, exam, marks
from dreamlift.learn.judge import Judge, JudgeShape, load_judge
from dreamlift.learn.loop import Stop
from dreamlift.learn.pictures import Pool
from dreamlift.learn.slots import (
    BINS,
    BUILDS,
    LINKS,
    NOTHING,
    PAINTS,
    ROLES,
    WEAVES,
    indicator,
)
from dreamlift.prior import Aligner
from dreamlift.toybox.lists import among
from dreamlift.views import Views
from dreamlift.words import NOUNS

SMALL = JudgeShape((8, 16, 32, 16), (1, 1, 1), 4)
N, R = len(NOUNS), len(ROLES)
Told: TypeAlias = tuple[str, str, str | None, str | None, str | None]
SAID: dict[str, tuple[str, *tuple[Told, ...]]] = {
    "a small red cube on top of a blue frog": ("on top of",
        ("upper", "cube", "red", "small", None), ("lower", "frog", "blue", None, None)),
    "a mug next to a large ball": ("next to",
        ("beside", "ball", None, "large", None), ("beside", "mug", None, None, None)),
    "a frog wearing a red hat": ("wearing",
        ("wearer", "frog", None, None, None), ("worn", "hat", "red", None, None)),
    "a large pumpkin on stilts": ("on stilts",
        ("stilted", "pumpkin", None, "large", None), ("stilts", "stilts", None, None, None)),
    "a chair in the shape of a green hamburger": ("in the shape of",
        ("shape", "chair", None, None, None), ("body", "hamburger", "green", None, None)),
    "a fat striped red cat holding a tall golden lamp": ("holding",
        ("holder", "cat", "red", "fat", "striped"), ("held", "lamp", "golden", "tall", None)),
    "a vase with a checkered pink flower": ("in",
        ("content", "flower", "pink", None, "checkered"), ("vessel", "vase", None, None, None)),
    "a house made of a wooden cake": ("made of",
        ("made", "house", None, None, None), ("material", "cake", "wooden", None, None)),
    "a rainbow ring": (NOTHING, ("alone", "ring", "rainbow", None, None)),
}  # fmt: skip
"""What captions say: the relation, then each thing's role, noun, paint, size and pattern."""
SURE = math.log(1e-9)
"""What being certain of the opposite costs; here negative."""


def small() -> Judge:
    torch.manual_seed(0)
    return Judge(SMALL)


# -- scores -------------------------------------------------------------------------------------


def meaning(text: str) -> tuple[str, *tuple[Told, ...]]:
    """As in SAID; of captions on top of, next to or of one thing, in colours and woven patterns."""
    graph = parse(text)
    relation = graph.links[0].relation if graph.links else NOTHING
    roles = {"on top of": ("upper", "lower"), "next to": ("beside",) * 2, NOTHING: ("alone",)}
    things = zip(roles[relation], graph.things, strict=True)
    return relation, *((role, t.noun, t.colour, t.size, t.pattern) for role, t in things)


def query(role: str, noun: str) -> int:
    return ROLES.index(role) * N + NOUNS.index(noun)


def likelihood(read: Reading, relation: str, *things: Told) -> Tensor:
    """Of what is said, term by term, straight from a reading of everything."""
    terms = [read.relation[:, LINKS.index(relation)]]
    for role, noun, paint, size, weave in things:
        if relation != "next to":
            terms.append(read.nouns[:, ROLES.index(role), NOUNS.index(noun)])
        if paint is not None:
            terms.append(read.colours[:, query(role, noun), PAINTS.index(paint)])
        if size is not None:
            terms.append(read.sizes[:, query(role, noun), BUILDS.index(size)])
        if weave is not None:
            terms.append(read.weaves[:, query(role, noun), WEAVES.index(weave)])
    if relation == "next to":
        there = {noun for _, noun, *_ in things}
        for i, noun in enumerate(NOUNS):
            present = read.nouns[:, ROLES.index("beside"), i]
            terms.append(present if noun in there else read.absent[:, i])
    return torch.stack(terms).sum(0).detach()


def test_a_score_is_the_log_likelihood_of_what_is_said() -> None:
    net = small()
    x = torch.rand(3, 64, 64, 3)
    scores = net.embed_image(x) @ net.embed_text(list(SAID)).T
    read = net.read(x)
    for k, caption in enumerate(SAID.values()):
        torch.testing.assert_close(scores[:, k], likelihood(read, *caption))
    assert isinstance(net, Aligner)


def test_two_of_one_noun_beside_each_other_are_one_presence_in_two_paints() -> None:
    net = small()
    x = torch.rand(2, 64, 64, 3)
    texts = ["a red ball next to a small blue ball", "a small blue ball next to a red ball"]
    one, turned = (net.embed_image(x) @ net.embed_text(texts).T).unbind(1)
    ball = (("beside", "ball", "red", None, None), ("beside", "ball", "blue", "small", None))
    either = likelihood(net.read(x), "next to", *ball) + math.log(
        2
    )  # red and blue, or blue and red
    torch.testing.assert_close(one, either)
    assert torch.equal(one, turned)


def test_two_of_one_noun_in_two_colours_beat_two_in_one() -> None:
    """Where half of what is there is red and half of it blue, two red ones are less likely."""
    net = small()
    row = indicator(parse("a ball next to a ball"))
    texts = ["a red ball next to a blue ball", "a red ball next to a red ball"]
    mixed, alike = (row_ - row for row_ in map(indicator, map(parse, texts)))
    half = torch.full_like(row, -math.log(2))
    half[-1] = 1
    assert float(mixed @ half) == pytest.approx(-math.log(2))
    assert float(alike @ half) == pytest.approx(-2 * math.log(2))
    assert net.embed_image(torch.rand(2, 64, 64, 3))[:, -1].tolist() == [1.0, 1.0]


def knowing(relation: str, *things: Told) -> Reading:
    """Certain of all that a caption says, and without an idea of anything else."""

    def vague(*shape: int) -> Tensor:
        return torch.full((1, *shape), -math.log(shape[-1]))

    nouns, colours = vague(R, N), vague(R * N, len(PAINTS))
    sizes, weaves = vague(R * N, len(BUILDS)), vague(R * N, len(WEAVES))
    beside = ROLES.index("beside")
    nouns[:, beside], absent = SURE, torch.zeros(1, N)
    for role, noun, paint, size, weave in things:
        i = NOUNS.index(noun)
        if role == "beside":
            nouns[:, beside, i], absent[:, i] = 0.0, SURE
        else:
            nouns[:, ROLES.index(role)] = sure(NOUNS, noun)
        if paint is not None:
            colours[:, query(role, noun)] = sure(PAINTS, paint)
        if size is not None:
            sizes[:, query(role, noun)] = sure(BUILDS, size)
        if weave is not None:
            weaves[:, query(role, noun)] = sure(WEAVES, weave)
    rest = (vague(BINS), vague(9, N), vague(9, len(PAINTS)), vague(9, R + 1), vague(R, 9).exp())
    link = sure(LINKS, relation)[None]
    return Reading(link, nouns, absent, colours, sizes, weaves, *rest, vague(R * N, 9).exp())


def sure(values: Sequence[str], value: str) -> Tensor:
    return torch.tensor([0.0 if one == value else SURE for one in values])


def scores(monkeypatch: pytest.MonkeyPatch, read: Reading, captions: Sequence[str]) -> Tensor:
    net = small()

    def given(_: Tensor) -> Reading:
        return read

    monkeypatch.setattr(net, "read", given)
    return (net.embed_image(torch.zeros(1, 64, 64, 3)) @ net.embed_text(captions).T)[0]


@pytest.mark.parametrize("text", SAID)
def test_who_sees_perfectly_ranks_a_caption_before_all_its_near_ones(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest move a word to what is not known: "a large mug", of a mug and a large ball."""
    found = scores(monkeypatch, knowing(*SAID[text]), among(text, 64))
    assert len(found) == 64 and found[0] == 0 and found[1:].max() < -0.99 * math.log(4)


@pytest.mark.parametrize(
    ("told", "wrong", "cost"),
    [
        ("a red cube on top of a blue frog", "a blue cube on top of a red frog", 2 * SURE),
        ("a red mug next to a blue ball", "a blue mug next to a red ball", 2 * SURE),
        ("a small mug next to a large ball", "a large mug next to a small ball", 2 * SURE),
        ("a cube on top of a frog", "a frog on top of a cube", 2 * SURE),
        ("a red cube on top of a blue frog", "a blue frog on top of a red cube",
         2 * SURE - 2 * math.log(len(PAINTS))),
        ("a striped cube next to a spotted frog", "a spotted cube next to a striped frog",
         2 * SURE),
        ("a striped red cube", "a spotted red cube", SURE),
        ("a striped red cube", "a striped blue cube", SURE),
        ("a tall cube", "a fat cube", SURE),
        ("a cube next to a frog", "a cube next to a mug", 2 * SURE),
        ("a cube next to a frog", "a cube next to a cube", SURE),
        ("a cube", "a mug", SURE),
    ],
)  # fmt: skip
def test_what_is_swapped_or_wrong_is_paid_for(
    told: str, wrong: str, cost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = scores(monkeypatch, knowing(*meaning(told)), [told, wrong])
    assert found.tolist() == pytest.approx([0.0, cost], rel=1e-4)


def test_every_probability_is_one_of_some_that_sum_to_one() -> None:
    read = small().read(torch.rand(2, 64, 64, 3))
    beside = ROLES.index("beside")
    others = [k for k in range(R) if k != beside]
    for log in (read.relation, read.nouns[:, others], read.colours, read.sizes, read.weaves,
                read.view, read.noun, read.paint, read.role):  # fmt: skip
        torch.testing.assert_close(log.exp().sum(-1), torch.ones(log.shape[:-1]))
    either = read.nouns[:, beside].exp() + read.absent.exp()
    torch.testing.assert_close(either, torch.ones(2, N))
    for looks in (read.sought, read.looks):
        torch.testing.assert_close(looks.sum(-1), torch.ones(looks.shape[:-1]))


def test_all_that_is_read_is_what_is_read_when_asked_for_it() -> None:
    net = small()
    x = torch.rand(3, 64, 64, 3)
    every = net.read(x)
    nouns, roles = torch.tensor([[3, 83], [16, 0], [5, 5]]), torch.tensor([[1, 19], [6, 2], [9, 9]])
    some = net(x, nouns, roles)
    for name in ("relation", "nouns", "absent", "view", "noun", "paint", "role", "sought"):
        assert torch.equal(getattr(some, name), getattr(every, name)), name
    for name in ("colours", "sizes", "weaves", "looks"):
        whole = getattr(every, name)
        at = (roles * N + nouns)[..., None].expand(-1, -1, whole.shape[-1])
        torch.testing.assert_close(getattr(some, name), whole.gather(1, at), msg=name)
    by = every.colours.unflatten(1, (R, N))
    assert by.std(1).min() > 1e-4 and by.std(2).min() > 1e-4  # noun and role are both heard


def test_every_question_has_its_own_answer() -> None:
    """The first is the relation's, the second the view's, and then each role has one."""
    net = small()
    x = torch.rand(2, 64, 64, 3)
    before = net.read(x)
    for k in range(2 + R):
        with torch.no_grad():
            net.questions[k] *= -2
        after = net.read(x)
        moved = [
            not torch.equal(after.relation, before.relation),
            not torch.equal(after.view, before.view),
            *(after.nouns != before.nouns).flatten(2).any(-1).any(0).tolist(),
        ]
        looked = (after.sought != before.sought).any(-1).any(0).tolist()
        assert moved == [i == k for i in range(2 + R)] and looked == moved[2:]
        assert torch.equal(after.absent, before.absent) == (k != 2 + ROLES.index("beside"))
        assert torch.equal(after.colours, before.colours)
        before = after


def test_places_are_where_they_are_in_the_picture() -> None:
    x = torch.rand(1, 64, 64, 3).requires_grad_()
    row, column = 3, 12
    small().read(x).noun[0, 16 * row + column].square().sum().backward()
    assert x.grad is not None
    felt = x.grad[0].abs().sum(-1)
    near = felt[4 * row - 8 : 4 * row + 12, 4 * column - 8 : 4 * column + 12].sum()
    assert float(near / felt.sum()) > 0.5


def test_pictures_of_other_sizes_are_read_too() -> None:
    net = small()
    fine = torch.rand(2, 192, 192, 3)
    x = fine.unflatten(1, (64, 3)).unflatten(3, (64, 3)).mean((2, 4))
    torch.testing.assert_close(net.embed_image(fine), net.embed_image(x))
    assert net.views(torch.rand(2, 40, 40, 3)).shape == (2, BINS)
    torch.testing.assert_close(net.views(x).exp().sum(-1), torch.ones(2))


def test_a_judge_is_loaded_frozen_as_it_was_saved(tmp_path: Path) -> None:
    net = small()
    net.save(tmp_path)
    again = load_judge(tmp_path)
    x = torch.rand(2, 64, 64, 3)
    assert again.shape == SMALL and not any(p.requires_grad for p in again.parameters())
    torch.testing.assert_close(again.embed_image(x), net.embed_image(x), rtol=0.02, atol=0.02)
    torch.testing.assert_close(again.views(x), net.views(x), rtol=0.02, atol=0.02)


# -- learning -----------------------------------------------------------------------------------


@pytest.mark.seconds
def test_it_learns_to_tell_a_few_things() -> None:
    net = small()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    of = Pool(16, seed=2, views=Views(shares=(1.0, 0.0, 0.0)), per_step=16, graphs=any_graph)
    truth = exam(of, 16, 0, 0, roughly=False)
    questions = asked(truth)
    losses: list[float] = []
    for _ in range(16):
        loss, _ = marks(net(truth.x, *questions), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


@pytest.mark.seconds
@pytest.mark.parametrize("adam", [1.0, 2 / 3])
def test_a_training_leaves_a_judge_and_goes_on_as_if_it_had_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adam: float
) -> None:
    def shape(*_: object) -> JudgeShape:
        return SMALL

    monkeypatch.setattr(judging, "JudgeShape", shape)
    recipe = judging.Recipe(steps=3, batch=2, pool=4, per_step=4, side=64, adam=adam)
    judging.train(tmp_path / "a", recipe, stop=Stop(0.0))
    judging.train(tmp_path / "a", recipe)
    judging.train(tmp_path / "b", recipe)
    one, other = (load_judge(tmp_path / f / "judge") for f in "ab")
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    judging.train(tmp_path / "c", replace(recipe, adam=1.0))
    plain = load_judge(tmp_path / "c" / "judge")
    for name in ("across.weight", "fine.0.weight", "nouns.weight"):  # of these Muon takes the first
        same = torch.equal(plain.state_dict()[name], one.state_dict()[name])
        assert same == (adam == 1 or name != "across.weight"), name


@pytest.mark.seconds
def test_a_training_can_begin_with_another_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "JudgeShape", lambda *_: SMALL)
    torch.manual_seed(5)
    begun = Judge(SMALL)
    begun.save(tmp_path / "begun")
    never = Judge(SMALL)
    never.relation.bias.data[0] = judging.NEVER
    never.save(tmp_path / "never")
    off: list[float] = []
    for name, begin in (("a", tmp_path / "begun"), ("b", None)):
        recipe = judging.Recipe(steps=1, batch=2, pool=4, per_step=4, side=64, begin=begin)
        judging.train(tmp_path / name, recipe)
        made = load_judge(tmp_path / name / "judge")
        pairs = zip(made.parameters(), begun.parameters(), strict=True)
        off.append(max(float((a - b).detach().abs().max()) for a, b in pairs))
    assert off[0] < 0.01 and off[1] > 0.5
    recipe = judging.Recipe(steps=1, batch=2, pool=4, per_step=4, side=64, begin=tmp_path / "never")
    judging.train(tmp_path / "c", recipe)
    told = load_judge(tmp_path / "c" / "judge").relation.bias[0]
    assert abs(float(told)) < 0.01  # what it never said begins at even odds


@pytest.mark.seconds
@pytest.mark.parametrize("wide", [False, True])
def test_relations_are_drawn_as_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wide: bool
) -> None:
    drawn: list[dict[str | None, float]] = []

    def graph(rng: random.Random, shares: dict[str | None, float]) -> Graph:
        drawn.append(shares)
        return any_graph(rng, shares)

    monkeypatch.setattr(judging, "JudgeShape", lambda *_: SMALL)
    monkeypatch.setattr(judging, "any_graph", graph)
    judging.train(
        tmp_path / "a", judging.Recipe(steps=1, batch=2, pool=4, per_step=4, side=64, wide=wide)
    )
    assert drawn and all(shares is (WIDE_SHARES if wide else SHARES) for shares in drawn)
