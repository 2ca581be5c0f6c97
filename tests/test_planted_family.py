"""Bugs planted in the relatives of SDS, as in test_planted_bugs.py; peers had many of them."""

from collections.abc import Callable
from typing import Any

import planted
import pytest
import test_csd as on_csd
import test_family as on_family
import test_ism as on_ism
import test_nfsd as on_nfsd
import test_reconstruct_guidance as on_reconstruct
import test_sdi as on_sdi
import test_sjc as on_sjc
import test_two_sided as on_two_sided
import torch
from torch import Tensor

from dreamlift.diffusion import add_noise, ddim_step, eps_from_x0, per_sample
from dreamlift.guidance import (
    csd,
    dds,
    hifa,
    ism,
    nfsd,
    pds,
    reconstruct,
    scores,
    sdi,
    sds,
    sjc,
    times,
    walk,
)
from dreamlift.guidance.scores import Mix
from dreamlift.guidance.sds import SDS
from dreamlift.scene import Shot
from dreamlift.step import Step


def rescored(make: Callable[[sds.SDS], sds.SDS], right: Callable[..., sds.SDS]) -> Any:
    """A constructor whose result is changed."""
    return lambda *args, **options: make(right(*args, **options))


def terms(weigh: Callable[[float], tuple[float, float, float]]) -> Any:
    """CSD.at with other weights of (y, null, negative), given the share of the negative."""

    def wrong(self: csd.CSD, progress: float) -> SDS:
        share = csd.linear(progress / self.until, *self.shares)
        of_y, of_null, of_negative = weigh(share)
        told = {self.y: of_y, self.null: of_null}
        if self.negative is not None:
            told[self.negative] = of_negative
        return SDS(Mix(self.prior, told), self.times, self.weight, control=0.0)

    return wrong


def never_annealed(self: csd.CSD, z: Tensor, shot: Shot, step: Step) -> Tensor:
    """The schedule is made, and another number read (as implicit_volume.py's blob)."""
    return self.at(0.0)(z, shot, step)


def noises(*, one_side: bool = False, of_batch: bool = False, swapped: bool = False) -> Any:
    """The two-sided difference with the noise of one side, or the prompts, mistaken."""
    right = dds.difference

    def wrong(target: Any, source: Any, z: Tensor, original: Tensor, *rest: Any) -> Tensor:
        t, noise, shot = rest
        if swapped:
            return right(source, target, z, original, t, noise, shot)
        schedule = target.prior.schedule
        other = noise.flip(-1) if one_side else noise[:1].expand_as(noise)
        sides = ((target, z, noise), (source, original, other))
        with torch.no_grad():
            a, b = (s(add_noise(schedule, x, t, n), t, shot) for s, x, n in sides)
        return a - b

    return wrong


def coefficients(change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Any:
    right = pds.PDS.coefficients

    def wrong(self: pds.PDS, schedule: Any, t: Tensor) -> tuple[Tensor, Tensor]:
        return change(*right(self, schedule, t))

    return wrong


def always_consistent(self: pds.PDS, schedule: Any, t: Tensor) -> tuple[Tensor, Tensor]:
    """beta "corrected" to that of the stride: the pull to the original is gone."""
    right = pds.PDS(self.target, self.source, stride=self.stride, consistent=True)
    return PDS_COEFFICIENTS(right, schedule, t)


PDS_COEFFICIENTS = pds.PDS.coefficients


def interval(rule: Callable[..., Tensor]) -> Any:
    """ISM.gradient with another rule of the two predictions, their times and z."""

    def wrong(self: ism.ISM, z: Tensor, t: Tensor, s: Tensor, shot: Shot) -> Tensor:
        schedule = self.score.prior.schedule
        with torch.no_grad():
            n = max(ism.math.ceil(float(s.max()) / self.stride - 1e-6), 1)
            levels = [schedule.snap((i * self.stride * torch.ones_like(s)).minimum(s))
                      for i in range(n)]  # fmt: skip
            z_s = walk.walk(self.inversion, z, [*levels, s], shot)
            eps_s = self.inversion(z_s, s, shot)
            z_t = ddim_step(schedule, z_s, s, t, eps_s)
            return rule(self, schedule, z, z_t, t, s, eps_s, shot)

    return wrong


def ism_weight_of_s(self: Any, schedule: Any, z: Any, z_t: Any, t: Any, s: Any, e: Any,
                    shot: Any) -> Tensor:  # fmt: skip
    return per_sample(self.weight(schedule, s), z) * (self.score(z_t, t, shot) - e)


def ism_same_time(self: Any, schedule: Any, z: Any, z_t: Any, t: Any, s: Any, e: Any,
                  shot: Any) -> Tensor:  # fmt: skip
    """What is subtracted is the null prompt at t: CSD, in effect."""
    w = per_sample(self.weight(schedule, t), z)
    return w * (self.score(z_t, t, shot) - self.inversion(z_t, t, shot))


def ism_noised(self: Any, schedule: Any, z: Any, z_t: Any, t: Any, s: Any, e: Any,
               shot: Any) -> Tensor:  # fmt: skip
    """z_t is z noised afresh, not walked to."""
    z_t = add_noise(schedule, z, t, torch.ones_like(z))
    return per_sample(self.weight(schedule, t), z) * (self.score(z_t, t, shot) - e)


def prompted_walk(self: ism.ISM, z: Tensor, t: Tensor, s: Tensor, shot: Shot) -> Tensor:
    return ISM_GRADIENT(ism.ISM(self.score, self.score, weight=self.weight), z, t, s, shot)


ISM_GRADIENT = ism.ISM.gradient


def still_interval(self: ism.ISM, z: Tensor, shot: Shot, step: Step) -> Tensor:
    t = times.draw(self.times, self.score.prior, z, step)
    return sds.inject(z, self.gradient(z, t, t - self.interval[1], shot))


def levels_through_t(self: sdi.SDI, t: Tensor, beyond: Tensor) -> list[Tensor]:
    """The same levels for all samples, those above a t among them."""
    below = [torch.full_like(t, i / self.steps) for i in range(self.steps)]
    return [*below, (t + beyond).clamp_max(1)]


def down(score: Any, z: Tensor, levels: Any, shot: Shot, *, jolts: Any = ()) -> Tensor:
    """Walks with the first level's prediction only."""
    eps = score(z, levels[0], shot)
    return ddim_step(score.prior.schedule, z, levels[0], levels[-1], eps)


def by_t(schedule: Any, z_t: Tensor, t: Tensor, x0: Tensor) -> Tensor:
    """kappa is taken at a level a step lower than where the walk ended."""
    return eps_from_x0(schedule, z_t, t - 0.05, x0)


def from_noise(
    self: reconstruct.Reconstruct, z: Tensor, t: Tensor, noise: Tensor, shot: Shot
) -> Tensor:
    """Every sample in steps of the first sample's t."""
    return TARGET(self, z, t[:1].expand_as(t), noise, shot)


TARGET = reconstruct.Reconstruct.target


def halfway(
    self: reconstruct.Reconstruct, z: Tensor, t: Tensor, noise: Tensor, shot: Shot
) -> Tensor:
    """Not the last guess, but the last noisy sample."""
    schedule = self.score.prior.schedule
    levels = [schedule.snap(t * (1 - i / self.steps)) for i in range(self.steps)]
    return walk.walk(self.score, add_noise(schedule, z, t, noise), levels, shot)


def decoding(
    self: hifa.HiFA, z: Tensor, shot: Shot, step: Step, *, x: Tensor | None = None
) -> Tensor:
    """Decodes whether its weight is 0 or not, as a peer does at every step."""
    x = self.latent.score.prior.decode(z) if x is None else x
    t = times.draw(self.latent.times, self.latent.score.prior, z, step)
    of_z, of_x = self.gradients(z, x, t, sds.fresh_noise(z, step), shot)
    return sds.inject(z, of_z) + sds.inject(x, of_x)


def of_z_only(self: hifa.HiFA, z: Tensor, x: Tensor, t: Tensor, noise: Tensor, shot: Shot) -> Any:
    """The pictures' weight forgotten."""
    of_z, of_x = GRADIENTS(self, z, x, t, noise, shot)
    return of_z, of_x / self.rgb


GRADIENTS = hifa.HiFA.gradients


def shifted(kind: str) -> Any:
    """SDS.gradient, mistaken for all that use it."""
    right = sds.SDS.gradient

    def wrong(self: SDS, z: Tensor, t: Tensor, noise: Tensor, shot: Shot) -> Tensor:
        if kind == "control":
            return right(SDS(self.score, self.times, self.weight), z, t, noise, shot)
        if kind == "sigma of the first":
            return right(self, z, t[:1].expand_as(t), noise, shot)
        if kind == "twice":
            right(self, z, t, noise, shot)
        return right(self, z, t, noise, shot)

    return wrong


def with_gradient(self: Mix, z_t: Tensor, t: Tensor, shot: Shot) -> Tensor:
    """The network's parameters are reached."""
    with torch.enable_grad():
        self.prior.eps(z_t, t, *(told(shot) for told in self.weights))[0].sum().backward()
    return MIX(self, z_t, t, shot)


MIX = scores.Mix.__call__

FAMILY = {
    "control forgotten": (sds.SDS, "gradient", shifted("control"), "noise csd.value"),
    "sigma of the first sample": (sds.SDS, "gradient", shifted("sigma of the first"), "noise"),
    "sigma without a view": (
        sds, "per_sample", lambda x, like: x.reshape(1, -1, 1, 1), "alone noise",
    ),
    "asked twice": (sds.SDS, "gradient", shifted("twice"), "batched"),
    "the network is reached": (scores.Mix, "__call__", with_gradient, "frozen"),
    "scale off by one": (
        scores, "composed",
        lambda prior, null, others, clamp=None: Mix(
            prior, {null: -sum(others.values()), **{y: s + 1 for y, s in others.items()}}, clamp
        ),
        "fixed_points",
    ),
    "original is forgotten": (
        dds, "difference", lambda target, source, z, original, t, noise, shot: (
            target(add_noise(target.prior.schedule, z, t, noise), t, shot)
        ), "shift fixed_points noise",
    ),
}  # fmt: skip

SJC = {
    "w is sigma^2": (
        sjc, "sjc", rescored(lambda g: SDS(g.score, g.times, control=g.control), sjc.sjc),
        "perturb_and_average family.shift",
    ),
    "never reduced": (
        sjc, "sjc", rescored(lambda g: SDS(g.score, g.times, g.weight, 0.0), sjc.sjc),
        "perturb_and_average",
    ),
    "cut from the wrong end": (
        sjc, "sjc", rescored(
            lambda g: SDS(g.score, times.Uniform(30 / 999, 989 / 999), g.weight, g.control), sjc.sjc
        ), "entries",
    ),
}  # fmt: skip

CSD = {
    "plus null": (csd.CSD, "at", terms(lambda c: (1, 1 - c, -c)), "value shares family.shift"),
    "y and null swapped": (csd.CSD, "at", terms(lambda c: (c - 1, 1.0, -c)), "value shares"),
    "negative beside null": (csd.CSD, "at", terms(lambda c: (1, -1, -c)), "shares"),
    "never annealed": (csd.CSD, "__call__", never_annealed, "clock"),
}

NFSD = {
    "switched at 199": (nfsd, "SMALL", 0.1985, "switch evaluations"),
    "never switched": (nfsd, "SMALL", 2.0, "switch evaluations family.shift"),
    "always switched": (nfsd, "SMALL", -1.0, "switch noise"),
    "one switch a batch": (
        nfsd, "noisy", lambda t, shot: -(t.max() >= 0.2).to(t).expand_as(t), "switch",
    ),
    "bad prompt added": (nfsd, "noisy", lambda t, shot: (t >= 0.2).to(t), "switch family.shift"),
    "eps still subtracted": (
        nfsd, "nfsd", rescored(lambda g: SDS(g.score, g.times, g.weight), nfsd.nfsd),
        "noise family.noise",
    ),
}  # fmt: skip

ISM = {
    "w of s": (ism.ISM, "gradient", interval(ism_weight_of_s), "weight exact"),
    "null at t": (ism.ISM, "gradient", interval(ism_same_time), "golden what_is_asked"),
    "noised afresh": (ism.ISM, "gradient", interval(ism_noised), "golden exact"),
    "walked up with the prompt": (ism.ISM, "gradient", prompted_walk, "what_is_asked"),
    "walked in one step": (ism, "walk", down, "golden what_is_asked"),
    "one interval": (ism.ISM, "__call__", still_interval, "interval"),
}

SDI = {
    "one prediction for the walk": (sdi, "walk", down, "exact jolts"),
    "levels above t": (sdi.SDI, "levels", levels_through_t, "levels"),
    "noise of another level": (sdi, "eps_from_x0", by_t, "exact rest"),
    "fresh noise for kappa": (
        sdi.SDI, "infer", lambda self, z, levels, noises, shot: torch.ones_like(z), "exact rest",
    ),
    "the walk's prompt": (
        sdi.SDI, "gradient",
        lambda self, z, t, kappa, shot: SDS(self.inversion).gradient(z, t, kappa, shot),
        "kappa_is_the_noise",
    ),
}  # fmt: skip

RECONSTRUCT = {
    "one t for all": (reconstruct.Reconstruct, "target", from_noise, "one_step many_steps"),
    "the last noisy sample": (reconstruct.Reconstruct, "target", halfway, "one_step many_steps"),
    "w forgotten": (
        reconstruct.Reconstruct, "gradient",
        lambda self, z, t, noise, shot: z - self.target(z, t, noise, shot), "weighted",
    ),
    "always decoded": (hifa.HiFA, "__call__", decoding, "decodes_only_where_asked"),
    "pictures at full weight": (hifa.HiFA, "gradients", of_z_only, "two_spaces"),
}  # fmt: skip

TWO_SIDED = {
    "noise of their own": (dds, "difference", noises(one_side=True), "nothing_to_edit value"),
    "noise of their own, pds": (
        pds, "difference", noises(one_side=True), "nothing_to_edit posterior shared_noise",
    ),
    "prompts swapped": (dds, "difference", noises(swapped=True), "value shared_noise"),
    "beta of the stride": (
        pds.PDS, "coefficients", always_consistent, "golden posterior fixed_point",
    ),
    "coefficients swapped": (
        pds.PDS, "coefficients", coefficients(lambda psi, chi: (chi, psi)), "golden posterior",
    ),
    "only dds": (
        pds.PDS, "coefficients", coefficients(lambda psi, chi: (0 * psi, chi)), "golden posterior",
    ),
}  # fmt: skip

ROOMS: planted.Rooms = {
    "family": (on_family, FAMILY),
    "sjc": (on_sjc, SJC),
    "csd": (on_csd, CSD),
    "nfsd": (on_nfsd, NFSD),
    "ism": (on_ism, ISM),
    "sdi": (on_sdi, SDI),
    "reconstruct": (on_reconstruct, RECONSTRUCT),
    "two_sided": (on_two_sided, TWO_SIDED),
}
CHECKS, BUGS = planted.checks(ROOMS), planted.bugs(ROOMS)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch):
    planted.catch(name, BUGS, CHECKS, monkeypatch)


def test_every_check_has_caught_a_bug():
    assert set(CHECKS) == planted.caught(BUGS)
