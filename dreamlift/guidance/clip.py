"""Pictures pulled toward sentences and pictures in CLIP's space: the way before diffusion priors.

    Dream Fields, arXiv:2112.01455    Alignment to a caption, seen through guidance.augment;
                                      Transmittance keeps the scene sparse
    CLIP-Mesh, arXiv:2203.13333       Alignment to a caption (1) and to an embedding of a picture
                                      that has it (.33; theirs from a diffusion prior)
    DietNeRF, arXiv:2104.00677        Consistency with the photographs, now and then, from anywhere

These take pictures x (sRGB in [0, 1]), not a prior's z, and their scalars are losses proper: means
over the pictures. Any Aligner will do; whatever its vectors' lengths, it is angles that count.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import FRAME, Cameras
from dreamlift.guidance.prompts import DIRECTIONS, nearest
from dreamlift.prior import Aligner
from dreamlift.scene import Shot
from dreamlift.step import Step, exponential
from dreamlift.views import Direction

Target: TypeAlias = Callable[[Shot], Float[Tensor, "b d"]]
"""Where the picture of each camera should lie; directions, of any length."""


class Caption:
    """One sentence for every camera."""

    def __init__(self, aligner: Aligner, text: str) -> None:
        with torch.no_grad():
            self._said = F.normalize(aligner.embed_text([text]), dim=-1)

    def __call__(self, shot: Shot) -> Float[Tensor, "b d"]:
        return self._said.expand(len(shot), -1)


class Sides:
    """The sentence of the side that each camera sees, `prompts.sided(text)`.

    `plain`: the same where the light shows no texture; without it such pictures are told as others.
    """

    def __init__(
        self,
        aligner: Aligner,
        texts: Mapping[Direction, str],
        plain: Mapping[Direction, str] | None = None,
    ) -> None:
        with torch.no_grad():
            said = [
                F.normalize(aligner.embed_text([each[side] for side in DIRECTIONS]), dim=-1)
                for each in (texts, plain or texts)
            ]
        self._said, self._plain = said

    def __call__(self, shot: Shot) -> Float[Tensor, "b d"]:
        shares = nearest(shot.cameras.azimuth, shot.cameras.elevation)
        weights = torch.stack([shares[side] for side in DIRECTIONS], -1)
        if shot.light is None:
            return weights @ self._said
        bare = shot.light.textureless[:, None].to(weights.device)
        return torch.where(bare, weights @ self._plain, weights @ self._said)


class Likeness:
    """What some pictures have in common: the mean of their directions, for every camera."""

    def __init__(self, aligner: Aligner, pictures: Float[Tensor, "n h w 3"]) -> None:
        with torch.no_grad():
            each = F.normalize(aligner.embed_image(pictures), dim=-1)
        self._mean = F.normalize(each.mean(0, keepdim=True), dim=-1)

    def __call__(self, shot: Shot) -> Float[Tensor, "b d"]:
        return self._mean.expand(len(shot), -1)


@dataclass(frozen=True)
class Alignment:
    """- sum_k w_k mean cos(phi(x), target_k): Eq. 8 of Dream Fields, CLIP-Mesh's with two targets.

    x holds one picture of each camera, or the same number of pictures of each in turn
    (`augment.augmented`).
    """

    aligner: Aligner
    targets: Mapping[Target, float]

    def __call__(self, x: Float[Tensor, "n h w 3"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        copies, rest = divmod(len(x), len(shot))
        if rest or not copies:
            raise ValueError(
                f"{len(x)} pictures of {len(shot)} cameras: give the same number of each camera."
            )
        seen = self.aligner.embed_image(x)
        loss = seen.new_zeros(())
        for target, weight in self.targets.items():
            wanted = target(shot).to(seen).repeat_interleave(copies, 0)
            loss = loss - weight * F.cosine_similarity(seen, wanted, dim=-1).mean()
        return loss


@dataclass(frozen=True)
class Transmittance:
    """- weight mean_b min(tau, mean transmittance): Eq. 9 of Dream Fields: rays should pass.

    Only until a share tau of a view's light passes; beyond it the gradient is 0. The opaque share
    1 - tau falls from `start` to `end`, exponentially, in `steps`.
    """

    weight: float = 0.5
    start: float = 0.6
    """Opaque share at the first step: 40 % of the light passes."""
    end: float = 0.12
    """Opaque share from `steps` on: 88 % of the light passes."""
    steps: int = 500

    def target(self, cameras: Cameras, step: Step) -> Float[Tensor, " b"]:
        """tau of each view. The shares are those of the default orbit; a view that shows an object
        twice as wide, nearer or through a longer lens, is allowed four times as much."""
        opaque = exponential(step.index / self.steps, self.start, self.end)
        half = cameras.distance * cameras.height / (2 * cameras.K[:, 1, 1])
        return 1 - (opaque * (FRAME / half) ** 2).clamp(max=1)

    def __call__(
        self, alpha: Float[Tensor, "b h w 1"], shot: Shot, step: Step
    ) -> Float[Tensor, ""]:
        passes = (1 - alpha).mean((1, 2, 3))
        tau = self.target(shot.cameras, step).to(passes)
        return -self.weight * torch.minimum(passes, tau).mean()


class Consistency:
    """- weight cos(phi(photograph), phi(x)), a random photograph, every `every`-th step: DietNeRF.

    Sec. 4.1: a chair is a chair from anywhere. phi is what the Aligner gives; the paper's is
    CLIP's before its last projection.
    """

    def __init__(
        self,
        aligner: Aligner,
        photographs: Float[Tensor, "n h w 3"],
        *,
        weight: float = 0.1,
        every: int = 10,
    ) -> None:
        self.aligner, self.weight, self.every = aligner, weight, every
        with torch.no_grad():
            self._photographs = F.normalize(aligner.embed_image(photographs), dim=-1)

    def due(self, step: Step) -> bool:
        """Whether this step is asked at all: at others there is no need to render for it."""
        return step.index % self.every == 0

    def __call__(self, x: Float[Tensor, "b h w 3"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        """x: from wherever; one photograph is drawn for all of them."""
        if not self.due(step):
            return x.new_zeros(())
        n, rng = len(self._photographs), step.rng
        drawn = int(torch.randint(n, (), generator=rng, device=rng.device))
        seen = self.aligner.embed_image(x.clamp(0, 1))
        wanted = self._photographs[drawn].to(seen)
        return -self.weight * F.cosine_similarity(seen, wanted[None], dim=-1).mean()
