"""The whole gradient of the diffusion loss, through the network: what SDS leaves a factor out of.

DreamFusion (arXiv:2209.14988, Eq. 2): grad_z L = w(t) (eps_hat - eps) d eps_hat / d z_t  alpha_t,
and minus nothing for eps, which does not depend on z. SDS omits the Jacobian d eps_hat / d z_t,
which is costly and, where there is little noise, trained poorly (Sec. 3).
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import add_noise
from dreamlift.guidance.scores import Score
from dreamlift.guidance.sds import fresh_noise
from dreamlift.guidance.times import Times, Uniform, Weight, draw, uniform
from dreamlift.scene import Shot
from dreamlift.step import Step


@dataclass(frozen=True)
class Jacobian:
    """w(t) / 2 |eps_hat(z_t; y, t) - eps|^2, summed over pixels, a mean over samples (Eq. 1)."""

    score: Score
    times: Times = Uniform()
    weight: Weight = uniform

    def loss(
        self,
        z: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        noise: Float[Tensor, "b c y x"],
        shot: Shot,
    ) -> Float[Tensor, ""]:
        """For a given t and noise; differentiable in z, through the prior's network."""
        schedule = self.score.prior.schedule
        eps = self.score(add_noise(schedule, z, t, noise), t, shot)
        each = (eps - noise).square().flatten(1).sum(1)
        return 0.5 * (self.weight(schedule, t) * each).mean()

    def __call__(self, z: Float[Tensor, "b c y x"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        t = draw(self.times, self.score.prior, z, step)
        return self.loss(z, t, fresh_noise(z, step), shot)
