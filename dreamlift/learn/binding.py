"""Binding, measured by itself: does the colour said of the upper thing lie above the other's?

Pictures of "a C solid on top of a D solid" are sorted pixel by pixel to C, to D or to the
background by the nearest named colour. `both`: each colour covers at least 2 % of the picture;
`order`: among those, C lies above D. A prior that ignores words scores near (0, 0.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.grammar import parse
from dreamlift.toybox.colours import NAMED

PROMPTS = (
    "a red cube on top of a blue cylinder",
    "a blue cylinder on top of a red cube",
    "a yellow ball on top of a purple cube",
    "a purple cone on top of a green ball",
    "a green ball on top of a pink cylinder",
    "an orange pyramid on top of a blue ball",
    "a pink cube on top of a brown cylinder",
    "a brown mug on top of a yellow cube",
    "a small red ball on top of a large green cube",
    "a white frog on top of a black cylinder",
    "a black cone on top of a white cube",
    "a purple frog on top of an orange cube",
)
"""Trained compositions only."""


@dataclass(frozen=True)
class Binding:
    both: float  # share of pictures that show both colours
    order: float  # share of those with the right one above
    bound: float  # the product: both colours, each in its place


def binding(pictures: Float[Tensor, "b h w 3"], prompts: Sequence[str]) -> Binding:
    """Score pictures (sRGB in [0, 1]) of prompts of the kind of PROMPTS."""
    both = right = 0
    for x, prompt in zip(pictures, prompts, strict=True):
        things = parse(prompt).things
        corner = torch.stack([x[0, 0], x[0, -1], x[-1, 0], x[-1, -1]]).median(0).values
        said = [NAMED[thing.colour or "white"] for thing in things]
        centres = torch.stack([*(x.new_tensor(c) for c in said), corner])
        nearest = torch.cdist(x.reshape(-1, 3), centres).argmin(-1).reshape(x.shape[:2])
        near = torch.cdist(x.reshape(-1, 3), centres).amin(-1).reshape(x.shape[:2]) < 0.45
        rows = torch.arange(x.shape[0]).float()[:, None].expand_as(nearest)
        upper, lower = (nearest == 0) & near, (nearest == 1) & near
        if min(upper.float().mean(), lower.float().mean()) < 0.02:
            continue
        both += 1
        right += int(rows[upper].mean() < rows[lower].mean())
    n = len(pictures)
    return Binding(both / n, right / both if both else 0.0, right / n)
