"""Captioned toys with everything that is known of them, for other tools: see captures.py and
io/collection.py for the folder, docs/conventions.md for the format.

    000000/transforms.json, images/, albedo/, depth/, normal/, part/
    000000/mesh.glb       a node for each named part
    000000/sdf.npz        signed distances on a grid, with the nearest part and its colour
    000000/points.ply     coloured points of the surface
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from dreamlift.captures import (
    Capture,
    Piece,
    capture,
    line,
    surround,
    told,
    within,
    write_capture,
)
from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface
from dreamlift.grammar import parse
from dreamlift.graph import BUILT, Graph, Link, Thing
from dreamlift.io.collection import FILES, OUTPUTS, PICTURES, Output, Picture, entries, fill
from dreamlift.io.gltf import write_glb
from dreamlift.io.ply import write_points
from dreamlift.phrases import phrase
from dreamlift.render.trace import Traced
from dreamlift.toybox.captions import picture_graph
from dreamlift.toybox.drawable import drawable, possible
from dreamlift.toybox.meaning import shows_held
from dreamlift.toybox.mesh import mesh, names
from dreamlift.toybox.nouns import TOYS
from dreamlift.toybox.scenes import ToyScene, toy_scene
from dreamlift.toybox.truth import grid, pictured, points, write_grid
from dreamlift.words import COLOURS, PATTERNS, RELATIONS, SIZES

World: TypeAlias = Literal["taught", "whole"]


@dataclass(frozen=True)
class Dataset:
    """What decides every scene but how many there are."""

    seed: int = 0
    views: int = 8
    size: int = 256  # pixels a side
    outputs: Sequence[Output] = OUTPUTS
    world: World = "taught"  # what random scenes are made of: see `scene_of`
    captions: Sequence[str] = ()  # scene i is of the i-th, again and again; (): random scenes
    grid: int = 64  # samples along a side of the SDF grid
    points: int = 16384
    elevation: tuple[float, float] = (-10.0, 60.0)  # degrees

    def __post_init__(self) -> None:
        within("seed", self.seed, 0, 2**62)
        within("views", self.views, 1, 999)
        within("size", self.size, 16, 2048)
        within("grid", self.grid, 8, 256)
        within("points", self.points, 1, 10**7)
        if not self.outputs:
            raise BadInput(f"Nothing would be written. Outputs are: {', '.join(OUTPUTS)}.")
        for said in self.captions:
            meant(said)

    def write(
        self, out: Path, count: int, progress: Callable[[int], None] = lambda done: None
    ) -> None:
        """The first `count` scenes, in `out`; those that are there already are kept.

        Raises BadInput where `out` holds anything else, other settings or other captions.
        """
        settings = asdict(replace(self, captions=(), outputs=sorted(self.outputs)))
        settings |= {"of": "toybox", "captions": "given" if self.captions else "random"}
        if self.captions:
            for index, folder in entries(out):
                there, asked = told(folder)["caption"], phrase(self._graph(index, random.Random()))
                if there != asked:
                    raise BadInput(
                        f"{folder} is {there!r}, where {asked!r} is asked for. Give the captions "
                        "that the folder was made with, and new ones after them, or choose "
                        "another folder."
                    )
        fill(out, settings, count, self._write, line, progress)

    def _graph(self, index: int, rng: random.Random) -> Graph:
        if self.captions:
            return meant(self.captions[index % len(self.captions)])
        return scene_of(rng) if self.world == "whole" else picture_graph(rng)

    def _write(self, index: int, folder: Path) -> None:
        """One scene."""
        rng = random.Random(f"{self.seed}|{index}")
        graph = self._graph(index, rng)
        seed = rng.randrange(1 << 30)
        scene = toy_scene(graph, seed)
        made = self._seen(scene, rng)
        about = {
            "graph": asdict(graph),
            "seed": seed,
            "held_out": shows_held(graph),
            **{kind: name for kind, name in FILES.items() if kind in self.outputs},
        }
        parts: Sequence[Surface] = ()
        if {"mesh", "points"} & set(self.outputs):
            parts = mesh(scene.built, scene.coat)
        if "mesh" in self.outputs:
            write_glb(folder / FILES["mesh"], pictured(scene, parts))
        if "points" in self.outputs:
            draws = torch.Generator().manual_seed(seed)
            write_points(folder / FILES["points"], points(scene, parts, self.points, draws))
        if "sdf" in self.outputs:
            write_grid(folder / FILES["sdf"], grid(scene, self.grid))
        captions = [phrase(graph), *(phrase(graph, rng) for _ in range(3))]
        kept: list[Picture] = [kind for kind in PICTURES if kind in self.outputs]
        write_capture(folder, replace(made, captions=captions, about=about), kept)

    def _seen(self, scene: ToyScene, rng: random.Random) -> Capture:
        """The scene from all sides; without pictures, only who is there."""
        cameras, light = surround(self.views, self.size, self.elevation, rng)
        parts = pieces(scene)
        if not set(PICTURES) & set(self.outputs):
            return Capture((), parts, cameras, light)
        return replace(capture(scene, part_numbers, cameras, light), parts=parts)


def part_numbers(traced: Traced) -> torch.Tensor:
    """The part that the ray through each pixel's centre meets, b h w; -1: none."""
    return torch.where(traced.coverage >= 0.5, traced.part.long(), -1)


def pieces(scene: ToyScene) -> list[Piece]:
    """The parts, as the mesh has them: name, sRGB colour (its mean where it has several), thing."""
    built, made = scene.built, list[Piece]()
    if bool(scene.coat.pattern.any()):
        surfaces = mesh(built, scene.coat, resolution=32)
        return [Piece.of(s, part.thing) for s, part in zip(surfaces, built.parts, strict=True)]
    for name, part, base in zip(names(built), built.parts, scene.coat.base, strict=True):
        red, green, blue = base.tolist()
        made.append(Piece(name, (red, green, blue), part.thing))
    return made


def meant(said: str) -> Graph:
    """The graph of a caption that can be drawn from all sides. Raises BadInput."""
    try:
        graph = parse(said)
        drawable(graph)
    except ValueError as error:
        raise BadInput(f"The caption {said!r} cannot be drawn. {error}") from error
    if graph.view or graph.untextured:
        raise BadInput(
            f"The caption {said!r} says how a picture is taken. Scenes are drawn from every side "
            "and with their colours: leave out the view and `untextured`."
        )
    return graph


def scene_of(rng: random.Random) -> Graph:
    """A scene of anything that can be drawn, one thing or two; held-out compositions left out.

    The captions of the models' own training know fewer nouns (toybox/captions.py).
    """
    if rng.random() < 0.4:
        return Graph((_thing(rng, tuple(TOYS)),))
    while True:
        relation = rng.choice(tuple(RELATIONS))
        for _ in range(64):
            first, second = _thing(rng, tuple(TOYS)), _thing(rng, tuple(TOYS))
            if relation == "on stilts":
                second = Thing("stilts", second.colour)
            elif "stilts" in (first.noun, second.noun):
                continue
            if relation in BUILT:  # who is built of another has its colours
                first = Thing(first.noun, size=first.size)
            graph = Graph((first, second), (Link(relation, 0, 1),))
            if possible(graph) and not shows_held(graph):
                return graph


def _thing(rng: random.Random, nouns: Sequence[str]) -> Thing:
    colour = rng.choice(COLOURS) if rng.random() < 0.5 else None
    size = rng.choice(SIZES) if rng.random() < 0.2 else None
    pattern = rng.choice(PATTERNS) if colour is None and rng.random() < 0.15 else None
    return Thing(rng.choice(nouns), colour, size, pattern)
