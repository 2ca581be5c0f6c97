"""CPU milliseconds of a rasterised mesh, both twins in one run: python bench/raster.py [--torch]

A bumpy ball that fills half of the picture, 8 attributes: forward is coverage, interpolation and
antialiasing, backward goes to vertices and attributes. The least of a few repeats, after one that
is not counted; `cores` is CPU time over wall time. `--torch` times the reference too.
"""

import argparse
import platform
import time
from collections.abc import Callable

import torch
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.geometry.hinges import hinges
from dreamlift.render.raster import (
    image_points,
    interpolate,
    interpolate_torch,
    rasterise,
    rasterise_torch,
)
from dreamlift.render.silhouette import antialias, crossings, crossings_torch


def ball(faces: int) -> tuple[Tensor, Tensor]:
    """About so many faces, with bumps that hide one another at the outline."""
    rows = max(3, round((faces / 4) ** 0.5))
    columns = 2 * rows
    i, j = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    theta, phi = torch.pi * (i + 0.5) / rows, 2 * torch.pi * j / columns
    unit = torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], -1)
    radius = 0.95 + 0.05 * torch.sin(9 * phi) * torch.sin(7 * theta)
    right = i * columns + (j + 1) % columns
    a, b = (i * columns + j)[:-1].flatten(), right[:-1].flatten()
    triangles = [torch.stack(t, -1) for t in ((a, a + columns, b), (b, a + columns, b + columns))]
    return (radius[..., None] * unit).reshape(-1, 3), torch.cat(triangles)


def cost(draw: Callable[[], object], repeats: int) -> tuple[float, float]:
    """CPU milliseconds, and cores kept busy."""
    draw()
    least, cores = float("inf"), 0.0
    for _ in range(repeats):
        wall, start = time.perf_counter(), time.process_time()
        draw()
        spent = time.process_time() - start
        if spent < least:
            least, cores = spent, spent / (time.perf_counter() - wall)
    return 1000 * least, cores


def works(
    size: int, faces: int, *, reference: bool
) -> tuple[Callable[[], object], Callable[[], object]]:
    """A picture, and a picture with its gradients."""
    vertices, triangles = ball(faces)
    edges, attributes = hinges(triangles), torch.rand(len(vertices), 8)
    cameras = orbit(torch.tensor([30.0]), torch.tensor([20.0]), size=size)
    vertices.requires_grad_()
    attributes.requires_grad_()
    cover, look, pass_ = (
        (rasterise_torch, interpolate_torch, crossings_torch)
        if reference
        else (rasterise, interpolate, crossings)
    )

    def forward() -> Tensor:
        points = image_points(vertices, cameras)
        raster = cover(points, triangles, size, size)
        image = look(attributes, triangles, raster)
        return antialias(image, points, pass_(points, edges, raster))

    weight = torch.rand(1, size, size, 8)

    def seen() -> object:
        with torch.no_grad():
            return forward()

    def both() -> object:
        return torch.autograd.grad((forward() * weight).sum(), [vertices, attributes])

    return seen, both


def measure(size: int, faces: int, *, reference: bool, repeats: int) -> str:
    """A line of the table."""
    forward, both = works(size, faces, reference=reference)
    alone, _ = cost(forward, repeats)
    together, cores = cost(both, repeats)
    name = "torch" if reference else "warp"
    found = len(ball(faces)[1])
    return f"{name:>6}  {size:5}  {found:7}  {alone:8.1f}  {together:8.1f}  {cores:5.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", action="store_true", help="the reference too")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    choices = parser.parse_args()
    torch.set_num_threads(choices.threads)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}")
    print(f"{'':>6}  {'pixel':>5}  {'faces':>7}  {'fwd ms':>8}  {'+bwd ms':>8}  {'cores':>5}")
    for size in (64, 128, 256, 512):
        print(measure(size, 50_000, reference=False, repeats=choices.repeats))
    for faces in (1_000, 10_000, 200_000):
        print(measure(512, faces, reference=False, repeats=choices.repeats))
    if choices.torch:
        for size in (64, 512):
            print(measure(size, 50_000, reference=True, repeats=2))


if __name__ == "__main__":
    main()
