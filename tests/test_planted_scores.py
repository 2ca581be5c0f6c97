"""Bugs planted in scores, courses of t and the mixture, as in test_planted_bugs.py."""

from collections.abc import Callable
from typing import Any

import planted
import pytest
import test_courses as on_courses
import test_mixture as on_mixture
import test_perpneg as on_perpneg
import test_rescale as on_rescale
import torch
from torch import Tensor

from dreamlift.diffusion import per_sample
from dreamlift.guidance import (
    courses,
    perpneg,
    rescale,
    times,
)
from dreamlift.priors import mixture
from dreamlift.scene import Shot
from dreamlift.step import Step


def project(batch: bool) -> Any:
    """The projection over the whole batch; or onto the wrong one."""

    def wrong(delta: Tensor, main: Tensor) -> Tensor:
        if batch:
            return delta - (delta * main).sum() / main.square().sum().clamp_min(1e-6) * main
        share = (delta * main).flatten(1).sum(1) / delta.square().flatten(1).sum(1).clamp_min(1e-6)
        return main - per_sample(share, delta) * delta

    return wrong


def perp_neg(
    rule: Callable[[perpneg.PerpNeg, Tensor, Tensor, list[Tensor]], Tensor],
    *,
    one_by_one: bool = False,
) -> Any:
    def wrong(self: perpneg.PerpNeg, z_t: Tensor, t: Tensor, shot: Shot) -> Tensor:
        told = [self.null, self.y, *self.negatives]
        if one_by_one:
            eps = [self.prior.eps(z_t, t, said(shot))[0] for said in told]
        else:
            eps = list(self.prior.eps(z_t, t, *(said(shot) for said in told)))
        null, y, *others = eps
        cut = [
            per_sample(away(shot), z_t) * perpneg.perpendicular(other - null, y - null)
            for away, other in zip(self.negatives.values(), others, strict=True)
        ]
        return rule(self, null, y, cut)

    return wrong


def lower(kind: str) -> Any:
    """perpneg's sides with one side for both, or none of them told apart from the front."""
    right = perpneg._sides

    def wrong(azimuth: Tensor, elevation: Tensor) -> Any:
        shares = right(azimuth, elevation)
        if kind == "mirrored":
            return {"left side": shares["right side"], "right side": shares["left side"]}
        return {"left side": torch.ones_like(azimuth)}

    return wrong


def over_batch(self: rescale.Rescaled, x: Tensor, plain: Tensor, views: int) -> Tensor:
    return (1 + self.phi * (plain.std() / x.std() - 1)) * x


def per_view(self: rescale.Rescaled, x: Tensor, plain: Tensor, views: int) -> Tensor:
    ratio = plain.flatten(1).std(1) / x.flatten(1).std(1)
    return per_sample(1 + self.phi * (ratio - 1), x) * x


def reversed_shares(self: courses.DreamTime, progress: float) -> int:
    """The sum from 1 up to t', and not from t' up to T."""
    share = self.importance(torch.arange(1, 1001, dtype=torch.float64) / 1000)
    return int(((share / share.sum()).cumsum(0) - progress).abs().argmin()) + 1


def drawn(self: courses.DreamTime, n: int, step: Step) -> Tensor:
    share = self.importance(torch.arange(1, 1001, dtype=torch.float64) / 1000)
    return torch.multinomial(share, n, replacement=True, generator=step.rng) / 999


def soft(power: float, *, dimension: bool = True) -> Any:
    """Mixture.eps with other responsibilities."""

    def wrong(self: mixture.Mixture, z_t: Tensor, t: Tensor, *conditions: Any) -> Any:
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        variance = (alpha[:, None] * self.stds.to(t)) ** 2 + sigma[:, None] ** 2
        away = (z_t[:, None] - alpha[:, None, None, None, None] * self.means.to(z_t)).flatten(2)
        d = away.shape[2] if dimension else 1
        fit = -0.5 * (away.square().sum(2) / variance + d * variance.log())
        pull = sigma[:, None, None] * away / variance[..., None]
        return tuple(
            ((power * (told["shares"].log() + fit)).softmax(1)[..., None] * pull)
            .sum(1).reshape(z_t.shape)
            for told in conditions
        )  # fmt: skip

    return wrong


def one_std(self: mixture.Mixture, text: str, n: int, rng: torch.Generator) -> Tensor:
    mode = torch.randint(len(self.means), (n,), generator=rng)
    return self.means[mode] + self.stds[0] * torch.randn(n, *self.means.shape[1:], generator=rng)


PERPNEG = {
    "projected over the batch": (perpneg, "perpendicular", project(True), "orthogonal alone"),
    "the wrong one projected": (perpneg, "perpendicular", project(False), "orthogonal"),
    "not projected": (perpneg, "perpendicular", lambda delta, main: delta, "orthogonal like_cfg"),
    "scale off by one": (
        perpneg.PerpNeg, "__call__",
        perp_neg(lambda self, null, y, cut: y + self.scale * sum(cut, start=y - null)),
        "like_cfg orthogonal",
    ),
    "negatives not scaled": (
        perpneg.PerpNeg, "__call__",
        perp_neg(lambda self, null, y, cut: sum(cut, start=null + self.scale * (y - null))),
        "orthogonal",
    ),
    "one evaluation a condition": (
        perpneg.PerpNeg, "__call__",
        perp_neg(
            lambda self, null, y, cut: null + self.scale * sum(cut, start=y - null),
            one_by_one=True,
        ), "one_evaluation",
    ),
    "no threshold": (perpneg, "NEGLIGIBLE", 0.0, "one_evaluation"),
    "front and side swapped": (perpneg, "from_front", perpneg.from_side, "weights"),
    "side weighed as front": (perpneg, "from_side", perpneg.from_front, "weights"),
    "sides mirrored": (perpneg, "_sides", lower("mirrored"), "sides"),
    "one side for both": (perpneg, "_sides", lower("left"), "sides"),
}  # fmt: skip

RESCALE = {
    "over the batch": (rescale.Rescaled, "_brought_back", over_batch, "rescaled rescaled_groups"),
    "each view by itself": (rescale.Rescaled, "_brought_back", per_view, "rescaled_groups"),
    "not at all": (
        rescale.Rescaled, "_brought_back", lambda self, x, plain, views: x,
        "rescaled rescaled_groups",
    ),
}  # fmt: skip

COURSES = {
    "summed from below": (
        courses.DreamTime, "entry", reversed_shares, "dream_time dream_time_drawn",
    ),
    "t drawn from W": (courses.DreamTime, "__call__", drawn, "dream_time_drawn"),
    "flanks swapped": (
        courses.DreamTime, "entry",
        lambda self, progress: DREAM_TIME_ENTRY(
            courses.DreamTime(lambda t: courses.plateau(1.3 - t)), progress
        ), "dream_time",
    ),
    "fallen by a line": (courses, "HIFA", courses.falling(0.98, 0.3), "falling"),
    "not clipped": (courses, "DREAM_GAUSSIAN", courses.falling(1.0, 0.0), "falling"),
    "SDI to the end": (courses, "SDI", courses.falling(0.98, 0.02), "falling"),
    "the phases swapped": (
        courses.TwoPhase, "__call__",
        lambda self, n, step: (self.then if step.progress < self.at else self.first)(n, step),
        "phases",
    ),
    "annealed to the end": (courses, "LUCID_DREAMER", times.Annealed(), "phases"),
}  # fmt: skip
DREAM_TIME_ENTRY = courses.DreamTime.entry

MIXTURE = {
    "hard": (mixture.Mixture, "eps", soft(50.0), "exact sampler_covers"),
    "the volumes forgotten": (mixture.Mixture, "eps", soft(1.0, dimension=False), "exact"),
    "modes alike": (mixture.Mixture, "sample", one_std, "samples"),
    "blind to the sentence": (
        mixture.Mixture, "embed",
        lambda self, prompt: {"shares": torch.full((len(self.means),), 1 / len(self.means))},
        "exact one_mode sampler_covers samples",
    ),
    "eps is noise alone": (
        mixture.Mixture, "eps",
        lambda self, z_t, t, *told: tuple(per_sample(self.schedule.sigma(t), z_t) * z_t
                                          for _ in told),
        "sds_collapses sampler_covers",
    ),
}  # fmt: skip

ROOMS: planted.Rooms = {
    "perpneg": (on_perpneg, PERPNEG),
    "rescale": (on_rescale, RESCALE),
    "courses": (on_courses, COURSES),
    "mixture": (on_mixture, MIXTURE),
}
CHECKS, BUGS = planted.checks(ROOMS), planted.bugs(ROOMS)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch):
    planted.catch(name, BUGS, CHECKS, monkeypatch)


def test_every_check_has_caught_a_bug():
    assert set(CHECKS) == planted.caught(BUGS)
