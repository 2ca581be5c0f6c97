"""Score distillation via inversion: the noise that z came from (SDI, arXiv:2405.15891).

    repeat: c ~ p(c);  z = g(phi, c);  t falls;  kappa = DDIM's noise of z, walked up to t
            phi <- Adam(phi, (z - z_hat(alpha_t z + sigma_t kappa; y, t)) dz/dphi + regularisers)

                    paper                                       here, for the embedded prior
    CFG scale       8.5 in our convention, -6.5 on the way up   `scale`, `inversion`
    w(t)            sigma_t / alpha_t: clean samples compared   the same
    t               .98 straight to .2                          `t_first` to `t_last`
    kappa           10 steps of DDIM, eta = .3                  `walk` steps from t = 0 to 1
    cameras         as DreamFusion's                            views.Views

A step asks the prior seven to nine times as often as one of dreamfusion does."""

from dataclasses import dataclass, replace

from dreamlift.guidance import Guidance
from dreamlift.guidance.courses import falling
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sdi import SDI as Inversion
from dreamlift.prior import Prior
from dreamlift.recipes.followers import Follower


@dataclass(frozen=True)
class SDI(Follower):
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    scale: float = 3.0
    """Classifier-free guidance scale; 1 is no guidance (8.5 in the paper, as we count)."""
    inversion: float = 1.0
    """Guidance away from the prompt on the way up (6.5 in the paper); with the scale's own there,
    nothing is found."""
    walk: int = 10
    """Steps of the inversion, from t = 0 to t = 1."""
    t_first: float = 0.9
    """Noise level of the first step (.98 in the paper)."""
    t_last: float = 0.6
    """Noise level of the last step (.2 in the paper). From less noise a dark picture comes back as
    dark, or darker."""

    def paper(self) -> "SDI":
        """The paper's numbers; for large priors."""
        more = replace(self, steps=10_000, scale=8.5, inversion=6.5)
        return replace(more, t_first=0.98, t_last=0.2)

    def guidance(self, prior: Prior) -> Guidance:
        """What the prior says of a picture."""
        y, null = about(prior, self.prompt), Sentence(prior, "")
        return Inversion(
            cfg(prior, y, null, self.scale, clamp=1.0),
            cfg(prior, y, null, -self.inversion, clamp=1.0),
            falling(self.t_first, self.t_last),
            steps=self.walk,
        )
