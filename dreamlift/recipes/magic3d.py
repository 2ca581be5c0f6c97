"""Magic3D: a field at low resolution, then the mesh inside it at a higher one (arXiv:2211.10440).

    coarse  DreamFusion's loop on a field
    fine    a signed distance on tetrahedra, from the coarse field's surface, and its colours
            repeat: c ~ p(c);  x = rasterised(marching tetrahedra(phi), c);  t <= .5
                    phi <- Adam(phi, w(t) (eps_hat(z_t; y, t) - eps) dx/dphi + smoothness)

                    paper                                       here, for the embedded prior
    CFG scale       100 and 100                                 `scale`, clean sample clamped
    w(t)            sigma_t^2                                   sigma_t^2
    t               U(.02, .98), then U(.02, .5)                annealed; then U of `t_fine`
    cameras         as DreamFusion's; fine: a longer lens       views.Views, in both
    pictures        64, then 512 pixels, two priors             `size`, then `fine_size`, one prior

Also in the paper: 5,000 and 3,000 steps of batch 32, a hash grid, a predicted normal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.distil.inside import empty_mesh, mesh_of
from dreamlift.distil.meshes import mesh_stage
from dreamlift.fit import Observer, fit, made
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Uniform
from dreamlift.prior import Prior
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scenes.tetrahedra import Tetrahedra
from dreamlift.views import Views

COARSE, FINE = "coarse", "fine"


@dataclass(frozen=True)
class Magic3D:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 400
    """Of the coarse stage (5,000 in the paper)."""
    fine_steps: int = 200
    """Of the fine stage (3,000 in the paper)."""
    batch: int = 1
    """Views per step (32 in the paper)."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance (100 in the paper)."""
    t_fine: tuple[float, float] = (0.02, 0.5)
    """Range of t in the fine stage."""
    resolution: int = 48
    """Cells along each side of the grid of tetrahedra."""
    lr_shape: float = 0.01
    """Adam's rate for distances, in cells, and offsets."""
    lr_color: float = 0.05
    """Adam's rate for the logits of colours."""
    smooth: float = 300.0
    """Weight of the penalty on edges between faces that turn."""
    hidden: float = 5.0
    """Weight of the penalty on surfaces that nobody sees."""
    size: int = 64
    """Side of the coarse pictures, in pixels."""
    fine_size: int = 128
    """Side of the fine pictures (512 in the paper)."""
    negative: str = ""
    """What it should not be: said in place of the null prompt."""
    published: bool = False
    """Whether all else of the coarse stage is as in DreamFusion's paper, not as in its draft."""

    def full(self) -> "Magic3D":
        """More steps, of two views each."""
        return replace(self, steps=1000, fine_steps=500, batch=2, resolution=64)

    def paper(self) -> "Magic3D":
        """The paper's numbers; for large priors."""
        more = replace(self, steps=5000, fine_steps=3000, batch=32, scale=100.0, published=True)
        return replace(more, resolution=128, fine_size=512)

    def coarse(self) -> DreamFusion:
        """The first stage."""
        coarse = DreamFusion(self.prompt, self.seed, size=self.size, negative=self.negative)
        coarse = coarse.paper() if self.published else coarse
        return replace(coarse, steps=self.steps, batch=self.batch, scale=self.scale)

    def made(self, run: Run) -> Tetrahedra:
        """The fine mesh of a finished run."""
        return made(empty_mesh(self.resolution), run / FINE)

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Tetrahedra:
        """Make the field and then the mesh, or load what the run has of them."""
        field = self.coarse().run(run / COARSE, prior, observers, device=device)
        mesh = mesh_of(field, self.resolution, device)
        y, null = about(prior, self.prompt), Sentence(prior, self.negative, negative=True)
        score = cfg(prior, y, null, self.scale, clamp=1.0)
        stage = mesh_stage(
            mesh,
            Views().course(self.batch, size=self.fine_size),
            prior,
            SDS(score, Uniform(*self.t_fine)),
            self.fine_steps,
            lr=(self.lr_shape, self.lr_color),
            smooth=self.smooth,
            hidden=self.hidden,
            seed=self.seed,
        )
        fit(stage, run / FINE, observers)
        return mesh
