"""The mesh that a recipe's last stage begins with: cut once, and then as the run holds it.

Cut again, on another device or by another torch, it has other vertices in the last bits, then
others in number, and what was learned on the first fits it no more.
"""

from collections.abc import Callable

from dreamlift.fit import crew
from dreamlift.run import Run
from dreamlift.scenes.pliable import PliableMesh


def kept(run: Run, cut: Callable[[], PliableMesh]) -> PliableMesh:
    """The mesh of a run's stage, on the CPU; cut, and kept, where it is not there yet.

    Of several processes (split.py) the one that writes cuts it, and the others wait for it.
    """
    here = crew.get()
    if here.leads() and run.load() is None:
        run.save({"scene": cut().state_dict()})
    here.agreed(False)
    return PliableMesh.of((run.load() or {})["scene"])
