"""Classifier score distillation (CSD, arXiv:2310.19415): the guidance is all there is.

With a large scale, SDS is mostly s (eps_y - eps_null), the score of an implicit classifier
p(y | z_t). CSD keeps that term alone, and the noise that remains in SDS is gone.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dreamlift.guidance.scores import Mix, Told, together
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Times, Uniform, Weight, sigma_squared
from dreamlift.prior import Prior
from dreamlift.scene import Shot
from dreamlift.step import Step, linear


@dataclass(frozen=True)
class CSD:
    """grad_z = w(t) (eps_y - (1 - c) eps_null - c eps_negative), c moving as the stage proceeds.

    The paper's first stage has shares (0, 1) until half of it, its second (1, .5).
    """

    prior: Prior
    y: Told
    null: Told
    negative: Told | None = None
    shares: tuple[float, float] = (0.0, 0.0)  # c at progress 0 and at progress `until`
    until: float = 1.0
    times: Times = Uniform()
    weight: Weight = sigma_squared

    def __post_init__(self) -> None:
        if self.negative is None and any(self.shares):
            raise ValueError(
                f"CSD is to subtract shares {self.shares} of a negative prompt, and has none. "
                "Give `negative`, or leave `shares` at (0, 0)."
            )

    def at(self, progress: float) -> SDS:
        """The gradient's terms at a progress in [0, 1]; they sum to 0, and need no eps."""
        share = linear(progress / self.until, *self.shares)
        terms = [(self.y, 1.0), (self.null, share - 1)]
        if self.negative is not None:
            terms.append((self.negative, -share))
        return SDS(Mix(self.prior, together(*terms)), self.times, self.weight, control=0.0)

    def __call__(self, z: Float[Tensor, "b c y x"], shot: Shot, step: Step) -> Float[Tensor, ""]:
        return self.at(step.progress)(z, shot, step)
