"""Delta denoising score (DDS, arXiv:2304.07090): edit z by the difference of two prompts."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import add_noise, per_sample
from dreamlift.guidance.scores import Score
from dreamlift.guidance.sds import fresh_noise, inject
from dreamlift.guidance.times import Times, Uniform, Weight, draw, uniform
from dreamlift.scene import Shot
from dreamlift.step import Step


def difference(
    target: Score,
    source: Score,
    z: Float[Tensor, "b c y x"],
    original: Float[Tensor, "b c y x"],
    t: Float[Tensor, " b"],
    noise: Float[Tensor, "b c y x"],
    shot: Shot,
) -> Float[Tensor, "b c y x"]:
    """eps_target(z_t) - eps_source(original_t), both noised by the same t and eps.

    Exactly 0 where both sides are one.
    """
    schedule = target.prior.schedule
    with torch.no_grad():
        sides = ((target, z), (source, original))
        said = [score(add_noise(schedule, side, t, noise), t, shot) for score, side in sides]
    return said[0] - said[1]


@dataclass(frozen=True)
class DDS:
    """grad_z = w(t) (eps_target(z_t) - eps_source(original_t)); called with both sides."""

    target: Score  # of the prompt that is wanted
    source: Score  # of a prompt that says what `original` shows
    times: Times = Uniform(0.05, 0.95)
    weight: Weight = uniform

    def gradient(
        self,
        z: Float[Tensor, "b c y x"],
        original: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        noise: Float[Tensor, "b c y x"],
        shot: Shot,
    ) -> Float[Tensor, "b c y x"]:
        """For a given t and noise."""
        w = per_sample(self.weight(self.target.prior.schedule, t), z)
        return w * difference(self.target, self.source, z, original, t, noise, shot)

    def __call__(
        self,
        z: Float[Tensor, "b c y x"],
        original: Float[Tensor, "b c y x"],
        shot: Shot,
        step: Step,
    ) -> Float[Tensor, ""]:
        """`original`: what z was before it was edited; encoded, in the same shot."""
        t = draw(self.times, self.target.prior, z, step)
        return inject(z, self.gradient(z, original, t, fresh_noise(z, step), shot))
