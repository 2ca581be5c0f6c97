"""A surface inside a grid of tetrahedra, whose topology may change: DMTet (arXiv:2111.04276)."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dreamlift.geometry.hinges import Hinges, hinges
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.tets import marching_tets, moved, sign_changes, tet_grid
from dreamlift.render.drawn import draw
from dreamlift.render.grid import HALF, lookup
from dreamlift.render.raster import Raster
from dreamlift.scene import Rendering, Scene, Shot


@dataclass(frozen=True)
class Cut:
    """The mesh that was drawn, differentiably, and where it was seen."""

    vertices: Float[Tensor, "n 3"]
    faces: Int[Tensor, "f 3"]
    edges: Hinges
    raster: Raster


@final
class Tetrahedra(Scene[Cut]):
    """phi: a signed distance (negative inside) and an offset at each vertex of the grid, and
    logits of the albedo on a dense grid of their own."""

    def __init__(
        self,
        sdf: Float[Tensor, " v"],
        logits: Float[Tensor, "x y z 4"],
        *,
        resolution: int,
        samples: int = 1,
    ) -> None:
        """`sdf` in cells' sides, on `points(resolution)`; of `logits` the last three are looked at,
        so that a field's grid may be given as it is."""
        super().__init__()
        self.grid = tet_grid(resolution, HALF)
        if sdf.shape != self.grid.vertices.shape[:1]:
            raise ValueError(
                f"A grid of {resolution}^3 cells has {len(self.grid.vertices)} vertices; distances "
                f"were given for {len(sdf)}."
            )
        self.samples = samples
        self.sdf = nn.Parameter(sdf.detach().clone())
        self.offsets = nn.Parameter(torch.zeros_like(self.grid.vertices).to(sdf))
        self.logits = nn.Parameter(logits.detach().clone())

    @staticmethod
    def points(resolution: int) -> Float[Tensor, "v 3"]:
        """Where the distances are wanted, in world units."""
        return tet_grid(resolution, HALF).vertices

    def cut(self) -> tuple[Float[Tensor, "n 3"], Int[Tensor, "f 3"]]:
        """The surface as it is now, differentiably. Raises ValueError where there is none."""
        if self.grid.tets.device != self.sdf.device:
            self.grid = self.grid.to(self.sdf.device)
        vertices, faces = marching_tets(self.grid, self.sdf, moved(self.grid, self.offsets))
        if len(faces) == 0:
            raise ValueError(
                "The surface has vanished: every distance has the same sign. Lower the learning "
                "rate of the distances, or start from another shape."
            )
        return vertices, faces

    def hidden(self) -> Float[Tensor, ""]:
        """nvdiffrec's penalty on surfaces that nobody sees (geometry.tets.sign_changes)."""
        return sign_changes(self.grid, self.sdf)

    def albedo(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """sRGB in [0, 1], at points on any device."""
        return lookup(self.logits, points.to(self.logits))[:, 1:].sigmoid()

    def surface(self) -> Surface:
        """The mesh as it is now, its colours at its vertices."""
        with torch.no_grad():
            vertices, faces = self.cut()
            return Surface(vertices, faces, colors=self.albedo(vertices), name="object")

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[Cut]:
        """What the cameras see; depth is along the ray. Without a light, the albedo."""
        vertices, faces = self.cut()

        def paint(
            place: Float[Tensor, "b h w 3"], points: Float[Tensor, "b v 3"], raster: Raster
        ) -> Float[Tensor, "b h w 3"]:
            seen = raster.face >= 0
            # Where a surface point is, says the geometry; how it looks does not move it.
            color = self.albedo(place.detach()[seen])
            return torch.zeros_like(place).masked_scatter(seen[..., None], color)

        edges = hinges(faces)
        view = draw(vertices, faces, edges, vertices, paint, shot, samples=self.samples)
        cut = Cut(vertices, faces, edges, view.aux)
        return Rendering(view.color, view.alpha, cut, view.depth, view.normal)
