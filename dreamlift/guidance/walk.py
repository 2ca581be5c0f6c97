"""DDIM between noise levels, up or down, where each sample has levels of its own."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import ddim_step
from dreamlift.guidance.scores import Score
from dreamlift.scene import Shot


def walk(
    score: Score,
    z: Float[Tensor, "b c y x"],
    levels: Sequence[Float[Tensor, " b"]],
    shot: Shot,
    *,
    jolts: Sequence[Float[Tensor, "b c y x"]] = (),
) -> Float[Tensor, "b c y x"]:
    """z at levels[0] brought to levels[-1] (Eq. 12 of DDIM, arXiv:2010.02502, eta = 0).

    Down it denoises; up it infers the noise from which z would have come. `jolts`: what is added
    after each step.
    """
    schedule = score.prior.schedule
    for i, (t, s) in enumerate(zip(levels, levels[1:], strict=False)):
        z = ddim_step(schedule, z, t, s, score(z, t, shot))
        if jolts:
            z = z + jolts[i]
    return z
