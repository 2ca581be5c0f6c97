"""Noise-free score distillation (NFSD, arXiv:2310.17590).

SDS follows eps_hat - eps, whose second term is noise. NFSD writes eps_null as a direction into
the domain of pictures plus noise, and keeps the direction: where t is small there is hardly any
noise in eps_null, and elsewhere what a prompt of bad pictures predicts has the same.
"""

from jaxtyping import Float
from torch import Tensor

from dreamlift.guidance.scores import Mix, Told, together
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Times, Uniform, Weight, sigma_squared
from dreamlift.prior import Prior
from dreamlift.scene import Shot

BAD = (
    "unrealistic, blurry, low quality, out of focus, ugly, low contrast, dull, dark, "
    "low-resolution, gloomy"
)
"""The paper's prompt of bad pictures. A prior of few words needs one of its own."""

SMALL = 0.2
"""Below this t, 200 of the paper's 1,000 entries, nothing stands for the noise."""


def noisy(t: Float[Tensor, " b"], shot: Shot) -> Float[Tensor, " b"]:
    """-1 where the bad prompt is subtracted, 0 where t is small."""
    return -(t >= SMALL).to(t)


def nfsd(
    prior: Prior,
    y: Told,
    null: Told,
    bad: Told,
    *,
    scale: float = 7.5,
    times: Times = Uniform(),  # noqa: B008 (frozen)
    weight: Weight = sigma_squared,
) -> SDS:
    """grad_z = w(t) (delta_D + scale (eps_y - eps_null)).

    delta_D is eps_null for t < .2, else eps_null - eps_bad: guidance of the usual scale, less the
    bad prompt in place of eps. `bad` may be `null` itself: nothing is left of delta_D from .2 on.
    """
    weights = together((null, 1 - scale), (y, scale), (bad, noisy))
    return SDS(Mix(prior, weights), times, weight, control=0.0)
