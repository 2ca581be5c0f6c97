"""A triangle mesh as a scene: rendered by ray casting, lit, with antialiased edges."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dreamlift.geometry.mesh import Surface, face_cross, vertex_normals
from dreamlift.geometry.uv import sample
from dreamlift.io.meshes import read_mesh
from dreamlift.lights import shade
from dreamlift.render.raycast import Fragments, Hits, raycast
from dreamlift.scene import Rendering, Scene, Shot


class Mesh(Scene[Fragments]):
    """The parts of an object. phi: the colours of its vertices and texels.

    Gradients reach colours only. Geometry is fixed: a ray meets a triangle or does not, and moving
    silhouettes needs another renderer. Render under `torch.no_grad()` where nothing is optimised.
    """

    def __init__(self, parts: Sequence[Surface], *, samples: int = 2) -> None:
        """`samples` x `samples` rays to a pixel; the picture is their mean."""
        super().__init__()
        if not parts:
            raise ValueError("A mesh needs at least one part.")
        if samples < 1:
            raise ValueError(f"A pixel needs 1 or more samples a side, not {samples}.")
        self.samples = samples
        self.names = tuple(part.name for part in parts)
        counts = [len(part.vertices) for part in parts]
        first = [sum(counts[:i]) for i in range(len(parts))]
        faces = [part.faces + start for part, start in zip(parts, first, strict=True)]
        owner = [torch.full((len(part.faces),), i) for i, part in enumerate(parts)]
        self.vertices: Float[Tensor, "n 3"]
        self.faces: Int[Tensor, "f 3"]
        self.normals: Float[Tensor, "n 3"]
        self.uv: Float[Tensor, "n 2"]
        self.part: Int[Tensor, " f"]
        self.picture: Int[Tensor, " f"]
        self.register_buffer("vertices", torch.cat([part.vertices for part in parts]))
        self.register_buffer("faces", torch.cat(faces))
        self.register_buffer("normals", torch.cat([_normals(part) for part in parts]))
        self.register_buffer("uv", torch.cat([_uv(part) for part in parts]))
        self.register_buffer("part", torch.cat(owner).to(self.faces))
        colors = torch.cat([_colors(part) for part in parts])
        self.colors = nn.Parameter(colors)  # n 3
        distinct: list[Float[Tensor, "h w 3"]] = []
        picture: list[int] = []  # which texture each part shows, -1: none
        for part in parts:
            picture.append(_index(distinct, part.texture))
        self.textures = nn.ParameterList([nn.Parameter(t.clone()) for t in distinct])
        self.register_buffer("picture", self.faces.new_tensor(picture)[self.part])

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[Fragments]:
        """What the cameras see; depth is along the ray. Without a light, the albedo."""
        b, h, w, s = len(shot), shot.cameras.height, shot.cameras.width, self.samples
        fine = shot.cameras.resized(h * s, w * s)
        origins, directions = (x.reshape(-1, 3).to(self.vertices) for x in fine.rays())
        hits = raycast(origins, directions, self.vertices, self.faces)
        ray = (hits.face >= 0).nonzero()[:, 0]
        distance = hits.distance[ray, None]
        point = origins[ray] + distance * directions[ray]
        color, normal = self._at(hits.face[ray], hits.barycentric[ray], directions[ray])
        if shot.light is not None:
            color = shade(color, normal, point, shot.light[ray // (h * s * w * s)])
        pixel = ray // (s * w * s) * w + ray % (w * s) // s
        solid = torch.cat([torch.ones_like(distance), distance, normal], -1)
        alpha, depth, normal = self._pooled(solid, pixel, (b, h, w)).split([1, 1, 3], -1)
        color = self._pooled(color, pixel, (b, h, w))
        return Rendering(color, alpha, self._fragments(hits, (b, h * s, w * s)), depth, normal)

    def _pooled(
        self, values: Float[Tensor, "n c"], pixel: Int[Tensor, " n"], shape: tuple[int, int, int]
    ) -> Float[Tensor, "b h w c"]:
        """The mean over each pixel's samples of what those that hit anything saw."""
        total = values.new_zeros(math.prod(shape), values.shape[1]).index_add(0, pixel, values)
        return (total / self.samples**2).reshape(*shape, -1)

    def _fragments(self, hits: Hits, shape: tuple[int, int, int]) -> Fragments:
        part = torch.where(hits.face >= 0, self.part[hits.face.clamp_min(0)], -1)
        weights = hits.barycentric.reshape(*shape, 3)
        return Fragments(hits.face.reshape(shape), part.reshape(shape), weights)

    def _at(
        self,
        face: Int[Tensor, " n"],
        weight: Float[Tensor, "n 3"],
        direction: Float[Tensor, "n 3"],
    ) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
        """Albedo, and unit normal on the viewer's side, where rays hit faces."""
        fixed = torch.cat([self.normals, self.uv], -1)[self.faces]  # f 3 5
        smooth, uv = (weight[:, None] @ fixed[face])[:, 0].split([3, 2], -1)
        color = (weight[:, None] @ self.colors[self.faces][face])[:, 0]
        flat = face_cross(self.vertices, self.faces)[face]
        length = smooth.norm(dim=-1, keepdim=True)
        normal = torch.where(length > 1e-3, smooth / length.clamp_min(1e-3), _unit(flat))
        # The back of a triangle is a surface too, and it is lit from its own side.
        normal = torch.where((flat * direction).sum(-1, keepdim=True) > 0, -normal, normal)
        picture = self.picture[face]
        for i, texture in enumerate(self.textures):
            shown = (picture == i).nonzero()[:, 0]
            texels = sample(texture, uv[shown])
            color = color.index_put((shown,), color[shown] * texels)
        return color, normal


def load_mesh(path: Path, *, up: Literal["y", "z"] = "y", samples: int = 2) -> Mesh:
    """A mesh file as a scene, in our axes; for its formats and errors see `io.meshes.read_mesh`."""
    return Mesh(read_mesh(path, up=up), samples=samples)


def _normals(part: Surface) -> Float[Tensor, "n 3"]:
    return vertex_normals(part.vertices, part.faces) if part.normals is None else part.normals


def _colors(part: Surface) -> Float[Tensor, "n 3"]:
    return torch.ones_like(part.vertices) if part.colors is None else part.colors


def _uv(part: Surface) -> Float[Tensor, "n 2"]:
    return torch.zeros_like(part.vertices[:, :2]) if part.uv is None else part.uv


def _index(distinct: list[Float[Tensor, "h w 3"]], texture: Tensor | None) -> int:
    """Where a texture stands in the list, appended if it is new; -1 for none."""
    if texture is None:
        return -1
    for i, other in enumerate(distinct):
        if other is texture:
            return i
    distinct.append(texture)
    return len(distinct) - 1


def _unit(x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    return F.normalize(x, dim=-1, eps=1e-20)
