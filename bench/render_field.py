"""Milliseconds of a radiance field's step at 64x64: forward, backward, optimiser; both twins.

    python bench/render_field.py [--repeats 20] [--threads 1]

CPU time is what the process used, over all threads; wall time is only meaningful on an idle
machine. "fog" is the first step, where nothing can be skipped; "ball" is a compact object, where
the occupancy grid skips most samples. The medians of the repeats are printed.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from dreamlift.cameras import orbit
from dreamlift.lights import Light
from dreamlift.render import volume, volume_warp
from dreamlift.render.grid import raw_of, vertices
from dreamlift.render.volume import MarchGrid, sample_rays
from dreamlift.scene import Shot
from dreamlift.scenes.field import REFRESH, Field, Grid
from dreamlift.step import Step

BUDGET = {"albedo": 40, "shaded": 70}
"""CPU milliseconds for everything but the prior."""


def processor() -> str:
    """The CPU's name, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def ball() -> Field:
    """A coloured ball of radius 0.6 in empty space, its occupancy known."""
    field = Field()
    assert isinstance(field.body, Grid)
    finest = field.body.levels[-1]
    at = vertices(len(finest))
    with torch.no_grad():
        finest[..., 0] = raw_of(torch.where(at.norm(dim=-1) < 0.6, 40.0, 1e-5))
        finest[..., 1:] = at
    nothing = torch.optim.SGD(field.parameters(), lr=0)
    view = field.render(Shot(orbit(torch.zeros(1), torch.zeros(1))))
    field.adapt(Step(REFRESH - 1, 1000, torch.Generator()), view, nothing)
    return field


def clocked(part: Callable[[], object], into: list[tuple[float, float]]) -> object:
    cpu, wall = time.process_time(), time.perf_counter()
    result = part()
    into.append((1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall)))
    return result


def measure(field: Field, march_grid: MarchGrid, light: Light | None, repeats: int) -> list[str]:
    """CPU milliseconds of each part and of their sum, then the sum's wall milliseconds."""
    optimizer = torch.optim.Adam(field.parameters(), lr=1e-9, fused=True)
    rng = torch.Generator().manual_seed(0)
    clocks: tuple[list[tuple[float, float]], ...] = ([], [], [])
    for _ in range(repeats + 2):

        def forward() -> torch.Tensor:
            cameras = orbit(torch.tensor([30.0]), torch.tensor([20.0]))
            origins, directions = (x.flatten(1, 2) for x in cameras.rays())
            jitter = torch.rand(origins.shape[:2], generator=rng)
            rays = sample_rays(origins, directions, samples=field.samples, jitter=jitter)
            assert isinstance(field.body, Grid)
            m = march_grid(field.body.dense(), rays, light=light, occupied=field.occupied)
            return (m.color * m.color.detach()).sum() + m.orientation.mean()

        loss = clocked(forward, clocks[0])
        assert isinstance(loss, torch.Tensor)
        optimizer.zero_grad()
        clocked(loss.backward, clocks[1])
        clocked(optimizer.step, clocks[2])
    cpu = [statistics.median(c for c, _ in part[2:]) for part in clocks]
    wall = [statistics.median(w for _, w in part[2:]) for part in clocks]
    return [f"{ms:9.1f}" for ms in (*cpu, sum(cpu), sum(wall))]


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds of a field's step.")
    parser.add_argument("--repeats", type=int, default=20, help="measured steps of each kind")
    parser.add_argument("--threads", type=int, default=1, help="torch's and Warp's threads")
    choices = parser.parse_args()
    torch.set_num_threads(choices.threads)
    light = Light(
        torch.tensor([[3.0, 2.0, 1.0]]),
        torch.tensor([0.3]),
        torch.tensor([0.7]),
        torch.tensor([False]),
    )
    fog, solid = Field(), ball()
    share = float(solid.occupied.float().mean())
    print(f"{processor()}, {choices.threads} threads, float32, 64x64, {fog.samples} samples")
    print(f"occupied: fog 100 %, ball {100 * share:.0f} %; milliseconds, medians")
    columns = ("forward", "backward", "optimiser", "CPU", "wall")
    print(f"{'':22}" + "".join(f"{name:>10}" for name in columns) + "    budget")
    for name, field in (("fog", fog), ("ball", solid)):
        for shading, lamp in (("albedo", None), ("shaded", light)):
            for twin, march_grid in (("warp", volume_warp), ("torch", volume)):
                repeats = choices.repeats if twin == "warp" else max(2, choices.repeats // 8)
                row = measure(field, march_grid.march_grid, lamp, repeats)
                print(f"{name:5}{shading:8}{twin:9}" + " ".join(row) + f"{BUDGET[shading]:10}")


if __name__ == "__main__":
    main()
