"""Density from a signed distance: VolSDF (arXiv:2106.12052) and NeuS (arXiv:2106.10689).

A depth is how far under the surface a point lies, in world units: minus the signed distance, so
that normals point where it falls, as they do with a density. `width`, in world units, is how
gradually emptiness becomes solid: VolSDF's beta, NeuS's 1 / s.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Kind: TypeAlias = Literal["volsdf", "neus"]
"""VolSDF's density is the same from all sides, and a ray's weights peak .27 widths under the
surface that it meets head-on. NeuS's depend on the angle at which it meets it, and they peak at the
surface itself; behind it, where the ray leaves, there is nothing."""


@dataclass(frozen=True)
class Skin:
    """How a depth is rendered."""

    kind: Kind
    width: Float[Tensor, ""]  # world units, > 0


def volsdf_density(depth: Float[Tensor, "*n"], width: Float[Tensor, ""]) -> Float[Tensor, "*n"]:
    """Psi_beta(depth) / beta, Psi the distribution function of Laplace's law: VolSDF, Eq. 2 and 3.

    Per world unit: 1 / width deep inside, half of it at the surface.
    """
    e = 0.5 * (-depth.abs() / width).exp()
    return torch.where(depth <= 0, e, 1 - e) / width


def neus_thickness(
    depth: Float[Tensor, " n"],
    rise: Float[Tensor, " n"],
    length: Float[Tensor, " n"],
    width: Float[Tensor, ""],
) -> Float[Tensor, " n"]:
    """The optical thickness of a section of a ray, -ln(1 - alpha) of NeuS's Eq. 13.

    `depth` at its middle, `rise` per world unit along the ray (1: straight in, -1: straight out),
    `length` in world units. alpha = max(0, 1 - Phi(next) / Phi(before)), Phi the sigmoid of the
    signed distance over the width; where the distance is linear, sections multiply to the whole.
    """
    half = 0.5 * length * rise
    return (F.softplus((depth + half) / width) - F.softplus((depth - half) / width)).clamp_min(0)


def neus_density(depth: Float[Tensor, "*n"], width: Float[Tensor, ""]) -> Float[Tensor, "*n"]:
    """NeuS's opaque density (Eq. 10) for rays that go straight in, per world unit."""
    return (depth / width).sigmoid() / width


def density_under(skin: Skin, depth: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Per world unit; of NeuS, for rays that go straight in."""
    return (volsdf_density if skin.kind == "volsdf" else neus_density)(depth, skin.width)
