"""Frequency encoding of positions and directions, and the small network that reads it."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


def frequencies(x: Float[Tensor, "*s d"], octaves: int) -> Float[Tensor, "*s e"]:
    """(x, sin 2^k x, cos 2^k x) for k < octaves, Eq. 4 of NeRF (arXiv:2003.08934) without pi."""
    scale = 2.0 ** torch.arange(octaves, device=x.device, dtype=x.dtype)
    phase = (x[..., None, :] * scale[:, None]).flatten(-2)
    return torch.cat([x, phase.sin(), phase.cos()], -1)


def integrated(
    mean: Float[Tensor, "*s d"], variance: Float[Tensor, "*s d"], octaves: int
) -> Float[Tensor, "*s e"]:
    """The mean of `frequencies` over a Gaussian, by its variance along each axis: sines and cosines
    times exp(-4^k variance / 2), Eq. 14 of mip-NeRF (arXiv:2103.13415), in the order of above."""
    d = mean.shape[-1]
    scale = 4.0 ** torch.arange(octaves, device=mean.device, dtype=mean.dtype)
    fading = (-0.5 * (variance[..., None, :] * scale[:, None]).flatten(-2)).exp()
    plain = frequencies(mean, octaves)
    return torch.cat([plain[..., :d], plain[..., d:] * torch.cat([fading, fading], -1)], -1)


def network(sizes: Sequence[int], rng: torch.Generator) -> nn.Sequential:
    """Linear layers of these widths, SiLU between; He's initialisation, the last layer small."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        last = len(layers) == 2 * (len(sizes) - 2)
        weight = torch.randn(n_out, n_in, generator=rng, device=rng.device)
        layer = nn.utils.skip_init(nn.Linear, n_in, n_out, device=rng.device)
        layer.load_state_dict(
            {
                "weight": weight * ((0.1 if last else 2**0.5) / n_in**0.5),
                "bias": torch.zeros(n_out, device=rng.device),
            }
        )
        layers += [layer] if last else [layer, nn.SiLU()]
    return nn.Sequential(*layers)
