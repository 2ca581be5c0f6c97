"""Guidance is arithmetic on scores: conventions of CFG, exactness, one evaluation."""

from collections.abc import Sequence

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.diffusion import Schedule, add_noise, x0_from_eps
from dreamlift.guidance import scores
from dreamlift.guidance.prompts import Sentence
from dreamlift.lights import Light
from dreamlift.prior import Condition, Embedding, Prior, Prompt
from dreamlift.scene import Shot
from dreamlift.schedules import scaled_linear


def some_shot(*azimuths: float, elevation: float = 10.0, light: Light | None = None) -> Shot:
    """A shot of 4x4 pictures from azimuths, one elevation."""
    azimuth = torch.tensor(azimuths, dtype=torch.float32)
    return Shot(orbit(azimuth, torch.full_like(azimuth, elevation), size=4), light)


class Recorder:
    """A linear prior that remembers what it was asked: eps = gain z_t + the texts' fields."""

    def __init__(self, schedule: Schedule | None = None, views: int = 1, gain: float = 0.0) -> None:
        self.schedule: Schedule = schedule or scaled_linear()
        self.size, self.views = 4, views
        self.gain = torch.nn.Parameter(torch.tensor(gain))
        self.texts: list[str] = []
        self.asked: list[tuple[Tensor, Tensor, int]] = []  # z_t, t, number of conditions
        self.told: list[list[tuple[str, Tensor]]] = []  # the mixes of texts
        self.shift = 0.0

    def field(self, text: str) -> Tensor:
        """What this prior adds under a text: a fixed random picture."""
        return torch.randn(3, 4, 4, generator=rng(100 + self.texts.index(text)))

    def encode(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return x.permute(0, 3, 1, 2) * 2 - 1

    def decode(self, z: Tensor) -> Tensor:
        return (z.permute(0, 2, 3, 1) + 1) / 2

    def embed(self, prompt: Prompt) -> Embedding:
        self.texts.append(prompt.text)
        return {"index": torch.tensor(len(self.texts) - 1)}

    def condition(self, mix: Sequence[tuple[Embedding, Tensor]], shot: Shot) -> Condition:
        texts = [self.texts[int(embedding["index"])] for embedding, _ in mix]
        self.told.append([(text, w) for text, (_, w) in zip(texts, mix, strict=True)])
        fields = [w[:, None, None, None] * self.field(text) for text, w in self.told[-1]]
        return {"field": torch.stack(fields).sum(0)}

    def eps(self, z_t: Tensor, t: Tensor, *conditions: Condition) -> tuple[Tensor, ...]:
        self.asked.append((z_t, t, len(conditions)))
        return tuple(self.gain * z_t + told["field"] + self.shift for told in conditions)


def guided(
    scale: float, clamp: float | None = None
) -> tuple[Recorder, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The prior, z_t, t, the guided eps and the two it is made of."""
    prior, shot = Recorder(gain=0.5), some_shot(10, -130)
    y, null = Sentence(prior, "a frog"), Sentence(prior, "")
    z_t = torch.randn(2, 3, 4, 4, generator=rng(1))
    t = prior.schedule.snap(torch.tensor([0.31, 0.77]))
    with torch.no_grad():
        eps_y, eps_null = prior.eps(z_t, t, y(shot), null(shot))
        prior.asked.clear()
        eps = scores.cfg(prior, y, null, scale, clamp=clamp)(z_t, t, shot)
    return prior, z_t, t, eps, eps_y, eps_null


def check_convention() -> None:
    """eps_null + s (eps_y - eps_null): s = 1 is eps_y and s = 0 is eps_null, bit for bit."""
    for scale in (0.0, 0.3, 1.0, 7.5, 100.0):
        _, _, _, eps, eps_y, eps_null = guided(scale)
        wanted = eps_null.double() + scale * (eps_y.double() - eps_null.double())
        torch.testing.assert_close(eps.double(), wanted, atol=2e-7 * (1 + scale), rtol=2e-7)
        if scale in (0.0, 1.0):
            assert torch.equal(eps, eps_y if scale else eps_null)


def check_one_evaluation() -> None:
    """One batched call of two conditions, of one where the other has no weight."""
    for scale, conditions in ((7.5, 2), (1.0, 1), (0.0, 1)):
        asked = guided(scale)[0].asked
        assert [n for _, _, n in asked] == [conditions], (scale, asked)


def check_clamped() -> None:
    """With clamp the guided clean sample is the raw one, clamped: not eps, nor eps_y's."""
    prior, z_t, t, eps, _, _ = guided(7.5, clamp=1.0)
    raw = guided(7.5)[3]
    x0 = x0_from_eps(prior.schedule, z_t, t, eps)
    wanted = x0_from_eps(prior.schedule, z_t, t, raw).clamp(-1, 1)
    torch.testing.assert_close(x0, wanted, atol=2e-5, rtol=0)


def test_cfg_is_the_convention_of_the_house():
    check_convention()


def test_conditions_are_evaluated_once_and_together():
    check_one_evaluation()


def test_the_guided_clean_sample_is_clamped():
    check_clamped()


def test_a_mix_is_any_weighted_sum():
    """Weights that sum to 0 (CSD's term) and to 0.7, three conditions."""
    prior, shot = Recorder(gain=0.5), some_shot(10, -130)
    told = [Sentence(prior, text) for text in ("a", "b", "c")]
    z_t, t = torch.randn(2, 3, 4, 4, generator=rng(2)), torch.tensor([0.2, 0.6])
    each = prior.eps(z_t, t, *(y(shot) for y in told))
    for weights in ((1.0, -1.0, 0.0), (0.5, -0.8, 1.0), (0.0, 0.0, 2.0)):
        mix = scores.Mix(prior, dict(zip(told, weights, strict=True)))
        wanted = sum(w * e for w, e in zip(weights, each, strict=True))
        torch.testing.assert_close(mix(z_t, t, shot), wanted)


def test_a_mix_of_nothing_is_refused():
    prior = Recorder()
    with pytest.raises(ValueError, match="none with a weight other than 0"):
        scores.Mix(prior, {Sentence(prior, ""): 0.0})


def test_a_mix_is_a_score_and_the_double_is_a_prior():
    prior = Recorder()
    assert isinstance(prior, Prior)
    assert isinstance(scores.Mix(prior, {Sentence(prior, ""): 1.0}), scores.Score)


def test_guidance_at_100_keeps_six_digits():
    """Nearly equal predictions, whose difference is what counts: no cancellation of large sums."""
    prior, shot = Recorder(), some_shot(0)
    y, null = Sentence(prior, "y"), Sentence(prior, "")
    base = torch.full((1, 3, 4, 4), 1.2345678)
    pair = [{"field": base + 1e-4}, {"field": base}]
    told = {y: pair[0], null: pair[1]}
    mix = scores.cfg(prior, lambda s: told[y], lambda s: told[null], 100.0)
    exact = pair[1]["field"].double() + 100 * (pair[0]["field"].double() - base.double())
    out = mix(torch.zeros(1, 3, 4, 4), torch.tensor([0.5]), shot).double()
    torch.testing.assert_close(out, exact, atol=3e-7, rtol=0)


def test_clamping_does_nothing_to_a_picture_in_range():
    """For a mean in [-1, 1] and no noise the clamped and the raw score agree."""
    schedule = scaled_linear()
    z, noise = torch.rand(2, 3, 4, 4, generator=rng(3)) - 0.5, torch.randn(2, 3, 4, 4)
    t = schedule.snap(torch.tensor([0.3, 0.6]))
    prior, shot = Recorder(schedule), some_shot(0, 90)
    z_t = add_noise(schedule, z, t, noise)
    mix = scores.Mix(prior, {lambda s: {"field": noise}: 1.0}, clamp=1.0)
    assert torch.equal(mix(z_t, t, shot), noise)


def check_own_shares() -> None:
    """A weight may be a function: of each sample's t, or of its camera."""
    prior, shot = Recorder(gain=0.5), some_shot(0, 90, 135)
    a, b = Sentence(prior, "a"), Sentence(prior, "b")
    z_t, t = torch.randn(3, 3, 4, 4, generator=rng(4)), torch.tensor([0.1, 0.5, 0.7])
    mix = scores.Mix(prior, {
        a: lambda t, shot: (t > 0.4).to(t), b: lambda t, shot: shot.cameras.azimuth / 90,
    })  # fmt: skip
    e_a, e_b = prior.eps(z_t, t, a(shot), b(shot))
    of_a, of_b = (torch.tensor(w)[:, None, None, None] for w in ((0.0, 1, 1), (0.0, 1, 1.5)))
    torch.testing.assert_close(mix(z_t, t, shot), of_a * e_a + of_b * e_b, atol=1e-5, rtol=0)


def check_composed() -> None:
    """eps_null + sum s_i (eps_i - eps_null): a negative prompt is one of negative weight."""
    prior, shot = Recorder(gain=0.5), some_shot(10, -130)
    y, bad, null = (Sentence(prior, text) for text in ("y", "bad", ""))
    z_t, t = torch.randn(2, 3, 4, 4, generator=rng(5)), torch.tensor([0.2, 0.6])
    e_y, e_bad, e_null = prior.eps(z_t, t, y(shot), bad(shot), null(shot))
    prior.asked.clear()
    found = scores.composed(prior, null, {y: 7.5, bad: -2.0})(z_t, t, shot)
    assert [n for _, _, n in prior.asked] == [3]
    wanted = e_null + 7.5 * (e_y - e_null) - 2 * (e_bad - e_null)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_weights_may_differ_between_samples():
    check_own_shares()


def test_negative_prompts_are_negative_weights():
    check_composed()


def test_shares_of_one_condition_add_up():
    prior, shot = Recorder(), some_shot(30)
    null, y = (Sentence(prior, text) for text in ("", "a cone"))
    z_t, t = torch.randn(1, 3, 4, 4, generator=rng(1)), torch.tensor([0.5])
    alone = scores.Mix(prior, {null: 1.0})(z_t, t, shot)
    torch.testing.assert_close(scores.cfg(prior, null, null, 7.5)(z_t, t, shot), alone)
    found = scores.together((null, 2.0), (y, 0.5), (null, lambda t, shot: -0.5 * t), (y, 0.25))
    assert list(found) == [null, y] and found[y] == 0.75
    moving = found[null]
    assert callable(moving)
    torch.testing.assert_close(moving(torch.tensor([0.4, 1.0]), shot), torch.tensor([1.8, 1.5]))
