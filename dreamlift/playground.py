"""Any guidance on plain pictures: what it does, in a minute, without a third dimension.

    repeat: t, eps;  z_t = alpha_t z + sigma_t eps;  z <- Adam(z, the guidance's gradient)

Several pictures at once, from grey and a little noise: do they become one (SDS seeks the mode) or
many (VSD samples)? What does a CFG scale of 100 do to their colours? The four choices are fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.fit import Moment, Observer, Stage, Terms, fit
from dreamlift.guidance import Guidance, guided
from dreamlift.guidance.courses import DreamTime, falling
from dreamlift.guidance.csd import CSD
from dreamlift.guidance.hifa import HiFA
from dreamlift.guidance.ism import ISM
from dreamlift.guidance.jacobian import Jacobian
from dreamlift.guidance.nfsd import nfsd
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.reconstruct import Reconstruct
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sdi import SDI
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.sjc import sjc
from dreamlift.guidance.times import Uniform
from dreamlift.guidance.vsd import VSD, Study
from dreamlift.io.images import contact_sheet
from dreamlift.prior import Prior
from dreamlift.priors.lora import Student, teaching
from dreamlift.recipes import Method
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.image import Image
from dreamlift.scenes.particles import Particles
from dreamlift.step import Step

SHOWN = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Shares of the steps after which the pictures are shown."""


@dataclass(frozen=True)
class Picture:
    """The numbers of a run."""

    prompt: str
    """What to show."""
    method: Method = "sds"
    """The guidance."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 200
    """Optimiser steps."""
    count: int = 3
    """Pictures at once."""
    scale: float = 7.5
    """Classifier-free guidance scale; 1 is no guidance."""
    t_range: tuple[float, float] = (0.02, 0.98)
    """Of the noise levels, where the method has none of its own."""
    lr: float = 0.05
    """Adam's rate for the logits of colours."""
    lr_student: float = 1e-3
    """Adam's rate for VSD's student."""

    def guidance(self, prior: Prior, student: Student | None = None) -> Guidance:
        """The method; VSD's has a student."""
        y, null = Sentence(prior, self.prompt), Sentence(prior, "")
        score, times = cfg(prior, y, null, self.scale), Uniform(*self.t_range)
        match self.method:
            case "sds":
                return SDS(score, times)
            case "vsd":
                if student is None:
                    raise ValueError("VSD follows a student; give one.")
                return VSD(score, student, times)
            case "sjc":
                return sjc(score)
            case "csd":
                return CSD(prior, y, null, times=times)
            case "nfsd":
                return nfsd(prior, y, null, null, scale=self.scale, times=times)
            case "ism":
                return ISM(score, cfg(prior, null, null, 1.0), times)
            case "sdi":
                return SDI(score, cfg(prior, y, null, 2 - self.scale), falling(0.9, 0.2))
            case "hifa":
                return HiFA(Reconstruct(score, times=falling(0.98, 0.3, by="sqrt")))
            case "dreamtime":
                return SDS(score, DreamTime(limits=self.t_range))
            case "jacobian":
                return Jacobian(score, times)

    def student(self, prior: Prior, rng: torch.Generator) -> Student:
        """One that has learned nothing yet. Raises BadInput for a prior without a network."""
        return Student(teaching(prior), Sentence(prior, self.prompt), rng=rng, where="everywhere")

    def run(
        self,
        run: Run,
        prior: Prior,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Float[Tensor, "y x 3"]:
        """A sheet: a row for each picture, as it was after the shares of steps in SHOWN."""
        rng = torch.Generator().manual_seed(self.seed)
        side = prior.size
        grey = [0.5 + 0.02 * torch.randn(side, side, 3, generator=rng) for _ in range(self.count)]
        scene = Particles([Image(x.clamp(0.01, 0.99)) for x in grey], who="all").to(device)
        at = torch.full((self.count,), 30.0, device=device)
        shot = Shot(orbit(at, at * 2 / 3, size=side))
        student = self.student(prior, rng).to(device) if self.method == "vsd" else None
        guidance, study = self.guidance(prior, student), student and Study(student)
        groups: list[dict[str, Any]] = [{"params": list(scene.parameters()), "lr": self.lr}]
        if student is not None:
            groups.append({"params": list(student.parameters()), "lr": self.lr_student})

        def objective(view: Rendering[Any], shot: Shot, step: Step) -> Terms:
            if study is None:
                return {"guidance": guided(guidance, prior, view.color, shot, step)}
            z = prior.encode(view.color)
            return {"guidance": guidance(z, shot, step), "student": study(z, shot, step)}

        due = {round(share * self.steps) for share in SHOWN}
        shown = {0: scene.render(shot, rng=rng).color.detach()}

        def keep_pictures(moment: Moment) -> None:
            done = moment.step.index + 1
            if done in due:
                shown[done] = moment.stage.scene.render(shot, rng=rng).color.detach()

        adam = torch.optim.Adam(groups)
        keep = {} if student is None else {"student": student}
        stage = Stage(scene, lambda _: shot, objective, adam, self.steps, seed=self.seed, keep=keep)
        fit(stage, run, [keep_pictures, *observers])
        rows = torch.stack(list(shown.values()), 1).flatten(0, 1).clamp(0, 1).cpu()
        labels = [f"step {done}" for _ in range(self.count) for done in shown]
        return contact_sheet(rows, columns=len(shown), labels=labels)
