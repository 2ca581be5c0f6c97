"""Variational score distillation (ProlificDreamer, arXiv:2305.16213).

Where SDS asks for the mode of what a prior believes, VSD asks for a sample: the pull is the
difference between what the prior says and what a second noise predictor says, a student of the
pictures that the scene shows now. The two are equal, and nothing pulls, where the scene's pictures
are as likely as the prior says and as various.

A recipe minimises both terms at once; the student stands among the optimiser's groups and in
Stage.keep:

    {"vsd": vsd(z, shot, step), "student": study(z, shot, step)}
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import add_noise, per_sample
from dreamlift.guidance.scores import Score
from dreamlift.guidance.sds import fresh_noise, inject
from dreamlift.guidance.times import Times, Uniform, Weight, draw, sigma_squared
from dreamlift.scene import Shot
from dreamlift.step import Step


@runtime_checkable
class Student(Score, Protocol):
    """A score that learns: `priors.lora.Student`."""

    def loss(
        self,
        z: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        noise: Float[Tensor, "b c y x"],
        shot: Shot,
        rng: torch.Generator,
    ) -> Float[Tensor, ""]:
        """How wrong it is about the noise in z_t, in whatever its network predicts."""
        ...


@dataclass(frozen=True)
class VSD:
    """grad_z = w(t) (eps_hat(z_t; y, t) - eps_phi(z_t; y, t, c)), Eq. 8.

    `score` is guided; `student`, any score of the pictures that the scene shows, is not. Both see
    one z_t. A student that knows a single picture, and says eps, makes this SDS.
    """

    score: Score
    student: Score
    times: Times = Uniform()
    weight: Weight = sigma_squared

    def gradient(
        self,
        z: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        noise: Float[Tensor, "b c y x"],
        shot: Shot,
    ) -> Float[Tensor, "b c y x"]:
        """Eq. 8 for a given t and noise."""
        schedule = self.score.prior.schedule
        with torch.no_grad():
            z_t = add_noise(schedule, z, t, noise)
            wanted, shown = self.score(z_t, t, shot), self.student(z_t, t, shot)
            return per_sample(self.weight(schedule, t), z) * (wanted - shown)

    def __call__(self, z: Float[Tensor, "b c y x"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        t = draw(self.times, self.score.prior, z, step)
        return inject(z, self.gradient(z, t, fresh_noise(z, step), shot))


@dataclass(frozen=True)
class Study:
    """The student's own loss on the pictures that the scene shows: Eq. 9, Algorithm 1.

    Its t and its noise are its own draws, not those of the scene's pull, and its gradient never
    reaches the scene.
    """

    student: Student
    times: Times = Uniform(0.0, 1.0)

    def __call__(self, z: Float[Tensor, "b c y x"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        z = z.detach()
        t = draw(self.times, self.student.prior, z, step)
        return self.student.loss(z, t, fresh_noise(z, step), shot, step.rng)
