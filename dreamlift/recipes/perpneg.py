"""Perp-Neg: each side is told what it must not look like, without contradiction (arXiv:2304.04968).

    repeat: c ~ p(c);  x = g(phi, c);  t, eps;  z_t = alpha_t z + sigma_t eps
            delta_i = eps_hat(z_t; y_i, t) - eps_hat(z_t; t), y_0 of this side, others of others
            eps_hat = eps_hat(z_t; t) + s (delta_0 + sum_i w_i(c) delta_i, the part across delta_0)
            phi <- Adam(phi, w(t) (eps_hat - eps) dx/dphi + regularisers)

                    paper, with Stable Diffusion                here, for the embedded prior
    CFG scale       100                                         `scale`, clean sample clamped
    w(t)            sigma_t^2                                   sigma_t^2
    t               U(.02, .98)                                 annealed from `t_start` to `t_end`
    cameras         as stable-dreamfusion's                     views.Views

Against faces on every side. Prompts of neighbouring sides are interpolated, as in the paper. The
embedded prior is told its cameras, and hardly needs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.fit import Observer
from dreamlift.guidance.perpneg import PerpNeg as Across
from dreamlift.guidance.perpneg import Strength, unlike
from dreamlift.guidance.prompts import Sentence, about, sided
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Annealed
from dreamlift.prior import Prior
from dreamlift.recipes.followers import Follower
from dreamlift.run import Run
from dreamlift.scenes.field import Field
from dreamlift.untextured import untextured


@dataclass(frozen=True)
class PerpNeg(Follower):
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance (100 in the paper)."""
    strength: float = 0.5
    """How strongly the other sides are pushed away: the weights are minus this, at most (2 in
    stable-dreamfusion)."""
    clamp: bool = True
    """Keep the clean sample that the guided noise implies within the range of pictures."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step."""

    def paper(self) -> "PerpNeg":
        """The paper's numbers; for large priors."""
        t = (0.02, 0.98)
        return replace(
            self, steps=10_000, scale=100.0, strength=2.0, clamp=False, t_start=t, t_end=t
        )

    def guidance(self, prior: Prior, firm: Strength | None = None) -> SDS:
        """What the prior says of a picture; `firm` is the strength where others may raise it."""
        y, null = about(prior, self.prompt, interpolate=True), Sentence(prior, "")
        bare = sided(untextured(self.prompt))
        firm = firm or Strength(self.strength)
        others = unlike(prior, sided(self.prompt), untextured=bare, strength=firm)
        clamp = 1.0 if self.clamp else None
        score = Across(prior, y, null, others, self.scale, clamp)
        return SDS(score, Annealed(self.t_start, self.t_end))

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Field:
        """Make the field, or load it where the run has it; two faces double the strength, once."""
        firm = Strength(self.strength, 2 * self.strength)
        sds = self.guidance(prior, firm)
        kept = {"strength": firm}
        return self.field().follow(sds, run, prior, observers, device=device, keep=kept)
