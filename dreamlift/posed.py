"""Photographs from known places, ready to be fitted: pinhole, of one size, in our world."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamlift.cameras import Cameras


@dataclass(frozen=True)
class Posed:
    """b photographs as pinhole cameras would have taken them, in our world."""

    names: Sequence[str]
    cameras: Cameras
    images: Float[Tensor, "b h w 3"]  # sRGB in [0, 1] times alpha
    alpha: Float[Tensor, "b h w 1"]  # 1 where photographs have none
    known: Float[Tensor, "b h w 1"]  # 0 where a photograph says nothing of a pixel
    held_out: Bool[Tensor, " b"]  # not to be learned from
    placement: Float[Tensor, "4 4"]  # the data's points to ours: rotation times scale, and shift
    points: Float[Tensor, "n 3"] | None = None  # on surfaces, our world
    colors: Float[Tensor, "n 3"] | None = None  # of the points, sRGB in [0, 1]

    def some(self, which: Bool[Tensor, " b"]) -> "Posed":
        """Some of the photographs."""
        return replace(
            self,
            names=[name for name, use in zip(self.names, which.tolist(), strict=True) if use],
            cameras=self.cameras[which],
            images=self.images[which],
            alpha=self.alpha[which],
            known=self.known[which],
            held_out=self.held_out[which],
        )

    def to(self, device: torch.device | str) -> "Posed":
        """The same, with cameras and pictures on another device."""
        return replace(
            self,
            cameras=self.cameras.to(device),
            images=self.images.to(device),
            alpha=self.alpha.to(device),
            known=self.known.to(device),
            held_out=self.held_out.to(device),
        )

    @property
    def cut_out(self) -> bool:
        """Whether the photographs show an object without what is behind it."""
        return float((self.alpha < 0.5).float().mean()) > 0.02


def pixels(
    posed: Posed, device: torch.device
) -> Callable[[int, torch.Generator], tuple[Cameras, Float[Tensor, "n 1 1 4"]]]:
    """Draws n random known pixels: cameras of one pixel each, and colour times alpha, and alpha."""
    image, row, column = posed.known[..., 0].nonzero().to(device).unbind(-1)
    values = torch.cat([posed.images, posed.alpha], -1).to(device)
    views = posed.cameras.to(device)

    def draw(n: int, rng: torch.Generator) -> tuple[Cameras, Float[Tensor, "n 1 1 4"]]:
        at = torch.randint(len(image), (n,), generator=rng, device=rng.device)
        i, y, x = image[at], row[at], column[at]
        return views.windows(i, y, x), values[i, y, x][:, None, None]

    return draw


def turns(posed: Posed, seed: int) -> Callable[[int], Posed]:
    """The photograph of each step: all in turn, each time in another random order."""
    n = len(posed.cameras)

    def draw(index: int) -> Posed:
        lap, at = divmod(index, n)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed + lap))
        return posed.some((torch.arange(n) == order[at]).to(posed.held_out.device))

    return draw


def spread(cameras: Cameras) -> float:
    """1.1 times the way from the mean of the cameras' places to the farthest, world units: what
    INRIA's code for 3D Gaussian splatting takes for the extent of a scene."""
    place = cameras.position
    return 1.1 * float((place - place.mean(0)).norm(dim=-1).max())
