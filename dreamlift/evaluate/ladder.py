"""The oracle ladder: what each part of text to 3D loses, at equal settings.

    true object       the toy itself, through a file: what the judge and the mesh leave
    oracle            score distillation towards the toy's own pictures
    trained caption   towards the prior's pictures of compositions that it was trained on
    held-out caption  and of compositions that it never saw

A rung's loss is the mean, over its prompts, of what the rung above scores on the same prompts less
what it scores itself. The last two stand on the same rung, the oracle; what held-out captions lose
beyond trained ones is the price of composing what was learned apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dreamlift.evaluate.figures import Entry, Figure, figure

KINDS = ("color", "geometry")


@dataclass(frozen=True)
class Rung:
    """What one rung scores, and what it loses to the one above it."""

    name: str
    color: Figure
    geometry: Figure
    lost: tuple[float, float]  # colour and geometry, in [-1, 1]
    to: str  # what the loss is owed to


def ladder(oracle: Sequence[Entry], prior: Sequence[Entry]) -> list[Rung]:
    """The rungs, from the scores of runs with the oracle and of runs with the prior.

    Both need trained and held-out compositions, the same prompts and seeds, and the scores of true
    objects beside them. Raises ValueError where they do not match.
    """
    above = {(entry["prompt"], entry["seed"]): entry for entry in oracle}
    if above.keys() != {(entry["prompt"], entry["seed"]) for entry in prior}:
        raise ValueError("The oracle's runs and the prior's are not of the same prompts and seeds.")
    trained = [entry for entry in prior if entry["category"] != "held-out pair"]
    held = [entry for entry in prior if entry["category"] == "held-out pair"]
    truths = [entry["beside"]["true"] for entry in oracle]
    objects = {entry["prompt"]: entry["beside"]["true"] for entry in oracle}  # whatever the seed
    return [
        _rung(
            "true object",
            [{**true, "prompt": prompt} for prompt, true in objects.items()],
            (0.0, 0.0),
            "nothing: what the judge can tell at best",
        ),
        _rung(
            "oracle",
            oracle,
            _lost(truths, oracle),
            "the field, score distillation and the export",
        ),
        _rung("trained caption", trained, _lost(_same(above, trained), trained), "the prior"),
        _rung(
            "held-out caption",
            held,
            _lost(_same(above, held), held),
            "the prior, and composing what was learned apart",
        ),
    ]


def _same(above: dict[tuple[str, int], Entry], below: Sequence[Entry]) -> list[Entry]:
    return [above[entry["prompt"], entry["seed"]] for entry in below]


def _rung(name: str, entries: Sequence[Entry], lost: tuple[float, float], to: str) -> Rung:
    of = [entry["prompt"] for entry in entries]
    scores = [figure([entry[kind] for entry in entries], of) for kind in KINDS]
    if scores[0] is None or scores[1] is None:
        raise ValueError(f"The ladder has no runs for its rung {name!r}. Give it some of each.")
    return Rung(name, scores[0], scores[1], lost, to)


def _lost(above: Sequence[Entry], below: Sequence[Entry]) -> tuple[float, float]:
    """The mean fall from one rung to the next, of colour and of geometry."""
    colour, geometry = (
        sum(a[kind] - b[kind] for a, b in zip(above, below, strict=True)) / max(len(below), 1)
        for kind in KINDS
    )
    return colour, geometry


def table(rungs: Sequence[Rung]) -> str:
    """The ladder in Markdown."""
    lines = [
        "| rung | objects | colour | geometry | points lost (colour, geometry) | to |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for rung in rungs:
        colour, geometry = (round(100 * share) for share in rung.lost)
        lines.append(
            f"| {rung.name} | {rung.color.objects} | {rung.color} | {rung.geometry} | "
            f"{colour}, {geometry} | {rung.to} |"
        )
    return "\n".join(lines)
