"""CPU milliseconds of the hash grid, Warp beside plain torch in one run.

    python -m bench.hashgrid [--points 4096 65536] [--threads 1] [--repeats 3]

Features of random points, alone, with the gradient to the tables (a training step), and with that
to the points too (normals), of the field's layout (12 levels, 2^17 entries) and of the paper's (16,
2^19). The last rows are a whole step of `Field(body=Hashed())`, forward and backward, its empty
cells known: what the twins have in common (the network, compositing) is in both.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor

from bench.splat import cost
from dreamlift.cameras import orbit
from dreamlift.render.grid import vertices
from dreamlift.render.hashgrid import Layout, encode_torch
from dreamlift.render.hashgrid_warp import encode_warp
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.hashed import SMALL, Hashed

Encode = Callable[[Tensor, Tensor, Layout], Tensor]
Work = Callable[[], object]
LAYOUTS = {"the field's": SMALL, "the paper's": Layout()}


def works(twin: Encode, layout: Layout, n: int) -> Iterator[tuple[str, Work]]:
    """Three amounts of work on n points, named."""
    rng = torch.Generator().manual_seed(0)
    table = torch.randn(layout.starts[-1], layout.features, generator=rng)
    points = torch.rand(n, 3, generator=rng)
    yield "forward", lambda: twin(table, points, layout)
    for moving in (False, True):
        leaves = [x.clone().requires_grad_() for x in ((table, points) if moving else (table,))]

        def learned(leaves: list[Tensor] = leaves) -> object:
            features = twin(leaves[0], leaves[1] if len(leaves) > 1 else points, layout)
            return torch.autograd.grad(features, leaves, torch.ones_like(features))

        yield ("to tables and points" if moving else "to tables"), learned


def step(twin: Encode, size: int) -> Work:
    """Forward and backward of a field, 48 samples along a diameter."""
    field = Field(body=Hashed())
    middle = vertices(33)[:-1, :-1, :-1] + 1.25 / 32
    field.occupied.copy_(middle.norm(dim=-1) < 0.75)
    shot = Shot(orbit(torch.tensor([30.0]), torch.tensor([20.0]), size=size))

    def work() -> object:
        with patch("dreamlift.scenes.hashed.encode", twin):
            view = field.render(shot)
            loss = view.color.square().sum() + view.alpha.sum()
            return torch.autograd.grad(loss, list(field.parameters()))

    return work


def line(what: str, n: int, kind: str, made: Callable[[Encode], Work], repeats: int) -> str:
    """A row of the table, in Markdown; the least of Warp's repeats counts."""
    quick = cost(made(encode_warp), repeats)[0]
    slow = cost(made(encode_torch), 1)[0]
    return f"| {what} | {n:,} | {kind} | {quick:.1f} | {slow:.0f} | {slow / quick:.1f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="CPU milliseconds of the hash grid's twins.")
    parser.add_argument("--points", type=int, nargs="+", default=[4096, 65536])
    parser.add_argument("--pixels", type=int, nargs="*", default=[32, 64], help="of whole steps")
    parser.add_argument("--threads", type=int, default=1, help="torch's and Warp's")
    parser.add_argument("--repeats", type=int, default=3, help="of Warp's; the least counts")
    choices = parser.parse_args(arguments)
    torch.set_num_threads(choices.threads)
    print(f"torch {torch.__version__}, {choices.threads} threads, milliseconds of CPU")
    print("| what | points or pixels a side | | Warp | torch | ratio |")
    print("|---" * 6 + "|")
    for name, layout in LAYOUTS.items():
        for n in choices.points:
            for k, (kind, _) in enumerate(works(encode_torch, layout, 1)):

                def made(twin: Encode, k: int = k, n: int = n, layout: Layout = layout) -> Work:
                    return [work for _, work in works(twin, layout, n)][k]

                print(line(name, n, kind, made, choices.repeats), flush=True)
    for size in choices.pixels:
        row = line("a step of a field", size, "", lambda t, s=size: step(t, s), choices.repeats)
        print(row, flush=True)


if __name__ == "__main__":
    main()
