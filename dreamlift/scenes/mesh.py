"""A triangle mesh as a scene: rendered by ray casting, lit, with antialiased edges.

Under a shot's point light all surfaces are Lambertian, as everywhere. A mesh may have a light of
its own, an environment: where a shot brings no light it is shaded by that, as its materials want.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dreamlift.geometry.mesh import Material, Surface, face_cross, vertex_normals
from dreamlift.geometry.srgb import to_linear, to_srgb
from dreamlift.geometry.tangents import tangents
from dreamlift.geometry.texels import sample
from dreamlift.io.meshes import read_mesh
from dreamlift.lights import shade
from dreamlift.render.environment import Environment, shade_environment
from dreamlift.render.raycast import Fragments, Hits, raycast
from dreamlift.scene import Rendering, Scene, Shot


class Mesh(Scene[Fragments]):
    """The parts of an object. phi: the colours of its vertices and texels, and their materials.

    Gradients reach these only. Geometry is fixed: a ray meets a triangle or does not, and moving
    silhouettes needs another renderer. Render under `torch.no_grad()` where nothing is optimised.
    """

    def __init__(
        self,
        parts: Sequence[Surface],
        *,
        samples: int = 2,
        environment: Environment | None = None,
    ) -> None:
        """`samples` x `samples` rays to a pixel; the picture is their mean. `environment`: light
        for shots that bring none; without it they show the albedo."""
        super().__init__()
        if not parts:
            raise ValueError("A mesh needs at least one part.")
        if samples < 1:
            raise ValueError(f"A pixel needs 1 or more samples a side, not {samples}.")
        self.samples = samples
        self.names = tuple(part.name for part in parts)
        counts = [len(part.vertices) for part in parts]
        self.first = [sum(counts[:i]) for i in range(len(parts) + 1)]
        faces = [part.faces + start for part, start in zip(parts, self.first, strict=False)]
        owner = [torch.full((len(part.faces),), i) for i, part in enumerate(parts)]
        self.vertices: Float[Tensor, "n 3"]
        self.faces: Int[Tensor, "f 3"]
        self.normals: Float[Tensor, "n 3"]
        self.uv: Float[Tensor, "n 2"]
        self.part: Int[Tensor, " f"]
        self.register_buffer("vertices", torch.cat([part.vertices for part in parts]))
        self.register_buffer("faces", torch.cat(faces))
        self.register_buffer("normals", torch.cat([_normals(part) for part in parts]))
        self.register_buffer("uv", torch.cat([_uv(part) for part in parts]))
        self.register_buffer("part", torch.cat(owner).to(self.faces))
        self.colors = nn.Parameter(torch.cat([_colors(part) for part in parts]))  # n 3
        self.textures, self.picture = self._shown([part.texture for part in parts])
        self._set_materials(parts, environment)

    def _set_materials(self, parts: Sequence[Surface], environment: Environment | None) -> None:
        """What is looked at under an environment alone, and has gradients there."""
        of, seen = [part.material for part in parts], environment is not None
        roughness, metallic = (
            torch.tensor(x) for x in zip(*[(m.roughness, m.metallic) for m in of], strict=True)
        )
        self.roughness = nn.Parameter(roughness, requires_grad=seen)  # one a part
        self.metallic = nn.Parameter(metallic, requires_grad=seen)
        self.glosses, self.gloss = self._shown([m.gloss for m in of])
        self.bumps, self.bump = self._shown([m.bumps for m in of])
        self.tangents: Float[Tensor, "n 4"]
        self.register_buffer("tangents", torch.cat([_tangents(part) for part in parts]))
        self.sh: Float[Tensor, "9 3"] | None
        self.blurred: Float[Tensor, "k h w 3"] | None
        self.register_buffer("sh", None if environment is None else environment.sh)
        self.register_buffer("blurred", None if environment is None else environment.blurred)

    def _shown(
        self, pictures: Sequence[Float[Tensor, "_h _w _c"] | None]
    ) -> tuple[nn.ParameterList, list[int]]:
        """The distinct ones among the parts' pictures, and which each part has (-1: none)."""
        distinct: list[Tensor] = []
        which: list[int] = []
        for picture in pictures:
            known = [i for i, other in enumerate(distinct) if other is picture]
            if picture is None:
                which.append(-1)
                continue
            which.append(known[0] if known else len(distinct))
            distinct += [] if known else [picture]
        return nn.ParameterList([nn.Parameter(x.clone()) for x in distinct]), which

    @torch.no_grad()
    def surfaces(self) -> tuple[Surface, ...]:
        """The parts as they are now, for files."""

        def texels(pictures: nn.ParameterList) -> list[Float[Tensor, "_h _w _c"] | None]:
            return [*(picture.detach().clamp(0, 1) for picture in pictures), None]  # -1: none

        textures, glosses, bumps = map(texels, (self.textures, self.glosses, self.bumps))
        out: list[Surface] = []
        for i, name in enumerate(self.names):
            here = slice(self.first[i], self.first[i + 1])
            texture = textures[self.picture[i]]
            gloss, bump = glosses[self.gloss[i]], bumps[self.bump[i]]
            colors: Tensor | None = self.colors[here].clamp(0, 1)
            if texture is not None and bool((colors == 1).all()):
                colors = None
            roughness, metallic = (float(x[i].clamp(0, 1)) for x in (self.roughness, self.metallic))
            mapped = any(x is not None for x in (texture, gloss, bump))
            out.append(
                Surface(
                    self.vertices[here],
                    self.faces[self.part == i] - self.first[i],
                    colors,
                    self.normals[here],
                    self.uv[here] if mapped else None,
                    texture,
                    name,
                    Material(roughness, metallic, gloss, bump),
                )
            )
        return tuple(out)

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[Fragments]:
        """What the cameras see; depth is along the ray. Without a light, the albedo."""
        b, h, w, s = len(shot), shot.cameras.height, shot.cameras.width, self.samples
        fine = shot.cameras.resized(h * s, w * s)
        origins, directions = (x.reshape(-1, 3).to(self.vertices) for x in fine.rays())
        hits = raycast(origins, directions, self.vertices, self.faces)
        ray = (hits.face >= 0).nonzero()[:, 0]
        distance = hits.distance[ray, None]
        point = origins[ray] + distance * directions[ray]
        at = (hits.face[ray], hits.barycentric[ray])
        color, normal = self._at(*at, directions[ray])
        if shot.light is not None:
            color = shade(color, normal, point, shot.light[ray // (h * s * w * s)])
        elif self.sh is not None and self.blurred is not None:
            gloss = self._mapped(self.glosses, self.gloss, *at, 2)
            roughness, metallic = (
                (factor.clamp(0, 1)[self.part[at[0]]] * gloss[:, k].clamp(0, 1))
                for k, factor in enumerate((self.roughness, self.metallic))
            )
            light = Environment(self.sh, self.blurred)
            base = to_linear(color.clamp(0, 1))
            sent = shade_environment(base, normal, -directions[ray], roughness, metallic, light)
            color = to_srgb(sent.clamp(0, 1))
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
        smooth = (weight[:, None] @ self.normals[self.faces][face])[:, 0]
        color = (weight[:, None] @ self.colors[self.faces][face])[:, 0]
        flat = face_cross(self.vertices, self.faces)[face]
        length = smooth.norm(dim=-1, keepdim=True)
        normal = torch.where(length > 1e-3, smooth / length.clamp_min(1e-3), _unit(flat))
        if len(self.bumps):
            t, hand = (weight[:, None] @ self.tangents[self.faces][face])[:, 0].split([3, 1], -1)
            n = self._mapped(self.bumps, self.bump, face, weight, 3) * 2 - 1
            b = hand.sign() * torch.cross(normal, t, dim=-1)
            bumped = _unit(n[:, :1] * t + n[:, 1:2] * b + n[:, 2:] * normal)
            mapped = face.new_tensor(self.bump)[self.part[face]] >= 0
            normal = torch.where(mapped[:, None], bumped, normal)
        # The back of a triangle is a surface too, and it is lit from its own side.
        normal = torch.where((flat * direction).sum(-1, keepdim=True) > 0, -normal, normal)
        return color * self._mapped(self.textures, self.picture, face, weight, 3), normal

    def _mapped(
        self,
        pictures: nn.ParameterList,
        which: list[int],
        face: Int[Tensor, " n"],
        weight: Float[Tensor, "n 3"],
        channels: int,
    ) -> Float[Tensor, "n c"]:
        """What the parts' pictures say where rays hit faces; 1 where there is none."""
        found = weight.new_ones(len(face), channels)
        picture = face.new_tensor(which)[self.part[face]]
        for i, texels in enumerate(pictures):
            shown = (picture == i).nonzero()[:, 0]
            uv = (weight[shown, None] @ self.uv[self.faces[face[shown]]])[:, 0]
            found = found.index_put((shown,), sample(texels, uv))
        return found


def load_mesh(path: Path, *, up: Literal["y", "z"] = "y", samples: int = 2) -> Mesh:
    """A mesh file as a scene, in our axes; for its formats and errors see `io.meshes.read_mesh`."""
    return Mesh(read_mesh(path, up=up), samples=samples)


def _normals(part: Surface) -> Float[Tensor, "n 3"]:
    return vertex_normals(part.vertices, part.faces) if part.normals is None else part.normals


def _colors(part: Surface) -> Float[Tensor, "n 3"]:
    return torch.ones_like(part.vertices) if part.colors is None else part.colors


def _uv(part: Surface) -> Float[Tensor, "n 2"]:
    return torch.zeros_like(part.vertices[:, :2]) if part.uv is None else part.uv


def _tangents(part: Surface) -> Float[Tensor, "n 4"]:
    if part.uv is None or part.material.bumps is None:
        return part.vertices.new_tensor([1.0, 0.0, 0.0, 1.0]).repeat(len(part.vertices), 1)
    return tangents(part.vertices, part.faces, _normals(part), part.uv)


def _unit(x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    return F.normalize(x, dim=-1, eps=1e-20)
