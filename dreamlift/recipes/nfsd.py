"""Noise-free score distillation: guidance toward pictures, without noise (arXiv:2310.17590).

    repeat: c ~ p(c);  x = g(phi, c);  t, eps;  z_t = alpha_t z + sigma_t eps
            delta_D = eps_hat(z_t; t), less eps_hat(z_t; bad, t) where t >= .2
            phi <- Adam(phi, w(t) (delta_D + s (eps_hat(z_t; y, t) - eps_hat(z_t; t))) dx/dphi)

                    paper                                       here, for the embedded prior
    CFG scale       7.5                                         `scale`
    bad             "unrealistic, blurry, low quality ..."      `bad`, a sentence that it knows
    w(t)            sigma_t^2                                   sigma_t^2
    t               U(.02, .98)                                 annealed from `t_start` to `t_end`
    cameras         as DreamFusion's                            views.Views

Below t = .2 the score without a prompt tells of pictures, hardly of noise, and stays as it is."""

from dataclasses import dataclass, replace

from dreamlift.guidance import Guidance
from dreamlift.guidance.nfsd import BAD, nfsd
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.times import Annealed
from dreamlift.prior import Prior
from dreamlift.recipes.followers import Follower


@dataclass(frozen=True)
class NFSD(Follower):
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    scale: float = 7.5
    """How much the prompt counts."""
    bad: str = ""
    """What bad pictures are called; the empty sentence is the null prompt, and leaves the
    classifier's term alone where t >= .2."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step."""

    def paper(self) -> "NFSD":
        """The paper's numbers; for large priors, which know its words for bad pictures."""
        return replace(self, steps=10_000, bad=BAD, t_start=(0.02, 0.98), t_end=(0.02, 0.98))

    def guidance(self, prior: Prior) -> Guidance:
        """What the prior says of a picture."""
        y, null = about(prior, self.prompt), Sentence(prior, "")
        bad = Sentence(prior, self.bad, negative=True)
        times = Annealed(self.t_start, self.t_end)
        return nfsd(prior, y, null, bad, scale=self.scale, times=times)
