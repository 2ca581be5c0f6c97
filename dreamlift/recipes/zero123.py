"""Zero-1-to-3 in 3D: one picture to an object, seen anew from elsewhere (arXiv:2303.11328).

    repeat: c ~ p(c);  x = g(phi, c);  t, eps;  z_t = alpha_t z + sigma_t eps
            eps_hat = guided; y is the picture and the turn from c_0 to c, or words and c's side
            at the picture's own camera c_0: x_0 = g(phi, c_0), and its opacity a_0
            phi <- Adam(phi, w(t) (eps_hat - eps) dx/dphi                                (SDS)
                    + picture |x_0 - picture|^2 + mask |a_0 - its alpha|^2 + regularisers)

                    papers                                      here, for the embedded prior
    CFG scale       3 (threestudio) or 5 told a picture;        `scale`; pixels are clamped
                    100 told words (Magic123)
    w(t)            sigma_t^2                                   sigma_t^2
    t               U(.2, .6) (Magic123)                        annealed from `t_start` to `t_end`
    picture, mask   5 and .5 of means, every 4th step alone     `rgb` and `mask` of sums over
                    (Magic123)                                  pixels, as SDS is, in every step
    cameras         all around, -10 to 80 degrees high          views.Views, without light

Zero-1-to-3 and its kin (zero123-xl) are told the picture, and need no prompt. Any prior that reads
words, the embedded one too, needs a prompt, and does not see the picture: Magic123's half with a
text prior (arXiv:2306.17843), whose two priors at once, depth, normals, mesh and learned word are
not here. The picture is of the front, unless `azimuth` says otherwise; the object in it is cut out
and centred (io/cutout.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F

from dreamlift.cameras import orbit
from dreamlift.errors import BadInput
from dreamlift.fit import Observer, Terms
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Annealed
from dreamlift.io.cutout import SIDE, read_cutout
from dreamlift.prior import Prior, View
from dreamlift.recipes import File
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field, Init
from dreamlift.step import Step
from dreamlift.views import Views


@dataclass(frozen=True)
class Zero123:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What the picture shows, for priors that read words."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 400
    """Optimiser steps (5,000 in Magic123)."""
    batch: int = 1
    """Views per step, besides the picture's own."""
    picture: File = ""
    """A PNG, JPEG or WebP of one object, with alpha or before a plain background."""
    elevation: float = 15.0
    """Where the picture was taken from: degrees above the object's horizon."""
    azimuth: float = 0.0
    """Degrees around the object; 0 its front, 90 its left side."""
    scale: float = 5.0
    """Classifier-free guidance scale; 1 is no guidance."""
    negative: str = ""
    """What it should not be: said in place of the null prompt, to priors that read words."""
    rgb: float = 10.0
    """Weight of the squared differences from the picture, before the same random colour."""
    mask: float = 10.0
    """Weight of the squared differences from its alpha."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step."""
    init: Init = "fog"
    """The density to start from: nearly uniform fog, or a compact blob."""
    shares: tuple[float, float, float] = (1.0, 0.0, 0.0)
    """Of views without light, lit, and textureless: a picture's colours have its light in them."""
    size: int = 64
    """Side of the pictures, in pixels."""

    def full(self) -> "Zero123":
        """More steps, of two views each."""
        return replace(self, steps=1500, batch=2)

    def paper(self) -> "Zero123":
        """Magic123's numbers for its first stage; for large priors.

        `scale` stays that of priors that are told the picture; say 100 for one of words.
        """
        more = replace(self, steps=5000, t_start=(0.2, 0.6), t_end=(0.2, 0.6), size=128)
        return replace(more, init="blob")

    def view(self) -> View:
        """The picture and where it was taken from. Raises BadInput where there is none."""
        if not self.picture:
            raise BadInput("zero123 begins with a picture of the object. Say --picture PHOTO.png.")
        color, alpha = read_cutout(Path(self.picture)).split([3, 1], -1)
        angles = torch.tensor([[self.azimuth], [self.elevation]])
        return View(color * alpha, alpha, orbit(angles[0], angles[1], size=SIDE))

    def field(self) -> DreamFusion:
        """Whose field and regularisers these are."""
        numbers = DreamFusion(self.prompt, self.seed, self.steps, self.batch)
        return replace(numbers, init=self.init, size=self.size)

    def made(self, run: Run) -> Field:
        """The field of a finished run, which needs no picture."""
        return self.field().made(run)

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Field:
        """Make the field, or load it where the run has it."""
        seen, views = self.view(), Views(shares=self.shares)
        camera = seen.camera.resized(self.size, self.size).to(device)
        both = torch.cat([seen.image, seen.alpha], -1).permute(2, 0, 1)[None]
        wanted = F.interpolate(both, (self.size, self.size), mode="area").permute(0, 2, 3, 1)
        color, alpha = wanted.to(device).split([3, 1], -1)

        def likeness(scene: Field, step: Step) -> Terms:
            behind = views.backgrounds(1, step.rng)
            view = scene.render(Shot(camera), rng=step.rng)
            off = view.over(behind) - color - (1 - alpha) * behind
            return {
                "picture": self.rgb * off.square().sum(),
                "mask": self.mask * (view.alpha - alpha).square().sum(),
            }

        y = about(prior, self.prompt, seen=(seen,))
        null = Sentence(prior, self.negative, negative=True)
        sds = SDS(cfg(prior, y, null, self.scale, clamp=1.0), Annealed(self.t_start, self.t_end))
        field = self.field()
        return field.follow(sds, run, prior, observers, device=device, views=views, beside=likeness)
