"""Posterior distillation sampling (PDS, arXiv:2311.13831): an edit that remembers what it edits.

It matches the noise z~ = (z_s - mu(z_t)) / std with which DDPM goes from t to s < t, of the edited
and of the original sample. Both are noised alike, so with z_s = alpha_s z + sigma_s eps' their
difference is, exactly and for every eps',

    psi(t) (z - original) + chi(t) (eps_target(z_t) - eps_source(original_t)),

DDS beside a pull back to the original. The paper's code combines strides of two entries with the
beta of a single one; with the beta of the stride psi is 0.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import Schedule, per_sample
from dreamlift.guidance.dds import difference
from dreamlift.guidance.scores import Score
from dreamlift.guidance.sds import fresh_noise, inject
from dreamlift.guidance.times import Times, Uniform, draw
from dreamlift.scene import Shot
from dreamlift.schedules import added_variance
from dreamlift.step import Step

ENTRY = 1 / 999
"""From one entry of a table of 1,000 to the next; continuous schedules count by it too."""


@dataclass(frozen=True)
class PDS:
    """grad_z = psi(t) (z - original) + chi(t) (difference of noises)."""

    target: Score  # of the prompt that is wanted
    source: Score  # of a prompt that says what `original` shows
    times: Times = Uniform()
    stride: int = 2  # entries from t to s
    consistent: bool = False
    """Whether beta is that of the whole stride, as DDPM has it: then psi is 0, and this is DDS."""

    def coefficients(
        self, schedule: Schedule, t: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """psi and chi, from Eq. 7 of DDPM (arXiv:2006.11239): mu = c0 z_hat + c1 z_t.

        Its beta for any schedule, rectified flow's too: `schedules.added_variance`.
        """
        exact = (
            t.cpu() if t.device.type == "mps" else t
        ).double()  # psi is a small difference of numbers near 1
        alpha, sigma = schedule.alpha(exact), schedule.sigma(exact)
        s, before = (schedule.snap((exact - n * ENTRY).clamp_min(0)) for n in (self.stride, 1))
        alpha_s, variance_s = schedule.alpha(s), schedule.sigma(s) ** 2
        start = s if self.consistent else before
        beta, kept = added_variance(schedule, start, exact), alpha / schedule.alpha(start)
        c0 = alpha_s * beta / sigma**2
        c1 = kept * variance_s / sigma**2
        std = (variance_s / sigma**2 * beta).sqrt()
        psi, chi = (alpha_s - c0 - c1 * alpha) / std, c0 * sigma / (alpha * std)
        return psi.to(t), chi.to(t)

    def gradient(
        self,
        z: Float[Tensor, "b c y x"],
        original: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        noise: Float[Tensor, "b c y x"],
        shot: Shot,
    ) -> Float[Tensor, "b c y x"]:
        """For a given t and noise."""
        psi, chi = self.coefficients(self.target.prior.schedule, t)
        change = difference(self.target, self.source, z, original, t, noise, shot)
        return per_sample(psi, z) * (z - original).detach() + per_sample(chi, z) * change

    def __call__(
        self,
        z: Float[Tensor, "b c y x"],
        original: Float[Tensor, "b c y x"],
        shot: Shot,
        step: Step,
    ) -> Float[Tensor, ""]:
        """`original`: what z was before it was edited; encoded, in the same shot."""
        t = draw(self.times, self.target.prior, z, step)
        t = t.clamp((self.stride + 1) * ENTRY, 1 - ENTRY)  # beyond them psi or chi is not finite
        return inject(z, self.gradient(z, original, t, fresh_noise(z, step), shot))
