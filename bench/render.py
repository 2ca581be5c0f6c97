"""CPU milliseconds of every renderer beside plain torch, in one run, and how their cost grows.

    python -m bench.render [--out runs/render.json] [--only splats mesh] [--threads 1]

Forward, and forward with all gradients, of the Warp twin and of the plain-torch reference with the
same result: a field (a ball of radius .6 in a dense grid, its empty cells known, 48 samples along
a diameter), Gaussians on a sphere (degree 3, projection included), a mesh of a bumpy ball
(8 attributes). First the pictures grow, 64 to 512 pixels, then the primitives. `growth` is the
exponent p of cost ~ primitives^p since the row above of the same pixels: 1 is linear. The
reference is skipped where a row has more than --slowest pixels times primitives.
"""

import argparse
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from bench import raster, splat
from dreamlift.cameras import orbit
from dreamlift.io.atomic import atomic
from dreamlift.render import volume, volume_warp
from dreamlift.render.grid import raw_of, vertices
from dreamlift.render.volume import sample_rays

Works = tuple[Callable[[], object], Callable[[], object]]
SIZES = (64, 128, 256, 512)
MORE = {"field": (33, 65, 129), "splats": (2_000, 20_000, 200_000), "mesh": (1_000, 10_000, 50_000)}
"""Vertices along a side of the grid, Gaussians, triangles."""
GROWN = 256
"""Pixels of the pictures of growing primitives."""
USUAL = {"field": 65, "splats": 20_000, "mesh": 50_000}


def field(size: int, n: int, *, reference: bool) -> Works:
    """The march of a grid of n^3 vertices."""
    at = vertices(n)
    inside = at.norm(dim=-1) < 0.6
    raw = raw_of(torch.where(inside, 40.0, 1e-5))[..., None]
    grid = torch.cat([raw, at], -1).requires_grad_()
    cells = torch.linspace(-1.25, 1.25, 33)[:-1] + 1.25 / 32
    middle = torch.stack(torch.meshgrid(cells, cells, cells, indexing="ij"), -1)
    occupied = middle.norm(dim=-1) < 0.75
    cameras = orbit(torch.tensor([30.0]), torch.tensor([20.0]), size=size)
    rays = sample_rays(*(x.flatten(1, 2) for x in cameras.rays()), samples=48)
    march = volume.march_grid if reference else volume_warp.march_grid

    def seen() -> object:
        with torch.no_grad():
            return march(grid, rays, occupied=occupied)

    def both() -> object:
        m = march(grid, rays, occupied=occupied)
        return torch.autograd.grad((m.color * m.color.detach()).sum() + m.alpha.sum(), [grid])

    return seen, both


def splats(size: int, n: int, *, reference: bool) -> Works:
    """Gaussians, from their numbers to the picture."""
    _, seen, both = splat.steps(splat.shell(n), size, "torch" if reference else "warp")
    return seen, both


WAYS: dict[str, Callable[..., Works]] = {"field": field, "splats": splats, "mesh": raster.works}


def measured(name: str, size: int, n: int, repeats: int, *, reference: bool) -> dict[str, Any]:
    """A row of the table."""
    row: dict[str, Any] = {"what": name, "pixels": size, "primitives": n}
    for twin in ("warp", "torch") if reference else ("warp",):
        times = 1 if twin == "torch" else repeats
        alone, both = WAYS[name](size, n, reference=twin == "torch")
        row[f"{twin} forward"], _ = splat.cost(alone, times)
        row[f"{twin} both"], _ = splat.cost(both, times)
    if reference:
        row["ratio"] = row["torch both"] / row["warp both"]
    return row


def grown(rows: Sequence[dict[str, Any]], row: dict[str, Any]) -> float | None:
    """The exponent of the cost between a row and the one before it of fewer primitives."""
    same = [r for r in rows if (r["what"], r["pixels"]) == (row["what"], row["pixels"])]
    fewer = [r for r in same if r["primitives"] < row["primitives"]]
    if not fewer:
        return None
    before = max(fewer, key=lambda r: r["primitives"])
    count = row["primitives"] / before["primitives"]
    if row["what"] == "field":  # told by its side
        count = count**3
    return math.log(row["warp both"] / before["warp both"]) / math.log(count)


def line(row: dict[str, Any]) -> str:
    """In Markdown."""
    names = ("warp forward", "warp both", "torch forward", "torch both")
    times = [f"{row[name]:.0f}" if name in row else "" for name in names]
    ratio = f"{row['ratio']:.1f}" if "ratio" in row else ""
    growth = "" if row["growth"] is None else f"{row['growth']:.2f}"
    cells = (row["what"], row["pixels"], f"{row['primitives']:,}", *times, ratio, growth)
    return f"| {' | '.join(map(str, cells))} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="CPU milliseconds of renderers, beside torch.")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    parser.add_argument("--only", choices=WAYS, nargs="+", default=[*WAYS])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--threads", type=int, default=1, help="torch's and Warp's")
    parser.add_argument("--repeats", type=int, default=3, help="of Warp's; the least counts")
    parser.add_argument("--slowest", type=float, default=3e9, help="pixels x primitives for torch")
    choices = parser.parse_args(arguments)
    torch.set_num_threads(choices.threads)
    print(f"torch {torch.__version__}, {choices.threads} threads, milliseconds of CPU")
    print("| what | pixels | primitives | Warp | with gradients | torch | with gradients | ratio | "
          "growth |")  # fmt: skip
    print("|---" * 9 + "|")
    rows: list[dict[str, Any]] = []
    for name in choices.only:
        sizes = [(size, USUAL[name]) for size in choices.sizes if size != GROWN]
        for size, n in sizes + [(GROWN, n) for n in MORE[name]]:
            work = size * size * (48 if name == "field" else n)
            row = measured(name, size, n, choices.repeats, reference=work <= choices.slowest)
            row["growth"] = grown(rows, row)
            rows.append(row)
            print(line(row), flush=True)
            if choices.out is not None:
                with atomic(choices.out) as file:
                    file.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
