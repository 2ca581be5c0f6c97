"""Light from everywhere: physically based shading by the split-sum approximation.

Karis, "Real shading in Unreal Engine 4": the light that a surface mirrors is a blurred environment,
looked up where its mirror direction points, times what its material makes of white light, a table
of the angle and the roughness. Materials are base colour, roughness (alpha = roughness^2 of GGX)
and metallic, as in glTF; diffuse light is the second order of spherical harmonics (Ramamoorthi &
Hanrahan, "An efficient representation for irradiance environment maps"). Radiances and colours are
linear here: `to_linear` before, `to_srgb` after.

An environment's picture is h x 2h: row 0 around +z, column 0 at azimuth 0 (+x), growing toward +y.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BLURS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Roughnesses for which an environment is blurred; between them it is interpolated."""

MIRROR = 0.04
"""What a dielectric reflects head-on, as in glTF."""

FLAT = 1e-4
"""Least cosine to the viewer and least alpha: nothing is seen edge-on or is a perfect mirror."""


def ggx(n_h: Float[Tensor, "*s"], alpha: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Density of microfacets that face h (Walter et al. 2007, Eq. 33)."""
    square = alpha * alpha
    return square / (math.pi * (n_h * n_h * (square - 1) + 1).square())


def smith(
    n_v: Float[Tensor, "*s"], n_l: Float[Tensor, "*s"], alpha: Float[Tensor, "*s"]
) -> Float[Tensor, "*s"]:
    """Masking and shadowing over 4 (n.v) (n.l), height-correlated (Heitz 2014, Eq. 99)."""
    square = alpha * alpha
    v = n_l * (n_v * n_v * (1 - square) + square).sqrt()
    return 0.5 / (v + n_v * (n_l * n_l * (1 - square) + square).sqrt())


def fresnel(f0: Float[Tensor, "*#s"], v_h: Float[Tensor, "*#s"]) -> Float[Tensor, "*s"]:
    """Schlick's: f0 head-on, 1 at a grazing angle."""
    return f0 + (1 - f0) * (1 - v_h).clamp(0, 1) ** 5


def brdf(
    normal: Float[Tensor, "*s 3"],
    view: Float[Tensor, "*s 3"],
    light: Float[Tensor, "*s 3"],
    base: Float[Tensor, "*s 3"],
    roughness: Float[Tensor, "*s"],
    metallic: Float[Tensor, "*s"],
) -> Float[Tensor, "*s 3"]:
    """What a surface sends from `light` to `view`, per steradian: both are unit and point away."""
    h = F.normalize(view + light, dim=-1)
    n_v = (normal * view).sum(-1).clamp_min(FLAT)
    n_l, n_h, v_h = (
        (a * b).sum(-1).clamp_min(0) for a, b in ((normal, light), (normal, h), (view, h))
    )
    alpha = roughness.square().clamp_min(FLAT)
    f0 = MIRROR * (1 - metallic[..., None]) + base * metallic[..., None]
    mirrored = fresnel(f0, v_h[..., None]) * (ggx(n_h, alpha) * smith(n_v, n_l, alpha))[..., None]
    spread = base * (1 - metallic[..., None]) / math.pi
    return torch.where((n_l > 0)[..., None], mirrored + spread, torch.zeros_like(base))


@cache
def table(size: int = 64, samples: int = 1024) -> Float[Tensor, "r v 2"]:
    """Scale and bias of f0 under white light, rows for roughness, columns for n.v, at the middles
    of `size` equal parts of [0, 1]: the integral of the mirrored part, by importance sampling."""
    middle = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    alpha, n_v = middle.square()[:, None, None], middle[None, :, None]
    k = torch.arange(samples, dtype=torch.float64)
    # Hammersley's points, a golden-ratio lattice.
    first, second = (k + 0.5) / samples, (k * ((5**0.5 - 1) / 2)) % 1
    cos = ((1 - first) / (1 + (alpha.square() - 1) * first)).sqrt()
    sin = (1 - cos.square()).clamp_min(0).sqrt()
    v_h = ((1 - n_v.square()).sqrt() * sin * (2 * math.pi * second).cos() + n_v * cos).clamp_min(0)
    n_l = (2 * v_h * cos - n_v).clamp_min(0)
    # D cancels: the density of h is D (n.h), that of l is D (n.h) / (4 v.h).
    n_v, alpha = n_v.expand_as(n_l), alpha.expand_as(n_l)
    seen = 4 * smith(n_v, n_l.clamp_min(1e-9), alpha) * n_l * v_h / cos.clamp_min(1e-9)
    grazing = (1 - v_h) ** 5
    return torch.stack([(seen * (1 - grazing)).mean(-1), (seen * grazing).mean(-1)], -1).float()


def directions(height: int) -> tuple[Float[Tensor, "n 3"], Float[Tensor, " n"]]:
    """Unit vectors to the pixels of an environment, row by row, and their shares of the sphere."""
    edge = torch.linspace(0, math.pi, height + 1, dtype=torch.float64)
    polar = 0.5 * (edge[1:] + edge[:-1])
    azimuth = (torch.arange(2 * height, dtype=torch.float64) + 0.5) * (math.pi / height)
    polar, azimuth = torch.meshgrid(polar, azimuth, indexing="ij")
    sin = polar.sin()
    unit = torch.stack([sin * azimuth.cos(), sin * azimuth.sin(), polar.cos()], -1).reshape(-1, 3)
    share = (edge[:-1].cos() - edge[1:].cos()) / (4 * height)
    return unit.float(), share.repeat_interleave(2 * height).float()


def harmonics(n: Float[Tensor, "*s 3"]) -> Float[Tensor, "*s 9"]:
    """The first nine real spherical harmonics."""
    x, y, z = n.unbind(-1)
    one = torch.ones_like(x)
    terms = [0.282095 * one, 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y]
    terms += [1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z]
    return torch.stack([*terms, 0.546274 * (x * x - y * y)], -1)


@dataclass(frozen=True)
class Environment:
    """Light that comes from far away, prepared for shading; linear in the picture it is of."""

    sh: Float[Tensor, "9 3"]  # radiance, spherical harmonics
    blurred: Float[Tensor, "k h w 3"]  # radiance as a surface of each of BLURS mirrors it

    def diffuse(self, normal: Float[Tensor, "*s 3"]) -> Float[Tensor, "*s 3"]:
        """Irradiance over pi: what a white Lambertian surface sends out."""
        # The cosine's own coefficients: pi, 2 pi / 3, pi / 4.
        band = normal.new_tensor([1.0] + [2 / 3] * 3 + [1 / 4] * 5)
        return harmonics(normal) @ (band[:, None] * self.sh)

    def mirrored(
        self, direction: Float[Tensor, "*s 3"], roughness: Float[Tensor, "*s"]
    ) -> Float[Tensor, "*s 3"]:
        """The environment in a direction, blurred as roughness wants it."""
        k, h, w, _ = self.blurred.shape
        x, y, z = direction.unbind(-1)
        # Straight up and down all columns meet, and neither angle has a gradient.
        flat = torch.hypot(x, y) < 1e-3
        x, y = torch.where(flat, 1e-6, x), torch.where(flat, 0.0, y)
        column = torch.atan2(y, x) / (2 * math.pi) * w - 0.5
        row = (torch.atan2(torch.hypot(x, y), z) / math.pi * h - 0.5).clamp(0, h - 1)
        level = (roughness * (k - 1)).clamp(0, k - 1)
        total = torch.zeros_like(direction)
        for corner in range(8):
            weight = torch.ones_like(x)
            at: list[Tensor] = []
            for axis, place in enumerate((level, row, column)):
                low = place.detach().floor()
                up = corner >> axis & 1
                weight = weight * ((place - low) if up else (1 - place + low))
                at.append(low.long() + up)
            texel = self.blurred[at[0].clamp_max(k - 1), at[1].clamp_max(h - 1), at[2] % w]
            total = total + weight[..., None] * texel
        return total


def environment(picture: Float[Tensor, "h w 3"]) -> Environment:
    """An environment of linear radiances; costs the square of its pixels, 32 x 64 will do.

    Blurring is Karis's, a surface seen head-on: of weight D(n.h) (n.l) with n = v = the mirror
    direction.
    """
    h, w, _ = picture.shape
    if w != 2 * h:
        raise ValueError(f"An environment is twice as wide as high; {w}x{h} came. Resize it.")
    unit, share = (x.to(picture) for x in directions(h))
    flat = picture.reshape(-1, 3)
    sh = 4 * math.pi * (harmonics(unit) * share[:, None]).mT @ flat
    levels = [flat]
    cosine = (unit @ unit.mT).clamp(-1, 1)
    for roughness in BLURS[1:]:
        n_h = ((1 + cosine) / 2).sqrt()
        weight = ggx(n_h, torch.full_like(n_h, roughness**2)) * cosine.clamp_min(0) * share
        levels.append((weight / weight.sum(-1, keepdim=True)) @ flat)
    return Environment(sh, torch.stack(levels).reshape(-1, h, w, 3))


def studio(height: int = 32) -> Environment:
    """For looking at things: a soft sky, a dim floor, a large lamp in front on the left and a
    smaller one behind on the right. A white, rough surface that faces up sends about 0.8."""
    unit, _ = directions(height)
    sky = 0.45 + 0.25 * (4 * unit[:, 2]).tanh()
    for toward, power, sharp in (((0.7, 0.5, 0.6), 2.2, 12.0), ((-0.6, -0.7, 0.4), 0.9, 20.0)):
        lamp = F.normalize(unit.new_tensor(toward), dim=0)
        sky = sky + power * (sharp * (unit @ lamp - 1)).exp()
    return environment(sky[:, None].expand(-1, 3).reshape(height, 2 * height, 3))


def constant(radiance: Float[Tensor, " 3"]) -> Environment:
    """The same light from everywhere."""
    sh = torch.cat([radiance[None] / 0.282095, radiance.new_zeros(8, 3)])
    return Environment(sh, radiance.expand(len(BLURS), 2, 4, 3))


def shade_environment(
    base: Float[Tensor, "*s 3"],
    normal: Float[Tensor, "*s 3"],
    view: Float[Tensor, "*s 3"],
    roughness: Float[Tensor, "*s"],
    metallic: Float[Tensor, "*s"],
    light: Environment,
) -> Float[Tensor, "*s 3"]:
    """Radiance that leaves a surface toward `view` (unit, away from it): the split sum."""
    cosine = (normal * view).sum(-1, keepdim=True)
    mirror = F.normalize(2 * cosine * normal - view, dim=-1)
    lookup = table().to(base).permute(2, 0, 1)[None]
    at = torch.stack([cosine[..., 0].clamp(0, 1), roughness], -1).reshape(1, 1, -1, 2) * 2 - 1
    found = F.grid_sample(lookup, at, padding_mode="border", align_corners=False)
    scale, bias = found[0, :, 0].reshape(2, *roughness.shape, 1)
    f0 = MIRROR * (1 - metallic[..., None]) + base * metallic[..., None]
    spread = base * (1 - metallic[..., None]) * light.diffuse(normal)
    return spread + light.mirrored(mirror, roughness) * (f0 * scale + bias)
