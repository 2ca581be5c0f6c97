"""z_t = alpha_t z + sigma_t eps, for t in [0, 1]: the one convention all priors are brought to.

Rectified flow is alpha = 1 - t, sigma = t; a table of 1000 variances is a schedule whose `snap`
rounds t to an entry. Whoever draws a t snaps it once, and alpha, sigma and the network all see
the snapped value.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Schedule(Protocol):
    """How much signal (alpha) and noise (sigma) z_t holds."""

    def alpha(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]: ...

    def sigma(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]: ...

    def snap(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """The nearest t this schedule has."""
        ...


@dataclass(frozen=True)
class Cosine:
    """Variance-preserving cosine schedule, Eq. 17 of Nichol & Dhariwal (arXiv:2102.09672)."""

    def alpha(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return (0.5 * math.pi * t).cos()

    def sigma(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return (0.5 * math.pi * t).sin()

    def snap(self, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return t


def per_sample(x: Float[Tensor, " b"], like: Float[Tensor, "b *z"]) -> Tensor:
    """A number per sample, shaped to multiply a batch of anything."""
    return x.reshape(-1, *[1] * (like.ndim - 1))


def add_noise(
    schedule: Schedule,
    z: Float[Tensor, "b *z"],
    t: Float[Tensor, " b"],
    noise: Float[Tensor, "b *z"],
) -> Float[Tensor, "b *z"]:
    """z_t = alpha_t z + sigma_t eps."""
    return per_sample(schedule.alpha(t), z) * z + per_sample(schedule.sigma(t), z) * noise


def x0_from_eps(
    schedule: Schedule,
    z_t: Float[Tensor, "b *z"],
    t: Float[Tensor, " b"],
    eps: Float[Tensor, "b *z"],
) -> Float[Tensor, "b *z"]:
    """The clean sample that noise `eps` implies."""
    alpha, sigma = per_sample(schedule.alpha(t), z_t), per_sample(schedule.sigma(t), z_t)
    return (z_t - sigma * eps) / alpha


def eps_from_x0(
    schedule: Schedule,
    z_t: Float[Tensor, "b *z"],
    t: Float[Tensor, " b"],
    x0: Float[Tensor, "b *z"],
) -> Float[Tensor, "b *z"]:
    """The noise that clean sample `x0` implies."""
    alpha, sigma = per_sample(schedule.alpha(t), z_t), per_sample(schedule.sigma(t), z_t)
    return (z_t - alpha * x0) / sigma


def eps_from_v(
    schedule: Schedule,
    z_t: Float[Tensor, "b *z"],
    t: Float[Tensor, " b"],
    v: Float[Tensor, "b *z"],
) -> Float[Tensor, "b *z"]:
    """eps = alpha v + sigma z_t, for v = alpha eps - sigma z (Salimans & Ho, arXiv:2202.00512)."""
    return per_sample(schedule.alpha(t), z_t) * v + per_sample(schedule.sigma(t), z_t) * z_t


def eps_from_flow(
    z_t: Float[Tensor, "b *z"], t: Float[Tensor, " b"], u: Float[Tensor, "b *z"]
) -> Float[Tensor, "b *z"]:
    """eps = z_t + (1 - t) u, for rectified flow's velocity u = eps - z (arXiv:2209.03003)."""
    return z_t + per_sample(1 - t, z_t) * u


def velocity(
    schedule: Schedule,
    z: Float[Tensor, "b *z"],
    t: Float[Tensor, " b"],
    noise: Float[Tensor, "b *z"],
) -> Float[Tensor, "b *z"]:
    """v = alpha eps - sigma z, what a v-prediction network is trained to say."""
    return per_sample(schedule.alpha(t), z) * noise - per_sample(schedule.sigma(t), z) * z


def clamp_x0(
    schedule: Schedule,
    z_t: Float[Tensor, "b *z"],
    t: Float[Tensor, " b"],
    eps: Float[Tensor, "b *z"],
    limit: float,
) -> Float[Tensor, "b *z"]:
    """The noise whose clean sample stays in [-limit, limit]: Imagen's static thresholding.

    Sec. 2.3 of arXiv:2205.11487. Where the clean sample is inside, eps is unchanged.
    """
    x0 = x0_from_eps(schedule, z_t, t, eps)
    inside = x0.abs() <= limit
    return torch.where(inside, eps, eps_from_x0(schedule, z_t, t, x0.clamp(-limit, limit)))


def ddim_step(
    schedule: Schedule,
    z_t: Float[Tensor, "b *z"],
    t: Float[Tensor, " b"],
    s: Float[Tensor, " b"],
    eps: Float[Tensor, "b *z"],
    *,
    clamp: float | None = None,
) -> Float[Tensor, "b *z"]:
    """One deterministic step from noise level t to s (Eq. 12 of DDIM, arXiv:2010.02502, eta = 0).

    `clamp` limits the implied clean sample to [-clamp, clamp] (Imagen's static threshold).
    """
    x0 = x0_from_eps(schedule, z_t, t, eps)
    if clamp is not None:
        x0, eps = x0.clamp(-clamp, clamp), clamp_x0(schedule, z_t, t, eps, clamp)
    return add_noise(schedule, x0, s, eps)


Eps = Callable[[Float[Tensor, "b *z"], Float[Tensor, " b"]], Float[Tensor, "b *z"]]


def ddim(
    schedule: Schedule,
    eps: Eps,
    z: Float[Tensor, "b *z"],
    times: Sequence[float],
    *,
    clamp: float | None = None,
) -> Float[Tensor, "b *z"]:
    """Walk z through noise levels `times` (decreasing from z's own; the last is where it ends)."""
    for t, s in zip(times, times[1:], strict=False):
        at = schedule.snap(z.new_full((len(z),), t))
        to = schedule.snap(z.new_full((len(z),), s))
        z = ddim_step(schedule, z, at, to, eps(z, at), clamp=clamp)
    return z
