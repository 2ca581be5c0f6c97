"""A scene from its state alone, as a checkpoint holds it, whatever made it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from dreamlift.geometry.gaussians import Gaussians
from dreamlift.scenes.field import Field
from dreamlift.scenes.gaussians import PARAMETERS, Cloud
from dreamlift.scenes.hashed import Hashed
from dreamlift.scenes.marching import Budget
from dreamlift.scenes.pliable import PliableMesh
from dreamlift.scenes.sdf import SDF


def restored(state: Mapping[str, Tensor]) -> Field | SDF | Cloud | PliableMesh:
    """The field (on a grid or a hash encoding), the cloud or the mesh whose `state_dict` this is.

    On the CPU, to be looked at or exported, not optimised further: how a cloud grows and how many
    samples a field's rays take are no part of a state, nor is the kind of skin that distances have:
    they are shown with VolSDF's. Raises ValueError for any other.
    """
    state = {name: value.detach().cpu() for name, value in state.items()}
    if set(PARAMETERS) <= state.keys():
        harmonics = torch.cat([state["dc"], state["rest"]], 1)
        means, turns, scales, opacities = (state[name] for name in PARAMETERS[:4])
        scene = Cloud(Gaussians(means, turns, scales, opacities, harmonics))
    elif {"vertices", "faces", "logits"} <= state.keys():
        return PliableMesh.of(state)
    elif "body.table" in state:
        scene = Field(body=Hashed.of(state["body.numbers"]), samples=192, marcher=Budget())
    elif "body.levels.0" in state:
        levels = [value for name, value in state.items() if name.startswith("body.levels.")]
        side = max(len(level) for level in levels)
        if levels[0].shape[-1] != 4:
            raise ValueError(f"A field has 4 numbers at a vertex; here {levels[0].shape[-1]}.")
        kind = SDF if "log_width" in state else Field
        scene = kind(resolution=side, levels=len(levels), samples=3 * (side - 1) // 2)
    else:
        raise ValueError(f"No scene has a state of {', '.join(sorted(state)[:6])} ...")
    scene.load_state_dict(dict(state))
    return scene
