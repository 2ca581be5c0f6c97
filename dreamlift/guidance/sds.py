"""Score distillation sampling (DreamFusion, arXiv:2209.14988).

SJC, CSD and NFSD are the same gradient with other scores and another `control`; VSD, SDI and ISM
put something better than eps in its place.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import add_noise, per_sample
from dreamlift.guidance.scores import Score
from dreamlift.guidance.times import Times, Uniform, Weight, draw, sigma_squared
from dreamlift.scene import Shot
from dreamlift.step import Step


def inject(z: Float[Tensor, "b *z"], grad: Float[Tensor, "b *z"]) -> Float[Tensor, ""]:
    """A scalar whose gradient with respect to z_i is grad_i / b, exactly.

    Its value, the mean over samples of |grad_i|^2 / 2, tells how hard the guidance pulls.
    """
    grad = grad.detach()
    pull = (z * grad).sum()
    return (pull - pull.detach() + 0.5 * grad.square().sum()) / len(z)


def fresh_noise(z: Float[Tensor, "b *z"], step: Step) -> Float[Tensor, "b *z"]:
    """eps ~ N(0, I) from the step's generator, wherever that lives."""
    rng = step.rng
    return torch.randn(z.shape, generator=rng, device=rng.device, dtype=z.dtype).to(z.device)


@dataclass(frozen=True)
class SDS:
    """grad_z = w(t) (eps_hat(z_t; y, t) - eps), Eq. 3; the network's Jacobian is left out."""

    score: Score
    times: Times = Uniform()
    weight: Weight = sigma_squared
    control: float = 1.0
    """How much of eps is subtracted: a control variate, for its mean is 0. CSD and NFSD take 0."""

    def gradient(
        self,
        z: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        noise: Float[Tensor, "b c y x"],
        shot: Shot,
    ) -> Float[Tensor, "b c y x"]:
        """Eq. 3 for a given t and noise."""
        schedule = self.score.prior.schedule
        with torch.no_grad():
            eps = self.score(add_noise(schedule, z, t, noise), t, shot)
            return per_sample(self.weight(schedule, t), z) * (eps - self.control * noise)

    def __call__(self, z: Float[Tensor, "b c y x"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        t = draw(self.times, self.score.prior, z, step)
        return inject(z, self.gradient(z, t, fresh_noise(z, step), shot))
