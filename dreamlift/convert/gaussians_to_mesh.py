"""The mesh of Gaussians, with their colours."""

import math
from dataclasses import replace

import torch

from dreamlift.convert.bake import baked
from dreamlift.convert.finish import Finish
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.geometry.hinges import hinges
from dreamlift.geometry.isosurface import DegenerateError, Isosurface, isosurface, looks, smoothed
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.smooth import umbrella
from dreamlift.geometry.voxels import Voxels, buried, voxelise

GRAIN = 0.4
"""Gaussians are smooth: they are blurred over this share of what a density is (Finish.smooth)."""


@torch.no_grad()
def cut_gaussians(
    gaussians: Gaussians, finish: Finish, *, dark: float = 0.5
) -> tuple[Voxels, Isosurface]:
    """The volume that Gaussians fill, and its surface: where that much light no longer arrives.

    Not by silhouettes, as Gaussians that lie along a surface look thick from the side. Raises
    DegenerateError where nothing is half opaque.
    """
    voxels = voxelise(gaussians, finish.resolution)
    lost = buried(voxels.dense, voxels.cell).cpu()
    if not bool((lost > 0.5).any()):
        raise DegenerateError(
            "degenerate object: fog, no Gaussians hide what is behind them "
            f"({looks(voxels.dense.cpu(), voxels.cell)}). Optimise for longer, or otherwise."
        )
    lost = smoothed(lost, GRAIN * finish.smooth / voxels.cell)
    found = isosurface(lost, voxels.reach, level=dark)
    within = voxels.dense.cpu()[lost > dark].double()
    # Hollow inside as it may be: how far into its middling wall.
    wall = float(within[within > 0.1 * within.max()].median())
    return voxels, replace(found, reach=math.log(2) / max(wall, 1e-6))


@torch.no_grad()
def of_gaussians(
    gaussians: Gaussians, finish: Finish, *, dark: float = 0.5, even: int = 0
) -> tuple[Surface, Isosurface, int]:
    """`extract` for Gaussians; colours are those without what depends on the direction. `even`:
    how often the cut's vertices go half of the way to the mean of their neighbours."""
    voxels, found = cut_gaussians(gaussians, finish, dark=dark)
    vertices, edges = found.vertices, hinges(found.faces)
    for _ in range(even):
        vertices = vertices + 0.5 * umbrella(vertices, edges)
    surface, charts = baked(voxels, finish, replace(found, vertices=vertices))
    return surface, found, charts
