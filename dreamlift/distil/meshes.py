"""Meshes on tetrahedra that follow a guidance, as Magic3D's fine stage."""

from collections.abc import Callable

import torch

from dreamlift.fit import Stage, Terms
from dreamlift.geometry.smooth import normal_consistency
from dreamlift.guidance import Guidance
from dreamlift.prior import Prior
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.tetrahedra import Cut, Tetrahedra
from dreamlift.step import Step


def mesh_stage(
    mesh: Tetrahedra,
    shots: Callable[[Step], Shot],
    prior: Prior,
    guidance: Guidance,
    steps: int,
    *,
    lr: tuple[float, float],
    smooth: float,
    hidden: float,
    seed: int,
) -> Stage[Cut]:
    """A mesh that follows a guidance; `lr` of its shape (distances in cells, offsets) and of its
    colours' logits, 0: fixed; `smooth` and `hidden` are weights of the penalties on edges between
    faces that turn and on surfaces that nobody sees."""

    def objective(view: Rendering[Cut], shot: Shot, step: Step) -> Terms:
        cut = view.aux
        bent = normal_consistency(cut.vertices, cut.faces, cut.edges)
        return {
            "guidance": guidance(prior.encode(view.before(shot)), shot, step),
            "smooth": smooth * bent,
            "hidden": hidden * mesh.hidden(),
        }

    of_shape, of_color = lr
    groups = [
        {"params": [mesh.sdf, mesh.offsets], "lr": of_shape, "name": "shape"},
        {"params": [mesh.logits], "lr": of_color, "name": "color"},
    ]
    adam = torch.optim.Adam([group for group in groups if group["lr"]] or groups)
    return Stage(mesh, shots, objective, adam, steps, seed=seed)
