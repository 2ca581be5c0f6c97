"""Point lights, how they shade a surface, and how DreamFusion draws them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Light:
    """A point light for each of `b` pictures (DreamFusion, arXiv:2209.14988, Eq. 4).

    color = albedo * (ambient + diffuse * max(0, n . l)), l the unit vector to the light; a
    textureless picture has albedo 1.
    """

    position: Float[Tensor, "b 3"]  # world units
    ambient: Float[Tensor, " b"]  # l_a, in [0, 1]
    diffuse: Float[Tensor, " b"]  # l_rho, in [0, 1]
    textureless: Bool[Tensor, " b"]

    def __len__(self) -> int:
        return self.position.shape[0]

    def __getitem__(self, index: slice | Tensor) -> "Light":
        """The lights of some of the pictures."""
        return Light(
            self.position[index],
            self.ambient[index],
            self.diffuse[index],
            self.textureless[index],
        )


def shade(
    albedo: Float[Tensor, "b *s 3"],
    normal: Float[Tensor, "b *s 3"],
    point: Float[Tensor, "b *s 3"],
    light: Light,
) -> Float[Tensor, "b *s 3"]:
    """Lambertian shading with an ambient term, Eq. 4 of DreamFusion; normals are unit, world."""

    def spread(x: Tensor, like: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *[1] * (like.ndim - x.ndim), *x.shape[1:])

    toward = F.normalize(spread(light.position, point) - point, dim=-1)
    cosine = (normal * toward).sum(-1, keepdim=True).clamp_min(0)
    per_picture = albedo[..., :1]
    irradiance = spread(light.ambient[:, None], per_picture) + cosine * spread(
        light.diffuse[:, None], per_picture
    )
    blank = spread(light.textureless[:, None], per_picture)
    return torch.where(blank, torch.ones_like(albedo), albedo) * irradiance


def around_camera(
    camera: Float[Tensor, "b 3"], rng: torch.Generator, *, near: float = 3.0, far: float = 5.0
) -> Float[Tensor, "b 3"]:
    """Light positions: a direction from N(unit vector to the camera, I), a distance U(near, far).

    DreamFusion, App. A.1, whose distances .8 to 1.5 are for cameras at 1 to 1.5.
    """
    n = torch.randn(camera.shape, generator=rng, device=camera.device, dtype=camera.dtype)
    direction = F.normalize(F.normalize(camera, dim=-1) + n, dim=-1)
    u = torch.rand(len(camera), 1, generator=rng, device=camera.device, dtype=camera.dtype)
    return direction * (near + (far - near) * u)
