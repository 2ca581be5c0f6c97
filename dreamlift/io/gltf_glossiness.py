"""glTF's older materials, a diffuse colour and a mirror's, as base colour, roughness and metalness.

    mirror's colour  s = .04 (1 - m) + b m                b the base colour, m the metalness
    diffuse colour   d (1 - max s) = .96 b (1 - m)

after the conversion that comes with KHR_materials_pbrSpecularGlossiness. Without b, in brightness:

    .04 m^2 + (d (1 - max s) / .96 + s - .08) m + .04 - s = 0
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamlift.geometry.srgb import to_linear, to_srgb

PLAIN = 0.04
"""What is mirrored head-on by everything that is no metal."""
WEIGHTS = (0.299, 0.587, 0.114)
"""Of the squares of red, green and blue in a brightness."""


@dataclass(frozen=True)
class Mirrored:
    """A material by metalness: factors, and what their pictures say where there are any."""

    factor: Float[Tensor, "3"]  # base colour, linear
    roughness: float
    metallic: float
    texture: Float[Tensor, "h w 3"] | None  # sRGB
    gloss: Float[Tensor, "h w 2"] | None  # roughness and metalness


def mirrored(
    old: Mapping[str, Any],
    diffuse: Float[Tensor, "_h _w 3"] | None,
    mirror: Float[Tensor, "_y _x _c"] | None,
) -> Mirrored:
    """The material that `old`, the extension, says with its pictures (sRGB; of `mirror` a fourth
    channel is the glossiness). Raises ValueError for factors that are no numbers."""
    d, s = _color(old.get("diffuseFactor", [1, 1, 1, 1])[:3]), _color(old.get("specularFactor"))
    glossiness = min(max(float(old.get("glossinessFactor", 1)), 0.0), 1.0)
    rough = torch.full((1, 1, 1), 1 - glossiness)
    if mirror is not None:
        s = s * to_linear(mirror[..., :3])
        if mirror.shape[-1] == 4:
            rough = 1 - glossiness * mirror[..., 3:]
    if bool((s <= PLAIN).all()):  # no metal: the pictures stay as they are
        roughness = float(rough.max()) if rough.numel() == 1 else 1.0
        gloss = None if rough.numel() == 1 else torch.cat([rough, torch.ones_like(rough)], -1)
        return Mirrored(d.flatten(), roughness, 0.0, diffuse, gloss)
    if diffuse is not None:
        d = d * to_linear(diffuse)
    size = [max(x.shape[axis] for x in (d, s, rough)) for axis in (0, 1)]
    d, s, rough = (_sized(x, size) for x in (d, s, rough))
    base, metalness = by_metalness(d, s)
    if diffuse is None and mirror is None:
        return Mirrored(base.flatten(), float(rough), float(metalness), None, None)
    gloss = torch.cat([rough, metalness[..., None]], -1)
    return Mirrored(torch.ones(3), 1.0, 1.0, to_srgb(base), gloss)


def by_metalness(
    d: Float[Tensor, "*s 3"], s: Float[Tensor, "*s 3"]
) -> tuple[Float[Tensor, "*s 3"], Float[Tensor, "*s"]]:
    """Base colour and metalness of a diffuse and a mirror's colour; linear, in [0, 1]."""
    seen = d * (1 - s.amax(-1, keepdim=True)) / (1 - PLAIN)
    mirror = _brightness(s)
    b, c = _brightness(seen) + mirror - 2 * PLAIN, PLAIN - mirror
    m = ((b.square() - 4 * PLAIN * c).clamp_min(0).sqrt() - b) / (2 * PLAIN)
    m = torch.where(mirror < PLAIN, torch.zeros_like(m), m.clamp(0, 1))
    share = m[..., None]
    by_diffuse = seen / (1 - share).clamp_min(1e-6)
    by_mirror = (s - PLAIN * (1 - share)) / share.clamp_min(1e-6)
    return torch.lerp(by_diffuse.clamp(0, 1), by_mirror.clamp(0, 1), share.square()), m


def _color(factor: list[float] | None) -> Float[Tensor, "1 1 3"]:
    """A factor as a picture of one texel; where none is said, white."""
    color = torch.tensor([1, 1, 1] if factor is None else factor, dtype=torch.float32)
    if color.shape != (3,) or not color.isfinite().all():
        raise ValueError("a material's factors are not numbers")
    return color.clamp(0, 1).reshape(1, 1, 3)


def _brightness(x: Float[Tensor, "*s 3"]) -> Float[Tensor, "*s"]:
    return (x.square() * x.new_tensor(WEIGHTS)).sum(-1).sqrt()


def _sized(x: Float[Tensor, "_h _w c"], size: list[int]) -> Float[Tensor, "_y _x c"]:
    """A picture on a grid of `size` rows and columns."""
    if list(x.shape[:2]) == size:
        return x
    lain = x.permute(2, 0, 1)[None]
    return F.interpolate(lain, size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
