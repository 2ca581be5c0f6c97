"""Toward a reconstruction: noise z, denoise it in several steps, and take that as the target.

SDEdit (arXiv:2108.01073) as a teacher: HiFA's targets, DreamGaussian's refinement of textures,
Instruct-NeRF2NeRF's edited pictures. With one step it is SDS.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import add_noise, per_sample, x0_from_eps
from dreamlift.geometry.squares import resize
from dreamlift.guidance.scores import Score
from dreamlift.guidance.sds import fresh_noise, inject
from dreamlift.guidance.times import Times, Uniform, Weight, draw, uniform
from dreamlift.guidance.walk import walk
from dreamlift.scene import Shot
from dreamlift.step import Step


@torch.no_grad()
def denoised(
    score: Score, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot, *, steps: int
) -> Float[Tensor, "b c y x"]:
    """What DDIM makes of z_t in `steps` steps: down evenly spaced levels, and of the last the
    clean sample that is guessed."""
    schedule = score.prior.schedule
    levels = [schedule.snap(t * (1 - i / steps)) for i in range(steps)]
    z_t = walk(score, z_t, levels, shot)
    return x0_from_eps(schedule, z_t, levels[-1], score(z_t, levels[-1], shot))


@dataclass(frozen=True)
class Reconstruct:
    """grad_z = w(t) (z - z_hat), z_hat what DDIM makes of z_t in `steps` steps.

    For one step z - z_hat = (sigma / alpha) (eps_hat - eps), SDS with w = sigma / alpha.
    """

    score: Score
    steps: int = 4
    times: Times = Uniform()
    weight: Weight = uniform

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"A reconstruction takes at least 1 step; {self.steps} were asked.")

    def target(
        self,
        z: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        noise: Float[Tensor, "b c y x"],
        shot: Shot,
    ) -> Float[Tensor, "b c y x"]:
        """z_hat, for a given t and noise."""
        with torch.no_grad():
            z_t = add_noise(self.score.prior.schedule, z, t, noise)
        return denoised(self.score, z_t, t, shot, steps=self.steps)

    def gradient(
        self,
        z: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        noise: Float[Tensor, "b c y x"],
        shot: Shot,
    ) -> Float[Tensor, "b c y x"]:
        """For a given t and noise."""
        w = per_sample(self.weight(self.score.prior.schedule, t), z)
        return w * (z.detach() - self.target(z, t, noise, shot))

    def redrawn(self, x: Float[Tensor, "b h w 3"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        """1/2 |x - x_hat|^2 of pictures at the prior's size, in the mean over b; x_hat, in [0, 1],
        is what z_hat decodes to: DreamGaussian's refinement."""
        prior = self.score.prior
        with torch.no_grad():
            z = prior.encode(x)
            t = draw(self.times, prior, z, step)
            wanted = prior.decode(self.target(z, t, fresh_noise(z, step), shot)).clamp(0, 1)
        seen = resize(x.permute(0, 3, 1, 2), wanted.shape[1]).permute(0, 2, 3, 1)
        return 0.5 * (seen - wanted).square().sum() / len(x)

    def __call__(self, z: Float[Tensor, "b c y x"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        t = draw(self.times, self.score.prior, z, step)
        return inject(z, self.gradient(z, t, fresh_noise(z, step), shot))
