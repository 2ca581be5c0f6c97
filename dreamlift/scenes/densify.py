"""How a cloud of Gaussians grows and is pruned (Kerbl et al., arXiv:2308.04079, Sec. 5.2)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dreamlift.geometry.gaussians import Gaussians, rotations


@dataclass(frozen=True)
class Densify:
    """When and which Gaussians are cloned, split and pruned: the numbers of the paper's code.

    Steps are counted from 1.
    """

    extent: float = 1.0
    """Size of the scene, world units; INRIA takes 1.1 x the cameras' spread about their mean."""
    start: int = 500
    until: int = 15_000
    every: int = 100
    push: float = 2e-4
    """Mean length, over the views that show it, of the loss's gradient to a centre, half a
    picture being 1: from here a Gaussian is to become two."""
    small: float = 0.01
    """Times the extent: up to this deviation a Gaussian is cloned, above it split."""
    shrink: float = 1.6
    """A split Gaussian's two halves are thinner by this factor."""
    faintest: float = 0.005
    """Opacity below which a Gaussian is pruned."""
    widest: float | None = 20.0
    """Pixels: after the first reset, Gaussians that reached a greater radius are pruned."""
    largest: float | None = 0.1
    """Times the extent: after the first reset, larger deviations are pruned."""
    reset_every: int | None = 3000
    reset_to: float = 0.01
    """All opacities are cut to this, so that only what is needed comes back."""
    reset_at_start: bool = False
    """Also when densification begins, as INRIA does in front of white."""

    def grows(self, done: int) -> bool:
        """Whether Gaussians are added and pruned after so many steps."""
        return done > self.start and done % self.every == 0

    def late(self, done: int) -> bool:
        """Whether the great ones are pruned too."""
        return self.reset_every is not None and done > self.reset_every

    def resets(self, done: int) -> bool:
        """Whether opacities are cut after so many steps."""
        regular = self.reset_every is not None and done % self.reset_every == 0
        return regular or (self.reset_at_start and done == self.start)

    @property
    def reset_logit(self) -> float:
        return math.log(self.reset_to / (1 - self.reset_to))


@dataclass(frozen=True)
class Change:
    """What a round of densification does to n Gaussians."""

    kept: Int[Tensor, " k"]  # which stay as they are
    made: Gaussians  # what is new
    parent: Int[Tensor, " m"]  # which of the n each new one comes from


def densified(
    gaussians: Gaussians,
    push: Float[Tensor, " n"],
    radius: Float[Tensor, " n"],
    rules: Densify,
    rng: torch.Generator,
    *,
    late: bool,
) -> Change:
    """Clone, split, then prune; `push` is each one's mean gradient, `radius` its largest, pixels.

    A clone is a copy in place. A split Gaussian gives way to two that are drawn from it.
    """
    n = len(gaussians)
    size = gaussians.log_scales.exp().amax(-1)
    moved = push >= rules.push
    cloned = (moved & (size <= rules.small * rules.extent)).nonzero()[:, 0]
    split = moved & (size > rules.small * rules.extent)
    halves = split.nonzero()[:, 0].repeat(2)
    parent = torch.cat([cloned, halves])
    copies, children = gaussians[cloned], _drawn(gaussians[halves], rules.shrink, rng)
    made = Gaussians(
        torch.cat([copies.means, children.means]),
        gaussians.quaternions[parent],
        torch.cat([copies.log_scales, children.log_scales]),
        gaussians.opacity_logits[parent],
        gaussians.harmonics[parent],
    )
    wide = torch.zeros(n, dtype=torch.bool, device=push.device)
    if late and rules.widest is not None:
        wide = radius > rules.widest
    kept = ~split & ~wide & _good(gaussians, rules, late=late)
    good = _good(made, rules, late=late).nonzero()[:, 0]
    return Change(kept.nonzero()[:, 0], made[good], parent[good])


def _good(gaussians: Gaussians, rules: Densify, *, late: bool) -> Bool[Tensor, " n"]:
    """Those that are neither too faint nor, once that is asked for, too large."""
    good = gaussians.opacity_logits.sigmoid() >= rules.faintest
    if late and rules.largest is not None:
        good &= gaussians.log_scales.exp().amax(-1) <= rules.largest * rules.extent
    return good


def _drawn(gaussians: Gaussians, shrink: float, rng: torch.Generator) -> Gaussians:
    """One thinner Gaussian around a point drawn from each."""
    noise = torch.randn(gaussians.means.shape, generator=rng, device=rng.device)
    offset = noise.to(gaussians.means) * gaussians.log_scales.exp()
    turned = (rotations(gaussians.quaternions) @ offset[..., None])[..., 0]
    return Gaussians(
        gaussians.means + turned,
        gaussians.quaternions,
        gaussians.log_scales - math.log(shrink),
        gaussians.opacity_logits,
        gaussians.harmonics,
    )
