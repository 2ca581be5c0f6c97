"""What CLIP is shown instead of a rendering: windows of it, in front of nothing in particular.

Dream Fields (arXiv:2112.01455), Sec. 3.2 and its code: a random window, and behind it noise, a
checkerboard or a smooth texture, blurred. What depends on one background or one framing is an
accident of CLIP, and no shape. Pure functions of `rng`; pictures are sRGB in [0, 1].
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.scene import Rendering

SQUARES = 8
"""Fields along each side of a checkerboard."""

BLUR = 10 / 224
"""The largest standard deviation of the blur, in sides of the picture."""

DECAY = 1.5
"""Amplitudes of a smooth texture fall as frequency to this power."""


def windows(
    x: Float[Tensor, "b h w c"], side: int, rng: torch.Generator
) -> Float[Tensor, "b s s c"]:
    """A square of `side` pixels out of each picture, from anywhere in it."""
    h, w = x.shape[1:3]
    if side > min(h, w):
        raise ValueError(f"A window of {side} pixels does not fit into pictures of {h}x{w}.")
    u = torch.rand(2, len(x), generator=rng, device=rng.device)
    rows, columns = (u[0] * (h - side + 1)).long(), (u[1] * (w - side + 1)).long()
    places = zip(x, rows.tolist(), columns.tolist(), strict=True)
    return torch.stack([one[i : i + side, j : j + side] for one, i, j in places])


def noise(n: int, side: int, rng: torch.Generator) -> Float[Tensor, "n s s 3"]:
    """A colour of its own for each pixel, uniform in the cube."""
    return torch.rand(n, side, side, 3, generator=rng, device=rng.device)


def checkerboard(n: int, side: int, rng: torch.Generator) -> Float[Tensor, "n s s 3"]:
    """Two colours, 8 x 8 fields."""
    colours = torch.rand(n, 2, 1, 1, 3, generator=rng, device=rng.device)
    field = torch.arange(side, device=rng.device) * SQUARES // side
    odd = ((field[:, None] + field) % 2)[..., None]
    return torch.where(odd == 1, colours[:, 1], colours[:, 0])


def clouds(n: int, side: int, rng: torch.Generator) -> Float[Tensor, "n s s 3"]:
    """Smooth Gaussian textures: random phases under a spectrum that falls; through a sigmoid."""
    white = torch.randn(n, side, side, 3, generator=rng, device=rng.device)
    slope = _frequencies(side, rng.device).clamp_min(1 / side) ** -DECAY
    smooth = _filtered(white, slope.expand(n, -1, -1))
    mean, std = smooth.mean((1, 2), keepdim=True), smooth.std((1, 2), keepdim=True)
    shift = torch.randn(n, 1, 1, 3, generator=rng, device=rng.device)
    return ((smooth - mean) / std + shift).sigmoid()


def blurred(x: Float[Tensor, "n s s 3"], std: Float[Tensor, " n"]) -> Float[Tensor, "n s s 3"]:
    """Each picture blurred by its own Gaussian; standard deviations in sides, edges joined."""
    side = x.shape[1]
    f = _frequencies(side, x.device)
    return _filtered(x, (-2 * (torch.pi * f * side * std[:, None, None]) ** 2).exp())


def backgrounds(n: int, side: int, rng: torch.Generator) -> Float[Tensor, "n s s 3"]:
    """Each noise, a checkerboard or clouds, a third of them each, and blurred by up to `BLUR`."""
    kinds = torch.stack([make(n, side, rng) for make in (noise, checkerboard, clouds)])
    kind = torch.randint(len(kinds), (n,), generator=rng, device=rng.device)
    picked = kinds[kind, torch.arange(n, device=rng.device)]
    std = BLUR * torch.rand(n, generator=rng, device=rng.device)
    return blurred(picked, std).clamp(0, 1)


def augmented(
    view: Rendering[Any], rng: torch.Generator, *, copies: int = 8, side: int | None = None
) -> Float[Tensor, "n s s 3"]:
    """`copies` pictures of each camera's, one after the other: a window, a background.

    `side` of the windows in pixels (None: 154 out of 168, as in the paper).
    """
    whole = torch.cat([view.color, view.alpha], -1).repeat_interleave(copies, 0)
    side = round(whole.shape[1] * 154 / 168) if side is None else side
    color, alpha = windows(whole, side, rng).split([3, 1], -1)
    return color + (1 - alpha) * backgrounds(len(color), side, rng).to(color)


def _frequencies(side: int, device: torch.device) -> Float[Tensor, "s r"]:
    """Of each coefficient of `rfft2`, in cycles per pixel."""
    rows = torch.fft.fftfreq(side, device=device)[:, None]
    return torch.hypot(rows, torch.fft.rfftfreq(side, device=device)[None])


def _filtered(x: Float[Tensor, "n s s 3"], by: Float[Tensor, "n s r"]) -> Float[Tensor, "n s s 3"]:
    side = x.shape[1]
    spectrum = torch.fft.rfft2(x, dim=(1, 2)) * by[..., None]
    return torch.fft.irfft2(spectrum, s=(side, side), dim=(1, 2))
