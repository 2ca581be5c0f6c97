"""Which sentence is said from which side."""

import pytest
import torch
from test_scores import Recorder, some_shot

from dreamlift.guidance import prompts
from dreamlift.lights import Light
from dreamlift.views import direction


def said(prior: Recorder, sample: int = 0) -> dict[str, float]:
    """What camera `sample` was told last, by text, without what has no share of it."""
    return {text: float(w[sample]) for text, w in prior.told[-1] if float(w[sample]) > 1e-5}


def lit(*textureless: bool) -> Light:
    b = len(textureless)
    return Light(torch.ones(b, 3), torch.ones(b), torch.zeros(b), torch.tensor(textureless))


def check_sides() -> None:
    """Absolute: from azimuth +90 an object that faces +x shows its left side."""
    for interpolate in (False, True):
        prior = Recorder()
        y = prompts.Directed(prior, prompts.sided("a frog"), interpolate=interpolate)
        y(some_shot(0, 90, -90, 180, -180, 450))
        words = ("front", "left side", "right side", "back", "back", "left side")
        for i, side in enumerate(words):
            assert said(prior, i) == pytest.approx({f"a frog, {side} view": 1.0}, abs=1e-5), i


def check_overhead() -> None:
    prior = Recorder()
    y = prompts.Directed(prior, prompts.sided("a frog"))
    for elevation, side in ((59.0, "right side"), (61.0, "overhead"), (-10.0, "right side")):
        y(some_shot(-100, elevation=elevation))
        assert said(prior) == {f"a frog, {side} view": 1.0}


def check_untextured() -> None:
    """Per camera: where the light is textureless, and only there, the other sentence."""
    prior = Recorder()
    texts = prompts.sided("a red frog"), prompts.sided("untextured frog")
    y = prompts.Directed(prior, texts[0], untextured=texts[1])
    y(some_shot(100, 100, light=lit(False, True)))
    assert said(prior, 0) == {"a red frog, left side view": 1.0}
    assert said(prior, 1) == {"untextured frog, left side view": 1.0}
    y(some_shot(100))  # albedo: no light
    assert said(prior, 0) == {"a red frog, left side view": 1.0}


def test_left_and_right_are_told_apart():
    check_sides()


def test_above_60_degrees_the_view_is_overhead():
    check_overhead()


def test_textureless_pictures_are_told_no_colour():
    check_untextured()


def test_without_untextured_sentences_all_are_told_the_same():
    prior = Recorder()
    prompts.Directed(prior, prompts.sided("a frog"))(some_shot(10, 10, light=lit(True, False)))
    assert said(prior, 0) == said(prior, 1) == {"a frog, front view": 1.0}


def test_nearest_is_the_direction_of_the_training_captions():
    azimuth = torch.arange(-180.0, 180.0, 7.0)
    elevation = 90 * torch.sin(azimuth)
    weights = prompts.nearest(azimuth, elevation)
    for i, (az, el) in enumerate(zip(azimuth.tolist(), elevation.tolist(), strict=True)):
        assert {side for side, w in weights.items() if w[i] == 1} == {direction(az, el)}
    assert torch.equal(torch.stack([*weights.values()]).sum(0), torch.ones_like(azimuth))


def test_interpolated_weights_are_continuous_shares():
    """They sum to 1, move at most as fast as their ramps, and mirror left to right."""
    azimuth = torch.linspace(-180, 180, 721)
    for elevation in (-10.0, 30.0, 50.0, 70.0, 85.0):
        high = torch.full_like(azimuth, elevation)
        weights = prompts.interpolated(azimuth, high)
        rows = torch.stack([*weights.values()])
        assert rows.min() >= 0
        torch.testing.assert_close(rows.sum(0), torch.ones_like(azimuth))
        steps = rows.diff(dim=1).abs()
        assert steps.max() <= 0.5 / 90 + 1e-5
        mirrored = prompts.interpolated(-azimuth, high)
        torch.testing.assert_close(weights["left side"], mirrored["right side"])
        torch.testing.assert_close(weights["front"], mirrored["front"])
        torch.testing.assert_close(rows[:, 0], rows[:, -1])


def test_interpolated_golden_values():
    """A third of the way from front to left, and halfway up the ramp around 60 degrees."""
    weights = prompts.interpolated(torch.tensor([30.0, -135.0]), torch.tensor([0.0, 60.0]))
    assert float(weights["front"][0]) == pytest.approx(2 / 3)
    assert float(weights["left side"][0]) == pytest.approx(1 / 3)
    assert float(weights["overhead"][1]) == pytest.approx(0.5)
    assert float(weights["right side"][1]) == pytest.approx(0.25)
    assert float(weights["back"][1]) == pytest.approx(0.25)


def test_one_side_can_be_overridden():
    prior = Recorder()
    texts = {**prompts.sided("a frog"), "back": "the back of a frog"}
    prompts.Directed(prior, texts)(some_shot(170, 10))
    assert said(prior, 0) == {"the back of a frog": 1.0}
    assert said(prior, 1) == {"a frog, front view": 1.0}


def test_each_text_is_embedded_once_and_at_construction():
    prior = Recorder()
    texts = {**prompts.sided("a frog"), "back": "a frog", "front": "a frog"}
    y = prompts.Directed(prior, texts, untextured=prompts.sided("a frog"))
    assert len(prior.texts) == len(set(prior.texts)) == 6
    y(some_shot(0, 90))
    y(some_shot(180))
    assert len(prior.texts) == 6


def test_a_missing_side_is_named():
    with pytest.raises(ValueError, match="it has none for back"):
        prompts.Directed(Recorder(), {"front": "a", "left side": "a", "right side": "a",
                                      "overhead": "a"})  # fmt: skip


def test_a_sentence_is_the_same_everywhere():
    prior = Recorder()
    prompts.Sentence(prior, "")(some_shot(0, 90, 180))
    assert [(text, w.tolist()) for text, w in prior.told[-1]] == [("", [1.0, 1.0, 1.0])]
