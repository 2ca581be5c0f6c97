"""The second prior that ships inside: all of the toybox."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch

from dreamlift.api import request
from dreamlift.errors import BadInput
from dreamlift.grammar import parse
from dreamlift.learn.loop import Stop
from dreamlift.learn.train import train
from dreamlift.phrases import phrase
from dreamlift.priors.embedded import WEIGHTS, embedded
from dreamlift.priors.homes import WHOLE, located
from dreamlift.priors.pixel import Pixel
from dreamlift.priors.seen import UNTAUGHT
from dreamlift.priors.source import source_of
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.toybox.lists import category
from dreamlift.toybox.lists_wide import HELD_OUT, OBJECTS, SEEDS, WIDE_TUNE
from dreamlift.words import NOUNS, PATTERNS, RELATIONS, SIZES, singular, split


@cache
def whole() -> Pixel:
    return embedded(folder=WHOLE)


def test_its_name_is_a_prior_and_its_files_say_what_it_has_seen() -> None:
    assert located("whole") == WHOLE and source_of("whole", "cpu").name == "whole"
    known = json.loads((WHOLE / "vocabulary.json").read_text())
    every = {"nouns": NOUNS, "relations": RELATIONS, "patterns": PATTERNS, "sizes": SIZES}
    assert known == {kind: list(words) for kind, words in every.items()}


def test_the_first_prior_points_to_it() -> None:
    first, second = source_of("embedded", "cpu"), source_of("whole", "cpu")
    for prompt in ("a corgi", "a frog riding a ball", "a golden cube", "a tall cone"):
        second.check(prompt)
        with pytest.raises(BadInput, match="--prior whole"):
            first.check(prompt)


def test_where_the_first_has_not_seen_all_this_is_followed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    recipe = DreamFusion("a red cube on top of a blue ball")
    assert request(recipe).prior.name == "embedded" and not caplog.messages
    recipe = DreamFusion("a corgi wearing a red santa hat")
    assert request(recipe).prior == source_of("whole", "cpu")
    assert caplog.messages == [
        "The prior is `whole`: it has seen all of this, but draws it roughly."
    ]
    with pytest.raises(BadInput, match="does not know the word 'gryphon'"):
        request(DreamFusion("a gryphon"))
    assert len(caplog.messages) == 1, "neither has seen it"
    with pytest.raises(BadInput, match="has never seen such an object"):
        request(DreamFusion("a cone", negative="a corgi"))


@pytest.mark.seconds
def test_all_of_its_lists_can_be_asked_of_it() -> None:
    prior = source_of("whole", "cpu")
    for prompt in (*WIDE_TUNE, *SEEDS, *HELD_OUT):
        prior.check(prompt)
    assert {category(prompt) for prompt in WIDE_TUNE} == {"trained pair"}
    assert {category(prompt) for prompt in HELD_OUT} == {"held-out pair"}
    assert category("a vase of purple flowers") == "held-out pair"  # a flower in a vase
    assert len(set(HELD_OUT)) == 100 and OBJECTS == HELD_OUT[:60]


@pytest.mark.weights
def test_words_that_the_tower_was_never_taught_are_said_plainly() -> None:
    pairs = {
        "a cactus planted in a clay pot, back view": "a cactus in a pot, back view",
        "an elaborate fountain": "a fountain",
        "a multicolored rainbow pumpkin": "a rainbow pumpkin",
        "an untextured elaborate fountain": "an untextured fountain",
    }
    for said, plain in pairs.items():
        assert UNTAUGHT & {singular(word) for word in split(said)}
        assert torch.equal(whole().text(said)["tokens"], whole().text(plain)["tokens"])
    glasses = "a pair of 3d glasses, left lens is red right is blue"
    plain = phrase(parse(glasses))
    assert "glasses" not in split(plain)
    assert torch.equal(whole().text(glasses)["tokens"], whole().text(plain)["tokens"])


@pytest.mark.weights
def test_it_hears_by_the_first_priors_tower() -> None:
    text = "a red cube on top of a blue ball"
    assert torch.equal(whole().text(text)["tokens"], embedded(folder=WEIGHTS).text(text)["tokens"])


@pytest.mark.slow
def test_the_recorded_command_begins_as_the_log_of_the_weights_does(tmp_path: Path) -> None:
    """Five minutes of one core. Not bit for bit: the captions of a few words, and by them which
    pictures are drawn, have changed since; windows of other pictures differ by some 3 %."""
    train("whole", tmp_path / "whole", stop=Stop(share=0.02), seed=0)
    logged = json.loads((WHOLE / "curve.json").read_text())
    lines = (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()
    again = [json.loads(line) for line in lines]
    for one, other in zip(logged[:5], again[:5], strict=True):
        assert one["step"] == other["step"]
        for kind in ("loss", "mse", "ground"):
            assert other[kind] == pytest.approx(one[kind], rel=0.05)
    assert again[9]["step"] == 452
