"""A check that cannot fail proves nothing: each known bug is planted, and its checks must see it.

The bugs are those that other implementations of score distillation really had or could have; how
they are planted: tests/planted.py. The rest of the family: test_planted_family.py.
"""

from collections.abc import Callable
from typing import Any

import planted
import pytest
import test_diffusion as on_diffusion
import test_oracle as on_oracle
import test_prompts as on_prompts
import test_regularizers as on_regularizers
import test_scores as on_scores
import test_sds as on_sds
import test_times as on_times
import torch
from torch import Tensor

from dreamlift import diffusion
from dreamlift.diffusion import add_noise, per_sample
from dreamlift.guidance import prompts, regularizers, scores, sds, times
from dreamlift.priors import oracle
from dreamlift.scene import Shot
from dreamlift.schedules import Table
from dreamlift.step import Step
from dreamlift.views import direction


def gradient(rule: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Any:
    """SDS.gradient with another rule of w, eps_hat and eps."""

    def wrong(self: sds.SDS, z: Tensor, t: Tensor, noise: Tensor, shot: Shot) -> Tensor:
        schedule = self.score.prior.schedule
        with torch.no_grad():
            eps = self.score(add_noise(schedule, z, t, noise), t, shot)
            return rule(per_sample(self.weight(schedule, t), z), eps, noise)

    return wrong


def other_t(self: sds.SDS, z: Tensor, t: Tensor, noise: Tensor, shot: Shot) -> Tensor:
    """The picture is noised at t, but the network told one entry more."""
    schedule = self.score.prior.schedule
    with torch.no_grad():
        eps = self.score(add_noise(schedule, z, t, noise), t + 1 / 999, shot)
    return per_sample(self.weight(schedule, t), z) * (eps - noise)


def through_the_network(differentiate_weighted_eps: bool) -> Any:
    """The call with the network's Jacobian: no no_grad, and nothing detached."""

    def wrong(self: sds.SDS, z: Tensor, shot: Shot, step: Step) -> Tensor:
        schedule = self.score.prior.schedule
        t = times.draw(self.times, self.score.prior, z, step)
        noise = sds.fresh_noise(z, step)
        eps = self.score(add_noise(schedule, z, t, noise), t, shot)
        grad = per_sample(self.weight(schedule, t), z) * (eps - noise)
        pulled = z * grad if differentiate_weighted_eps else 0.5 * grad.square()
        return pulled.sum() / len(z)

    return wrong


def one_t(kind: times.Times, prior: Any, like: Tensor, step: Step) -> Tensor:
    return prior.schedule.snap(kind(1, step)).expand(len(like))


def no_groups(kind: times.Times, prior: Any, like: Tensor, step: Step) -> Tensor:
    return prior.schedule.snap(kind(len(like), step))


def unsnapped(kind: times.Times, prior: Any, like: Tensor, step: Step) -> Tensor:
    return kind(len(like), step).repeat_interleave(1)


def full_range(kind: times.Times, prior: Any, like: Tensor, step: Step) -> Tensor:
    return prior.schedule.snap(times.Uniform(0.0, 1.0)(len(like), step))


def one_noise(z: Tensor, step: Step) -> Tensor:
    return torch.randn(z.shape[1:], generator=step.rng).expand_as(z)


def own_noise(self: sds.SDS, z: Tensor, t: Tensor, noise: Tensor, shot: Shot) -> Tensor:
    """The gradient draws again, and is differentiable."""
    return z * torch.randn_like(noise)


def swapped_cfg(weights: Callable[[float], tuple[float, float]]) -> Any:
    """cfg with other weights of (null, y)."""

    def wrong(prior: Any, y: Any, null: Any, scale: float, *, clamp: float | None = None) -> Any:
        of_null, of_y = weights(scale)
        return scores.Mix(prior, {null: of_null, y: of_y}, clamp)

    return wrong


def always_both(self: scores.Mix, z_t: Tensor, t: Tensor, shot: Shot) -> Tensor:
    eps = self.prior.eps(z_t, t, *(told(shot) for told in self.weights))
    return torch.stack([w * e for w, e in zip(self.weights.values(), eps, strict=True)]).sum(0)


def one_by_one(self: scores.Mix, z_t: Tensor, t: Tensor, shot: Shot) -> Tensor:
    eps = [w * self.prior.eps(z_t, t, told(shot))[0] for told, w in self.weights.items() if w]
    return torch.stack(eps).sum(0)


def blank_for_all(self: prompts.Directed, shot: Shot) -> Any:
    """One textureless picture makes the whole batch untextured."""
    shares = self._weights(shot.cameras.azimuth, shot.cameras.elevation)
    blank = shot.light is not None and bool(shot.light.textureless.any())
    said = self._untextured if blank else self._textured
    return self._prior.condition(
        [(e, shares[side]) for e, side in zip(said, prompts.DIRECTIONS, strict=True)], shot
    )


def colours_everywhere(self: prompts.Directed, shot: Shot) -> Any:
    shares = self._weights(shot.cameras.azimuth, shot.cameras.elevation)
    mix = zip(self._textured, prompts.DIRECTIONS, strict=True)
    return self._prior.condition([(e, shares[side]) for e, side in mix], shot)


def linear_betas() -> Table:
    return Table((1 - torch.linspace(0.00085, 0.012, 1000)).cumprod(0))


def as_variance(schedule: Any, z: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    return per_sample(schedule.alpha(t), z) * z + per_sample(schedule.sigma(t) ** 2, z) * noise


def first_t_for_all(schedule: Any, z: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    return schedule.alpha(t)[0] * z + schedule.sigma(t)[0] * noise


def without(*, light: bool = False, background: bool = False, camera: bool = False) -> Any:
    """An oracle that overlooks a part of the shot."""
    right = oracle.Oracle.condition

    def wrong(self: oracle.Oracle, mix: Any, shot: Shot) -> Any:
        cameras = shot.cameras[torch.zeros(len(shot), dtype=torch.long)] if camera else shot.cameras
        return right(
            self, mix,
            Shot(cameras, None if light else shot.light, None if background else shot.background),
        )  # fmt: skip

    return wrong


def spread_not_squared(self: oracle.Oracle, z_t: Tensor, t: Tensor, *told: Any) -> Any:
    alpha = per_sample(self.schedule.alpha(t), z_t)
    sigma = per_sample(self.schedule.sigma(t), z_t)
    variance = alpha**2 * self.std + sigma**2
    return tuple(sigma * (z_t - alpha * c["mean"]) / variance for c in told)


def score_not_eps(self: oracle.Oracle, z_t: Tensor, t: Tensor, *told: Any) -> Any:
    alpha = per_sample(self.schedule.alpha(t), z_t)
    sigma = per_sample(self.schedule.sigma(t), z_t)
    variance = (alpha * self.std) ** 2 + sigma**2
    return tuple((alpha * c["mean"] - z_t) / variance for c in told)


def annealed(along: Callable[[float], float]) -> Any:
    """Annealed.bounds with another course of progress."""

    def wrong(self: times.Annealed, progress: float) -> tuple[float, ...]:
        f = along(progress)
        return tuple(s + (e - s) * f for s, e in zip(self.start, self.end, strict=True))

    return wrong


def eps_clamped(schedule: Any, z_t: Tensor, t: Tensor, eps: Tensor, limit: float) -> Tensor:
    return eps.clamp(-limit, limit)


def one_side(text: str) -> dict[str, str]:
    return {side: f"{text}, {side.split()[-1]} view" for side in prompts.DIRECTIONS}


def half(a: Tensor) -> Tensor:
    """The mean of a log a, 0 at 0."""
    return (a * a.log()).nan_to_num(0).mean()


SDS = {
    "the gradient draws": (sds.SDS, "gradient", own_noise, "pure"),
    "sign": (sds.SDS, "gradient", gradient(lambda w, e, n: w * (n - e)), "value mean sign shift"),
    "plus eps": (sds.SDS, "gradient", gradient(lambda w, e, n: w * (e + n)), "value spread"),
    "minus eps forgotten": (sds.SDS, "gradient", gradient(lambda w, e, n: w * e), "value spread"),
    "w is sigma": (sds.SDS, "gradient", gradient(lambda w, e, n: w**0.5 * (e - n)), "value shift"),
    "w forgotten": (sds.SDS, "gradient", gradient(lambda w, e, n: e - n), "value mean shift"),
    "network told another t": (sds.SDS, "gradient", other_t, "one_t"),
    "through the network": (sds.SDS, "__call__", through_the_network(True), "frozen"),
    "full diffusion loss": (sds.SDS, "__call__", through_the_network(False), "frozen"),
    "one t a batch": (sds, "draw", one_t, "one_t"),
    "t not snapped": (sds, "draw", unsnapped, "one_t"),
    "t of another range": (sds, "draw", full_range, "range"),
    "one noise a batch": (sds, "fresh_noise", one_noise, "noise"),
    "global noise": (sds, "fresh_noise", lambda z, step: torch.randn_like(z), "noise"),
    "sum over the batch": (sds, "inject", lambda z, g: (z * g).sum(), "reduction"),
    "mean over pixels": (sds, "inject", lambda z, g: (z * g).mean(), "reduction"),
    "uphill": (sds, "inject", lambda z, g: -(z * g).sum() / len(z), "reduction sign frozen"),
}  # fmt: skip

TIMES = {
    "one t a batch": (times, "draw", one_t, "own_t"),
    "no groups of views": (times, "draw", no_groups, "own_t"),
    "t not snapped": (times, "draw", unsnapped, "snapped"),
    "high taken for width": (
        times.Uniform, "__call__",
        lambda self, n, step: self.low + self.high * torch.rand(n, generator=step.rng), "range",
    ),
    "w of the next entry": (
        times, "sigma_squared", lambda s, t: s.sigma((t + 1 / 999).clamp(max=1)) ** 2, "weights",
    ),
    "w = 1 - sqrt(alpha_bar)": (times, "sigma_squared", lambda s, t: 1 - s.alpha(t), "weights"),
    "alpha's root once more": (
        times, "alpha_sigma_squared", lambda s, t: s.alpha(t) ** 0.5 * s.sigma(t) ** 2, "weights",
    ),
    "sigma / alpha squared": (
        times, "noise_to_signal", lambda s, t: (s.sigma(t) / s.alpha(t)) ** 2, "more_weights",
    ),
    "the variance of alpha": (
        times, "inverse_variance", lambda s, t: s.alpha(t) ** -2, "more_weights",
    ),
    "annealed backwards": (times.Annealed, "bounds", annealed(lambda f: 1 - f**0.5), "annealing"),
    "annealed without the root": (times.Annealed, "bounds", annealed(lambda f: f), "annealing"),
}  # fmt: skip

SCORES = {
    "scale off by one": (
        scores, "cfg", swapped_cfg(lambda s: (-s, 1 + s)), "convention sds.fixed_point",
    ),
    "null and y swapped": (
        scores, "cfg", swapped_cfg(lambda s: (s, 1 - s)), "convention sds.fixed_point",
    ),
    "no guidance": (scores, "cfg", swapped_cfg(lambda s: (0, 1)), "convention sds.fixed_point"),
    "both always evaluated": (scores.Mix, "__call__", always_both, "one_evaluation"),
    "one evaluation a condition": (scores.Mix, "__call__", one_by_one, "one_evaluation"),
    "eps clamped, not x0": (scores, "clamp_x0", eps_clamped, "clamped"),
    "clamp forgotten": (scores, "clamp_x0", lambda s, z_t, t, eps, limit: eps, "clamped"),
    "the first sample's share for all": (
        scores, "per_sample", lambda x, like: x[0].reshape(1, 1, 1, 1), "own_shares",
    ),
    "negatives leave the sum": (
        scores, "composed",
        lambda prior, null, others, clamp=None: scores.Mix(prior, {null: 1.0, **others}, clamp),
        "composed convention",
    ),
}  # fmt: skip

PROMPTS = {
    "left and right swapped": (prompts, "direction", lambda az, el: direction(-az, el), "sides"),
    "left and right swapped, interpolated": (
        prompts, "AZIMUTHS", {side: -az for side, az in prompts.AZIMUTHS.items()}, "sides",
    ),
    "one side view for both": (prompts, "sided", one_side, "sides"),
    "back is front": (prompts, "direction", lambda az, el: direction(az + 180, el), "sides"),
    "overhead at 30": (prompts, "direction", lambda az, el: direction(az, 2 * el), "overhead"),
    "no overhead": (prompts, "direction", lambda az, el: direction(az, 0.0), "overhead"),
    "a whole batch untextured": (prompts.Directed, "__call__", blank_for_all, "untextured"),
    "colours if untextured": (prompts.Directed, "__call__", colours_everywhere, "untextured"),
}  # fmt: skip

REGULARIZERS = {
    "opacity without .01": (regularizers, "opacity", lambda alpha: alpha.abs().mean(), "opacity"),
    "entropy in nats": (regularizers, "entropy", lambda a: -(half(a) + half(1 - a)), "entropy"),
    "entropy of alpha alone": (
        regularizers, "entropy", lambda a: -half(a) * 1.442695, "entropy",
    ),
    "density not squared": (
        regularizers, "sparsity", lambda density: (density / 0.5).log1p().mean(), "sparsity",
    ),
}  # fmt: skip

DIFFUSION = {
    "betas linear": (on_diffusion, "scaled_linear", linear_betas, "table"),
    "sigma is the variance": (diffusion, "add_noise", as_variance, "conversions"),
    "the first t for all": (diffusion, "add_noise", first_t_for_all, "conversions"),
    "velocity's sign": (
        diffusion, "velocity",
        lambda s, z, t, n: per_sample(s.sigma(t), z) * z - per_sample(s.alpha(t), z) * n,
        "velocity",
    ),
    "v taken for eps": (diffusion, "eps_from_v", lambda s, z_t, t, v: v, "velocity"),
    "eps clamped, not x0": (diffusion, "clamp_x0", eps_clamped, "clamp"),
}  # fmt: skip

ORACLE = {
    "blind to light": (oracle.Oracle, "condition", without(light=True), "knows_the_shot"),
    "blind to background": (oracle.Oracle, "condition", without(background=True), "knows_the_shot"),
    "one camera for all": (oracle.Oracle, "condition", without(camera=True), "knows_the_shot"),
    "spread not squared": (oracle.Oracle, "eps", spread_not_squared, "exact sds.value"),
    "score for eps": (oracle.Oracle, "eps", score_not_eps, "exact sds.value"),
}  # fmt: skip

ROOMS: planted.Rooms = {
    "sds": (on_sds, SDS),
    "times": (on_times, TIMES),
    "scores": (on_scores, SCORES),
    "prompts": (on_prompts, PROMPTS),
    "regularizers": (on_regularizers, REGULARIZERS),
    "diffusion": (on_diffusion, DIFFUSION),
    "oracle": (on_oracle, ORACLE),
}
CHECKS, BUGS = planted.checks(ROOMS), planted.bugs(ROOMS)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch):
    planted.catch(name, BUGS, CHECKS, monkeypatch)


def test_every_check_has_caught_a_bug():
    assert set(CHECKS) == planted.caught(BUGS)
