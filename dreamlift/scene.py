"""x = g(phi, c): a scene holds parameters phi and renders them, differentiably, for a shot c."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dreamlift.cameras import Cameras
from dreamlift.lights import Light
from dreamlift.step import Step

Aux = TypeVar("Aux")


@dataclass(frozen=True)
class Shot:
    """One draw of c: everything a picture depends on but phi."""

    cameras: Cameras
    light: Light | None = None  # None: albedo, and no normals are needed
    background: Float[Tensor, "#b #h #w c"] | None = None  # None: black, or the scene's own
    seen: "Rendering[None] | None" = None  # what a scene shows there now, for priors told of it

    def __post_init__(self) -> None:
        if self.light is not None and len(self.light) != len(self.cameras):
            raise ValueError(
                f"{len(self.cameras)} cameras need as many lights, not {len(self.light)}."
            )

    def __len__(self) -> int:
        return len(self.cameras)

    def __getitem__(self, which: slice) -> "Shot":
        """Some of the views, of which nothing was seen yet."""
        light = None if self.light is None else self.light[which]
        background = self.background
        if background is not None and len(background) > 1:
            background = background[which]
        return Shot(self.cameras[which], light, background)


@dataclass(frozen=True)
class Rendering(Generic[Aux]):
    """What `b` cameras see."""

    color: Float[Tensor, "b h w c"]  # sRGB in [0, 1] times alpha (c = 3); else a prior's latent
    alpha: Float[Tensor, "b h w 1"]
    aux: Aux  # what only this kind of scene can tell; the types live in render/
    depth: Float[Tensor, "b h w 1"] | None = None  # along the ray, world units, times alpha
    normal: Float[Tensor, "b h w 3"] | None = None  # world space, times alpha

    def over(self, background: Float[Tensor, "#b #h #w c"]) -> Float[Tensor, "b h w c"]:
        """The picture in front of a background."""
        return self.color + (1 - self.alpha) * background

    def detached(self) -> "Rendering[None]":
        """The same pictures without gradients, and without what only this kind of scene tells."""
        depth = None if self.depth is None else self.depth.detach()
        normal = None if self.normal is None else self.normal.detach()
        return Rendering(self.color.detach(), self.alpha.detach(), None, depth, normal)

    def before(self, shot: Shot) -> Float[Tensor, "b h w c"]:
        """The picture in front of the shot's background; of black where it has none."""
        return self.color if shot.background is None else self.over(shot.background)


class Scene(nn.Module, ABC, Generic[Aux]):
    """The parameters phi are `self.parameters()`. Subclasses are final."""

    @abstractmethod
    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[Aux]:
        """g(phi, c), without the background. Without `rng` the rendering is deterministic."""

    def adapt(self, step: Step, view: Rendering[Aux], optimizer: torch.optim.Optimizer) -> None:
        """Change phi's structure after a step: densify, prune, refresh occupancy."""
