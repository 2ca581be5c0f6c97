"""Bugs of VSD, its student, its particles and CLIP's losses, planted: the checks must see each.

A bug is as planted.py has it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import planted
import pytest
import test_augment as on_augment
import test_clip_guidance as on_clip
import test_crowd as on_crowd
import test_lora as on_lora
import test_particles as on_particles
import test_vsd as on_vsd
import torch
import torch.nn.functional as F
from torch import Tensor

from dreamlift.diffusion import add_noise, per_sample
from dreamlift.guidance import augment, clip, sds, times, vsd
from dreamlift.priors import lora
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes import particles
from dreamlift.step import Step, linear


def gradient(rule: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Any:
    """VSD.gradient with another rule of w, eps_hat, eps_phi and eps."""

    def wrong(self: vsd.VSD, z: Tensor, t: Tensor, noise: Tensor, shot: Shot) -> Tensor:
        schedule = self.score.prior.schedule
        with torch.no_grad():
            z_t = add_noise(schedule, z, t, noise)
            said, shown = self.score(z_t, t, shot), self.student(z_t, t, shot)
            return rule(per_sample(self.weight(schedule, t), z), said, shown, noise)

    return wrong


def other_noise(self: vsd.VSD, z: Tensor, t: Tensor, noise: Tensor, shot: Shot) -> Tensor:
    """The student is asked about the same picture under other noise."""
    schedule = self.score.prior.schedule
    with torch.no_grad():
        said = self.score(add_noise(schedule, z, t, noise), t, shot)
        shown = self.student(add_noise(schedule, z, t, -noise), t, shot)
        return per_sample(self.weight(schedule, t), z) * (said - shown)


def guided_student(self: vsd.VSD, z: Tensor, t: Tensor, noise: Tensor, shot: Shot) -> Tensor:
    """Guidance applied to the student too, as if its null prediction were 0."""
    schedule = self.score.prior.schedule
    with torch.no_grad():
        z_t = add_noise(schedule, z, t, noise)
        said, shown = self.score(z_t, t, shot), 7.5 * self.student(z_t, t, shot)
        return per_sample(self.weight(schedule, t), z) * (said - shown)


def through_the_student(self: vsd.VSD, z: Tensor, shot: Shot, step: Step) -> Tensor:
    schedule = self.score.prior.schedule
    t = times.draw(self.times, self.score.prior, z, step)
    z_t = add_noise(schedule, z, t, sds.fresh_noise(z, step))
    grad = per_sample(self.weight(schedule, t), z) * (
        self.score(z_t, t, shot) - self.student(z_t, t, shot)
    )
    return (z * grad).sum() / len(z)


def study(*, detach: bool = True, own: bool = True, low: float = 0.0, one: bool = False) -> Any:
    """Study.__call__ that leaks, draws what the pull will draw, or draws too little."""

    def wrong(self: vsd.Study, z: Tensor, shot: Shot, step: Step) -> Tensor:
        z = z.detach() if detach else z
        state = step.rng.get_state()
        t = times.draw(times.Uniform(low, 1.0), self.student.prior, z, step)
        noise = sds.fresh_noise(z, step)
        if not own:
            step.rng.set_state(state)
        return self.student.loss(z, t[:1].expand_as(t) if one else t, noise, shot, step.rng)

    return wrong


VSD = {
    "sign": (vsd.VSD, "gradient", gradient(lambda w, e, s, n: w * (s - e)), "value start"),
    "eps for the student": (
        vsd.VSD, "gradient", gradient(lambda w, e, s, n: w * (e - n)),
        "value perfect start shift spread crowd.coverage",
    ),
    "w forgotten": (vsd.VSD, "gradient", gradient(lambda w, e, s, n: e - s),
                    "value one_picture start"),
    "student under other noise": (vsd.VSD, "gradient", other_noise, "value perfect one_z_t"),
    "student guided": (vsd.VSD, "gradient", guided_student, "value perfect start one_picture"),
    "through the student": (vsd.VSD, "__call__", through_the_student, "frozen"),
    "t of another range": (
        vsd, "draw", lambda kind, prior, z, step: times.draw(times.Uniform(), prior, z, step),
        "one_z_t",
    ),
    "student's gradient leaks": (vsd.Study, "__call__", study(detach=False), "study"),
    "student learns at the scene's t": (vsd.Study, "__call__", study(own=False), "own_draws"),
    "student learns where the scene does": (vsd.Study, "__call__", study(low=0.5), "own_draws"),
    "student learns at one t a batch": (vsd.Study, "__call__", study(one=True), "own_draws"),
}  # fmt: skip


def merged(self: lora.LowRank, x: Tensor) -> Tensor:
    """B A is added to the weights that the teacher uses."""
    with torch.no_grad():
        up, down = (f.flatten(1) for f in (self.factors.up, self.factors.down))
        self.layer.weight += 0.1 * (up @ down).reshape(self.layer.weight.shape)
    return FORWARD(self, x)


def random_up(self: lora.Factors, layer: Any, rank: int, rng: torch.Generator) -> None:
    FACTORS(self, layer, rank, rng)
    with torch.no_grad():
        self.up += 0.1


FACTORS = lora.Factors.__init__


def twice(self: lora.LowRank, x: Tensor) -> Tensor:
    return self.layer(x) + 2 * (FORWARD(self, x) - self.layer(x))


FORWARD = lora.LowRank.forward


def loss(*, v: bool = True, drop: float | None = None, identity: bool = False) -> Any:
    """Student.loss with eps for its target, cameras always told, or the identity for zeros."""

    def wrong(
        self: lora.Student, z: Tensor, t: Tensor, noise: Tensor, shot: Shot, rng: torch.Generator
    ) -> Tensor:
        schedule = self.prior.schedule
        velocity = per_sample(schedule.alpha(t), z) * noise - per_sample(schedule.sigma(t), z) * z
        wanted = velocity if v and prediction(self) == "v_prediction" else noise
        kept = torch.rand(len(z), 1, generator=rng) >= (self.dropout if drop is None else drop)
        hidden = torch.eye(4).flatten() if identity else torch.zeros(16)
        pose = torch.where(kept, lora.pose_numbers(shot.cameras), hidden)
        predict: Any = getattr(self, "_predict")  # noqa: B009
        return F.mse_loss(predict(add_noise(schedule, z, t, noise), t, shot, pose), wanted)

    return wrong


def prediction(pupil: lora.Student) -> str:
    return on_lora.prior_of(pupil).prediction


def wrong_way(cameras: Any) -> Tensor:
    return cameras.world_to_camera.flatten(1)


def blind(self: lora.TimeAndPose, sample: Tensor, condition: Tensor) -> Tensor:
    return self.time(sample)


LORA = {
    "the teacher is changed": (lora.LowRank, "forward", merged, "teacher"),
    "starts elsewhere": (lora.Factors, "__init__", random_up, "start"),
    "added twice": (lora.LowRank, "forward", twice, "low_rank"),
    "eps for v": (lora.Student, "loss", loss(v=False), "loss"),
    "cameras always told": (lora.Student, "loss", loss(drop=0.0), "dropout"),
    "the identity for no camera": (lora.Student, "loss", loss(identity=True), "dropout"),
    "world to camera": (lora, "pose_numbers", wrong_way, "dropout"),
    "blind to the camera": (lora.TimeAndPose, "forward", blind, "pose learns"),
    "owns the teacher": (
        lora.Student, "state_dict",
        lambda self: dict(self.named_parameters()) | self.prior.network.state_dict(), "owns",
    ),
}  # fmt: skip


def by_index(self: Any, step: Step, view: Any, optimizer: Any) -> None:
    for part in view.aux:
        self[part.particle].adapt(step, part.view, optimizer)


def interleaved(self: Any, shot: Shot, *, rng: Any = None) -> Any:
    """Who sees which views is mixed up; lights stay where they were."""
    if self.who == "one":
        part = particles.Part(0, self[0].render(shot, rng=rng))
        return Rendering(part.view.color, part.view.alpha, (part,))
    n = len(self)
    views = [
        particles.Part(k, self[k].render(Shot(shot.cameras[k::n], None, None))) for k in range(n)
    ]
    color = torch.stack([part.view.color for part in views], 1).flatten(0, 1)
    return Rendering(color, torch.ones_like(color[..., :1]), tuple(views))


def everyone(self: Any, shot: Shot, *, rng: Any = None) -> Any:
    """One is shown, all are in the graph."""
    view = RENDER(self, shot, rng=rng)
    unseen = sum(p.sum() * 0 for p in self.parameters())
    return Rendering(view.color + unseen, view.alpha, view.aux, view.depth, view.normal)


RENDER = particles.Particles.render

PARTICLES = {
    "the run's clock": (particles.Particles, "adapt", by_index, "clocks"),
    "always the first, or interleaved": (particles.Particles, "render", interleaved, "one all"),
    "all get a gradient": (particles.Particles, "render", everyone, "only_who_was_seen"),
}


def aligned(rule: Callable[[Tensor, Tensor], Tensor], *, copies: bool = True) -> Any:
    """Alignment.__call__ with another likeness, or targets dealt round."""

    def wrong(self: clip.Alignment, x: Tensor, shot: Shot, step: Step) -> Tensor:
        seen, n = self.aligner.embed_image(x), len(x) // len(shot)
        terms = [
            w * rule(seen, k(shot).repeat_interleave(n, 0) if copies else k(shot).repeat(n, 1))
            for k, w in self.targets.items()
        ]
        return -torch.stack(terms).sum()

    return wrong


def coloured(self: clip.Sides, shot: Shot) -> Tensor:
    """Sides.__call__ that tells textureless pictures as all others."""
    return SIDES(self, replace(shot, light=None))


def passes(rule: Callable[[Tensor, Tensor], Tensor]) -> Any:
    """Transmittance.__call__ with another rule of what passes and tau."""

    def wrong(self: clip.Transmittance, alpha: Tensor, shot: Shot, step: Step) -> Tensor:
        clear = (1 - alpha).mean((1, 2, 3))
        return -self.weight * rule(clear, self.target(shot.cameras, step))

    return wrong


def target(rule: Callable[[clip.Transmittance, float, Tensor], Tensor]) -> Any:
    """Transmittance.target with another rule of progress and the half-height of a view."""

    def wrong(self: clip.Transmittance, cameras: Any, step: Step) -> Tensor:
        half = cameras.distance * cameras.height / (2 * cameras.K[:, 1, 1])
        return rule(self, step.index / self.steps, half / 1.25)

    return wrong


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return F.cosine_similarity(a, b, dim=-1).mean()


def always(self: clip.Consistency, x: Tensor, shot: Shot, step: Step) -> Tensor:
    return CONSISTENCY(self, x, shot, Step(0, 1, step.rng))


def uphill(self: clip.Consistency, x: Tensor, shot: Shot, step: Step) -> Tensor:
    return -CONSISTENCY(self, x, shot, step)


CONSISTENCY, SIDES = clip.Consistency.__call__, clip.Sides.__call__

CLIP = {
    "sign": (clip.Alignment, "__call__", aligned(lambda a, b: -cosine(a, b)), "value downhill"),
    "inner products": (
        clip.Alignment, "__call__", aligned(lambda a, b: (a * b).sum(-1).mean()), "value angles",
    ),
    "summed over the batch": (
        clip.Alignment, "__call__", aligned(lambda a, b: len(a) * cosine(a, b)), "value sides",
    ),
    "colours of what shows none": (clip.Sides, "__call__", coloured, "textureless"),
    "copies dealt round": (clip.Alignment, "__call__", aligned(cosine, copies=False), "sides"),
    "never clear enough": (
        clip.Transmittance, "__call__", passes(lambda p, tau: p.mean()), "transmittance",
    ),
    "clear enough on average": (
        clip.Transmittance, "__call__", passes(lambda p, tau: torch.minimum(p.mean(), tau[0])),
        "transmittance",
    ),
    "more than clear": (
        clip.Transmittance, "__call__", passes(lambda p, tau: torch.maximum(p, tau).mean()),
        "transmittance",
    ),
    "tau on a line": (
        clip.Transmittance, "target",
        target(lambda s, f, h: 1 - linear(f, s.start, s.end) / h**2), "schedule",
    ),
    "tau anneals forever": (
        clip.Transmittance, "target",
        target(lambda s, f, h: 1 - s.start * (s.end / s.start) ** f / h**2), "schedule",
    ),
    "tau blind to the lens": (
        clip.Transmittance, "target", target(lambda s, f, h: 1 - s.start + 0 * h), "lens",
    ),
    "the share of the width": (
        clip.Transmittance, "target", target(lambda s, f, h: 1 - (s.start / h).clamp(max=1)),
        "lens",
    ),
    "every step": (clip.Consistency, "__call__", always, "photographs"),
    "away from the photographs": (
        clip.Consistency, "__call__", uphill, "photographs same_picture",
    ),
}  # fmt: skip

AUGMENT = {
    "one window for all": (
        augment, "windows", lambda x, side, g: x[:, 1 : side + 1, :side], "windows",
    ),
    "the last place left out": (
        augment, "windows", lambda x, side, g: WINDOWS(x[:, :-1, :-1], side, g), "windows",
    ),
    "blur of twice the width": (augment, "blurred", lambda x, std: BLURRED(x, 2 * std), "blur"),
    "the background shows through": (
        augment, "augmented", lambda v, g, **k: AUGMENTED(
            Rendering(v.color, 0.5 * v.alpha, None), g, copies=k["copies"], side=k["side"]),
        "composite",
    ),
    "noise alone": (augment, "backgrounds", augment.noise, "kinds"),
    "stripes": (
        augment, "checkerboard", lambda n, s, g: CHECKERBOARD(n, s, g)[:, :1].expand(n, s, s, 3),
        "checkerboard",
    ),
    "white noise for clouds": (
        augment, "clouds", lambda n, s, g: augment.noise(n, s, g).clamp(1e-3, 1 - 1e-3), "clouds",
    ),
}  # fmt: skip
WINDOWS, BLURRED, AUGMENTED = augment.windows, augment.blurred, augment.augmented
CHECKERBOARD = augment.checkerboard

ROOMS: planted.Rooms = {
    "vsd": (on_vsd, VSD),
    "crowd": (on_crowd, {}),
    "particles": (on_particles, PARTICLES),
    "clip": (on_clip, CLIP),
    "augment": (on_augment, AUGMENT),
    "lora": (on_lora, LORA),
}
CHECKS, BUGS = planted.checks(ROOMS), planted.bugs(ROOMS)
THROUGH_DIFFUSERS = pytest.mark.weights


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=THROUGH_DIFFUSERS if name.startswith("lora") else ())
        for name in BUGS
    ],
)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch):
    planted.catch(name, BUGS, CHECKS, monkeypatch)


def test_every_check_has_caught_a_bug():
    assert set(CHECKS) == planted.caught(BUGS)
