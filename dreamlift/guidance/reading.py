"""Classifier guidance: a score that also hears what reads pictures (arXiv:2105.05233, Alg. 1).

    x0 <- x0_hat + s r_t^2 grad log p(y | x0_hat),    1 / r_t^2 = 1 / v + alpha_t^2 / sigma_t^2

The reader has seen clean pictures only, so it is asked about the clean sample that the score
guesses, and the network's Jacobian is left out, as SDS does (the forward guidance of Universal
Guidance, arXiv:2302.07121, in the measure of PiGDM: r_t^2 is how uncertain x0 is yet, were the
pictures Gaussian of variance v). With s = 1 that is the first step toward p(x0 | z_t, y).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import eps_from_x0, per_sample, x0_from_eps
from dreamlift.guidance.scores import Score, asked, limited, overhearing
from dreamlift.prior import Prior, Reads
from dreamlift.scene import Shot
from dreamlift.untextured import untextured


@dataclass(frozen=True)
class Read:
    """A score that also follows what `reads` finds of a caption, `strength` times.

    Of pictures whose light shows no texture it is asked for the caption without its colours. At
    noise levels outside of `between` nothing is read: near 1 there is nothing to see yet.
    """

    score: Score
    reads: Reads
    caption: str
    strength: float
    between: tuple[float, float] = (0.0, 0.97)
    soft: float = 1.0
    """Standard deviation of what the direction is blurred with, in cells of z: finer than that
    readers are led astray by speckles. 0: not blurred."""
    variance: float = 0.25
    """Of the numbers of a clean sample, v; pictures lie in [-1, 1]."""
    clamp: float | None = 1.0

    @property
    def prior(self) -> Prior:
        return self.score.prior

    def __call__(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot
    ) -> Float[Tensor, "b c y x"]:
        asked(self, z_t, t, shot)
        with overhearing():  # what this one asks on the way is not news
            eps = self.score(z_t, t, shot)
        low, high = self.between
        heard = (t >= low) & (t <= high)
        if not heard.any():
            return eps
        schedule, v = self.prior.schedule, self.variance
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        doubt = heard * v * sigma**2 / (v * alpha**2 + sigma**2)
        x0 = x0_from_eps(schedule, z_t, t, eps)
        led = x0 + self.strength * per_sample(doubt, x0) * self.direction(x0, shot)
        there = eps_from_x0(schedule, z_t, t, led)
        return limited(self.prior, z_t, t, there, self.clamp)

    def direction(self, x0: Float[Tensor, "b c y x"], shot: Shot) -> Float[Tensor, "b c y x"]:
        """grad log p(y | x0), for clean samples."""
        with torch.enable_grad():
            z = x0.detach().requires_grad_()
            said = self.reads(self.prior.decode(z), self._captions)
            if shot.light is None:
                log_p = said[:, 0]
            else:
                log_p = torch.where(shot.light.textureless.to(z.device), said[:, 1], said[:, 0])
            (towards,) = torch.autograd.grad(log_p.sum(), z)
        return blurred(towards, self.soft)

    @property
    def _captions(self) -> Sequence[str]:
        return self.caption, untextured(self.caption)


def blurred(x: Float[Tensor, "b c y x"], width: float) -> Float[Tensor, "b c y x"]:
    """A Gaussian's mean around every place, 0 beyond the border; symmetric, so a step along a
    blurred gradient goes uphill."""
    if width == 0:
        return x
    at = torch.arange(-math.ceil(4 * width), math.ceil(4 * width) + 1, device=x.device)
    bell = torch.exp(-0.5 * (at / width) ** 2)
    rows = (bell / bell.sum()).to(x)[None, None, None].expand(x.shape[1], -1, -1, -1)
    across = F.conv2d(x, rows, padding=(0, len(at) // 2), groups=x.shape[1])
    return F.conv2d(across, rows.transpose(2, 3), padding=(len(at) // 2, 0), groups=x.shape[1])
