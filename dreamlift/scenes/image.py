"""The smallest scene: phi is the picture itself, the same from every camera."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dreamlift.scene import Rendering, Scene, Shot


@final
class Image(Scene[None]):
    """A picture; sRGB by way of logits, so that it stays in (0, 1)."""

    def __init__(self, rgb: Float[Tensor, "h w 3"]) -> None:
        super().__init__()
        self.logits = nn.Parameter(rgb.logit(eps=1e-4))

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[None]:
        h, w, _ = self.logits.shape
        if (h, w) != (shot.cameras.height, shot.cameras.width):
            raise ValueError(
                f"An image scene is not resampled: it is {h}x{w}, the cameras ask for "
                f"{shot.cameras.height}x{shot.cameras.width}. Make the cameras with size={h}."
            )
        rgb = self.logits.sigmoid().expand(len(shot), h, w, 3)
        return Rendering(rgb, torch.ones_like(rgb[..., :1]), None)
