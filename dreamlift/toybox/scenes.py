"""A toy as a scene: the ground truth that oracles and evaluations render like any other scene."""

import random
from typing import final

import torch

from dreamlift.geometry.primitives import pack
from dreamlift.graph import Graph
from dreamlift.lights import shade
from dreamlift.render.trace import Traced, trace
from dreamlift.scene import Rendering, Scene, Shot
from dreamlift.toybox.compose import Built, build
from dreamlift.toybox.paint import Coat, coat, colour, stacked


@final
class ToyScene(Scene[Traced]):
    """A built toy with its paint; it has no parameters, and its pictures have no gradient."""

    def __init__(self, built: Built, coat: Coat) -> None:
        super().__init__()
        if len(coat.base) != len(built.parts):
            raise ValueError(
                f"A coat has a colour for every part: {len(built.parts)} parts came with "
                f"{len(coat.base)} colours. Make it with paint.coat(built, graph, rng)."
            )
        self.built, self.coat, self.program = built, coat, pack([built.solids])

    @torch.no_grad()
    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[Traced]:
        """What the cameras see; without a light, the albedo."""
        cameras, b = shot.cameras, len(shot)
        device = cameras.K.device
        scene = torch.zeros(b, dtype=torch.int32, device=device)
        traced = trace(self.program.to(device), scene, cameras)
        origins, directions = cameras.rays()
        points = origins + traced.depth[..., None] * directions
        coats = stacked([self.coat] * b).to(device)
        color = colour(traced.part, points, coats, traced.coverage > 0)
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
    return ToyScene(built, coat(built, graph, random.Random(f"{seed}|paint")))
