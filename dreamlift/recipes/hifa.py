"""HiFA: toward what a few steps of denoising make of a picture (arXiv:2305.18766).

    repeat: c ~ p(c);  x = g(phi, c);  t = t_max - (t_max - t_min) sqrt(i / N);  eps
            z_hat = DDIM(alpha_t z + sigma_t eps; y, in a few steps);  x_hat = decoded z_hat
            phi <- Adam(phi, |z - z_hat|^2 + rgb |x - x_hat|^2 + regularisers)       (Eq. 8, 9)

                    paper                                       here, for the embedded prior
    CFG scale       100                                         `scale`, clean sample clamped
    w(t)            constant in its code                        1
    t               .98 - .68 sqrt(i / N)                       `t_first` to `t_last`, by the root
    cameras         as DreamFusion's                            views.Views

The paper also keeps densities along a ray close together (its z-variance), which the entropy of
opacities does here."""

from dataclasses import dataclass, replace

from dreamlift.guidance import Guidance
from dreamlift.guidance.courses import falling
from dreamlift.guidance.hifa import HiFA as TwoSpaces
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.reconstruct import Reconstruct
from dreamlift.guidance.scores import cfg
from dreamlift.prior import Prior
from dreamlift.recipes.followers import Follower


@dataclass(frozen=True)
class HiFA(Follower):
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    scale: float = 3.0
    """Classifier-free guidance scale; 1 is no guidance (100 in the paper)."""
    denoise: int = 4
    """Steps of each reconstruction."""
    rgb: float = 0.1
    """Weight of the pictures beside that of the prior's space."""
    t_first: float = 0.98
    """Noise level of the first step."""
    t_last: float = 0.6
    """Noise level of the last step (.3 in the paper). From less noise a dark picture comes back as
    dark, or darker."""

    def paper(self) -> "HiFA":
        """The paper's numbers; for large priors."""
        return replace(self, steps=10_000, scale=100.0, t_last=0.3)

    def guidance(self, prior: Prior) -> Guidance:
        """What the prior says of a picture."""
        y, null = about(prior, self.prompt), Sentence(prior, "")
        times = falling(self.t_first, self.t_last, by="sqrt")
        toward = Reconstruct(cfg(prior, y, null, self.scale, clamp=1.0), self.denoise, times)
        return TwoSpaces(toward, self.rgb)
