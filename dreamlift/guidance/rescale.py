"""Guidance that does not over-expose (Lin et al., arXiv:2305.08891, Sec. 3.4)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import eps_from_x0, per_sample, x0_from_eps
from dreamlift.guidance.scores import Told, asked, limited
from dreamlift.prior import Prior
from dreamlift.scene import Shot


@dataclass(frozen=True)
class Rescaled:
    """Guidance whose prediction is brought back to the spread of eps_y, `phi` of the way.

    `of`: whose standard deviation, over each sample's numbers: the noise's, or that of the clean
    sample, over all views of a group, as MVDream does (arXiv:2308.16512, with phi = .5).
    """

    prior: Prior
    y: Told
    null: Told
    scale: float
    phi: float = 0.7
    of: Literal["eps", "x0"] = "eps"
    clamp: float | None = None

    def __call__(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot
    ) -> Float[Tensor, "b c y x"]:
        asked(self, z_t, t, shot)
        schedule = self.prior.schedule
        eps_y, eps_null = self.prior.eps(z_t, t, self.y(shot), self.null(shot))
        eps = eps_null + self.scale * (eps_y - eps_null)
        if self.of == "eps":
            eps = self._brought_back(eps, eps_y, 1)
        else:
            x0, plain = (x0_from_eps(schedule, z_t, t, said) for said in (eps, eps_y))
            eps = eps_from_x0(schedule, z_t, t, self._brought_back(x0, plain, self.prior.views))
        return limited(self.prior, z_t, t, eps, self.clamp)

    def _brought_back(
        self, x: Float[Tensor, "b c y x"], plain: Float[Tensor, "b c y x"], views: int
    ) -> Float[Tensor, "b c y x"]:
        stds = (p.reshape(len(p) // views, -1).std(1) for p in (plain, x))
        ratio = torch.div(*(std.clamp_min(1e-8) for std in stds)).repeat_interleave(views)
        return per_sample(1 + self.phi * (ratio - 1), x) * x
