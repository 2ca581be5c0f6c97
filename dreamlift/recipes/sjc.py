"""Score Jacobian chaining: text to a field by denoised perturbations (arXiv:2212.00774).

    repeat: c ~ p(c);  y = g(phi, c);  s;  n ~ N(0, I);  D = denoised(y + s n; s)
            phi <- Adam(phi, -(D - y) / s dy/dphi)                                       (Eq. 13)

With s = sigma / alpha this is SDS of weight w = 1 (guidance/sjc.py). Four choices:

                    paper                                       here, for the embedded prior
    CFG scale       100 (its code's)                            `scale`, clean sample clamped
    w               1, where s is uniform in its table          1
    t               its table of 1,000 without the ends         the same
    cameras         on a sphere, field of view 60               views.Views

The paper's scene is a voxel grid of a prior's latents, 100 a side, kept empty by a loss of its
own (10,000 steps of Adamax, .05); ours is DreamFusion's field of colours, with its regularisers."""

from dataclasses import dataclass, replace

from dreamlift.guidance import Guidance
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sjc import sjc
from dreamlift.prior import Prior
from dreamlift.recipes.followers import Follower


@dataclass(frozen=True)
class SJC(Follower):
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance (100 in the paper's code)."""
    clamp: bool = True
    """Keep the clean sample that the guided noise implies within the range of pictures."""

    def paper(self) -> "SJC":
        """The paper's numbers; for large priors."""
        return replace(self, steps=10_000, scale=100.0, clamp=False)

    def guidance(self, prior: Prior) -> Guidance:
        """What the prior says of a picture."""
        y, null = about(prior, self.prompt), Sentence(prior, "")
        return sjc(cfg(prior, y, null, self.scale, clamp=1.0 if self.clamp else None))
