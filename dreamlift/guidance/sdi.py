"""Score distillation via inversion (SDI, arXiv:2405.15891).

SDS is DDIM in the space of clean samples, with fresh noise where DDIM has the noise that its
sample came from. SDI infers that noise, kappa, by walking z up; the rest is SDS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import eps_from_x0, per_sample
from dreamlift.guidance import courses
from dreamlift.guidance.scores import Score
from dreamlift.guidance.sds import SDS, fresh_noise, inject
from dreamlift.guidance.times import Times, Uniform, Weight, draw, noise_to_signal
from dreamlift.guidance.walk import walk
from dreamlift.scene import Shot
from dreamlift.schedules import added_variance
from dreamlift.step import Step


@dataclass(frozen=True)
class SDI:
    """grad_z = z - z_hat(alpha_t z + sigma_t kappa), kappa inferred from z.

    In our convention of guidance the paper's scale of 7.5 is 8.5, and the -7.5 of its inversion
    -6.5.
    """

    score: Score
    inversion: Score  # what z is walked up with
    times: Times = courses.SDI
    weight: Weight = noise_to_signal
    steps: int = 10  # from t = 0 to t = 1
    eta: float = 0.3  # of the noise that each step up adds, as a share of DDPM's

    def levels(
        self, t: Float[Tensor, " b"], beyond: Float[Tensor, " b"]
    ) -> list[Float[Tensor, " b"]]:
        """Those below t, evenly spaced from 0, and t + beyond; all snapped."""
        snap = self.score.prior.schedule.snap
        last = (t * self.steps - 1e-6).ceil() - 1
        below = [last.clamp(0, i) / self.steps for i in range(int(last.max()) + 1)]
        return [snap(level) for level in [*below, (t + beyond).clamp_max(1)]]

    def infer(
        self,
        z: Float[Tensor, "b c y x"],
        levels: Sequence[Float[Tensor, " b"]],
        noises: Sequence[Float[Tensor, "b c y x"]],
        shot: Shot,
    ) -> Float[Tensor, "b c y x"]:
        """kappa, with which z would have been found at the last level; a noise for each step."""
        schedule = self.score.prior.schedule
        jolts: list[Tensor] = []
        for t, s, noise in zip(levels, levels[1:], noises, strict=False):
            fresh = added_variance(schedule, t, s).sqrt()  # here s is above t
            std = schedule.sigma(t) / schedule.sigma(s).clamp_min(1e-12) * fresh
            jolts.append(self.eta * per_sample(std, z) * noise)
        with torch.no_grad():
            z_t = walk(self.inversion, z, levels, shot, jolts=jolts)
            return eps_from_x0(schedule, z_t, levels[-1], z)

    def gradient(
        self,
        z: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        kappa: Float[Tensor, "b c y x"],
        shot: Shot,
    ) -> Float[Tensor, "b c y x"]:
        """SDS's gradient, with kappa for its noise."""
        return SDS(self.score, weight=self.weight).gradient(z, t, kappa, shot)

    def __call__(self, z: Float[Tensor, "b c y x"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        prior = self.score.prior
        t = draw(self.times, prior, z, step)
        beyond = draw(Uniform(0.0, 1 / self.steps), prior, z, step)
        levels = self.levels(t, beyond)
        noises = [fresh_noise(z, step) for _ in levels[1:]]
        return inject(z, self.gradient(z, t, self.infer(z, levels, noises, shot), shot))
