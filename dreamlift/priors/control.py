"""What a scene shows, drawn for models that are told of it: depth, normals, or edges.

Each is drawn as the public models were trained, by estimates from photographs: MiDaS's disparity
for depth, the ScanNet colours of ControlNet 1.1's "normalbae", and Canny's edges (1986).
"""

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.errors import BadInput
from dreamlift.priors.told import picture_shown, shown
from dreamlift.scene import Rendering, Shot

Kind: TypeAlias = Literal["depth", "normal", "canny"]

FAR = 0.25
"""The disparity of the farthest point of an object; the nearest has 1, the background 0."""
LOW, HIGH = 100 / 255, 200 / 255
"""Slopes of grey between which an edge goes on, and above which it begins."""


def drawn(kind: Kind, shot: Shot, size: int) -> Float[Tensor, "b 3 size size"]:
    """A control picture in [0, 1] of what the scene shows. Raises BadInput where it shows none."""
    match kind:
        case "depth":
            return _resized(disparity(shown(shot), shot.cameras), size).expand(-1, 3, -1, -1)
        case "normal":
            return _resized(normals(shown(shot), shot.cameras), size)
        case "canny":
            picture = picture_shown(shot).permute(0, 3, 1, 2)
            edges = canny(_resized(picture, size))
            return edges[:, None].to(picture).expand(-1, 3, -1, -1)


def _resized(x: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c size size"]:
    return F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False)


def distances(seen: Rendering[None]) -> Float[Tensor, "b h w 1"]:
    """Along each ray, in world units, of what is seen there. Raises BadInput where unknown."""
    if seen.depth is None:
        raise BadInput(
            "This prior is told the depth or the normals of what is seen, and this scene shows "
            "neither. Choose a recipe of fields, Gaussians or meshes."
        )
    return seen.depth / seen.alpha.clamp_min(1e-4)


def disparity(seen: Rendering[None], cameras: Cameras) -> Float[Tensor, "b 1 h w"]:
    """One over the depth along the camera's axis, from `FAR` to 1 on an object, 0 behind it."""
    h, w = seen.alpha.shape[1:3]
    rays = cameras.resized(h, w).rays()[1]
    along = torch.einsum("bhwi,bi->bhw", rays, cameras.world_to_camera[:, 2, :3])[..., None]
    near = 1 / (distances(seen) * along).clamp_min(1e-4)
    solid = seen.alpha > 0.5
    most = torch.where(solid, near, 0).amax((1, 2, 3), keepdim=True)
    least = torch.where(solid, near, torch.inf).amin((1, 2, 3), keepdim=True)
    share = ((near - least) / (most - least).clamp_min(1e-6)).clamp(0, 1)
    return (torch.where(solid, FAR + (1 - FAR) * share, 0)).permute(0, 3, 1, 2)


def normals(seen: Rendering[None], cameras: Cameras) -> Float[Tensor, "b 3 h w"]:
    """In the camera's frame: blue is front, red is left, green is top; the background is front.

    Where the shot has no normals, which it has only under a light, they are those of the depth.
    """
    if seen.normal is None:
        h, w = seen.alpha.shape[1:3]
        origins, rays = cameras.resized(h, w).rays()
        points = origins + distances(seen) * rays
        down, right = (torch.gradient(points, dim=axis)[0] for axis in (1, 2))
        world = F.normalize(torch.cross(right, down, dim=-1), dim=-1)
        world = torch.where((world * rays).sum(-1, keepdim=True) > 0, -world, world)
    else:
        world = F.normalize(seen.normal, dim=-1)
    local = torch.einsum("bij,bhwj->bhwi", cameras.world_to_camera[:, :3, :3], world)
    front = local.new_tensor([0.5, 0.5, 1.0])
    picture = seen.alpha * (1 - local) / 2 + (1 - seen.alpha) * front
    return picture.permute(0, 3, 1, 2)


def canny(x: Float[Tensor, "b 3 h w"]) -> Bool[Tensor, "b h w"]:
    """Edges of pictures: crests of Sobel's slope that are steep, or go on from a steep one."""
    grey = (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    sobel = x.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernels = torch.stack([sobel, sobel.T])[:, None]
    gx, gy = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), kernels).unbind(1)
    slope = gx.abs() + gy.abs()
    # The two neighbours across the edge, in one of four directions.
    turn = (torch.rad2deg(torch.atan2(gy, gx)) / 45).round().long() % 4
    crest = torch.zeros_like(slope, dtype=torch.bool)
    for i, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead, behind = _moved(slope, dy, dx), _moved(slope, -dy, -dx)
        crest |= (turn == i) & (slope > behind) & (slope >= ahead)
    edges, weak = crest & (slope >= HIGH), crest & (slope >= LOW)
    while True:
        grown = weak & (F.max_pool2d(edges[:, None].float(), 3, 1, 1)[:, 0] > 0)
        if torch.equal(grown, edges):
            return edges
        edges = grown


def _moved(x: Float[Tensor, "b h w"], dy: int, dx: int) -> Float[Tensor, "b h w"]:
    """What stands dy rows below and dx columns to the right; 0 outside."""
    h, w = x.shape[1:]
    padded = F.pad(x, (1, 1, 1, 1))
    return padded[:, 1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]
