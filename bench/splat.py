"""CPU milliseconds of splatting, both twins in one run: python bench/splat.py [--threads 1]

Gaussians cover a ball's surface, each as wide as they are apart (as a fit begins), of degree 3.
Projection and colours are each twin's own. The last lines are about threads: wall time of 20,000
Gaussians at 256 pixels on one and on two threads, beside the same of an arithmetic kernel that
shares nothing, which is the most that this machine's second core can give.
"""

import argparse
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import fields
from typing import no_type_check

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import warp as wp

from dreamlift.cameras import orbit
from dreamlift.geometry.gaussians import Gaussians, harmonics_of
from dreamlift.render import project_warp, splat, splat_warp
from dreamlift.render.splat_lists_warp import each

TWINS = {
    "warp": (project_warp.project, splat_warp.composite),
    "torch": (splat.project, splat.composite),
}
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


def steps(gaussians: Gaussians, size: int, twin: str) -> list[Callable[[], object]]:
    """The projection alone, a picture, and a picture with all gradients."""
    cameras = orbit(torch.tensor([30.0]), torch.tensor([20.0]), size=size)
    leaves = [getattr(gaussians, field.name) for field in fields(Gaussians)]
    project, composite = TWINS[twin]

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


@no_type_check
@wp.kernel
def arithmetic(out: wp.array[float], rounds: int):
    """What shares nothing with other threads: exponentials and products, as compositing has."""
    i = wp.tid()
    x = float(i) * 1.0e-6
    for _k in range(rounds):
        x = wp.exp(-x * x) * 0.99 + 0.01 * x
    out[i] = x


def ceiling() -> Callable[[], object]:
    """Arithmetic alone, dealt out to torch's threads."""
    n, rounds = 20_000, 400
    out = wp.zeros(n, dtype=float, device="cpu")

    def work() -> None:
        threads = torch.get_num_threads()
        pieces = [out[k * n // threads : (k + 1) * n // threads] for k in range(threads)]

        def run(k: int) -> None:
            inputs = [pieces[k], rounds]
            wp.launch(arithmetic, dim=len(pieces[k]), inputs=inputs, device="cpu")

        each(run, threads)

    return work


def gain(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Least wall milliseconds on one thread and on two, taken in turns."""
    walls: dict[int, list[float]] = {1: [], 2: []}
    for repeat in range(repeats + 1):
        for threads, times in walls.items():
            torch.set_num_threads(threads)
            start = time.perf_counter()
            work()
            if repeat:
                times.append(1000 * (time.perf_counter() - start))
    torch.set_num_threads(1)
    return min(walls[1]), min(walls[2])


def second_core(repeats: int) -> None:
    """Print what a second thread gives the splats, their parts, and bare arithmetic."""
    gaussians = shell(20_000)
    projected, seen, learned = steps(gaussians, 256, "warp")
    in_torch = steps(gaussians, 256, "torch")[0]
    works = {
        "arithmetic alone": ceiling(),
        "splats, forward and backward": learned,
        "splats, forward": seen,
        "projection in Warp, forward and backward": projected,
        "projection in torch, forward and backward": in_torch,
    }
    for name, work in works.items():
        one, two = gain(work, repeats)
        print(f"{name:42} {one:7.1f} ms, two threads {two:7.1f} ms: {one / two:.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU milliseconds of splatting, both twins.")
    parser.add_argument("--threads", type=int, default=1, help="torch's and Warp's threads")
    parser.add_argument("--repeats", type=int, default=5, help="of the Warp twin; the least counts")
    parser.add_argument("--pixels", type=int, nargs="+", default=PIXELS)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--turns", type=int, default=30, help="of one and two threads; 0: none")
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
            fast = [cost(w, choices.repeats) for w in steps(gaussians, size, "warp")]
            slow: list[tuple[float, float]] = []
            if n <= choices.slowest:
                slow = [cost(w, 1) for w in steps(gaussians, size, "torch")[1:]]
            cells = "".join(f"{cpu:9.1f} ({wall:6.1f})" for cpu, wall in fast + slow)
            ratio = f"{slow[-1][0] / fast[-1][0]:9.1f}" if slow else ""
            print(f"{size:6} {n:7}{cells}{ratio}", flush=True)
    if choices.turns:
        second_core(choices.turns)


if __name__ == "__main__":
    main()
