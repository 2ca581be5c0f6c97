"""Milliseconds of CPU per traced picture, both twins in one run: python bench/trace.py [--size 64]

Scenes of 1, 10 and 25 solids, eight views each, one thread; the least of a few repeats.
"""

import argparse
import platform
import time
from collections.abc import Callable

import torch

from dreamlift.cameras import turntable
from dreamlift.geometry.primitives import Solid, ball, box, cone, cylinder, pack, pyramid, torus
from dreamlift.render.trace import Traced, trace_torch
from dreamlift.render.trace_warp import trace_warp

VIEWS = 8


def crowd(n: int) -> list[list[Solid]]:
    """n solids of five kinds on a spiral, two to a part; one alone is a ball that fills half."""
    if n == 1:
        return [[ball(0.8)]]
    kinds = [ball(0.18), box(0.15, 0.12, 0.2, 0.02), cone(0.2, 0.15), torus(0.15, 0.05)]
    kinds += [pyramid(0.2, 0.15), cylinder(0.2, 0.08)]
    placed = [
        kinds[i % 6]
        .turned("x", 31.0 * i)
        .at(0.75 * i / n, 0, 1.2 * i / n - 0.6)
        .turned("z", 79.0 * i)
        for i in range(n)
    ]
    return [[a, b.melted(0.05)] for a, b in zip(placed[::2], placed[1::2], strict=False)] + (
        [[placed[-1]]] if n % 2 else []
    )


def cost(draw: Callable[[], Traced], repeats: int) -> float:
    """CPU milliseconds per picture."""
    draw()
    times: list[float] = []
    for _ in range(repeats):
        start = time.process_time()
        draw()
        times.append(time.process_time() - start)
    return 1000 * min(times) / VIEWS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="pixels along a side")
    size = parser.parse_args().size
    torch.set_num_threads(1)
    cameras, scene = turntable(VIEWS, size=size), torch.zeros(VIEWS, dtype=torch.long)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {size}x{size}")
    print(f"{'solids':>6}  {'covered':>7}  {'warp ms':>7}  {'torch ms':>8}  {'ratio':>5}")
    for n in (1, 10, 25):
        program = pack([crowd(n)])
        covered = trace_warp(program, scene, cameras).coverage.mean().item()
        fast = cost(lambda p=program: trace_warp(p, scene, cameras), 5)
        slow = cost(lambda p=program: trace_torch(p, scene, cameras), 2)
        print(f"{n:6}  {covered:7.2f}  {fast:7.2f}  {slow:8.1f}  {slow / fast:5.0f}")


if __name__ == "__main__":
    main()
