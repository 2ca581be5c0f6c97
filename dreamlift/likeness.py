"""How alike two pictures are: PSNR, SSIM, and the loss of 3D Gaussian splatting."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

REACH = 5
"""Pixels from the middle of one of SSIM's windows to its edge."""


def psnr(
    x: Float[Tensor, "b h w c"],
    truth: Float[Tensor, "b h w c"],
    mask: Float[Tensor, "b h w 1"] | None = None,
) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1], over the pixels that `mask` weighs.

    Infinite where they are equal.
    """
    weight = torch.ones_like(truth[..., :1]) if mask is None else mask
    total = float(weight.sum()) * truth.shape[-1]
    if total <= 0:
        raise ValueError("The mask weighs no pixel: its sum is 0. Give one that covers something.")
    error = ((x - truth).square() * weight).sum() / total
    return float(-10 * error.log10())


def ssim(
    x: Float[Tensor, "b h w c"],
    truth: Float[Tensor, "b h w c"],
    mask: Float[Tensor, "b h w 1"] | None = None,
    *,
    padded: bool = False,
) -> Float[Tensor, ""]:
    """Mean structural similarity of pictures in [0, 1] (Wang et al., 2004), differentiable.

    Gaussian windows of 11 pixels, standard deviation 1.5, that lie wholly in the picture, and
    where `mask` is given wholly in pixels where it is 1. `padded`: windows around every pixel,
    with black around the pictures, as in the code of 3D Gaussian splatting.
    """
    _, h, w, c = x.shape
    pad = REACH if padded else 0
    if min(h, w) + 2 * pad <= 2 * REACH:
        raise ValueError(f"SSIM's windows have 11 pixels; the pictures are {w}x{h}.")
    five = torch.cat([x, truth, x * x, truth * truth, x * truth])
    planes = five.permute(0, 3, 1, 2).reshape(-1, 1, h, w)
    at, to, xx, yy, xy = cast("Tensor", _Windows.apply(planes, pad)).chunk(5)
    xx, yy, xy = xx - at * at, yy - to * to, xy - at * to
    c1, c2 = 0.01**2, 0.03**2
    alike = (2 * at * to + c1) * (2 * xy + c2) / ((at * at + to * to + c1) * (xx + yy + c2))
    if mask is None:
        return alike.mean()
    if padded:
        raise ValueError("A mask leaves out windows at the border already: do not say `padded`.")
    weight = whole(mask).to(x).repeat_interleave(c, 0)
    if not float(weight.sum()) > 0:
        raise ValueError("The mask leaves no whole window of 11 pixels.")
    return (alike * weight).sum() / weight.sum()


def whole(mask: Float[Tensor, "b h w 1"]) -> Bool[Tensor, "b 1 h2 w2"]:
    """Which of SSIM's windows lie wholly in pixels where a mask is 1; none in a small picture."""
    if min(mask.shape[1:3]) <= 2 * REACH:
        return mask.new_zeros(len(mask), 1, 0, 0, dtype=torch.bool)
    return -F.max_pool2d(-mask.permute(0, 3, 1, 2), 2 * REACH + 1, 1) == 1


class _Windows(torch.autograd.Function):
    """Gaussian means of planes, and their adjoint, which is the same sum with the rest of a window
    around it. Of a convolution torch computes the gradient five times as slowly."""

    @staticmethod
    def forward(ctx: Any, planes: Float[Tensor, "n 1 h w"], pad: int) -> Float[Tensor, "n 1 h2 w2"]:
        ctx.pad = pad
        return _windows(planes, pad)

    @staticmethod
    def backward(ctx: Any, *upstream: Float[Tensor, "n 1 h2 w2"]) -> Any:
        return _windows(upstream[0], 2 * REACH - ctx.pad), None


def _windows(planes: Float[Tensor, "n 1 h w"], pad: int) -> Float[Tensor, "n 1 h2 w2"]:
    """Means over windows of 11 x 11 pixels, black around the planes, standard deviation 1.5."""
    reach = torch.arange(-REACH, REACH + 1, device=planes.device, dtype=planes.dtype)
    line = (-0.5 * (reach / 1.5) ** 2).exp()
    line = line / line.sum()
    down = F.conv2d(planes, line[None, None, :, None], padding=(pad, 0))
    return F.conv2d(down, line[None, None, None], padding=(0, pad))


def photometric(
    x: Float[Tensor, "b h w c"],
    truth: Float[Tensor, "b h w c"],
    known: Float[Tensor, "b h w 1"] | None = None,
    *,
    structure: float = 0.2,
) -> Float[Tensor, ""]:
    """.8 L1 + .2 (1 - SSIM), Eq. 7 of Kerbl et al. (arXiv:2308.04079): a loss.

    Pixels where `known` is 0 are black in both.
    """
    if known is not None:
        x, truth = x * known, truth * known
    return (1 - structure) * (x - truth).abs().mean() + structure * (
        1 - ssim(x, truth, padded=True)
    )
