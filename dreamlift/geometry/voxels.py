"""The volume that Gaussians fill.

Density is per world unit: a ray that crosses a length l of it is 1 - exp(-density l) opaque. A
Gaussian of opacity o becomes the density

    sigma(x) = -ln(1 - o) / (sqrt(2 pi) s) exp(-1/2 (x - mu)^T Sigma^-1 (x - mu)),

s its least deviation: a ray through its middle along its thinnest axis is stopped by o, as when it
is splatted flat on. Densities add up, and colours are their means by density.
"""

import math
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.geometry.gaussians import Gaussians, base_colors, rotations
from dreamlift.geometry.repeats import listed

WIDEN = 0.3
"""Cells by which every Gaussian is widened (added as variance), or samples would miss thin ones;
what is opaque comes out by up to three of these thicker."""
REACH = 3.0
"""Deviations beyond which a Gaussian is nothing."""
OPAQUE = 0.999
"""Opacity is cut here, or the density of an opaque Gaussian would be infinite."""
PAIRS = 1 << 20
"""Gaussians x samples that are computed at once; bounds the memory."""
FAINT = 1e-4
"""Share of the greatest density below which a colour is not believed."""
EDGE = 1.25
"""World units: half of the largest box, what a camera of the default orbit sees."""


@dataclass(frozen=True)
class Voxels:
    """A volume by its values at the samples of the cube [-reach, reach]^3, both ends included."""

    dense: Float[Tensor, "n n n"]
    color: Float[Tensor, "n n n 3"]  # sRGB in [0, 1]
    reach: float  # world units

    @property
    def cell(self) -> float:
        """World units between two samples."""
        return 2 * self.reach / (len(self.dense) - 1)

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        """Two corners of the cube."""
        return self.dense.new_tensor([[-self.reach] * 3, [self.reach] * 3])

    def density(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Trilinear between samples; 0 outside of the cube."""
        return self._at(self.dense[..., None], points)[:, 0]

    def albedo(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Trilinear between samples, weighted by their densities as far as there are any."""
        weight = self.dense[..., None] + 1e-6
        found = self._at(torch.cat([weight * self.color, weight], -1), points)
        return (found[:, :3] / found[:, 3:].clamp_min(1e-12)).clamp(0, 1)

    def _at(
        self, values: Float[Tensor, "n n n c"], points: Float[Tensor, "p 3"]
    ) -> Float[Tensor, "p c"]:
        at = (points / self.reach).flip(-1)[
            None, None, None
        ]  # grid_sample wants the last axis first
        planes = values.movedim(-1, 0)[None]
        return F.grid_sample(planes, at.to(values), align_corners=True)[0, :, 0, 0].T


@torch.no_grad()
def voxelise(gaussians: Gaussians, resolution: int = 128, *, reach: float | None = None) -> Voxels:
    """The volume that Gaussians fill, on a grid.

    `reach`: half a side of the cube; by default just enough for all, but EDGE at most, and what
    lies outside is left out. Colours do not depend on the direction (degree 0 alone).
    """
    mu, s = gaussians.means.float(), gaussians.log_scales.float().exp()
    if reach is None:
        far = mu.abs().amax(-1) + REACH * s.amax(-1)
        reach = min(1.05 * float(far.max()), EDGE) if len(mu) else EDGE
    cell = 2 * reach / (resolution - 1)
    variance = s.square() + (WIDEN * cell) ** 2
    R = rotations(gaussians.quaternions.float())
    precision = (R / variance[:, None]) @ R.mT
    half = REACH * ((R.square() * variance[:, None]).sum(-1)).sqrt()
    depth = -(-gaussians.opacity_logits.float().sigmoid().clamp_max(OPAQUE)).log1p()
    peak = depth / (math.sqrt(2 * math.pi) * variance.amin(-1).sqrt())
    carried = torch.cat([torch.ones_like(mu[:, :1]), base_colors(gaussians).float().clamp(0, 1)], 1)
    low = ((mu - half + reach) / cell).ceil().clamp(0, resolution)
    high = ((mu + half + reach) / cell).floor().clamp(-1, resolution - 1)
    span = (high - low + 1).clamp_min(0).long()
    total = torch.zeros(resolution**3, 4, device=mu.device)
    for some in _shares(span.prod(-1)):
        owner, rank = listed(span[some].prod(-1))
        owner = some[owner]
        x, y, z = low[owner].long().unbind(-1)
        _, wide, deep = span[owner].unbind(-1)
        x, y, z = x + rank // (wide * deep), y + rank // deep % wide, z + rank % deep
        d = torch.stack([x, y, z], -1) * cell - reach - mu[owner]
        power = -0.5 * (d[:, None] @ precision[owner] @ d[..., None])[:, 0]
        value = peak[owner, None] * power.exp()
        total.index_add_(0, (x * resolution + y) * resolution + z, value * carried[owner])
    dense = total[:, 0].reshape(resolution, resolution, resolution)
    color = (total[:, 1:] / total[:, :1].clamp_min(1e-12)).reshape(*dense.shape, 3)
    return Voxels(dense, _painted(dense, color), reach)


def _shares(count: Int[Tensor, " n"]) -> list[Int[Tensor, " m"]]:
    """Indices of those with a count, in groups of about PAIRS together."""
    some = (count > 0).nonzero()[:, 0]
    group = (count[some].cumsum(0) - 1) // PAIRS
    sizes = group.unique_consecutive(return_counts=True)[1]
    return list(some.split(sizes.tolist()))


def _painted(
    dense: Float[Tensor, "n n n"], color: Float[Tensor, "n n n 3"]
) -> Float[Tensor, "n n n 3"]:
    """Colours also where there is hardly anything: the nearest known."""
    from scipy.ndimage import distance_transform_edt

    known = dense > FAINT * dense.max()
    if not bool(known.any()):
        return torch.full_like(color, 0.5)
    nearest = distance_transform_edt(
        ~known.cpu().numpy(), return_distances=False, return_indices=True
    )
    x, y, z = torch.from_numpy(nearest).long().to(dense.device)
    return color[x, y, z]


@torch.no_grad()
def buried(dense: Float[Tensor, "n n n"], cell: float) -> Float[Tensor, "n n n"]:
    """How much of the light does not reach each sample, from the direction that most comes from.

    Of 26 directions, to neighbours, edges and corners; 0 is open, 1 is dark. Half is where cameras
    begin to see something: unlike a level of the density, that does not depend on how dense it is,
    hollow shells are dark inside, and a surface seen edge-on does not look thicker.
    """
    n = len(dense)
    least = torch.full_like(dense, torch.inf)
    for way in product((-1, 0, 1), repeat=3):
        axis = next((k for k in range(3) if way[k]), None)
        if axis is None:
            continue
        layers, depths = dense.movedim(axis, 0), least.movedim(axis, 0)
        one, two = (k for i, k in enumerate(way) if i != axis)
        half = 0.5 * cell * math.sqrt(sum(abs(k) for k in way))
        passed = torch.zeros_like(layers[0])
        for i in range(n) if way[axis] > 0 else reversed(range(n)):
            arrived = F.pad(passed, (1, 1, 1, 1))[1 - one : n + 1 - one, 1 - two : n + 1 - two]
            here = half * layers[i]
            torch.minimum(depths[i], arrived + here, out=depths[i])
            passed = arrived + 2 * here
    return 1 - (-least).exp()
