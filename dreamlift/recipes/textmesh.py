"""TextMesh: signed distances, their mesh, a texture redone on four sides (arXiv:2304.12439).

    field    repeat: c ~ p(c);  x = g(phi, c), phi a signed distance made a density
                     phi <- Adam(phi, w(t) (eps_hat(z_t; y, t) - eps) dx/dphi + eikonal)
    mesh     the zero level of the distance, unwrapped, its colours baked
    texture  the mesh from four sides, noised to t, denoised in a few steps: four pictures
             repeat: c ~ p(c);  texels <- Adam(texels, |x - picture|^2 in the four,
                     w(t) (eps_hat(z_t; y, t) - eps) dx/dtexels in c)

                    paper                                       here, for the embedded prior
    CFG scale       as DreamFusion's                            `scale`, `scale_texture`, clamped
    w(t)            sigma_t^2                                   sigma_t^2
    t               U(.02, .98)                                 annealed; `t_texture` of the four
    cameras         as DreamFusion's                            views.Views; the four 15 degrees up

It departs in the four pictures: the paper's are tiles of one, by a Stable Diffusion that is told
their depth. Here no prior is told depth or asked for tiles: each is made by itself, and agrees with
the shape and the others only as far as what is left of the field's colours under noise of
`t_texture` says so. The paper's steps, rates and law of density could not be looked up; `paper` has
DreamFusion's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.distil.kept import kept
from dreamlift.distil.surfaces import mesh_of, sdf_stage
from dreamlift.distil.textures import anew, four_sides, texture_stage
from dreamlift.fit import Observer, finished, fit
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Annealed, Uniform
from dreamlift.prior import Prior
from dreamlift.render.skin import Kind
from dreamlift.run import Run
from dreamlift.scenes.pliable import PliableMesh
from dreamlift.scenes.sdf import SDF
from dreamlift.views import Views

FIELD, MESH, TEXTURE = "field", "mesh", "texture"


@dataclass(frozen=True)
class TextMesh:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 500
    """Of the field."""
    texture_steps: int = 100
    """Of the texture."""
    batch: int = 1
    """Views per step."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step of the field."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step of the field."""
    scale_texture: float = 1.5
    """The same for the texture: little of it, against colours that are too strong."""
    t_texture: float = 0.3
    """The noise level from which the four pictures are made anew; later ones are drawn below."""
    radius: float = 0.7
    """Of the sphere to begin with, world units."""
    skin: Kind = "neus"
    """How distances become densities; VolSDF's outlines are wider than the mesh that comes out."""
    widths: tuple[float, float] = (0.3, 0.02)
    """Of the surface's skin at the first and at the last step, world units."""
    eikonal: float = 1000.0
    """Weight of the penalty on distances whose slope is not 1."""
    entropy: float = 5.0
    """Weight, at the end, of the penalty on half-transparent pixels."""
    photometric: float = 30.0
    """Weight of the four pictures' squared differences, beside score distillation elsewhere."""
    lr: tuple[float, float] = (0.1, 0.02)
    """Adam's rate for the field, at the first and at the last step."""
    lr_texture: tuple[float, float] = (0.05, 0.002)
    """Adam's rate for the logits of texels, at the first and at the last step."""
    size: int = 64
    """Side of the field's pictures, in pixels."""
    texture_size: int = 128
    """Side of the mesh's pictures, but for the four, which have the prior's."""

    def full(self) -> "TextMesh":
        """More steps, of two views each."""
        return replace(self, steps=1500, texture_steps=300, batch=2)

    def paper(self) -> "TextMesh":
        """For large priors, with DreamFusion's steps, views, scale, t and rates."""
        more = replace(self, steps=15_000, texture_steps=1000, batch=4, scale=100.0)
        return replace(more, t_start=(0.02, 0.98), t_end=(0.02, 0.98), lr=(0.01, 0.001))

    def scene(self) -> SDF:
        """The sphere before the first step."""
        return SDF(kind=self.skin, radius=self.radius, widths=self.widths)

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
        """Make the field and then the mesh, or load what the run has of them."""
        scene, y, null = self.scene().to(device), about(prior, self.prompt), Sentence(prior, "")
        score = cfg(prior, y, null, self.scale, clamp=1.0)
        stage = sdf_stage(
            scene,
            Views().course(self.batch, size=self.size, albedo_first=0.15),
            prior,
            SDS(score, Annealed(self.t_start, self.t_end)),
            self.steps,
            lr=self.lr,
            even=self.eikonal,
            solid=self.entropy,
            seed=self.seed,
        )
        fit(stage, run / FIELD, observers)

        mesh = kept(run / MESH, lambda: mesh_of(scene)).to(device)
        score = cfg(prior, y, null, self.scale_texture, clamp=1.0)
        sides = four_sides(prior.size, device)
        stage = texture_stage(
            mesh,
            Views(shares=(1, 0, 0)).course(self.batch, size=self.texture_size),
            score,
            SDS(score, Uniform(0.02, self.t_texture)),
            anew(mesh, score, sides, self.t_texture, steps=16, seed=self.seed),
            self.texture_steps,
            lr=self.lr_texture,
            photometric=self.photometric,
            seed=self.seed,
        )
        fit(stage, run / TEXTURE, observers)
        return mesh
