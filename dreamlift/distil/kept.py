"""The mesh that a recipe's last stage begins with: cut once, and then as the run holds it.

Cut again, on another device or by another torch, it has other vertices in the last bits, then
others in number, and what was learned on the first fits it no more.
"""

from collections.abc import Callable

from dreamlift.run import Run
from dreamlift.scenes.pliable import PliableMesh


def kept(run: Run, cut: Callable[[], PliableMesh]) -> PliableMesh:
    """The mesh of a run's stage, on the CPU where it was there; else as it is cut, and kept."""
    state = run.load()
    if state is not None:
        return PliableMesh.of(state["scene"])
    mesh = cut()
    run.save({"scene": mesh.state_dict()})
    return mesh
