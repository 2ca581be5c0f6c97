"""A mesh that is cut once, whoever does it."""

from pathlib import Path

import pytest
import torch
from test_textures import ball

from dreamlift.distil.kept import kept
from dreamlift.fit import Crew, crew
from dreamlift.run import Run
from dreamlift.scenes.pliable import PliableMesh


def cut() -> PliableMesh:
    return ball((0.8, 0.3, 0.2))


def never() -> PliableMesh:
    raise AssertionError("cut again")


def test_a_mesh_is_cut_and_then_the_one_that_is_kept(tmp_path: Path) -> None:
    run = Run(tmp_path) / "mesh"
    for found in (kept(run, cut), kept(run, never)):
        for key, value in cut().state_dict().items():
            assert torch.equal(found.state_dict()[key], value), key


@pytest.mark.parametrize("there", [False, True])
def test_of_several_processes_one_cuts_and_writes_and_the_others_wait(
    tmp_path: Path, there: bool
) -> None:
    run, met = Run(tmp_path) / "mesh", list[bool]()
    if there:
        kept(run, cut)

    def leader(stop: bool) -> bool:
        """What the process that writes has done when all meet."""
        met.append(run.checkpoint.exists())
        if not there:
            run.save({"scene": cut().state_dict()})
        return stop

    token = crew.set(Crew(lambda: False, leader))
    try:
        found = kept(run, never)
    finally:
        crew.reset(token)
    assert met == [there]
    assert torch.equal(found.vertices, cut().vertices)
