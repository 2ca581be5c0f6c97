"""How often a toy's own caption comes first among 256 near ones, by four true renders of it.

    python -m bench.retrieval [--of clip vectors judge-whole] [--count 40] [--seed 0]

`clip` as it reads (learn/reader.py), `vectors` by its unit vectors, and the judge of the whole
toybox; of single nouns, pairs that priors are trained on, and held-out ones (learn/retrieval.py).
"""

import argparse
import os
from collections.abc import Sequence

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from dreamlift.evaluate.judging import WHOLE, shipped_judge
from dreamlift.learn.reader import by, embedded_reader
from dreamlift.learn.retrieval import table
from dreamlift.prior import Reads
from dreamlift.priors.clip import embedded_clip

NAMES = ("clip", "vectors", "judge-whole")


def reads(name: str) -> Reads:
    """One of NAMES."""
    match name:
        case "clip":
            return embedded_reader().likelihood
        case "vectors":
            return by(embedded_clip())
        case _:
            return by(shipped_judge(WHOLE))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--of", nargs="+", choices=NAMES, default=["clip", "judge-whole"])
    parser.add_argument("--count", type=int, default=40, help="graphs of each category")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    for name in asked.of:
        print(f"{name}\n\n{table(reads(name), count=asked.count, seed=asked.seed)}\n", flush=True)


if __name__ == "__main__":
    main()
