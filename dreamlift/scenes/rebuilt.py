"""What photographs are made into: a scene, and what stands behind it."""

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.scene import Shot
from dreamlift.scenes.background import Environment
from dreamlift.scenes.field import Field
from dreamlift.scenes.gaussians import Cloud

Made_co = TypeVar("Made_co", bound=Field | Cloud, covariant=True)


@dataclass(frozen=True)
class Rebuilt(Generic[Made_co]):
    """A field or Gaussians, and what stands behind them."""

    scene: Made_co
    behind: Environment | None  # None: nothing, alpha tells where
    empty: float = 1.0  # the grey, in [0, 1], that is shown where nothing was learned to stand

    def to(self, device: torch.device | str) -> "Rebuilt[Made_co]":
        """The same, moved: modules move in place."""
        behind = None if self.behind is None else self.behind.to(device)
        return replace(self, scene=self.scene.to(device), behind=behind)

    @torch.no_grad()
    def picture(self, cameras: Cameras) -> Float[Tensor, "b h w 3"]:
        """What cameras see, before what was learned to stand behind, or else the `empty` grey."""
        view = self.scene.render(Shot(cameras))
        if self.behind is None:
            return view.over(view.color.new_full((1, 1, 1, 3), self.empty)).clamp(0, 1)
        return view.over(self.behind(cameras.rays()[1])).clamp(0, 1)
