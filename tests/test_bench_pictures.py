"""bench/pictures.py: of each side the picture that CLIP likes best."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import pictures
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.reading import Read
from dreamlift.guidance.scores import cfg
from dreamlift.priors.oracle import Oracle, picture


def test_of_several_tries_each_side_has_its_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try is what one alone would be."""
    made: list[Tensor] = []

    def drawn(*asked: Any) -> Tensor:
        rng: torch.Generator = asked[-1]
        made.append(torch.rand(4, 8, 8, 3, generator=rng))
        return made[-1]

    def bright(x: Tensor, captions: Sequence[str]) -> Tensor:
        light = x.mean((1, 2, 3))[:, None]
        return torch.cat([light, (0.5 * torch.ones_like(light)).expand(-1, len(captions) - 1)], 1)

    monkeypatch.setattr(pictures, "drawn", drawn)
    prior: Any = None
    alone = pictures.pictures(prior, "a mug", 3.0, 16)
    best = pictures.pictures(prior, "a mug", 3.0, 16, tries=5, reads=bright)
    assert len(made) == 6 and torch.equal(made[0], alone) and torch.equal(made[1], alone)
    tries = torch.stack(made[1:])
    means = tries.mean((2, 3, 4))
    assert torch.equal(best.mean((1, 2, 3)), means.amax(0))
    assert len(set(means.argmax(0).tolist())) > 1


def test_readings_lead_each_picture_where_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prior = Oracle(picture(torch.zeros(4, 4, 3)))
    score = cfg(prior, Sentence(prior, "a mug"), Sentence(prior, ""), 3.0)
    wrapped: list[Any] = []

    def drawn(*asked: Any) -> Tensor:
        wrapped.append(asked[-2](score))
        return torch.zeros(4, 8, 8, 3)

    def reads(x: Tensor, captions: Sequence[str]) -> Tensor:
        return torch.zeros(len(x), len(captions))

    monkeypatch.setattr(pictures, "drawn", drawn)
    pictures.pictures(prior, "a mug", 3.0, 16, reads=reads)
    pictures.pictures(prior, "a mug", 3.0, 16, reading=30.0, reads=reads)
    plain, led = wrapped
    assert plain is score
    assert isinstance(led, Read) and (led.caption, led.strength) == ("a mug", 30.0)
