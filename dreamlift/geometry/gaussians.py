"""Anisotropic Gaussians as 3D Gaussian splatting knows them (Kerbl et al., arXiv:2308.04079)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dreamlift.geometry import harmonics


@dataclass(frozen=True)
class Gaussians:
    """n Gaussians, by the numbers that are optimised.

    Opacity is sigmoid(logit); standard deviations along the axes are exp(log_scales). The colour
    in direction v is max(0, 0.5 + sum_k harmonics_k Y_k(v)).
    """

    means: Float[Tensor, "n 3"]  # world units
    quaternions: Float[Tensor, "n 4"]  # w, x, y, z; of any length but 0
    log_scales: Float[Tensor, "n 3"]  # of world units
    opacity_logits: Float[Tensor, " n"]
    harmonics: Float[Tensor, "n k 3"]  # k = 1, 4, 9, 16 for degree 0 to 3; of sRGB

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, index: Int[Tensor, " m"] | Bool[Tensor, " n"] | slice) -> "Gaussians":
        """Some of the Gaussians."""
        return Gaussians(
            self.means[index],
            self.quaternions[index],
            self.log_scales[index],
            self.opacity_logits[index],
            self.harmonics[index],
        )

    @property
    def degree(self) -> int:
        """Of the spherical harmonics, 0 to 3."""
        return harmonics.degree_of(self.harmonics.shape[1])


def rotations(quaternions: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    """Rotation matrices of quaternions (w, x, y, z), which need not be unit."""
    w, x, y, z = F.normalize(quaternions, dim=-1).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def factors(gaussians: Gaussians) -> Float[Tensor, "n 3 3"]:
    """M = R S, whose columns are the axes, each as long as its standard deviation."""
    return rotations(gaussians.quaternions) * gaussians.log_scales.exp()[:, None]


def covariances(gaussians: Gaussians) -> Float[Tensor, "n 3 3"]:
    """Sigma = R S S^T R^T, Eq. 6 of Kerbl et al."""
    M = factors(gaussians)
    return M @ M.mT


def harmonics_of(colors: Float[Tensor, "n 3"], degree: int = 0) -> Float[Tensor, "n k 3"]:
    """Coefficients of colours (sRGB in [0, 1]) that are the same from everywhere."""
    out = colors.new_zeros(len(colors), harmonics.count(degree), 3)
    out[:, 0] = (colors - 0.5) / harmonics.C0
    return out


def base_colors(gaussians: Gaussians) -> Float[Tensor, "n 3"]:
    """sRGB of each without what depends on the direction."""
    return gaussians.harmonics[:, 0] * harmonics.C0 + 0.5


def spacing(points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Root of the mean squared distance to the three nearest other points, world units.

    The standard deviation that Gaussians at points start with; at least the root of 1e-7, and
    0.1 for a point that is alone.
    """
    from scipy.spatial import KDTree

    k = min(3, len(points) - 1)
    if k < 1:
        return torch.full_like(points[:, 0], 0.1)
    places = points.detach().cpu().double().numpy()
    distances, _ = KDTree(places).query(places, k=k + 1)
    square = torch.from_numpy(distances)[:, 1:].square().mean(-1)
    return square.clamp_min(1e-7).sqrt().to(points)
