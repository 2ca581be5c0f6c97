"""HiFA's loss in two spaces: of latents, and of pictures (arXiv:2305.18766)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import per_sample
from dreamlift.geometry.squares import resize
from dreamlift.guidance.reconstruct import Reconstruct
from dreamlift.guidance.sds import fresh_noise, inject
from dreamlift.guidance.times import draw
from dreamlift.scene import Shot
from dreamlift.step import Step


@dataclass(frozen=True)
class HiFA:
    """w(t) / 2 (|z - z_hat|^2 + rgb |x - x_hat|^2), x_hat what z_hat decodes to.

    One reconstruction serves both. Its code takes courses.HIFA, 4 steps and a constant w.
    """

    latent: Reconstruct
    rgb: float = 0.1
    """Weight of the pictures, sRGB in [0, 1]; 0 decodes nothing."""

    def gradients(
        self,
        z: Float[Tensor, "b c y x"],
        x: Float[Tensor, "b h w 3"],
        t: Float[Tensor, " b"],
        noise: Float[Tensor, "b c y x"],
        shot: Shot,
    ) -> tuple[Float[Tensor, "b c y x"], Float[Tensor, "b h w 3"]]:
        """Those of z and of x, for a given t and noise."""
        prior = self.latent.score.prior
        target = self.latent.target(z, t, noise, shot)
        w = self.latent.weight(prior.schedule, t)
        with torch.no_grad():
            seen = prior.decode(target)
        if seen.shape != x.shape:
            raise ValueError(
                f"The prior's pictures are {seen.shape[1]}x{seen.shape[2]}, those to be compared "
                f"{x.shape[1]}x{x.shape[2]}. Render at the prior's size ({prior.size}), or resize."
            )
        wanted = z.detach() - target, x.detach() - seen
        return per_sample(w, z) * wanted[0], self.rgb * per_sample(w, x) * wanted[1]

    def of_pictures(self, x: Float[Tensor, "b h w 3"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        """Of rendered pictures, of any square side; they are compared at the prior's."""
        prior = self.latent.score.prior
        seen = resize(x.permute(0, 3, 1, 2), prior.size).permute(0, 2, 3, 1)
        return self(prior.encode(x), shot, step, x=seen)

    def __call__(
        self,
        z: Float[Tensor, "b c y x"],
        shot: Shot,
        step: Step,
        *,
        x: Float[Tensor, "b h w 3"] | None = None,
    ) -> Float[Tensor, ""]:
        """`x`: the pictures that z encodes, at the prior's size; None: what z decodes to."""
        if self.rgb == 0:
            return self.latent(z, shot, step)
        prior = self.latent.score.prior
        x = prior.decode(z) if x is None else x
        t = draw(self.latent.times, prior, z, step)
        of_z, of_x = self.gradients(z, x, t, fresh_noise(z, step), shot)
        return inject(z, of_z) + inject(x, of_x)
