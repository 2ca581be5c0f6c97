"""Lenses of real cameras, and photographs as a pinhole camera would have taken them.

A direction (x, y, 1) in front of a camera meets its picture at (fx x' + cx, fy y' + cy), where
(x', y') is (x, y) bent by OpenCV's formulas: five numbers (k1, k2, k3, p1, p2) for plain lenses,
four for fisheyes. Pixel (row i, column j) has its centre at (j + 0.5, i + 0.5), as in COLMAP.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Lens:
    """How a camera maps directions to pixels of a picture of this size."""

    fx: float  # pixels, as are the next three
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    radial: tuple[float, float, float] = (0.0, 0.0, 0.0)  # k1, k2, k3
    tangential: tuple[float, float] = (0.0, 0.0)  # p1, p2
    fisheye: tuple[float, float, float, float] | None = None  # k1 to k4, in place of the others

    @property
    def straight(self) -> bool:
        """Whether it is a pinhole: straight lines stay straight."""
        return self.fisheye is None and not any((*self.radial, *self.tangential))

    @property
    def K(self) -> Float[Tensor, "3 3"]:
        rows = [[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]]
        return torch.tensor(rows, dtype=torch.float64)

    def resized(self, width: int, height: int) -> "Lens":
        """The same lens in front of another pixel grid."""
        x, y = width / self.width, height / self.height
        moved = {"fx": self.fx * x, "cx": self.cx * x, "fy": self.fy * y, "cy": self.cy * y}
        return replace(self, width=width, height=height, **moved)


def bend(lens: Lens, at: Float[Tensor, "*s 2"]) -> Float[Tensor, "*s 2"]:
    """Where the lens sees the direction (x, y, 1), as (x', y'); NaN where its formula folds over.

    OpenCV's camera model (calib3d), and its fisheye model (Kannala and Brandt, 2006).
    """
    x, y = at.unbind(-1)
    square = x * x + y * y
    if lens.fisheye is not None:
        r = square.sqrt()
        angle = r.atan()
        powers = [angle ** (2 * k) for k in range(5)]
        k = (1.0, *lens.fisheye)
        scale = sum(a * b for a, b in zip(k, powers, strict=True)) * angle / r.clamp_min(1e-12)
        scale = torch.where(r < 1e-9, 1.0, scale)
        known = angle**2 < _fold([(2 * n + 1) * a for n, a in enumerate(k)])
        return torch.where(known[..., None], at * scale[..., None], torch.nan)
    k1, k2, k3 = lens.radial
    p1, p2 = lens.tangential
    scale = 1 + square * (k1 + square * (k2 + square * k3))
    u = x * scale + 2 * p1 * x * y + p2 * (square + 2 * x * x)
    v = y * scale + p1 * (square + 2 * y * y) + 2 * p2 * x * y
    known = square < _fold([1.0, 3 * k1, 5 * k2, 7 * k3])
    return torch.where(known[..., None], torch.stack([u, v], -1), torch.nan)


def _fold(slope: Sequence[float]) -> float:
    """Where a slope, a polynomial by its coefficients, first is 0, beyond 0: from there on a lens
    shows again what it has shown."""
    roots = np.roots(np.trim_zeros(slope[::-1], "f"))
    real = roots.real[(abs(roots.imag) < 1e-9) & (roots.real > 0)]
    return float(real.min()) if len(real) else math.inf


def straighten(
    picture: Float[Tensor, "h w c"], lens: Lens
) -> tuple[Float[Tensor, "h w c"], Float[Tensor, "h w 1"]]:
    """The picture that a pinhole camera of the same K and size takes, and 1 where it is known.

    Bilinear between the photograph's pixels. What the pinhole sees and the photograph does not is
    0, and so is the second picture there.
    """
    h, w, _ = picture.shape
    if (h, w) != (lens.height, lens.width):
        raise ValueError(f"The lens is of {lens.width}x{lens.height} pixels, the picture {w}x{h}.")
    if lens.straight:
        return picture, torch.ones_like(picture[..., :1])
    columns = (torch.arange(w, dtype=torch.float64) + 0.5 - lens.cx) / lens.fx
    rows = (torch.arange(h, dtype=torch.float64) + 0.5 - lens.cy) / lens.fy
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    u, v = bend(lens, torch.stack([x, y], -1)).unbind(-1)
    u, v = lens.fx * u + lens.cx, lens.fy * v + lens.cy
    known = (u >= 0) & (u <= w) & (v >= 0) & (v <= h)  # NaN is not
    place = torch.stack([2 * u / w - 1, 2 * v / h - 1], -1).nan_to_num(2.0).to(picture)
    planes = picture.permute(2, 0, 1)[None]
    seen = F.grid_sample(planes, place[None], padding_mode="border", align_corners=False)
    mask = known[..., None].to(picture)
    return seen[0].permute(1, 2, 0) * mask, mask


def shrink(picture: Float[Tensor, "h w c"], factor: int) -> Float[Tensor, "h2 w2 c"]:
    """Means over squares of `factor` pixels; rows and columns that fill none are left off."""
    if factor == 1:
        return picture
    return F.avg_pool2d(picture.permute(2, 0, 1)[None], factor)[0].permute(1, 2, 0)
