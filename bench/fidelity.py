"""How far the prior's own pictures are from true renders: noun by noun, relation by relation.

    python -m bench.fidelity OUT [--prior whole] [--scale 3] [--captions 4] [--views 4]

For every noun and relation that the prior was shown, some random captions of trained compositions;
of each the prior draws pictures (DDIM, told the cameras), and the truth is rendered, from views,
lights and before backgrounds as recipes draw them. Told are

    distance   between both, on the judge's features (metrics.kernel_distance), times 1,000,
               caption by caption
    floor      the same between two sets of true renders
    right      share of the pictures for which the judge ranks the caption first among its
               neighbours (toybox/lists.py); missing where the judge was not shown what it says
    true       the same of true renders

OUT/fidelity.json keeps what is measured, so a stopped run goes on; OUT/fidelity.md is the table,
the farthest first; OUT/failures.png shows the farthest, drawn above true.
"""

import argparse
import os
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from jaxtyping import Float
from torch import Tensor

from bench.kept import Kept
from bench.pictures import drawn, marks
from dreamlift.evaluate.judging import WEIGHTS, WHOLE, fingerprint
from dreamlift.graph import Graph, Link, Thing
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.learn.judge import Judge, load_judge
from dreamlift.learn.retrieval import pictures
from dreamlift.metrics import kernel_distance
from dreamlift.phrases import phrase
from dreamlift.prior import Prior
from dreamlift.priors.embedded import WEIGHTS as FIRST
from dreamlift.priors.seen import Seen, seen
from dreamlift.priors.source import source_of
from dreamlift.toybox.drawable import possible
from dreamlift.toybox.lists import category
from dreamlift.toybox.wide import pair, wide_coloured
from dreamlift.views import Views
from dreamlift.words import UnknownWord

STEPS = 16
"""Of DDIM."""
TRUE = 8
"""True renders of each caption."""
SHOWN = 12
"""The farthest that are drawn."""
KINDS = ("distance", "floor", "right", "true")


def shown(world: Seen, text: str) -> bool:
    """Whether a world holds what a caption says."""
    try:
        world.refuse(text)
    except UnknownWord:
        return False
    return True


def wordings(name: str, world: Seen, count: int) -> list[Graph]:
    """Random captions of a noun or a relation: trained compositions that the world holds."""
    rng = random.Random(f"fidelity {name}")
    out: list[Graph] = []
    while len(out) < count:
        graph = Graph((Thing(name),))
        if name in world.relations:
            a, b = pair(name, rng)
            graph = Graph((Thing(a), Thing(b)), (Link(name, 0, 1),))
            if a == b or not possible(graph):
                continue
        graph = wide_coloured(graph, rng)
        text = phrase(graph)
        if category(text) != "held-out pair" and shown(world, text):
            out.append(graph)
    return out


def made(prior: Prior, graph: Graph, views: int, scale: float) -> Float[Tensor, "v h w 3"]:
    """The prior's pictures of a caption, from where recipes look."""
    text = phrase(graph)
    rng = torch.Generator().manual_seed(number(text, "drawn"))
    shot = Views().draw(views, rng, shading="lit")
    return drawn(prior, text, shot, scale, STEPS, rng)


def renders(graph: Graph, which: str, count: int = TRUE) -> Float[Tensor, "n h w 3"]:
    """True pictures of a caption, each of a toy of its own."""
    seeds = [number(phrase(graph), which, str(i)) for i in range(count)]
    return torch.cat([pictures(graph, seed, views=1, untextured=False) for seed in seeds])


def number(*parts: str) -> int:
    """A seed from what names a draw."""
    return random.Random(" ".join(parts)).getrandbits(31)


def apart(some: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The distance between features of one caption, times 1,000, mean over captions."""
    pairs = zip(some, others, strict=True)
    return 1000 * statistics.mean(kernel_distance(x, y) for x, y in pairs)


@dataclass(frozen=True)
class Bench:
    """What every name is measured with."""

    prior: Prior
    world: Seen
    judge: Judge
    count: int
    views: int
    scale: float

    def right(self, graph: Graph, x: Float[Tensor, "v h w 3"]) -> float | None:
        """Share of the pictures for which the caption comes first."""
        text = phrase(graph)
        if not shown(self.judge.seen, text):
            return None
        return marks(x, text, self.judge)[0]

    @torch.no_grad()
    def row(self, name: str) -> dict[str, float | None]:
        """What is measured of a noun or a relation."""
        graphs = wordings(name, self.world, self.count)
        ours = [made(self.prior, graph, self.views, self.scale) for graph in graphs]
        true = [[renders(graph, which) for graph in graphs] for which in ("one", "other")]
        sets = [[self.judge.features(x) for x in some] for some in (ours, *true)]
        said = [
            [self.right(graph, x) for graph, x in zip(graphs, some, strict=True)]
            for some in (ours, true[0])
        ]
        shares = [[value for value in some if value is not None] for some in said]
        right, truly = (statistics.mean(some) if some else None for some in shares)
        return {
            "distance": apart(sets[0], sets[1]),
            "floor": apart(sets[2], sets[1]),
            "right": right,
            "true": truly,
        }

    @torch.no_grad()
    def failure(self, name: str) -> Float[Tensor, "2 h w 3"]:
        """A picture drawn and one true, of a name's first caption."""
        graph = wordings(name, self.world, self.count)[0]
        ours = made(self.prior, graph, self.views, self.scale)[:1]
        return torch.cat([ours, renders(graph, "one", 1)])


def table(rows: dict[str, dict[str, float | None]], names: Sequence[str]) -> str:
    """The figures of some names, the farthest first, and their means."""
    lines = ["| | distance | floor | right | true |", "|---|---|---|---|---|"]

    def cells(values: Sequence[float | None]) -> str:
        told = ["" if v is None else f"{v:.1f}" for v in values[:2]]
        told += ["" if v is None else f"{100 * v:.0f} %" for v in values[2:]]
        return " | ".join(told)

    def mean(kind: str) -> float | None:
        values = [value for name in names if (value := rows[name][kind]) is not None]
        return statistics.mean(values) if values else None

    lines.append(f"| mean of {len(names)} | {cells([mean(kind) for kind in KINDS])} |")
    for name in farthest(rows, names):
        lines.append(f"| {name} | {cells([rows[name][kind] for kind in KINDS])} |")
    return "\n".join(lines) + "\n"


def farthest(rows: dict[str, dict[str, float | None]], names: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: -(rows[name]["distance"] or 0.0))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Pictures of the prior beside true ones.")
    parser.add_argument("out", type=Path, help="folder of the figures")
    parser.add_argument("--prior", default="embedded", help="embedded, whole, or a folder of one")
    parser.add_argument("--scale", type=float, default=3.0, help="of guidance")
    parser.add_argument("--captions", type=int, default=4, help="of every name")
    parser.add_argument("--views", type=int, default=4, help="pictures of each caption")
    parser.add_argument("--names", nargs="+", help="only these nouns and relations")
    choices = parser.parse_args(arguments)
    choices.out.mkdir(parents=True, exist_ok=True)
    inside = {"embedded": FIRST, "whole": FIRST.with_name("whole")}
    world = seen(inside.get(choices.prior, Path(choices.prior)))
    source = source_of(choices.prior, "cpu")
    judge = load_judge(WEIGHTS if world == seen(FIRST) else WHOLE)
    count = choices.captions, choices.views
    bench = Bench(source.load("cpu"), world, judge, *count, choices.scale)
    made = {"prior": source.sha256, "scale": choices.scale, "captions, views": count}
    kept = Kept(choices.out / "fidelity.json", made | {"judge": fingerprint(judge)})
    rows = kept.rows
    parts = {"nouns": world.nouns, "relations": world.relations}
    if choices.names:
        parts = {k: [name for name in names if name in choices.names] for k, names in parts.items()}
    for name in (name for names in parts.values() for name in names):
        if name in rows:
            continue
        kept.keep(name, bench.row(name))
        print(f"{len(rows)}  {name}  {rows[name]}", flush=True)
    said = "\n".join(f"{k}\n\n{table(rows, names)}" for k, names in parts.items() if names)
    (choices.out / "fidelity.md").write_text(said)
    worst = farthest(rows, [name for names in parts.values() for name in names])[:SHOWN]
    pairs = torch.stack([bench.failure(name) for name in worst], 1).flatten(0, 1)
    said_of = [phrase(wordings(name, world, choices.captions)[0]) for name in worst]
    labels = [*said_of, *["true"] * len(worst)]
    large = pairs.repeat_interleave(2, 1).repeat_interleave(2, 2)
    (choices.out / "failures.png").unlink(missing_ok=True)
    save_png(choices.out / "failures.png", contact_sheet(large, columns=len(worst), labels=labels))
    print(said)


if __name__ == "__main__":
    main()
