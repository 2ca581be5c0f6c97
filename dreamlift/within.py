"""A recipe's prior within so much memory: what `--memory 8G` does of a run."""

import logging

from dreamlift.errors import BadInput
from dreamlift.prior import Aligner, Prior
from dreamlift.priors.comparer import Comparer
from dreamlift.priors.source import Source
from dreamlift.priors.thrift import Plan, load, planned
from dreamlift.recipes.prolificdreamer import ProlificDreamer

log = logging.getLogger("dreamlift")


def plan_for(recipe: object, source: Source | Comparer, memory: str, device: str) -> Plan | None:
    """How the prior is to be asked in no more than `memory` ("8G"); None for "": as it comes.

    Raises BadInput where that cannot be.
    """
    if not memory:
        return None
    if not isinstance(source, Source):
        raise BadInput("--memory plans for diffusion priors, not for a CLIP.")
    plan = planned(source, memory, device, batch=int(vars(recipe).get("batch", 1)))
    if plan.ways.offload and isinstance(recipe, ProlificDreamer):
        raise BadInput(
            "VSD's student learns in the network's own layers, which cannot be brought one by one. "
            f"Give --memory more, or choose another recipe. {'; '.join(plan.why)}"
        )
    return plan


def loaded(recipe: object, source: Source | Comparer, memory: str, device: str) -> Prior | Aligner:
    """The prior, asked as was planned; the plan is logged. Raises BadInput."""
    plan = plan_for(recipe, source, memory, device)
    if plan is None or not isinstance(source, Source):
        return source.load(device)
    log.info("memory of a step: %s", "; ".join(plan.why))
    return load(source, device, plan.ways)
