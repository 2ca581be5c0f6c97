"""Pure scores from pictures and embeddings, and how sure a mean of them is.

A score matrix has a row for each of `v` pictures and a column for each of `n` captions; the
greater a score, the better the caption fits.
"""

from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

CONFIDENCE = 0.95
FEW = 10
"""Objects below which a bootstrap knows too little to be trusted."""
RESAMPLES = 10_000
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
    whole = -F.max_pool2d(-mask.permute(0, 3, 1, 2), 11, 1)
    weight = (whole == 1).to(x).repeat_interleave(c, 0)
    if not float(weight.sum()) > 0:
        raise ValueError("The mask leaves no whole window of 11 pixels.")
    return (alike * weight).sum() / weight.sum()


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


def ranked_first(scores: Float[Tensor, "v n"], target: int = 0) -> Bool[Tensor, " v"]:
    """Where the target's score is above all others': a tie is not a first place."""
    return scores[:, target] > _others(scores, target).amax(1)


def r_precision(scores: Float[Tensor, "v n"], target: int = 0) -> float:
    """The share of pictures whose own caption ranks first (Park et al., NeurIPS 2021 Datasets)."""
    return float(ranked_first(scores, target).double().mean())


def mistaken(
    scores: Float[Tensor, "v n"], captions: Sequence[str], target: int = 0
) -> list[tuple[str, int]]:
    """The captions that came first in the target's place, most frequent first, and how often."""
    wrong = ~ranked_first(scores, target)
    best = _others(scores, target).argmax(1)[wrong].tolist()
    return Counter(str(captions[i]) for i in best).most_common()


def _others(scores: Float[Tensor, "v n"], target: int) -> Float[Tensor, "v n"]:
    """The scores with the target's taken out of the race."""
    if scores.shape[1] < 2:
        raise ValueError(f"To rank first takes 2 captions or more, not {scores.shape[1]}.")
    others = scores.clone()
    others[:, target] = -torch.inf
    return others


def share_called(
    said: Float[Tensor, "b k"], answer: int, among: Bool[Tensor, " b"] | None = None
) -> float:
    """The share of pictures, of those `among`, for which a classifier's first answer is `answer`.

    With azimuths beyond 90 degrees and the answer "front", this is the Janus rate.
    """
    called = said.argmax(1) == answer
    return float((called if among is None else called[among]).double().mean())


def wilson(share: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a share of n independent yes-or-no trials (1927).

    Of shares in [0, 1] it is too wide rather than too narrow: none varies more than yes and no.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(
    values: Sequence[float], confidence: float = CONFIDENCE, *, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean over resampled objects (Efron, 1979), the same each time."""
    data = torch.tensor(values, dtype=torch.float64)
    rng = torch.Generator().manual_seed(seed)
    index = torch.randint(len(data), (RESAMPLES, len(data)), generator=rng)
    tails = torch.tensor([0.5 - confidence / 2, 0.5 + confidence / 2], dtype=torch.float64)
    low, high = data[index].mean(1).quantile(tails).tolist()
    return low, high


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Where the mean of shares in [0, 1] lies, one share for each independent object.

    Views of one object are not independent, so objects are resampled, never views. Of fewer than
    `FEW` objects, and where all agree, resampling says too little: then Wilson's, one trial each.
    """
    if not values:
        raise ValueError("An interval needs at least one value.")
    if len(values) < FEW or max(values) - min(values) < 1e-9:
        return wilson(sum(values) / len(values), len(values), confidence)
    return bootstrap(values, confidence)
