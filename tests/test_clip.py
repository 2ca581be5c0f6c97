"""CLIP: unit vectors, honest negatives, and a loss in closed form."""

import json
import random
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from learned import any_held

from dreamlift.grammar import parse
from dreamlift.graph import Graph, Link, Thing
from dreamlift.learn import clip as learning
from dreamlift.learn.clip import (
    contrast,
    excludes,
    negatives,
    quiz,
    readable,
    sayable,
    trained_graph,
)
from dreamlift.learn.exam import exam
from dreamlift.learn.loop import Stop
from dreamlift.learn.pictures import Pool
from dreamlift.learn.reader import load_reader
from dreamlift.phrases import phrase
from dreamlift.prior import Aligner
from dreamlift.priors.clip import WEIGHTS, Clip, ClipShape, load_clip
from dreamlift.priors.seen import EVERYTHING
from dreamlift.priors.text import TextTower, TowerShape
from dreamlift.toybox.captions import DRAWN_RELATIONS, TAUGHT_NOUNS, TAUGHT_PATTERNS
from dreamlift.views import Views, direction
from dreamlift.words import CONTEXT, RELATIONS, UnknownWord, split

SMALL = ClipShape(widths=(8, 8, 16, 16), blocks=(1, 1, 1), heads=2, said=4, space=16)


def tower() -> TextTower:
    torch.manual_seed(1)
    return TextTower(TowerShape(width=32, heads=2, layers=1))


def small() -> Clip:
    torch.manual_seed(2)
    return Clip(SMALL, tower())


def tell(folder: Path) -> None:
    """Note what a CLIP was shown: the first world."""
    known = {"nouns": TAUGHT_NOUNS, "relations": DRAWN_RELATIONS, "patterns": TAUGHT_PATTERNS}
    (folder / "vocabulary.json").write_text(json.dumps(known))


def test_both_ends_are_unit_vectors_of_one_space() -> None:
    net = small()
    x, texts = torch.rand(3, 64, 64, 3), ["a red cube on top of a ball", "a mug"]
    images, captions = net.embed_image(x), net.embed_text(texts)
    assert images.shape == (3, 16) and captions.shape == (2, 16) and isinstance(net, Aligner)
    torch.testing.assert_close(images.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(captions.norm(dim=-1), torch.ones(2))


def test_guidance_can_follow_its_gradient_to_pictures_of_any_size() -> None:
    net = small()
    for side in (64, 128, 48):
        x = torch.rand(2, side, side, 3, requires_grad=True)
        (net.embed_image(x) @ net.embed_text(["a mug"]).T).sum().backward()
        assert x.grad is not None and float(x.grad.abs().mean()) > 0
    fine = torch.rand(1, 64, 64, 3)
    large = fine.repeat_interleave(2, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(net.embed_image(large), net.embed_image(fine))


def test_order_and_colours_change_a_caption() -> None:
    net = small()
    a, b, c = net.embed_text(
        [f"a {x} on top of a {y}" for x, y in (("red cube", "blue ball"), ("blue cube", "red ball"),
                                              ("blue ball", "red cube"))]
    ).detach()  # fmt: skip
    assert min(float((a - b).norm()), float((a - c).norm()), float((b - c).norm())) > 1e-3


def test_it_is_loaded_frozen_on_its_tower_which_is_not_stored_twice(tmp_path: Path) -> None:
    net = small()
    net.save(tmp_path)
    tell(tmp_path)
    again = load_clip(tmp_path, tower())
    x = torch.rand(2, 64, 64, 3)
    torch.testing.assert_close(again.embed_image(x), net.embed_image(x), atol=0.01, rtol=0.05)
    torch.testing.assert_close(
        again.embed_text(["a mug"]), net.embed_text(["a mug"]).detach(), atol=0.01, rtol=0.05
    )
    assert not any(p.requires_grad for p in again.parameters())
    alone = sum(p.numel() for k, p in net.named_parameters() if not k.startswith("tower."))
    assert (tmp_path / "model.safetensors").stat().st_size < 2 * alone + 20_000


def test_words_that_no_picture_has_shown_it_are_refused(tmp_path: Path) -> None:
    """A CLIP in training has no such words: its negatives are not refused."""
    net = small()
    net.save(tmp_path)
    tell(tmp_path)
    again = load_clip(tmp_path, tower())
    assert again.embed_text(["a small rainbow frog wearing a santa hat"]).shape == (1, 16)
    for text, word in {
        "two dragons": "dragons",
        "a striped mug": "striped",
        "a frog holding a ball": "holding",
    }.items():
        with pytest.raises(
            UnknownWord, match=f"embedded CLIP knows the word '{word}', but no pict"
        ):
            again.embed_text(["a mug", text])
        assert net.embed_text([text]).shape == (1, 16)


def test_what_ships_refuses_what_its_training_writes_down() -> None:
    known = json.loads((WEIGHTS / "clip" / "vocabulary.json").read_text())
    assert known == json.loads(json.dumps(asdict(EVERYTHING)))


def test_the_tower_is_not_trained() -> None:
    trained = {k for k, p in small().named_parameters() if p.requires_grad}
    assert trained and not any(k.startswith("tower.") for k in trained)


@pytest.mark.parametrize(
    ("other", "graph", "false"),
    [
        ("a red mug", "a mug", False),
        ("a mug", "a red mug", False),
        ("a blue mug", "a red mug", True),
        ("a rainbow mug", "a red mug", True),
        ("a small mug", "a large mug", True),
        ("a small mug", "a mug", False),
        ("a ball", "a mug", True),
        ("a mug on top of a ball", "a mug", True),
        ("a ball on top of a mug", "a mug on top of a ball", True),
        ("a ball next to a mug", "a mug next to a ball", False),
        ("a red ball next to a blue mug", "a red mug next to a blue ball", True),
        ("a mug next to a ball", "a mug on top of a ball", True),
        ("a mug, front view", "a mug, back view", True),
        ("a mug", "a mug, back view", False),
        ("an untextured mug", "a mug", True),
        ("a red ball next to a ball", "a ball next to a blue ball", False),
        ("a red ball next to a red ball", "a ball next to a blue ball", True),
        ("a mug left of a ball", "a ball next to a mug", False),
        ("a mug behind a ball", "a mug on top of a ball", True),
    ],
)
def test_only_what_contradicts_is_false(other: str, graph: str, false: bool) -> None:
    assert excludes(parse(other), parse(graph)) == false


@pytest.mark.parametrize(
    "text",
    [
        "a red cube on top of a blue ball, front view", "a mug",
        "an untextured chair next to a cone", "a rainbow frog wearing a small hat",
        "a peacock with a crown",
    ],
)  # fmt: skip
def test_negatives_are_false_near_and_of_trained_compositions(text: str) -> None:
    graph = parse(text)
    near = negatives(graph, graph.view or "front view", 40, random.Random(1))
    for other in near:
        assert excludes(other, graph) and not any_held(other)
        assert len(other.things) == len(graph.things) and other.untextured == graph.untextured
    other_views = sum(other.view != graph.view for other in near)
    assert (other_views > 0) == (graph.view is not None)
    assert graph.view is None or any(other.things != graph.things for other in near)


def test_a_quiz_marks_what_is_false_of_each_picture() -> None:
    table = ["a red cube", "a cube", "a frog"]
    pool = Pool(
        24, seed=3, views=Views(shares=(1.0, 0.0, 0.0)), per_step=24,
        graphs=lambda rng: parse(rng.choice(table)),
    )  # fmt: skip
    truth = exam(pool, 24, 3, 0, said=1.0)
    asked = quiz(truth, 2, random.Random(2))
    assert len(asked.texts) == 24 * 3 and asked.false.shape == (24, 72)
    azimuth, elevation = truth.cameras.azimuth.tolist(), truth.cameras.elevation.tolist()
    own = [parse(text) for text in asked.texts]
    for i, graph in enumerate(truth.graphs):
        assert own[i] == graph and not asked.false[i, i]
        hard = asked.false[i, 24:].nonzero()[:, 0].tolist()
        assert hard == [2 * i, 2 * i + 1]
        view = f"{direction(azimuth[i], elevation[i])} view"
        shown = Graph(graph.things, graph.links, view, graph.untextured)
        for j in range(24):
            assert bool(asked.false[i, j]) == excludes(own[j], shown)


def test_its_pictures_are_of_the_whole_toybox_and_never_held_out() -> None:
    rng = random.Random(5)
    graphs = [trained_graph(rng) for _ in range(1500)]
    assert not any(any_held(graph) for graph in graphs)
    assert {link.relation for graph in graphs for link in graph.links} == set(RELATIONS)
    assert len({thing.noun for graph in graphs for thing in graph.things}) > 80


def test_a_sure_and_right_answer_costs_nothing_and_none_costs_the_logarithm() -> None:
    b, n = 4, 12
    false = torch.ones(b, n, dtype=torch.bool)
    false[torch.arange(b), torch.arange(b)] = False
    sharp = torch.tensor(100.0).log()
    images = torch.eye(b, n)
    captions = torch.eye(n)
    loss, right = contrast(images, captions, false, sharp)
    assert float(loss) == pytest.approx(0, abs=1e-6) and float(right) == 1
    even = torch.full((n, n), n**-0.5)
    loss, _ = contrast(images, even, false, sharp)
    expected = (torch.tensor(float(n)).log() + torch.tensor(float(b)).log()) / 2
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_what_may_be_true_is_no_negative() -> None:
    images, captions = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    false = torch.zeros(2, 2, dtype=torch.bool)
    loss, _ = contrast(images, captions, false, torch.tensor(2.0))
    assert float(loss) == pytest.approx(0, abs=1e-6)


@pytest.mark.seconds
def test_a_training_leaves_a_clip_and_goes_on_as_if_it_had_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    language = tower()
    language.save(tmp_path / "tower")
    monkeypatch.setattr(learning, "ClipShape", lambda: SMALL)
    recipe = learning.Recipe(steps=3, batch=3, pool=4, per_step=4, hard=1, muon=1)
    for folder, pieces in (("a", (0.0, None)), ("b", (None,))):
        for minutes in pieces:
            learning.train(tmp_path / folder, tmp_path / "tower", recipe, stop=Stop(minutes))
    clips = [load_clip(tmp_path / f / "clip", tower()) for f in "ab"]
    one, other = (load_reader(tmp_path / f / "clip", c) for f, c in zip("ab", clips, strict=True))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not one.clip.strange


def test_captions_are_never_too_long_for_the_tower() -> None:
    """Two pairs of sunglasses say more than it reads; then their lenses' colours are left out."""
    one = Thing("sunglasses", "red", "small", "striped", ("white", "yellow"))
    other = Thing("sunglasses", "blue", "large", "spotted", ("black", "pink"))
    long = Graph((one, other), (Link("next to", 0, 1),), "front view")
    assert len(split(phrase(long))) > CONTEXT and not readable(long)
    short = sayable(long)
    assert short.links == long.links and short.view == long.view and readable(short)
    assert [t.lenses for t in short.things] == [(None, None)] * 2
    assert sayable(short) == short
    most = replace(
        long,
        things=(replace(one, pattern=None), replace(other, pattern=None, lenses=("black", None))),
    )
    assert len(split(phrase(most))) == CONTEXT  # from the left side it would be a word more
    for near in negatives(most, "front view", 60, random.Random(3)):
        assert readable(near)
