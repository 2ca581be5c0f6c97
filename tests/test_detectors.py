"""dreamlift/detectors.py: true objects raise no alarm, and each known failure its own."""

import re
from collections.abc import Sequence
from dataclasses import fields

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.cameras import turntable
from dreamlift.detectors import (
    EMPTY,
    HAZE,
    SIDES,
    Examiner,
    Look,
    border,
    colourfulness,
    examiner,
    facing,
    haze,
    truth,
)
from dreamlift.grammar import parse
from dreamlift.offers import RECIPES, Recipe, name_of
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field
from dreamlift.toybox.lists import TUNE
from dreamlift.toybox.scenes import toy_scene

UNSEEN = 11
"""A seed that `truth` does not look at."""


def plain(alpha: float, color: tuple[float, float, float] = (0.5, 0.4, 0.3)) -> Look:
    a = torch.full((SIDES, 8, 8, 1), alpha)
    return Look(a * torch.tensor(color), a)


def true(prompt: str, seed: int = UNSEEN) -> Look:
    return Look.at(toy_scene(parse(prompt), seed))


def two_faced(look: Look) -> Look:
    """The back replaced by the front."""
    order = [k if k in (0, 1, 2, 6, 7) else (k + SIDES // 2) % SIDES for k in range(SIDES)]
    return Look(look.color[order], look.alpha[order])


def of(field: Field) -> Look:
    return Look.at(field, size=32)


class Colours:
    """An Aligner to which backs are red and fronts are green."""

    def embed_image(self, x: Tensor) -> Tensor:
        return x.mean((1, 2))

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        return torch.stack([torch.eye(3)[int("front" in text)] for text in texts])


def test_haze_and_border_of_a_plain_fog_are_its_closed_form() -> None:
    assert haze(plain(0.7)) == pytest.approx(4 * 0.3, rel=1e-4)
    assert border(plain(0.7)) == pytest.approx(0.7)
    assert haze(plain(1.0)) == 0 == haze(plain(0.0))
    a = torch.zeros(SIDES, 8, 8, 1)
    a[:, 0, 3] = 1
    assert border(Look(a.expand(-1, -1, -1, 3), a)) == pytest.approx(1 / 28)


def test_colourfulness_is_of_solid_pixels_alone() -> None:
    assert colourfulness(plain(0.95, (0.9, 0.2, 0.4))) == pytest.approx(0.7, abs=1e-5)
    assert colourfulness(plain(0.5)) == 0


def test_facing_is_backs_less_fronts() -> None:
    color = torch.zeros(SIDES, 8, 8, 3)
    color[[3, 4, 5], ..., 0] = 0.8  # red behind
    color[[7, 0, 1], ..., 1] = 0.6  # green in front
    look = Look(color, torch.ones(SIDES, 8, 8, 1))
    assert facing(look, "a cone", Colours()) == pytest.approx(0.8 + 0.6, abs=1e-5)
    assert facing(two_faced(look), "a cone", Colours()) == pytest.approx(0, abs=1e-6)


def told(look: Look, prompt: str, *, finished: bool = True) -> list[str]:
    return [finding.what for finding in Examiner(prompt)(look, finished=finished)]


@pytest.mark.parametrize("prompt", TUNE[::5])
def test_true_objects_raise_no_alarm(prompt: str) -> None:
    assert told(true(prompt), prompt) == []


@pytest.mark.slow
def test_no_true_object_of_the_list_raises_an_alarm() -> None:
    for prompt in TUNE:
        look = examiner(prompt)
        for seed in range(8, 14):
            assert list(look(true(prompt, seed), finished=True)) == [], (prompt, seed)


def test_known_failures_are_told() -> None:
    prompt = "a red cube on top of a blue cylinder"
    look = true(prompt)
    begun = of(Field())  # the fog that a run begins from
    assert told(begun, prompt) == ["fog"]
    assert told(begun, prompt, finished=False) == []  # then it is as it should be
    assert told(Look(0 * look.color, 0.9 * EMPTY * torch.ones_like(look.alpha)), prompt) == [
        "empty"
    ]
    assert told(plain(1.0), prompt) == ["fog"]  # opaque, and all over the frame
    strong = Look((look.color > 0.5 * look.alpha).float() * look.alpha, look.alpha)
    assert told(strong, prompt) == ["saturation"]
    for finding in Examiner(prompt)(begun, finished=True):
        assert f"at most {HAZE:g}" in finding.said and finding.advice.endswith(".")


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_nothing_is_advised_that_a_recipe_has_not(recipe: type[Recipe]) -> None:
    prompt, numbers = "a frog on top of a hamburger", {field.name for field in fields(recipe)}
    look, judge = true(prompt), Examiner(prompt, numbers=numbers)
    strong = Look((look.color > 0.5 * look.alpha).float() * look.alpha, look.alpha)
    nothing = Look(0 * look.color, 0 * look.alpha)
    found = [f for each in (plain(1.0), strong, nothing) for f in judge(each, finished=True)]
    assert {"fog", "saturation", "empty"} <= {finding.what for finding in found}
    for finding in found:
        flags = {flag.replace("-", "_") for flag in re.findall(r"--([a-z-]+)", finding.advice)}
        assert flags <= numbers | {"recipe"} and finding.advice.endswith(".")


def test_what_is_not_of_the_world_has_no_truth() -> None:
    assert truth("a hyperrealistic mongoose", None) is None
    assert Examiner("a red ball", world=False).truth is None
    assert truth("a red ball", Colours()) is not None


@pytest.mark.weights
@pytest.mark.parametrize("prompt", ["a frog", "a purple frog on top of an orange cube"])
def test_the_embedded_clip_tells_two_faces_from_one(prompt: str) -> None:
    look = examiner(prompt)
    for seed in (8, 9):
        one = true(prompt, seed)
        assert list(look(one, finished=False)) == []
        assert [f.what for f in look(two_faced(one), finished=False)] == ["two faces"]


@pytest.mark.weights
def test_where_the_clip_cannot_tell_it_is_silent() -> None:
    look = examiner("a chair")
    assert look.truth is not None and look.truth.facing is None
    assert list(look(two_faced(true("a chair")), finished=True)) == []
    assert examiner("a red ball").aligner is None  # nothing has a front


def test_looking_draws_nothing_and_changes_nothing() -> None:
    field, before = Field(), torch.random.get_rng_state()
    state = {key: value.clone() for key, value in field.state_dict().items()}
    assert torch.equal(of(field).color, of(field).color)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(value, state[key]) for key, value in field.state_dict().items())
    shot = Shot(turntable(SIDES, size=32))
    noisy = field.render(shot, rng=rng()).color
    assert not torch.equal(noisy, of(field).color)
