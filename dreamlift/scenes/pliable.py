"""A triangle mesh whose vertices move: rasterised, lit, with silhouettes that have gradients.

The mesh of scenes/mesh.py is cast by rays and is for looking at what is finished; this one is for
making it.
"""

from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dreamlift.geometry.hinges import Hinges, hinges
from dreamlift.geometry.mesh import Surface, face_cross, vertex_normals
from dreamlift.lights import shade
from dreamlift.render.raster import Raster, image_points, interpolate, rasterise
from dreamlift.render.silhouette import antialias, crossings
from dreamlift.render.texture import footprint, pyramid, trilinear
from dreamlift.scene import Rendering, Scene, Shot

DARKEST = 0.01
"""A colour begins at least this far from 0 and from 1, where its logit has no gradient."""


@final
class PliableMesh(Scene[Raster]):
    """One surface. phi: `vertices` in world units, and logits of the colours of vertices or, where
    the surface has a texture, of its texels."""

    def __init__(self, surface: Surface, *, samples: int = 1) -> None:
        """A picture is drawn `samples` times as high and wide, and averaged: for textures without
        mipmaps' blur, and for parts thinner than a pixel."""
        super().__init__()
        if samples < 1:
            raise ValueError(f"A pixel needs 1 or more samples a side, not {samples}.")
        if len(surface.faces) == 0:
            raise ValueError(f"The mesh {surface.name!r} has no faces; nothing could be seen.")
        self.samples = samples
        self.name = surface.name
        self.vertices = nn.Parameter(surface.vertices.detach().clone())
        given = surface.colors if surface.texture is None else surface.texture
        given = torch.full_like(self.vertices, 0.5) if given is None else given
        self.logits = nn.Parameter(given.detach().clamp(DARKEST, 1 - DARKEST).logit())
        self.faces: Int[Tensor, "f 3"]
        self.uv: Float[Tensor, "v 2"] | None
        self.register_buffer("faces", surface.faces)
        self.register_buffer("uv", None if surface.texture is None else surface.uv)
        self.hinges = hinges(surface.faces)

    def surface(self) -> Surface:
        """The mesh as it is now, for files and for scenes.mesh."""
        vertices, color = self.vertices.detach(), self.logits.detach().sigmoid()
        if self.uv is None:
            return Surface(vertices, self.faces, colors=color, name=self.name)
        return Surface(vertices, self.faces, uv=self.uv, texture=color, name=self.name)

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[Raster]:
        """What the cameras see; depth is along the ray. Without a light, the albedo."""
        s, h, w = self.samples, shot.cameras.height, shot.cameras.width
        cameras = shot.cameras.resized(h * s, w * s)
        points = image_points(self.vertices, cameras)
        raster = rasterise(points, self.faces, h * s, w * s)
        solid = (raster.face >= 0)[..., None].to(points)
        held = [self.vertices, vertex_normals(self.vertices, self.faces)]
        held.append(self.logits.sigmoid() if self.uv is None else self.uv)
        place, normal, look = interpolate(torch.cat(held, -1), self.faces, raster).split(
            (3, 3, held[2].shape[1]), -1
        )
        color = look if self.uv is None else self._texels(look, points, raster)
        away = place - cameras.position[:, None, None]
        normal = F.normalize(normal, dim=-1)
        # The back of a triangle is a surface too, and it is lit from its own side.
        flat = face_cross(self.vertices.detach(), self.faces)[raster.face.clamp_min(0)]
        normal = torch.where((flat * away.detach()).sum(-1, keepdim=True) > 0, -normal, normal)
        if shot.light is not None:
            color = shade(color, normal, place, shot.light)
        depth = (away.square().sum(-1, keepdim=True) + 1 - solid).sqrt()
        drawn = torch.cat([color, torch.ones_like(solid), depth, normal], -1) * solid
        drawn = antialias(drawn, points, crossings(points, self._hinges(), raster))
        drawn = drawn.unflatten(2, (w, s)).unflatten(1, (h, s)).mean((2, 4))
        color, alpha, depth, normal = drawn.split((3, 1, 1, 3), -1)
        return Rendering(color, alpha, raster, depth, normal)

    def _texels(
        self, uv: Float[Tensor, "b h w 2"], points: Float[Tensor, "b v 3"], raster: Raster
    ) -> Float[Tensor, "b h w 3"]:
        assert self.uv is not None
        reach = footprint(self.uv, points, self.faces, raster).flatten(0, 2)
        levels = pyramid(self.logits.sigmoid())
        return trilinear(levels, uv.flatten(0, 2), reach).reshape(*uv.shape[:3], 3)

    def _hinges(self) -> Hinges:
        """On the device that the faces are on now."""
        if self.hinges.ends.device != self.faces.device:
            self.hinges = hinges(self.faces)
        return self.hinges
