"""Samples where they count: a histogram along each ray, drawn from and bounded.

NeRF (arXiv:2003.08934, Sec. 5.2) draws samples from the weights of a coarse pass; mip-NeRF 360
(arXiv:2111.12077, Sec. 3) from those of a proposal, which learns to bound the weights it serves.
A histogram along a ray has m + 1 edges, world units, ascending, and the weight of each section.
"""

import torch
from jaxtyping import Float
from torch import Tensor

TINY = 1e-7


def placed(
    edges: Float[Tensor, "*b e"], weights: Float[Tensor, "*b m"], u: Float[Tensor, "*b n"]
) -> Float[Tensor, "*b n"]:
    """Where the cumulated histogram reaches shares u, in [0, 1]: its inverse distribution function,
    linear within a section. Weights need not add up to one; where all are 0, so is each share."""
    total = weights.sum(-1, keepdim=True).clamp_min(TINY)
    cdf = torch.cat([torch.zeros_like(total), weights.cumsum(-1) / total], -1)
    i = (torch.searchsorted(cdf, u.contiguous(), right=True) - 1).clamp(0, weights.shape[-1] - 1)
    low, high = cdf.gather(-1, i), cdf.gather(-1, i + 1)
    share = ((u - low) / (high - low).clamp_min(TINY)).clamp(0, 1)
    start = edges.gather(-1, i)
    return start + share * (edges.gather(-1, i + 1) - start)


def bound(
    edges: Float[Tensor, "*b f"], coarse: Float[Tensor, "*b e"], weights: Float[Tensor, "*b m"]
) -> Float[Tensor, "*b n"]:
    """For each section between `edges`, the weights of all `coarse` sections that it meets (Eq. 12
    of mip-NeRF 360): what they allow it at most."""
    cumulated = torch.cat([torch.zeros_like(weights[..., :1]), weights.cumsum(-1)], -1)
    m = weights.shape[-1]
    left, right = edges[..., :-1].contiguous(), edges[..., 1:].contiguous()
    first = (torch.searchsorted(coarse, left, right=True) - 1).clamp(0, m)
    last = torch.searchsorted(coarse, right).clamp(0, m)
    return (cumulated.gather(-1, last) - cumulated.gather(-1, first)).clamp_min(0)


def interlevel(
    edges: Float[Tensor, "*b f"],
    weights: Float[Tensor, "*b n"],
    coarse: Float[Tensor, "*b e"],
    proposed: Float[Tensor, "*b m"],
) -> Float[Tensor, ""]:
    """sum_i max(0, w_i - bound_i)^2 / w_i, the mean over rays (Eq. 13 of mip-NeRF 360).

    0 where the proposal bounds the weights. Its gradient goes to the proposal alone.
    """
    w = weights.detach()
    over = (w - bound(edges, coarse, proposed)).clamp_min(0)
    return (over.square() / (w + TINY)).sum(-1).mean()
