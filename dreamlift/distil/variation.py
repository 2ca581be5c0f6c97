"""Scenes that follow variational score distillation, and the student that follows them."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from dreamlift.fit import Stage, Terms
from dreamlift.guidance.regularizers import entropy, opacity
from dreamlift.guidance.vsd import VSD, Study
from dreamlift.priors.lora import Student
from dreamlift.scene import Rendering, Scene, Shot
from dreamlift.scenes.field import Field, Init
from dreamlift.scenes.particles import stir
from dreamlift.step import Step, falling, linear


def unlike(count: int, init: Init, *, seed: int) -> list[Field]:
    """Fields to begin with; all but the first have faint colours of their own."""
    fields = [Field(init=init) for _ in range(count)]
    rng = torch.Generator().manual_seed(seed)
    for field in fields[1:]:
        stir(field, rng)
    return fields


def vsd_stage(
    scene: Scene[Any],
    phi: Iterable[nn.Parameter],
    shots: Callable[[Step], Shot],
    vsd: VSD,
    student: Student,
    steps: int,
    rates: tuple[tuple[float, float], float],
    *,
    seed: int,
) -> Stage[Any]:
    """Some of a scene's numbers, `phi`, follow VSD, and its student what the scene shows; `rates`
    of phi at the first and the last step, and of the student. Fog is thinned out as it goes on."""
    study = Study(student)

    def objective(view: Rendering[Any], shot: Shot, step: Step) -> Terms:
        z, more = vsd.score.prior.encode(view.before(shot)), linear(step.progress, 0, 5.0)
        return {
            "guidance": vsd(z, shot, step),
            "student": study(z, shot, step),
            "opacity": more * opacity(view.alpha),
            "entropy": more * entropy(view.alpha),
        }

    of_phi, of_student = rates
    adam = torch.optim.Adam(
        [
            {"params": list(phi), "lr": of_phi[0], "name": "phi"},
            {"params": list(student.parameters()), "lr": of_student, "name": "student"},
        ]
    )
    return Stage(
        scene,
        shots,
        objective,
        adam,
        steps,
        seed=seed,
        rates=falling(of_phi, "phi"),
        keep={"student": student},
    )
