"""Classifier score distillation: the guidance is all there is (arXiv:2310.19415).

    repeat: c ~ p(c);  x = g(phi, c);  t, eps;  z_t = alpha_t z + sigma_t eps
            phi <- Adam(phi, w(t) (eps_hat(z_t; y, t) - eps_hat(z_t; t)) dx/dphi + regularisers)

                    paper, first stage                          here, for the embedded prior
    CFG scale       none: there is no noise to outweigh         `strength`, against regularisers
    w(t)            sigma_t^2 (its code: uniform)               sigma_t^2
    t               U(.02, .98), the top falling to .5 in half  annealed from `t_start` to `t_end`
    cameras         as DreamFusion's                            views.Views

By `t_until` of the steps t has fallen, and the null prompt given way to one of bad pictures (`bad`;
the embedded prior has no words for it). The paper's Perp-Neg beside it, and its second stage, which
refines a mesh as magic3d does, are not here."""

from dataclasses import dataclass, replace

from dreamlift.guidance import Guidance
from dreamlift.guidance.csd import CSD as Classifier
from dreamlift.guidance.nfsd import BAD
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.times import Annealed
from dreamlift.prior import Prior
from dreamlift.recipes.followers import Follower


@dataclass(frozen=True)
class CSD(Follower):
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    strength: float = 7.5
    """What the gradient is multiplied by: how much it counts beside the regularisers."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t from `t_until` on."""
    t_until: float = 1.0
    """Share of the steps in which the range of t moves."""
    bad: str = ""
    """What bad pictures are called, which takes the null prompt's place; empty: nothing does."""

    def paper(self) -> "CSD":
        """The paper's numbers; for large priors."""
        more = replace(self, steps=10_000, t_start=(0.02, 0.98), t_end=(0.02, 0.5), t_until=0.5)
        return replace(more, bad=BAD)

    def guidance(self, prior: Prior) -> Guidance:
        """What the prior says of a picture."""
        y, null = about(prior, self.prompt), Sentence(prior, "")
        bad = Sentence(prior, self.bad, negative=True) if self.bad else None
        csd = Classifier(
            prior,
            y,
            null,
            bad,
            shares=(0.0, 1.0 if bad else 0.0),
            until=self.t_until,
            times=Annealed(self.t_start, self.t_end, until=self.t_until),
        )
        return lambda z, shot, step: self.strength * csd(z, shot, step)
