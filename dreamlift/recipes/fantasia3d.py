"""Fantasia3D: first the shape, without any colour, then the colours alone (arXiv:2303.13873).

    shape       repeat: c ~ p(c);  n = marching tetrahedra(phi), without texture;  t, eps
                        phi <- Adam(phi, w(t) (eps_hat(z_t; y, t) - eps) dn/dphi + smoothness)
    appearance  repeat: the same with albedo and lit pictures, and phi the colours alone

                    paper                                       here, for the embedded prior
    CFG scale       100                                         `scale`, clean sample clamped
    w(t)            sigma^2, later alpha sigma^2; appearance    sigma_t^2; appearance alpha_t
                    alpha sigma^2, or 1 / sigma^2               sigma_t^2
    t               U(.02, .5) of normals, U(.02, .98)          annealed, each by its own
    cameras         elevation -10 to 45, field of view 26 - 45  views.Views
    pictures        normals and mask, as latents, then normals  textureless, lit: what it knows
    materials       roughness, metallic, normal maps, split sum albedo, Lambert

It begins with an ellipsoid, in the paper one's own mesh as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.distil.meshes import mesh_stage
from dreamlift.fit import Observer, fit, made
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Annealed, alpha_sigma_squared
from dreamlift.prior import Prior
from dreamlift.run import Run
from dreamlift.scenes.tetrahedra import Tetrahedra
from dreamlift.views import Views

SHAPE, APPEARANCE = "shape", "appearance"


@dataclass(frozen=True)
class Fantasia3D:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 400
    """Of the shape (1,500 to 3,000 in the paper)."""
    appearance_steps: int = 200
    """Of the colours (1,500 to 3,000 in the paper)."""
    batch: int = 1
    """Views per step."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance (100 in the paper)."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step of the shape."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step of the shape."""
    t_start_looks: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step of the colours."""
    t_end_looks: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step of the colours."""
    axes: tuple[float, float, float] = (0.7, 0.7, 0.7)
    """Of the ellipsoid to begin with, world units."""
    resolution: int = 48
    """Cells along each side of the grid of tetrahedra (128 or 256 in the paper)."""
    lr_shape: float = 0.05
    """Adam's rate for distances, in cells, and offsets."""
    lr_color: float = 0.05
    """Adam's rate for the logits of colours."""
    smooth: float = 300.0
    """Weight of the penalty on edges between faces that turn."""
    hidden: float = 5.0
    """Weight of the penalty on surfaces that nobody sees."""
    size: int = 64
    """Side of the pictures, in pixels (512 in the paper)."""
    negative: str = ""
    """What it should not be: said in place of the null prompt."""

    def full(self) -> "Fantasia3D":
        """More steps, of two views each."""
        return replace(self, steps=1200, appearance_steps=500, batch=2, resolution=64)

    def paper(self) -> "Fantasia3D":
        """The paper's numbers; for large priors."""
        more = replace(self, steps=3000, appearance_steps=3000, scale=100.0, resolution=128)
        more = replace(more, t_start=(0.02, 0.5), t_end=(0.02, 0.5), size=512)
        return replace(more, t_start_looks=(0.02, 0.98), t_end_looks=(0.02, 0.98))

    def scene(self) -> Tetrahedra:
        """The ellipsoid before the first step, grey."""
        points = Tetrahedra.points(self.resolution)
        cell = float((points[1] - points[0]).norm())
        axes = points.new_tensor(self.axes)
        inside = (points / axes).norm(dim=-1)
        away = inside * (inside - 1) / (points / axes**2).norm(dim=-1).clamp_min(1e-6)
        away = torch.where(inside < 0.1, -0.9 * axes.min(), away)  # there the estimate is 0 / 0
        grey = torch.zeros(65, 65, 65, 4)
        return Tetrahedra(away.clamp_min(-1) / cell, grey, resolution=self.resolution)

    def made(self, run: Run) -> Tetrahedra:
        """The mesh of a finished run."""
        return made(self.scene(), run / APPEARANCE)

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Tetrahedra:
        """Make the shape and then its colours, or load what the run has of them."""
        mesh = self.scene().to(device)
        y, null = about(prior, self.prompt), Sentence(prior, self.negative, negative=True)
        score = cfg(prior, y, null, self.scale, clamp=1.0)
        sds = SDS(score, Annealed(self.t_start, self.t_end))
        shape = sds, (self.lr_shape, 0.0), (0.0, 0.0, 1.0), self.steps, SHAPE
        looks = (
            SDS(score, Annealed(self.t_start_looks, self.t_end_looks), alpha_sigma_squared),
            (0.0, self.lr_color),
            (0.5, 0.5, 0.0),
            self.appearance_steps,
            APPEARANCE,
        )
        for sds, lr, shares, steps, name in (shape, looks):
            stage = mesh_stage(
                mesh,
                Views(shares=shares).course(self.batch, size=self.size),
                prior,
                sds,
                steps,
                lr=lr,
                smooth=self.smooth,
                hidden=self.hidden,
                seed=self.seed,
            )
            fit(stage, run / name, observers)
        return mesh
