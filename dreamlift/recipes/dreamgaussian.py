"""DreamGaussian: Gaussians, then a mesh with a refined texture (arXiv:2309.16653).

    cloud    repeat: c ~ p(c);  x = splat(phi, c);  t = 1 - i / N;  eps
                     phi <- Adam(phi, w(t) (eps_hat(z_t; y, t) - eps) dx/dphi)
                     now and then: densify and prune
    mesh     a surface cut from the cloud's density, unwrapped, its colours baked     (Sec. 3.2)
    texture  repeat: c ~ p(c);  x = rasterised(mesh, c);  x noised, then denoised in a few steps
                     texels <- Adam(texels, |x - what came of it|^2)                  (Sec. 3.3)

                    paper                                       here, for the embedded prior
    CFG scale       100                                         `scale`, clean sample clamped;
                                                                `scale_texture`
    w(t)            sigma_t^2; then 1                           the same
    t               1 - i / N in [.02, .98]; then .2 to .05     the same, in `t_range`; `t_texture`
    cameras         elevation -30 to 30, radius 2.5             views.Views

Also in the paper: 500 steps at 128 to 512 pixels with Stable Diffusion 2.1, 50 of texture; a mesh
remeshed and simplified; colours projected from 26 views where ours are gathered along rays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.convert.finish import DRAFT
from dreamlift.convert.gaussians_to_mesh import of_gaussians
from dreamlift.distil.clouds import cloud_stage, growth
from dreamlift.distil.kept import kept
from dreamlift.fit import Observer, Stage, Terms, finished, fit
from dreamlift.geometry.clouds import in_ball
from dreamlift.guidance.courses import falling
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.reconstruct import Reconstruct
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.prior import Prior
from dreamlift.render.raster import Raster
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.gaussians import Cloud
from dreamlift.scenes.pliable import PliableMesh
from dreamlift.step import Step
from dreamlift.views import Views

CLOUD, MESH, TEXTURE = "cloud", "mesh", "texture"


@dataclass(frozen=True)
class DreamGaussian:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 250
    """Of the cloud (500 in the paper)."""
    texture_steps: int = 30
    """Of the texture (50 in the paper)."""
    batch: int = 1
    """Views per step."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance (100 in the paper)."""
    scale_texture: float = 1.0
    """The same of the texture (100 in the paper's code). More of it dulls the colours that are
    there."""
    t_range: tuple[float, float] = (0.02, 0.98)
    """What the noise level, which falls from 1 to 0, is clipped to."""
    t_texture: tuple[float, float] = (0.05, 0.2)
    """The noise level of the texture's last and of its first step."""
    denoising: int = 2
    """DDIM steps from there to the texture's target (10 to 2 in the paper's code)."""
    count: int = 5000
    """Gaussians to start with, at random in a ball (1,000 in the paper, 5,000 in its code)."""
    radius: float = 0.8
    """Of that ball, world units."""
    push: float = 0.02
    """Mean gradient of a Gaussian's centre, half a picture being 1, from which it becomes two."""
    dark: float = 0.35
    """The share of the light that no longer arrives where the cloud is cut: below half, for what
    evening out takes from corners and from what is thin."""
    even: int = 40
    """Times that the cut is evened out, each vertex half of the way to its neighbours' mean. Less
    leaves lumps."""
    entropy: float = 2.0
    """Weight, at the end, of the penalty on half-transparent pixels."""
    lr_texture: float = 0.05
    """Adam's rate for the logits of texels."""
    size: int = 64
    """Side of the cloud's pictures, in pixels (128 to 512 in the paper)."""
    texture_size: int = 128
    """Side of the mesh's pictures."""
    negative: str = ""
    """What it should not be: said in place of the null prompt."""

    def full(self) -> "DreamGaussian":
        """More steps, of two views each."""
        return replace(self, steps=800, texture_steps=100, batch=2, denoising=4)

    def paper(self) -> "DreamGaussian":
        """The paper's numbers; for large priors."""
        more = replace(self, steps=500, texture_steps=50, size=512, texture_size=512, denoising=10)
        return replace(more, scale=100.0, scale_texture=100.0, radius=0.55, push=0.01, entropy=0.0)

    def cloud(self) -> Cloud:
        """The Gaussians before the first step."""
        rng = torch.Generator().manual_seed(self.seed)
        start = in_ball(self.count, rng, radius=self.radius)
        return Cloud(start, densify=growth(self.steps, self.push))

    def mesh(self, cloud: Cloud) -> PliableMesh:
        """The surface of the cloud, with its colours."""
        with torch.no_grad():
            surface, _, _ = of_gaussians(cloud.gaussians(), DRAFT, dark=self.dark, even=self.even)
        return PliableMesh(surface)

    def made(self, run: Run) -> PliableMesh:
        """The textured mesh of a finished run."""
        return PliableMesh.of(finished(run / TEXTURE))

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> PliableMesh:
        """Make the cloud and then the mesh, or load what the run has of them."""
        cloud = self.cloud().to(device)
        y, null = about(prior, self.prompt), Sentence(prior, self.negative, negative=True)
        score = cfg(prior, y, null, self.scale, clamp=1.0)
        sds = SDS(score, falling(1.0, 0.0, limits=self.t_range))
        shots = Views().course(self.batch, size=self.size, albedo_first=0.15)
        stage = cloud_stage(cloud, shots, prior, sds, self.steps, self.entropy, seed=self.seed)
        fit(stage, run / CLOUD, observers)

        mesh = kept(run / MESH, lambda: self.mesh(cloud)).to(device)
        score = cfg(prior, y, null, self.scale_texture, clamp=1.0)
        refined = Reconstruct(score, self.denoising, falling(*reversed(self.t_texture)))

        def refine(view: Rendering[Raster], shot: Shot, step: Step) -> Terms:
            return {"guidance": refined.redrawn(view.before(shot), shot, step)}

        adam = torch.optim.Adam([mesh.logits], lr=self.lr_texture)
        shots = Views(shares=(1, 0, 0)).course(self.batch, size=self.texture_size)
        stage = Stage(mesh, shots, refine, adam, self.texture_steps, seed=self.seed)
        fit(stage, run / TEXTURE, observers)
        return mesh
