"""CPU milliseconds of splatting, both twins in one run: python bench/splat.py [--threads 1]

Gaussians cover a ball's surface, each as wide as they are apart (as a fit begins), of degree 3.
Projection and colours are the same torch code for both; `sort` is their share of the Warp twin's
forward pass that is spent on lists.
"""

import argparse
import math
import platform
import time
from collections.abc import Callable
from dataclasses import fields

import torch

from dreamlift.cameras import orbit
from dreamlift.geometry.gaussians import Gaussians, harmonics_of
from dreamlift.render import splat, splat_warp
from dreamlift.render.splat import Composite, project

PIXELS = (64, 128, 256)
COUNTS = (2_000, 20_000, 200_000)


def shell(n: int) -> Gaussians:
    """n Gaussians on a sphere, opacity 0.5 on average, each with leaves that want gradients."""
    rng = torch.Generator().manual_seed(0)
    means = torch.nn.functional.normalize(torch.randn(n, 3, generator=rng), dim=-1)
    size = math.log(math.sqrt(4 * math.pi / n))
    gaussians = Gaussians(
        means,
        torch.randn(n, 4, generator=rng),
        size + 0.3 * torch.randn(n, 3, generator=rng),
        torch.randn(n, generator=rng),
        harmonics_of(torch.rand(n, 3, generator=rng), 3),
    )
    for field in fields(Gaussians):
        getattr(gaussians, field.name).requires_grad_()
    return gaussians


def cost(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Least CPU and wall milliseconds of a few repeats."""
    work()
    cpu: list[float] = []
    wall: list[float] = []
    for _ in range(repeats):
        clocks = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - clocks[0])
        wall.append(time.perf_counter() - clocks[1])
    return 1000 * min(cpu), 1000 * min(wall)


def steps(gaussians: Gaussians, size: int, composite: Composite) -> list[Callable[[], object]]:
    """The projection alone, a picture, and a picture with all gradients."""
    cameras = orbit(torch.tensor([30.0]), torch.tensor([20.0]), size=size)
    leaves = [getattr(gaussians, field.name) for field in fields(Gaussians)]

    def projected() -> object:
        footprints = project(gaussians, cameras)
        loss = footprints.center.sum() + footprints.conic.sum() + footprints.carried.sum()
        return torch.autograd.grad(loss + footprints.opacity.sum(), leaves)

    def seen() -> object:
        with torch.no_grad():
            return composite(project(gaussians, cameras), size, size)

    def learned() -> object:
        picture = composite(project(gaussians, cameras), size, size)
        return torch.autograd.grad((picture * picture.detach()).sum(), leaves)

    return [projected, seen, learned]


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU milliseconds of splatting, both twins.")
    parser.add_argument("--threads", type=int, default=1, help="torch's and Warp's threads")
    parser.add_argument("--repeats", type=int, default=5, help="of the Warp twin; the least counts")
    parser.add_argument("--pixels", type=int, nargs="+", default=PIXELS)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--slowest", type=int, default=20_000, help="Gaussians for plain torch")
    choices = parser.parse_args()
    torch.set_num_threads(choices.threads)
    machine = platform.processor() or platform.machine()
    print(f"{machine}, torch {torch.__version__}, {choices.threads} threads; CPU ms (wall ms)")
    names = ("projection f+b", "warp f", "warp f+b", "torch f", "torch f+b")
    print(f"{'pixels':>6} {'count':>7}" + "".join(f"{name:>18}" for name in names) + "    ratio")
    for size in choices.pixels:
        for n in choices.counts:
            gaussians = shell(n)
            fast = [cost(w, choices.repeats) for w in steps(gaussians, size, splat_warp.composite)]
            slow: list[tuple[float, float]] = []
            if n <= choices.slowest:
                slow = [cost(w, 1) for w in steps(gaussians, size, splat.composite)[1:]]
            cells = "".join(f"{cpu:9.1f} ({wall:6.1f})" for cpu, wall in fast + slow)
            ratio = f"{slow[-1][0] / fast[-1][0]:9.1f}" if slow else ""
            print(f"{size:6} {n:7}{cells}{ratio}", flush=True)


if __name__ == "__main__":
    main()
