"""What a diffusion network says, and the noise that it means."""

from typing import Literal, TypeAlias

from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import Schedule, eps_from_flow, eps_from_v

Prediction: TypeAlias = Literal["epsilon", "v_prediction", "flow"]
"""What a network says: the noise, v = alpha eps - sigma z, or rectified flow's eps - z."""


def noise_of(
    schedule: Schedule,
    prediction: Prediction,
    z_t: Float[Tensor, "b c y x"],
    t: Float[Tensor, " b"],
    said: Float[Tensor, "b c y x"],
) -> Float[Tensor, "b c y x"]:
    """The noise that a network's answer means."""
    match prediction:
        case "epsilon":
            return said
        case "v_prediction":
            return eps_from_v(schedule, z_t, t, said)
        case "flow":
            return eps_from_flow(z_t, t, said)
