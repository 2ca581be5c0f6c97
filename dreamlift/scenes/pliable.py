"""A triangle mesh whose vertices move: rasterised, lit, with silhouettes that have gradients.

The mesh of scenes/mesh.py is cast by rays and is for looking at what is finished; this one is for
making it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dreamlift.geometry.hinges import Hinges, hinges
from dreamlift.geometry.mesh import Surface, vertex_normals, welded
from dreamlift.render.drawn import draw
from dreamlift.render.raster import Raster
from dreamlift.render.texture import footprint, pyramid, trilinear
from dreamlift.scene import Rendering, Scene, Shot

DARKEST = 0.01
"""A colour begins at least this far from 0 and from 1, where its logit has no gradient."""


@final
class PliableMesh(Scene[Raster]):
    """One surface. phi: `vertices` in world units, and logits of the colours of vertices or, where
    the surface has a texture, of its texels.

    Vertices that begin at one place stay together (the first of them counts), and where they begin
    with one normal, or none is given, they share it: a texture's seams are not seen.
    """

    def __init__(self, surface: Surface, *, samples: int = 1) -> None:
        """A picture is drawn `samples` times as high and wide, and averaged: for textures without
        mipmaps' blur, and for parts thinner than a pixel."""
        super().__init__()
        if samples < 1:
            raise ValueError(f"A pixel needs 1 or more samples a side, not {samples}.")
        if surface.texture is not None and surface.colors is not None:
            raise ValueError(
                f"The mesh {surface.name!r} has colours of vertices beside its texture; only one "
                "of them can be made. Bake them together, or leave one out."
            )
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
        self.joined: Int[Tensor, " v"]
        self.soft: Int[Tensor, " v"]
        places = surface.vertices
        self.register_buffer("joined", welded(places))
        cut = places if surface.normals is None else torch.cat([places, surface.normals], -1)
        self.register_buffer("soft", welded(cut))
        self.register_load_state_dict_pre_hook(_softened)
        self.hinges = hinges(self.joined[surface.faces])

    @staticmethod
    def of(state: Mapping[str, Tensor]) -> "PliableMesh":
        """The mesh whose `state_dict` this is; of one sample a pixel."""
        look, uv = state["logits"].sigmoid(), state.get("uv")
        places = state["vertices"]  # of those at one place the first alone is moved
        places = places[state["joined"]] if "joined" in state else places
        part = Surface(places, state["faces"], name="object")
        part = replace(part, colors=look) if uv is None else replace(part, uv=uv, texture=look)
        mesh = PliableMesh(part)
        mesh.load_state_dict(dict(state))
        return mesh

    def surface(self) -> Surface:
        """The mesh as it is now, for files and for scenes.mesh."""
        vertices, color = self.vertices.detach()[self.joined], self.logits.detach().sigmoid()
        normals = vertex_normals(vertices, self.soft[self.faces])[self.soft]
        part = Surface(vertices, self.faces, normals=normals, name=self.name)
        if self.uv is None:
            return replace(part, colors=color)
        return replace(part, uv=self.uv, texture=color)

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[Raster]:
        """What the cameras see; depth is along the ray. Without a light, the albedo."""
        looks = self.logits.sigmoid() if self.uv is None else self.uv
        return draw(
            self.vertices[self.joined],
            self.faces,
            self._hinges(),
            looks,
            self._paint,
            shot,
            samples=self.samples,
            soft=self.soft,
        )

    def _paint(
        self, look: Float[Tensor, "b h w c"], points: Float[Tensor, "b v 3"], raster: Raster
    ) -> Float[Tensor, "b h w 3"]:
        return look if self.uv is None else self._texels(look, points, raster)

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
            self.hinges = hinges(self.joined[self.faces])
        return self.hinges


def _softened(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """States of before vertices were shared say nothing of it: as in the mesh at hand."""
    for name in ("joined", "soft"):
        state.setdefault(f"{prefix}{name}", module.get_buffer(name))
