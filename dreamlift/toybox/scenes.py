"""A toy as a scene: the ground truth that oracles and evaluations render like any other scene."""

import random
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamlift.geometry.primitives import pack
from dreamlift.lights import shade
from dreamlift.render.trace import Traced, trace
from dreamlift.scene import Rendering, Scene, Shot
from dreamlift.toybox import paint
from dreamlift.toybox.compose import Built, build
from dreamlift.words import Graph


@final
class ToyScene(Scene[Traced]):
    """A built toy with its paint; it has no parameters, and its pictures have no gradient."""

    palette: Tensor
    rainbows: Tensor
    spans: Tensor

    def __init__(
        self,
        built: Built,
        palette: Float[Tensor, "parts 3"],
        rainbows: Bool[Tensor, " parts"],
    ) -> None:
        super().__init__()
        if len(palette) != len(built.parts):
            raise ValueError(
                f"A palette has a colour for every part: {len(built.parts)} parts came with "
                f"{len(palette)} colours. Make it with paint.palette(built, graph, rng)."
            )
        self.built, self.program = built, pack([built.solids])
        self.register_buffer("palette", palette)
        self.register_buffer("rainbows", rainbows)
        self.register_buffer("spans", paint.spans(built))

    @torch.no_grad()
    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[Traced]:
        """What the cameras see; without a light, the albedo."""
        cameras, b = shot.cameras, len(shot)
        device = cameras.K.device
        scene = torch.zeros(b, dtype=torch.int32, device=device)
        traced = trace(self.program.to(device), scene, cameras)
        origins, directions = cameras.rays()
        points = origins + traced.depth[..., None] * directions
        spans, palette, rainbows = (
            table.to(device).expand(b, *table.shape)
            for table in (self.spans, self.palette, self.rainbows)
        )
        height = paint.level(traced.part, points[..., 2], spans)
        color = paint.colour(traced.part, height, palette, rainbows)
        if shot.light is not None:
            color = shade(color, traced.normal, points, shot.light)
        alpha = traced.coverage[..., None]
        return Rendering(
            color=color.clamp(0, 1) * alpha,
            alpha=alpha,
            aux=traced,
            depth=traced.depth[..., None] * alpha,
            normal=traced.normal * alpha,
        )


def toy_scene(graph: Graph, seed: int) -> ToyScene:
    """The scene of a graph: built and painted by one seed."""
    built = build(graph, seed)
    palette = paint.palette(built, graph, random.Random(f"{seed}|paint"))
    return ToyScene(built, palette, paint.rainbows(built, graph))
