"""A batch of pinhole cameras, their rays and projections, and cameras on an orbit.

World: right-handed, +z up; an object faces +x (azimuth 0); azimuth grows toward +y.
Camera: OpenCV, x right, y down, z into the scene. Pixel (row i, column j) has its centre at
(x, y) = (j + 0.5, i + 0.5). Angles are in degrees at this interface, radians inside; lengths are
in world units.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Cameras:
    """A batch of `b` pinhole cameras that share one image size."""

    world_to_camera: Float[Tensor, "b 4 4"]
    K: Float[Tensor, "b 3 3"]  # intrinsics, in pixels
    height: int
    width: int

    def __len__(self) -> int:
        return self.K.shape[0]

    def __getitem__(self, index: slice | Tensor) -> "Cameras":
        """Some of the cameras, by slice, by a tensor of indices or by a mask."""
        return Cameras(self.world_to_camera[index], self.K[index], self.height, self.width)

    def to(self, device: torch.device | str) -> "Cameras":
        """The same cameras on another device."""
        moved = self.world_to_camera.to(device), self.K.to(device)
        return Cameras(*moved, self.height, self.width)

    @property
    def position(self) -> Float[Tensor, "b 3"]:
        R, t = self.world_to_camera[:, :3, :3], self.world_to_camera[:, :3, 3]
        return -torch.einsum("bij,bi->bj", R, t)

    @property
    def azimuth(self) -> Float[Tensor, " b"]:
        """Degrees in (-180, 180]; 0 in front (+x), 90 at the object's left (+y)."""
        x, y, _ = self.position.unbind(-1)
        return torch.rad2deg(torch.atan2(y, x))

    @property
    def elevation(self) -> Float[Tensor, " b"]:
        """Degrees in [-90, 90] above the horizon of the origin."""
        x, y, z = self.position.unbind(-1)
        return torch.rad2deg(torch.atan2(z, torch.hypot(x, y)))

    @property
    def distance(self) -> Float[Tensor, " b"]:
        """World units from the origin."""
        return self.position.norm(dim=-1)

    def resized(self, height: int, width: int) -> "Cameras":
        """The same views on another pixel grid."""
        scale = self.K.new_tensor([width / self.width, height / self.height, 1.0])
        return Cameras(self.world_to_camera, self.K * scale[:, None], height, width)

    def windows(
        self,
        which: Int[Tensor, " n"],
        row: Int[Tensor, " n"],
        column: Int[Tensor, " n"],
        *,
        height: int = 1,
        width: int = 1,
    ) -> "Cameras":
        """n cut-outs of the pictures, each from a row and a column of one of them.

        Of one pixel each they are single rays from anywhere.
        """
        K = self.K[which].clone()
        K[:, 0, 2] -= column
        K[:, 1, 2] -= row
        return Cameras(self.world_to_camera[which], K, height, width)

    def rays(self) -> tuple[Float[Tensor, "b h w 3"], Float[Tensor, "b h w 3"]]:
        """Origins and unit directions through the pixel centres, in world space."""
        k = self.K
        ys = torch.arange(self.height, device=k.device, dtype=k.dtype) + 0.5
        xs = torch.arange(self.width, device=k.device, dtype=k.dtype) + 0.5
        x = (xs[None, None, :] - k[:, 0, 2, None, None]) / k[:, 0, 0, None, None]
        y = (ys[None, :, None] - k[:, 1, 2, None, None]) / k[:, 1, 1, None, None]
        x, y = torch.broadcast_tensors(x, y)
        local = torch.stack([x, y, torch.ones_like(x)], -1)
        world = torch.einsum("bij,bhwi->bhwj", self.world_to_camera[:, :3, :3], local)
        origins = self.position[:, None, None, :].expand_as(world)
        return origins, F.normalize(world, dim=-1)

    def project(
        self, points: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, "b n 2"], Float[Tensor, "b n"]]:
        """Pixel coordinates (x, y) and depth along the camera's z, in world units."""
        R, t = self.world_to_camera[:, :3, :3], self.world_to_camera[:, :3, 3]
        local = torch.einsum("bij,nj->bni", R, points) + t[:, None]
        image = torch.einsum("bij,bnj->bni", self.K, local)
        return image[..., :2] / image[..., 2:], local[..., 2]


def look_at(
    position: Float[Tensor, "b 3"],
    target: Float[Tensor, "b 3"],
    *,
    fov_y: Float[Tensor, " b"],
    size: int,
) -> Cameras:
    """Upright square cameras at `position` that look at `target`; `fov_y` in degrees.

    Straight down or up, where "upright" says nothing, the top of the picture is the far side of
    a camera that came from the front (-x from above).
    """
    forward = F.normalize(target - position, dim=-1)
    up = torch.zeros_like(forward)
    up[:, 2] = 1.0
    right = torch.cross(forward, up, dim=-1)
    steep = right.norm(dim=-1, keepdim=True) < 1e-4
    fallback = torch.zeros_like(right)
    fallback[:, 1] = 1.0
    right = F.normalize(torch.where(steep, fallback, right), dim=-1)
    down = torch.cross(forward, right, dim=-1)
    R = torch.stack([right, down, forward], 1)
    b = position.shape[0]
    world_to_camera = torch.eye(4, device=position.device, dtype=position.dtype).repeat(b, 1, 1)
    world_to_camera[:, :3, :3] = R
    world_to_camera[:, :3, 3] = -torch.einsum("bij,bj->bi", R, position)
    f = 0.5 * size / (torch.deg2rad(fov_y) / 2).tan()
    K = torch.zeros(b, 3, 3, device=position.device, dtype=position.dtype)
    K[:, 0, 0], K[:, 1, 1], K[:, 2, 2] = f, f, 1.0
    K[:, 0, 2] = K[:, 1, 2] = size / 2
    return Cameras(world_to_camera, K, size, size)


def spherical(azimuth: Float[Tensor, " b"], elevation: Float[Tensor, " b"]) -> Float[Tensor, "b 3"]:
    """Unit vectors toward (azimuth, elevation), in degrees."""
    az, el = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    return torch.stack([el.cos() * az.cos(), el.cos() * az.sin(), el.sin()], -1)


FRAME = 1.25
"""Half-height, in world units, of what a camera of the default orbit sees at the origin's depth."""


def orbit(
    azimuth: Float[Tensor, " b"],
    elevation: Float[Tensor, " b"],
    *,
    distance: float | Float[Tensor, " b"] = 4.0,
    size: int = 64,
    frame: float = FRAME,
) -> Cameras:
    """Upright cameras on a sphere around the origin, looking at it; angles in degrees.

    The field of view follows from the distance, so that `frame` world units above and below the
    origin always fill the picture: distance x tan(fov / 2) = frame. "Small" and "large" therefore
    look small and large from every distance.
    """
    d = torch.as_tensor(distance, device=azimuth.device, dtype=azimuth.dtype).expand_as(azimuth)
    position = d[:, None] * spherical(azimuth, elevation)
    fov_y = 2 * torch.rad2deg(torch.atan(frame / d))
    return look_at(position, torch.zeros_like(position), fov_y=fov_y, size=size)


def turntable(
    views: int, *, elevation: float = 20.0, offset: float = 0.0, size: int = 64
) -> Cameras:
    """`views` cameras evenly around the object, the first at azimuth `offset` degrees."""
    azimuth = torch.arange(views) * (360.0 / views) + offset
    return orbit(azimuth, torch.full((views,), float(elevation)), size=size)
