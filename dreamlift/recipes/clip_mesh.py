"""CLIP-Mesh: a sphere's vertices and colours, pulled toward a sentence by CLIP (arXiv:2203.13333).

    repeat: c ~ p(c);  x = rasterised(vertices, colours; c), before random backgrounds
            phi <- Adam(phi, -cos(CLIP(x), CLIP(y)) + lambda |Laplacian|)

                    paper                                       here, for the embedded CLIP
    aligner         CLIP ViT-B/32, and a diffusion prior of     `clip`, which ships inside; no such
                    its pictures (weight .33)                   prior of embeddings
    surface         Loop's limit of a sphere, textures          a sphere's vertices, with colours
    Laplacian       weight 30, decaying by 2 % an epoch         `smooth`, falling to a hundredth
    cameras         elevation 60 Beta(1, 5), distance 5 to 8    views.Views

Also in the paper: 2,000 steps of 25 views at 356 pixels, a rate of .01.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from dreamlift.convert.sdf_to_mesh import zero_level
from dreamlift.fit import Observer, Stage, Terms, fit, made
from dreamlift.geometry.hinges import hinges
from dreamlift.geometry.isosurface import grid_points
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.smooth import laplacian
from dreamlift.guidance.augment import augmented
from dreamlift.guidance.clip import Alignment, Sides
from dreamlift.guidance.prompts import sided
from dreamlift.prior import Aligner
from dreamlift.render.raster import Raster
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.pliable import PliableMesh
from dreamlift.step import Step, exponential
from dreamlift.untextured import untextured
from dreamlift.views import Views


@dataclass(frozen=True)
class CLIPMesh:
    """The numbers of a run. The defaults are the `draft` for the embedded CLIP."""

    prompt: str
    """What to make."""
    seed: int = 0
    """Every random draw follows from it."""
    steps: int = 300
    """Optimiser steps (2,000 in the paper)."""
    batch: int = 2
    """Views per step (25 in the paper)."""
    copies: int = 4
    """Windows of each view, each before its own background."""
    radius: float = 0.7
    """Of the sphere to begin with, world units."""
    fineness: int = 33
    """Samples along each side of the grid that the sphere is cut from."""
    strength: float = 10.0
    """Weight of the likeness."""
    smooth: float = 3e4
    """Weight, at the first step, of the penalty on vertices away from their neighbours' mean."""
    lr_shape: float = 0.005
    """Adam's rate for vertices, world units."""
    lr_color: float = 0.05
    """Adam's rate for the logits of colours."""
    size: int = 64
    """Side of the pictures, in pixels (356 in the paper)."""

    def full(self) -> "CLIPMesh":
        """More steps, of more views each."""
        return replace(self, steps=1000, batch=4)

    def paper(self) -> "CLIPMesh":
        """The paper's numbers; for large models."""
        return replace(self, steps=2000, batch=25, size=356)

    def scene(self) -> PliableMesh:
        """The grey sphere before the first step."""
        n, reach = self.fineness, 1.25
        points = grid_points(n, reach)
        away = (points.norm(dim=-1) - self.radius).reshape(n, n, n)
        vertices, faces = zero_level(away, reach)
        return PliableMesh(Surface(vertices, faces, name="object"))

    def made(self, run: Run) -> PliableMesh:
        """The mesh of a finished run."""
        return made(self.scene(), run)

    def run(
        self,
        run: Run,
        aligner: Aligner,
        observers: Sequence[Observer] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> PliableMesh:
        """Make the mesh, or load it where the run has it."""
        scene = self.scene().to(device)
        plain = sided(untextured(self.prompt))
        sides = Sides(aligner, sided(self.prompt), plain)
        alignment = Alignment(aligner, {sides: self.strength})
        edges = hinges(scene.faces)

        def objective(view: Rendering[Raster], shot: Shot, step: Step) -> Terms:
            windows = augmented(view, step.rng, copies=self.copies)
            weight = exponential(step.progress, self.smooth, self.smooth / 100)
            return {
                "guidance": alignment(windows, shot, step),
                "smooth": weight * laplacian(scene.vertices, edges),
            }

        groups = [
            {"params": [scene.vertices], "lr": self.lr_shape, "name": "shape"},
            {"params": [scene.logits], "lr": self.lr_color, "name": "color"},
        ]
        shots = Views().course(self.batch, size=self.size, albedo_first=0.3)
        adam = torch.optim.Adam(groups)
        stage = Stage(scene, shots, objective, adam, self.steps, seed=self.seed)
        fit(stage, run, observers)
        return scene
