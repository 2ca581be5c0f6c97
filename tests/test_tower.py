"""The text tower and its teaching: what a caption means, at every word."""

import random
from pathlib import Path

import pytest
import torch

from dreamlift.grammar import parse
from dreamlift.learn import tower
from dreamlift.learn.loop import Stop
from dreamlift.learn.tower import SLOTS, Reader, sentences, truth
from dreamlift.priors.text import TextTower, TowerShape, batch, load_tower
from dreamlift.words import CONTEXT, IDS, PAD, VIEWS

SMALL = TowerShape(width=16, heads=2, layers=1)


def small() -> TextTower:
    torch.manual_seed(0)
    return TextTower(SMALL)


def test_the_answers_are_read_off_the_graph() -> None:
    graph = parse("a small red cube on top of a ball")
    nothing = {slot: len(values) for slot, values in SLOTS.items()}

    def said(index: int) -> dict[str, str | None]:
        return {
            slot: None if at == nothing[slot] else SLOTS[slot][at]
            for slot, at in zip(SLOTS, truth(graph, index), strict=True)
        }

    first = {"noun": "cube", "colour": "red", "size": "small", "pattern": None, "place": "first",
             "as subject": "on top of", "as object": None}  # fmt: skip
    second = {"noun": "ball", "colour": None, "size": None, "pattern": None, "place": "second",
              "as subject": None, "as object": "on top of"}  # fmt: skip
    assert said(0) == first and said(1) == second


def test_sentences_ask_at_the_words_of_things_alone() -> None:
    data = sentences(40, random.Random(1))
    assert data.ids.shape == data.words.shape[:2] and data.words.shape[2] == len(SLOTS)
    assert data.ids.shape[1] <= CONTEXT
    asked = data.words[..., 0] >= 0
    assert torch.equal(asked, (data.words >= 0).all(-1)) and not asked[data.ids == PAD].any()
    for word in ("a", "an", ",", "view", "of", "is"):
        assert not asked[data.ids == IDS[word]].any()
    assert data.view.max() <= len(VIEWS) and set(data.untextured.tolist()) == {0, 1}
    same = sentences(40, random.Random(1))
    assert torch.equal(data.ids, same.ids) and torch.equal(data.words, same.words)


def test_sentences_too_long_to_read_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter(["a cone" + ", highly detailed" * 20, "a red cone", "a ball"])
    monkeypatch.setattr("dreamlift.learn.tower.phrase", lambda graph, rng: next(said))
    assert len(sentences(2, random.Random(0)).ids) == 2


def test_padding_changes_no_word_and_is_zero() -> None:
    net = small()
    text = "a red cube on top of a blue ball"
    short, _ = net.encode([text])
    long, mask = net.encode([text, text + ", front view", ""], 20)
    torch.testing.assert_close(long[0, : short.shape[1]], short[0], rtol=1e-4, atol=1e-5)
    assert float(long[~mask].detach().abs().max()) == 0 and mask[2].sum() == 1


def test_order_matters_to_a_word() -> None:
    net = small()
    one, _ = net.encode(["a red cube on top of a blue ball"])
    other, _ = net.encode(["a blue cube on top of a red ball"])
    assert (one[0, 2] - other[0, 2]).detach().abs().max() > 1e-3


def test_a_tower_is_loaded_frozen_as_it_was_saved(tmp_path: Path) -> None:
    net = small()
    net.save(tmp_path)
    again = load_tower(tmp_path)
    assert again.shape == SMALL and not any(p.requires_grad for p in again.parameters())
    texts = ["a frog on stilts", "an untextured mug"]
    torch.testing.assert_close(again.encode(texts)[0], net.encode(texts)[0], rtol=0.01, atol=0.01)


def test_a_batch_is_padded() -> None:
    ids, mask = batch(["a ball", "a red ball"])
    assert ids.tolist() == [[IDS["a"], IDS["ball"], PAD], [IDS["a"], IDS["red"], IDS["ball"]]]
    assert mask.tolist() == [[True, True, False], [True] * 3]
    assert batch(["a ball"], 7)[0].shape == (1, 7)


def test_learning_makes_its_answers_right() -> None:
    torch.manual_seed(2)
    reader = Reader(SMALL)
    optimizer = torch.optim.Adam(reader.parameters(), lr=0.02)
    data = sentences(16, random.Random(3))
    first, _ = reader(data)
    for _ in range(60):
        loss, said = reader(data)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    loss, said = reader(data)
    assert float(loss.detach()) < 0.5 * float(first.detach()) and said["right"] > 0.75


def test_a_training_leaves_a_tower_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tower, "TowerShape", lambda: SMALL)
    tower.train(tmp_path, steps=3, size=4, seed=5, stop=Stop(0.0))
    assert load_tower(tmp_path / "tower").shape == SMALL
    tower.train(tmp_path, steps=3, size=4, seed=5)
    whole = tmp_path / "whole"
    tower.train(whole, steps=3, size=4, seed=5)
    one, other = load_tower(tmp_path / "tower"), load_tower(whole / "tower")
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
