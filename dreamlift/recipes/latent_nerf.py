"""Latent-NeRF: a field of latents, led by a sketch if there is one; its colours (arXiv:2211.07600).

    latent   repeat: c ~ p(c);  z = g(phi, c), phi a density and four latent channels;  t, eps
                     phi <- Adam(phi, w(t) (eps_hat(z_t; y, t) - eps) dz/dphi + sparsity + sketch)
    color    latents times a matrix are colours; the same with x = g(phi, c), encoded

                    paper                                       here, for the embedded prior
    CFG scale       100                                         `scale`, clean sample clamped
    w(t)            alpha_t sigma_t^2                           alpha_t sigma_t^2
    t               U(.02, .98)                                 annealed; then U of `t_color`
    cameras         distance 1 to 1.5, field of view 40 - 70    views.Views, without light

Also in the paper: 5,000 steps, Adam at 1e-3 (ten times that for its hash grid), sparsity 5e-4, the
sketch's loss 5e-6 as a sum over samples; ours are means. **The embedded prior knows pixels and no
latents**: with it, as with any model of pixels, the first stage is a field of colours, and the
second goes on with it at less noise. With Stable Diffusion 1 and 2 the first renders latents. There
the paper learns the matrix on; here it gives the second stage the colours to begin with. The
paper's Latent-Paint, latents as the texture of a given mesh, is not here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.distil.latents import field_stage, plain
from dreamlift.fit import Observer, fit, made
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.sketch import Sketch
from dreamlift.guidance.times import Annealed, Uniform, alpha_sigma_squared
from dreamlift.prior import Latents, Prior
from dreamlift.recipes import File
from dreamlift.run import Run
from dreamlift.scenes.field import Field, Init
from dreamlift.scenes.latent import LatentField
from dreamlift.views import Views

LATENT, COLOR = "latent", "color"
SKETCH = "sketch.safetensors"
"""In the run's folder: what was made of the mesh (asked.py)."""


@dataclass(frozen=True)
class LatentNeRF:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 400
    """Of the field of latents (5,000 in the paper)."""
    color_steps: int = 150
    """Of the field of colours."""
    batch: int = 1
    """Views per step (1 in the paper)."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance (100 in the paper)."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step of the first stage."""
    t_color: tuple[float, float] = (0.02, 0.5)
    """Range of t in the second stage."""
    init: Init = "fog"
    """The density to start from: nearly uniform fog, or the paper's compact blob."""
    sketch: File = ""
    """A mesh file that says roughly where the object is: GLB, OBJ, PLY, STL, OFF; none: free."""
    sketched: float = 10_000.0
    """Weight of the penalty on what is not as in the sketch."""
    proximal: float = 0.3
    """World units around the sketch's surface where the object is free to differ."""
    sparsity: float = 5.0
    """Weight, at the end of the first stage, of the penalty on half-transparent pixels."""
    lr: tuple[float, float] = (0.1, 0.02)
    """Adam's rate at the first and at the last step of the first stage; then the last."""
    size: int = 64
    """Side of the pictures, in pixels; latents have the prior's own side."""
    samples: int = 48
    """Samples along the diameter of the scene's ball."""
    negative: str = ""
    """What it should not be: said in place of the null prompt."""

    def full(self) -> "LatentNeRF":
        """More steps, of two views each."""
        return replace(self, steps=1200, color_steps=500, batch=2, samples=64)

    def paper(self) -> "LatentNeRF":
        """The paper's numbers; for Stable Diffusion."""
        t = (0.02, 0.98)
        more = replace(self, steps=5000, color_steps=2000, scale=100.0, init="blob")
        return replace(more, t_start=t, t_end=t, t_color=t, lr=(0.01, 0.01), size=512)

    def guide(self, run: Run) -> Sketch | None:
        """The sketch that the run keeps, if there is one. Raises BadInput."""
        return Sketch.kept(run.path / SKETCH) if self.sketch else None

    def made(self, run: Run) -> Field:
        """The field of colours of a finished run."""
        return made(Field(levels=1, samples=self.samples), run / COLOR)

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Field:
        """Make the latents and then the colours, or load what the run has of them."""
        guide, free = self.guide(run), Views(shares=(1, 0, 0))
        y, null = about(prior, self.prompt), Sentence(prior, self.negative, negative=True)
        score = cfg(prior, y, null, self.scale, clamp=1.0)
        kind = LatentField if isinstance(prior, Latents) else Field
        scene = kind(init=self.init, samples=self.samples).to(device)
        side = prior.size // prior.factor if isinstance(prior, Latents) else self.size
        stage = field_stage(
            scene,
            free.course(self.batch, size=side),
            prior,
            SDS(score, Annealed(self.t_start, self.t_end), alpha_sigma_squared),
            self.steps,
            lr=self.lr,
            sparsity=(0.0, self.sparsity),
            sketch=guide,
            sketched=self.sketched,
            seed=self.seed,
        )
        fit(stage, run / LATENT, observers)

        field = plain(scene)
        stage = field_stage(
            field,
            free.course(self.batch, size=self.size),
            prior,
            SDS(score, Uniform(*self.t_color), alpha_sigma_squared),
            self.color_steps,
            lr=(self.lr[1], self.lr[1]),
            sparsity=(self.sparsity, self.sparsity),
            sketch=guide,
            sketched=self.sketched,
            seed=self.seed,
        )
        fit(stage, run / COLOR, observers)
        return field
