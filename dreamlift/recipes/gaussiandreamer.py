"""GaussianDreamer: Gaussians that begin as an object in 3D (arXiv:2310.08529).

    points  an object from a quick prior of shapes, its surface as points, and more around them
    cloud   repeat: c ~ p(c);  x = splat(phi, c);  t, eps
                    phi <- Adam(phi, w(t) (eps_hat(z_t; y, t) - eps) dx/dphi)
                    now and then: densify and prune

                    paper                                       here, for the embedded prior
    points          Shap-E or a motion model; grown, coloured   a short run of dreamfusion; grown
    CFG scale       101 (its code's 100 is of one more)         `scale`, clean sample clamped
    w(t)            sigma_t^2                                   sigma_t^2
    t               U(.02, .98), U(.02, .55) from 500 of 1,200  U(.02, `t_most`), then the same
    cameras         around, elevation -10 to 60                 views.Views

Also in the paper: batch 4 at 1,024 pixels, a million candidates for points kept within .01.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.convert.finish import DRAFT
from dreamlift.convert.volume_to_mesh import extract
from dreamlift.distil.clouds import cloud_stage, growth
from dreamlift.fit import Observer, fit, made
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.geometry.surfels import from_mesh
from dreamlift.guidance.courses import TwoPhase
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Uniform
from dreamlift.prior import Prior
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scenes.field import Field
from dreamlift.scenes.gaussians import Cloud
from dreamlift.views import Views

POINTS, CLOUD = "points", "cloud"


@dataclass(frozen=True)
class GaussianDreamer:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 250
    """Of the cloud (1,200 in the paper)."""
    coarse: int = 150
    """Of the short run that the points come from."""
    batch: int = 1
    """Views per step (4 in the paper)."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance (100 in the paper)."""
    t_most: float = 0.8
    """The highest noise level of the first steps (.98 in the paper)."""
    t_change: float = 0.4
    """Share of the steps that are the first."""
    count: int = 8000
    """Gaussians to start with, on the surface of what the short run made."""
    spread: float = 0.05
    """World units: how far from the surface points are grown."""
    push: float = 0.02
    """Mean gradient of a Gaussian's centre, half a picture being 1, from which it becomes two."""
    entropy: float = 2.0
    """Weight, at the end, of the penalty on half-transparent pixels."""
    size: int = 64
    """Side of the pictures, in pixels (1,024 in the paper)."""
    negative: str = ""
    """What it should not be: said in place of the null prompt."""

    def full(self) -> "GaussianDreamer":
        """More steps, of two views each."""
        return replace(self, steps=800, coarse=300, batch=2)

    def paper(self) -> "GaussianDreamer":
        """The paper's numbers; for large priors."""
        more = replace(self, steps=1200, batch=4, scale=101.0, size=1024, push=2e-4, entropy=0.0)
        return replace(more, t_most=0.98, t_change=5 / 12)

    def points(self) -> DreamFusion:
        """The short run."""
        scale, negative = self.scale, self.negative
        return DreamFusion(self.prompt, self.seed, self.coarse, scale=scale, negative=negative)

    def cloud(self, field: Field) -> Cloud:
        """Gaussians on the surface of a field, and around it."""
        rng = torch.Generator().manual_seed(self.seed)
        surface, _, _ = extract(field, DRAFT)
        flat = from_mesh([surface], self.count, rng, opacity=0.5)
        off = self.spread * torch.randn(flat.means.shape, generator=rng)
        half = (torch.rand(self.count, 1, generator=rng) < 0.5).to(off)
        grown = Gaussians(
            flat.means + half * off,
            flat.quaternions,
            flat.log_scales,
            flat.opacity_logits,
            flat.harmonics,
        )
        return Cloud(grown, densify=growth(self.steps, self.push))

    def made(self, run: Run) -> Cloud:
        """The cloud of a finished run."""
        return made(self.cloud(self.points().made(run / POINTS)), run / CLOUD)

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Cloud:
        """Make the points and then the cloud, or load what the run has of them."""
        field = self.points().run(run / POINTS, prior, observers, device=device)
        cloud = self.cloud(field).to(device)
        y = about(prior, self.prompt)
        score = cfg(prior, y, Sentence(prior, self.negative, negative=True), self.scale, clamp=1.0)
        times = TwoPhase(Uniform(0.02, self.t_most), Uniform(0.02, 0.55), self.t_change)
        shots = Views().course(self.batch, size=self.size, albedo_first=0.15)
        sds = SDS(score, times)
        stage = cloud_stage(cloud, shots, prior, sds, self.steps, self.entropy, seed=self.seed)
        fit(stage, run / CLOUD, observers)
        return cloud
