"""Interval score matching (ISM, LucidDreamer, arXiv:2311.11284)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import ddim_step, per_sample
from dreamlift.guidance.courses import LUCID_DREAMER
from dreamlift.guidance.scores import Score
from dreamlift.guidance.sds import inject
from dreamlift.guidance.times import Times, Weight, draw, noise_to_signal
from dreamlift.guidance.walk import walk
from dreamlift.scene import Shot
from dreamlift.step import Step, linear


@dataclass(frozen=True)
class ISM:
    """grad_z = w(t) (eps_hat(z_t; y, t) - eps_null(z_s; s)), and no noise is drawn.

    z_s is z walked up to s by DDIM, in strides, and z_t one step further. Each z therefore has one
    z_t, and what is subtracted is what the prior itself says of z a little earlier.
    """

    score: Score
    inversion: Score  # what z is walked up with: the null prompt, unguided
    times: Times = LUCID_DREAMER
    weight: Weight = noise_to_signal
    interval: tuple[float, float] = (0.1, 0.08)  # t - s at the start and from progress `until` on
    until: float = 0.3
    stride: float = 0.2  # of the walk up to s

    def gradient(
        self,
        z: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        s: Float[Tensor, " b"],
        shot: Shot,
    ) -> Float[Tensor, "b c y x"]:
        """For a given t and s < t, both snapped."""
        schedule = self.score.prior.schedule
        steps = max(math.ceil(float(s.max()) / self.stride - 1e-6), 1)
        levels = [schedule.snap((i * self.stride * torch.ones_like(s)).minimum(s))
                  for i in range(steps)]  # fmt: skip
        with torch.no_grad():
            z_s = walk(self.inversion, z, [*levels, s], shot)
            eps_s = self.inversion(z_s, s, shot)
            eps_t = self.score(ddim_step(schedule, z_s, s, t, eps_s), t, shot)
            return per_sample(self.weight(schedule, t), z) * (eps_t - eps_s)

    def __call__(self, z: Float[Tensor, "b c y x"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        t = draw(self.times, self.score.prior, z, step)
        interval = linear(step.progress / self.until, *self.interval)
        s = self.score.prior.schedule.snap((t - interval).clamp_min(0))
        return inject(z, self.gradient(z, t, s, shot))
