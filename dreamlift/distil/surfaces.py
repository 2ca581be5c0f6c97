"""Fields of signed distances that follow a guidance: DreamFusion's loop, and the eikonal loss; and
the meshes that are in them."""

from collections.abc import Callable
from dataclasses import replace

import torch

from dreamlift.convert.bake import baked
from dreamlift.convert.finish import DRAFT
from dreamlift.convert.sdf_to_mesh import cut_distances
from dreamlift.fit import Stage, Terms
from dreamlift.guidance import Guidance
from dreamlift.guidance.eikonal import eikonal
from dreamlift.guidance.regularizers import entropy
from dreamlift.prior import Prior
from dreamlift.render.volume import BALL, RayIntegrals
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.pliable import PliableMesh
from dreamlift.scenes.sdf import SDF
from dreamlift.step import Step, falling, linear

POINTS = 16384
"""Points of the ball's box where a step looks at the slope of the distance."""


def mesh_of(scene: SDF) -> PliableMesh:
    """The surface of a field, with its colours as a texture of 256 texels a side.

    Raises DegenerateError where the field holds no object.
    """
    finish = replace(DRAFT, texture=256)
    surface, _ = baked(scene, finish, cut_distances(scene, finish))
    return PliableMesh(surface)


def sdf_stage(
    scene: SDF,
    shots: Callable[[Step], Shot],
    prior: Prior,
    guidance: Guidance,
    steps: int,
    *,
    lr: tuple[float, float],
    even: float,
    solid: float,
    seed: int,
) -> Stage[RayIntegrals]:
    """A field of distances that follows a guidance; `lr` at the first and at the last step; `even`
    is the weight of the penalty on slopes other than 1, `solid` the weight, at the end, of that on
    pixels that are neither object nor background."""

    def objective(view: Rendering[RayIntegrals], shot: Shot, step: Step) -> Terms:
        at = 2 * torch.rand(POINTS, 3, generator=step.rng, device=step.rng.device) - 1
        return {
            "guidance": guidance(prior.encode(view.before(shot)), shot, step),
            "eikonal": even * eikonal(scene.gradient(BALL * at)),
            "entropy": linear(step.progress, 0, solid) * entropy(view.alpha),
        }

    adam = torch.optim.Adam(scene.parameters(), lr=lr[0], fused=True)
    return Stage(scene, shots, objective, adam, steps, seed=seed, rates=falling(lr))
