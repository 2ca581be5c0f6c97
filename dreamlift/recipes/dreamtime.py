"""DreamTime: every noise level gets the share of the steps that it needs (arXiv:2306.12422).

    repeat: c ~ p(c);  x = g(phi, c);  t' is where sum_{t >= t'} W(t) = i / N;  eps
            phi <- Adam(phi, w(t') (eps_hat(z_t'; y, t') - eps) dx/dphi + regularisers)

A schedule, for any recipe (guidance.courses.DreamTime); here it stands in DreamFusion.

                    paper                                       here, for the embedded prior
    CFG scale       100                                         `scale`, clean sample clamped
    w(t)            sigma_t^2                                   sigma_t^2
    t               falls by W: 1 from .5 to .8, and flanks     the same, in `t_range`
    cameras         as DreamFusion's                            views.Views"""

from dataclasses import dataclass, replace

from dreamlift.guidance import Guidance
from dreamlift.guidance.courses import DreamTime as Prioritised
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.prior import Prior
from dreamlift.recipes.followers import Follower


@dataclass(frozen=True)
class DreamTime(Follower):
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance (100 in the paper)."""
    clamp: bool = True
    """Keep the clean sample that the guided noise implies within the range of pictures."""
    t_range: tuple[float, float] = (0.02, 0.98)
    """What t is clipped to."""

    def paper(self) -> "DreamTime":
        """The paper's numbers; for large priors."""
        return replace(self, steps=10_000, scale=100.0, clamp=False)

    def guidance(self, prior: Prior) -> Guidance:
        """What the prior says of a picture."""
        y, null = about(prior, self.prompt), Sentence(prior, "")
        score = cfg(prior, y, null, self.scale, clamp=1.0 if self.clamp else None)
        return SDS(score, Prioritised(limits=self.t_range))
