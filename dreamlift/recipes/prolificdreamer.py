"""ProlificDreamer: fields, then a mesh, by variational score distillation (arXiv:2305.16213).

    repeat: c ~ p(c);  one of n fields;  x = g(phi, c);  t, eps
            phi   <- Adam(phi, w(t) (eps_hat(z_t; y, t) - eps_theta(z_t; y, t, c)) dx/dphi)
            t, eps' anew;  theta <- Adam(theta, |eps_theta(z_t; y, t, c) - eps'|^2)   (Algorithm 1)
    field     that, on n fields (particles)
    shape     the mesh inside one of them, by SDS on pictures without texture
    texture   that again, on the mesh's colours alone

                    paper                                       here, for the embedded prior
    CFG scale       7.5; shape 100; the student 1               `scale`, `scale_shape`; 1
    w(t)            sigma_t^2                                   sigma_t^2
    t               U(.02, .98), from `t_change` U(.02, .5)     annealed; then `t_late`
    cameras         around, albedo only                         views.Views, albedo only
    student         LoRA in SD 2.1's attention, lr 1e-4         LoRA of `rank`, `lr_student`

Also in the paper: a hash grid; shape by normal maps, which the embedded prior does not know."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.distil.inside import empty_mesh, mesh_of
from dreamlift.distil.meshes import mesh_stage
from dreamlift.distil.variation import unlike, vsd_stage
from dreamlift.errors import BadInput
from dreamlift.fit import Observer, fit, made
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Annealed, Uniform
from dreamlift.guidance.vsd import VSD
from dreamlift.prior import Prior
from dreamlift.priors.lora import Student, teaching
from dreamlift.run import Run
from dreamlift.scenes.field import Init
from dreamlift.scenes.particles import Particles
from dreamlift.scenes.tetrahedra import Tetrahedra
from dreamlift.views import Views

FIELD, SHAPE, TEXTURE = "field", "shape", "texture"


@dataclass(frozen=True)
class ProlificDreamer:
    """The numbers of a run. The defaults are the `draft` for the embedded prior."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 500
    """Of the field (25,000 in the paper)."""
    shape_steps: int = 150
    """Of the mesh's shape (15,000 in the paper)."""
    texture_steps: int = 150
    """Of the mesh's colours (30,000 in the paper)."""
    batch: int = 1
    """Views per step."""
    particles: int = 1
    """Fields at once (up to 4 in the paper)."""
    chosen: int = 1
    """Which of them becomes the mesh, counted from 1."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance."""
    scale_shape: float = 7.5
    """The same of the mesh's shape (100 in the paper)."""
    rank: int = 4
    """Of the student's additions."""
    t_start: tuple[float, float] = (0.3, 0.98)
    """Range of t at the first step."""
    t_end: tuple[float, float] = (0.05, 0.6)
    """Range of t at the last step of the field."""
    t_change: float = 0.0
    """Share of the field's steps after which t goes from the one to the other; 0: gradually."""
    t_late: tuple[float, float] = (0.02, 0.5)
    """Range of t on the mesh."""
    lr: tuple[float, float] = (0.1, 0.02)
    """Adam's rate for the field, at the first and at the last step."""
    lr_student: float = 1e-3
    """Adam's rate for the student (1e-4 in the paper)."""
    lr_shape: float = 0.01
    """Adam's rate for distances, in cells, and offsets."""
    lr_color: float = 0.05
    """Adam's rate for the logits of colours."""
    smooth: float = 300.0
    """Weight of the penalty on edges between faces that turn."""
    resolution: int = 48
    """Cells along each side of the grid of tetrahedra (256 in the paper)."""
    init: Init = "fog"
    """The fields' density to start from: nearly uniform fog, or a compact blob."""
    size: int = 64
    """Side of the field's pictures, in pixels (512 in the paper)."""
    fine_size: int = 128
    """Side of the mesh's pictures (512 in the paper)."""

    def __post_init__(self) -> None:
        if self.chosen > self.particles:
            raise BadInput(f"There is no field {self.chosen} among {self.particles} particles.")

    def full(self) -> "ProlificDreamer":
        """More steps."""
        return replace(self, steps=1500, shape_steps=400, texture_steps=600, resolution=64)

    def paper(self) -> "ProlificDreamer":
        """The paper's numbers; for large priors."""
        it = replace(self, steps=25_000, shape_steps=15_000, texture_steps=30_000, init="blob")
        it = replace(it, resolution=256, size=512, fine_size=512, lr=(1e-3, 1e-3), lr_student=1e-4)
        return replace(it, scale_shape=100.0, t_start=(0.02, 0.98), t_end=(0.02, 0.5), t_change=0.2)

    def made(self, run: Run) -> Tetrahedra:
        """The textured mesh of a finished run."""
        return made(empty_mesh(self.resolution), run / TEXTURE)

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Tetrahedra:
        """Make the fields and then the mesh, or load what the run has of them."""
        prior, seed = teaching(prior), self.seed
        y, null = about(prior, self.prompt), Sentence(prior, "")
        score = cfg(prior, y, null, self.scale, clamp=1.0)
        rng, late = torch.Generator().manual_seed(seed), Uniform(*self.t_late)
        plain, bare = Views(shares=(1, 0, 0)), Views(shares=(0, 0, 1))
        many = Particles(fields := unlike(self.particles, self.init, seed=seed)).to(device)
        student = Student(prior, y, rng=rng, rank=self.rank, where="everywhere").to(device)
        by, until = ("step", self.t_change) if self.t_change else ("linear", 1.0)
        vsd = VSD(score, student, Annealed(self.t_start, self.t_end, by, until))
        shots, lrs = plain.course(self.batch, size=self.size), (self.lr, self.lr_student)
        stage = vsd_stage(many, many.parameters(), shots, vsd, student, self.steps, lrs, seed=seed)
        fit(stage, run / FIELD, observers)

        mesh = mesh_of(fields[self.chosen - 1], self.resolution, device)
        score = cfg(prior, y, null, self.scale_shape, clamp=1.0)
        sds, shots = SDS(score, late), bare.course(self.batch, size=self.fine_size)
        lrs, regular = (self.lr_shape, 0.0), {"smooth": self.smooth, "hidden": 5.0}
        stage = mesh_stage(mesh, shots, prior, sds, self.shape_steps, lr=lrs, **regular, seed=seed)
        fit(stage, run / SHAPE, observers)

        student = Student(prior, y, rng=rng, rank=self.rank, where="everywhere").to(device)
        vsd, shots = VSD(vsd.score, student, late), plain.course(self.batch, size=self.fine_size)
        lrs, steps = ((self.lr_color, self.lr_color), self.lr_student), self.texture_steps
        stage = vsd_stage(mesh, [mesh.logits], shots, vsd, student, steps, lrs, seed=seed)
        fit(stage, run / TEXTURE, observers)
        return mesh
