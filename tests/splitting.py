"""A small run whose steps are done in parts: `python splitting.py FOLDER PARTS RANK WORLD FILE`.

FILE is where the processes meet: a file, so that no port is looked for.
"""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from dreamlift import split
from dreamlift.grammar import parse
from dreamlift.priors.oracle import Oracle
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.toybox.scenes import toy_scene

STEPS = 5


def work(folder: Path, parts: int) -> dict[str, torch.Tensor]:
    """DreamFusion against the oracle of a cone; all that it made."""
    recipe = DreamFusion("a yellow cone", 3, STEPS, batch=4, size=16, samples=24, init="blob")
    prior = Oracle(toy_scene(parse("a yellow cone"), 0).render, std=0.1)
    folder.mkdir(exist_ok=True)
    watch: list[Any] = [lambda m: m.run.log(m.step.index, m.terms)] if split.leads() else []
    with split.into(parts):
        return recipe.run(Run(folder), prior, watch).state_dict()


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, parts, rank, world, meeting = sys.argv[1:]
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=int(world)
    )
    found = work(Path(folder), int(parts))
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in found.items()}, f"{folder}-{rank}.safetensors")
    dist.destroy_process_group()
