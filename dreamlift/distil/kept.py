"""The mesh that a recipe's last stage begins with: cut once, and then as the run holds it.

Cut again, on another device or by another torch, it has other vertices in the last bits, then
others in number, and what was learned on the first fits it no more.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from dreamlift.run import Run
from dreamlift.scenes.pliable import PliableMesh
from dreamlift.scenes.restore import restored


def kept(run: Run, cut: Callable[[], PliableMesh]) -> PliableMesh:
    """The mesh of a run's stage, on the CPU where it was there; else as it is cut, and kept."""
    state = run.load()
    if state is not None:
        return mesh_in(state["scene"])
    mesh = cut()
    run.save({"scene": mesh.state_dict()})
    return mesh


def mesh_in(state: Mapping[str, Tensor]) -> PliableMesh:
    """The mesh whose `state_dict` this is. Raises ValueError for any other's."""
    mesh = restored(state)
    if not isinstance(mesh, PliableMesh):
        raise ValueError(f"This is the state of a {type(mesh).__name__}, and of no mesh.")
    return mesh
