"""A small run in parts: `python splitting.py WHAT FOLDER PARTS RANK WORLD FILE`.

FILE is where the processes meet: a file, so that no port is looked for.
"""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from dreamlift import split
from dreamlift.distil.variation import vsd_stage
from dreamlift.fit import fit
from dreamlift.grammar import parse
from dreamlift.guidance.prompts import Sentence, about
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.times import Uniform
from dreamlift.guidance.vsd import VSD
from dreamlift.priors.embedded import embedded
from dreamlift.priors.lora import Student
from dreamlift.priors.oracle import Oracle
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scenes.field import Field
from dreamlift.toybox.scenes import toy_scene
from dreamlift.views import Views

STEPS = 5


def work(folder: Path, parts: int) -> dict[str, torch.Tensor]:
    """DreamFusion against the oracle of a cone; all that it made."""
    recipe = DreamFusion("a yellow cone", 3, STEPS, batch=4, size=16, samples=24, init="blob")
    prior = Oracle(toy_scene(parse("a yellow cone"), 0).render, std=0.1)
    folder.mkdir(exist_ok=True)
    watch: list[Any] = [lambda m: m.run.log(m.step.index, m.terms)] if split.leads() else []
    with split.into(parts):
        return recipe.run(Run(folder), prior, watch).state_dict()


def study(folder: Path, parts: int) -> dict[str, torch.Tensor]:
    """VSD on a field with the embedded prior; the field, and the student that learns beside it."""
    prior = embedded()
    y = about(prior, "a yellow cone")
    student = Student(prior, y, rng=torch.Generator().manual_seed(1), rank=2, where="everywhere")
    vsd = VSD(cfg(prior, y, Sentence(prior, ""), 7.5, clamp=1.0), student, Uniform(0.3, 0.9))
    field, shots = Field(init="blob", samples=24, resolution=33), Views(shares=(1, 0, 0))
    course, phi, rates = shots.course(2, size=64), field.parameters(), ((0.1, 0.02), 1e-3)
    stage = vsd_stage(field, phi, course, vsd, student, 3, rates, seed=3)
    folder.mkdir(exist_ok=True)
    with split.into(parts):
        fit(stage, Run(folder))
    learned = {f"student.{name}": value for name, value in student.state_dict().items()}
    return {**field.state_dict(), **learned}


WORK = {"work": work, "study": study}


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, folder, parts, rank, world, meeting = sys.argv[1:]
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=int(world)
    )
    found = WORK[what](Path(folder), int(parts))
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in found.items()}, f"{folder}-{rank}.safetensors")
    dist.destroy_process_group()
