"""The judge: exact captions, rough pictures, and a network that learns to read them."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dreamlift.cameras import orbit
from dreamlift.learn import judge as judging
from dreamlift.learn.exam import EVERY_PAIR, Exam, Reading, any_graph, exam, marks, places
from dreamlift.learn.judge import Judge, JudgeShape, load_judge
from dreamlift.learn.pictures import Pool
from dreamlift.learn.rough import Elsewhere, lumpy, rough
from dreamlift.learn.slots import (
    BINS,
    NOTHING,
    SLOTS,
    answers,
    azimuth_bins,
    fronted,
    indicator,
)
from dreamlift.prior import Aligner
from dreamlift.toybox.captions import HELD_PAIRS
from dreamlift.views import Views
from dreamlift.words import parse

SMALL = JudgeShape((8, 16, 32), (1, 1), 4)


def small() -> Judge:
    torch.manual_seed(0)
    return Judge(SMALL)


def said(text: str) -> dict[str, str | None]:
    row = answers(parse(text))
    pairs = zip(SLOTS.items(), row, strict=True)
    return {slot: None if at < 0 else values[at] for (slot, values), at in pairs}


# -- what captions say --------------------------------------------------------------------------


def test_a_caption_answers_what_it_says_and_no_more() -> None:
    assert said("a small red cube on top of a rainbow ball, front view") == {
        "first noun": "cube", "second noun": "ball", "relation": "on top of",
        "first colour": "red", "second colour": "rainbow", "first size": "small",
        "second size": None,
    }  # fmt: skip
    assert said("an untextured mug") == {
        "first noun": "mug", "second noun": NOTHING, "relation": NOTHING, "first colour": None,
        "second colour": None, "first size": None, "second size": None,
    }  # fmt: skip


def test_beside_each_other_order_does_not_matter_and_on_top_it_does() -> None:
    assert said("a red mug next to a ball") == said("a ball next to a red mug")
    assert said("a red mug on top of a ball") != said("a ball on top of a red mug")


def test_what_the_judge_does_not_know_is_refused_with_what_it_knows() -> None:
    with pytest.raises(ValueError, match=r"no first noun 'dragon'; it knows: cube, ball"):
        answers(parse("a dragon"))
    with pytest.raises(ValueError, match=r"no relation 'holding'"):
        answers(parse("a frog holding a ball"))
    with pytest.raises(ValueError, match=r"no first size 'tall'"):
        answers(parse("a tall cone"))
    with pytest.raises(ValueError, match=r"two things at most; here are 3"):
        answers(parse("a frog on a cube on a ball"))


def test_a_score_is_the_log_likelihood_of_what_is_said() -> None:
    net = small()
    x = torch.rand(3, 64, 64, 3)
    texts = ["a red cube on top of a ball", "a mug"]
    scores = net.embed_image(x) @ net.embed_text(texts).T
    read = dict(zip(SLOTS, net(x).slots, strict=True))
    for k, text in enumerate(texts):
        terms = [
            read[slot][:, SLOTS[slot].index(value)]
            for slot, value in said(text).items()
            if value is not None
        ]
        torch.testing.assert_close(scores[:, k], torch.stack(terms).sum(0).detach())
    assert isinstance(net, Aligner)
    assert indicator(parse(texts[0])).sum() == 4 and indicator(parse(texts[1])).sum() == 3


def test_pictures_of_other_sizes_are_read_too() -> None:
    net = small()
    x = torch.rand(2, 64, 64, 3)
    torch.testing.assert_close(
        net.embed_image(x.repeat_interleave(3, 1).repeat_interleave(3, 2)), net.embed_image(x)
    )
    assert net.views(torch.rand(2, 40, 40, 3)).shape == (2, BINS)
    torch.testing.assert_close(net.views(x).exp().sum(-1), torch.ones(2))


def test_a_judge_is_loaded_frozen_as_it_was_saved(tmp_path: Path) -> None:
    net = small()
    net.save(tmp_path)
    again = load_judge(tmp_path)
    x = torch.rand(2, 64, 64, 3)
    assert again.shape == SMALL and not any(p.requires_grad for p in again.parameters())
    torch.testing.assert_close(again.embed_image(x), net.embed_image(x), rtol=0.02, atol=0.02)


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
    ],
)
def test_a_front_is_the_subjects_or_of_what_it_is_put_with(text: str, front: bool) -> None:
    assert fronted(parse(text)) == front


# -- exams --------------------------------------------------------------------------------------


def pool(text: str | None = None, side: int = 64, views: Views | None = None) -> Pool:
    graphs = any_graph if text is None else (lambda _: parse(text))
    views = Elsewhere(side=side) if views is None else views
    return Pool(8, seed=1, views=views, per_step=4, size=side, graphs=graphs)


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


# -- marks --------------------------------------------------------------------------------------


def crisp(of: Pool, n: int = 6) -> Exam:
    """An exam where no place belongs to two things."""
    truth = exam(of, n, 0, 0, roughly=False)
    most = truth.things == truth.things.amax(1, keepdim=True)
    return replace(truth, things=truth.things * most)


def perfect(truth: Exam) -> Reading:
    """Certain of everything that is asked, with its eyes on its things."""

    def sure(index: torch.Tensor, n: int) -> torch.Tensor:
        hot = torch.nn.functional.one_hot(index.clamp_min(0), n).float()
        return (hot + 1e-9).log()

    b, p = truth.things.shape[0], truth.things.shape[2]
    slots = [sure(a, len(v)) for a, v in zip(truth.slots.unbind(1), SLOTS.values(), strict=True)]
    which = torch.where(truth.things.amax(1) > 0.4, truth.things.argmax(1), 2)

    def here(k: int, n: int) -> torch.Tensor:
        pair = truth.slots[:, [k, k + 1]].clamp(0, n - 1)
        return sure(pair.gather(1, which.clamp_max(1)), n)

    looks = truth.things / truth.things.sum(-1, keepdim=True).clamp_min(1e-6)
    looks = (looks > 0.9 * looks.amax(-1, keepdim=True)).float()
    looks = looks / looks.sum(-1, keepdim=True)
    assert (b, p) == which.shape
    return Reading(slots, sure(truth.view, BINS), here(0, 17), here(3, 11), sure(which, 3), looks)


def test_a_perfect_reading_is_all_right_and_costs_nothing() -> None:
    truth = crisp(pool("a red cube on top of a blue frog"))
    read = perfect(truth)
    loss, right = marks(read, truth)
    asked = {slot for slot, row in zip(SLOTS, truth.slots.T, strict=True) if (row >= 0).any()}
    assert all(right[slot] == 1 for slot in asked) and right["view"] == 1
    assert float(loss) < 0.3
    assert float(places(read, truth)) == pytest.approx(float(loss), abs=1e-5)


def test_a_wrong_reading_costs_by_its_slot() -> None:
    truth = crisp(pool("a cube on top of a frog"))
    read = perfect(truth)
    before, _ = marks(read, truth)
    read.slots[0].copy_(read.slots[0].roll(1, -1))
    after, right = marks(read, truth)
    assert right["first noun"] == 0 and right["second noun"] == 1
    assert float(after - before) == pytest.approx(20.7, abs=0.2)


def test_looking_elsewhere_costs() -> None:
    truth = crisp(pool("a cube on top of a frog"))
    read = perfect(truth)
    before = places(read, truth)
    read.looks.copy_(read.looks.flip(1))
    assert float(places(read, truth) - before) > 0.5


# -- learning -----------------------------------------------------------------------------------


def test_it_learns_to_tell_a_few_things() -> None:
    net = small()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    of = Pool(16, seed=2, views=Views(shares=(1.0, 0.0, 0.0)), per_step=16, graphs=any_graph)
    truth = exam(of, 16, 0, 0, roughly=False)
    first = float(marks(net(truth.x), truth)[0].detach())
    for _ in range(15):
        loss, _ = marks(net(truth.x), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.8 * first


def test_a_training_leaves_a_judge_and_goes_on_as_if_it_had_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "JudgeShape", lambda *_: SMALL)
    recipe = judging.Recipe(steps=3, batch=2, pool=4, per_step=4, side=64)
    judging.train(tmp_path / "a", recipe, minutes=0.0)
    judging.train(tmp_path / "a", recipe)
    judging.train(tmp_path / "b", recipe)
    one, other = (load_judge(tmp_path / f / "judge") for f in "ab")
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
