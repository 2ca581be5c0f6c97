"""From the scores of single runs to the figures of a report: means over objects, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dreamlift.metrics import interval

Entry: TypeAlias = Mapping[str, Any]
"""What a report says of one run (evaluate.runs); JSON's types."""

GROUPS = ("all", "single", "trained pair", "held-out pair")
KINDS = ("color", "geometry", "janus")
SOURCES = {
    "runs": "these runs",
    "true": "true objects",
    "two_faced": "two-faced objects",
    "prior": "the prior's pictures",
    "chance": "chance",
}
"""Whose figures stand side by side, and what they are called."""


@dataclass(frozen=True)
class Figure:
    """A mean over prompts, and the 95 % interval that their number allows."""

    value: float
    low: float
    high: float
    objects: int

    def __str__(self) -> str:
        return f"{100 * self.value:.0f} % ({100 * self.low:.0f} to {100 * self.high:.0f})"


def figure(values: Sequence[float], of: Sequence[str] | None = None) -> Figure | None:
    """The figure of one share for each object; None where there is no object.

    `of`: the prompt of each. Objects of one prompt are alike, so that value and interval are of the
    prompts' means: more seeds of one prompt make it count no more, and the interval no narrower.
    """
    if not values:
        return None
    by: dict[str, list[float]] = {}
    for prompt, value in zip(of or map(str, range(len(values))), values, strict=True):
        by.setdefault(prompt, []).append(value)
    means = [sum(shares) / len(shares) for shares in by.values()]
    low, high = interval(means)
    return Figure(sum(means) / len(means), low, high, len(values))


def mean(entries: Sequence[Entry], kind: str) -> float | None:
    """The mean of one kind of score over the prompts of the runs that have it."""
    of = [entry["prompt"] for entry in entries if entry[kind] is not None]
    found = figure(values(entries, kind, "runs"), of)
    return None if found is None else found.value


def values(entries: Sequence[Entry], kind: str, source: str) -> list[float]:
    """One share for each object: each run, or for each prompt what stands beside it (of two priors'
    pictures both)."""
    if source == "runs":
        found = [entry[kind] for entry in entries]
    else:
        all_shares = ((entry["prompt"], entry["beside"].get(source) or {}) for entry in entries)
        distinct = {(prompt, *sorted(shares.items())): shares for prompt, shares in all_shares}
        found = [shares.get(kind) for shares in distinct.values()]
    return [value for value in found if value is not None]


@dataclass(frozen=True)
class Row:
    """One kind of score in one group of prompts, from all sources that have it."""

    kind: str
    group: str
    figures: Mapping[str, Figure]


def rows(entries: Sequence[Entry]) -> list[Row]:
    """The table of a report; groups and sources without objects are left out.

    Chance is known exactly and has no interval.
    """
    out: list[Row] = []
    divided = len({entry["category"] for entry in entries}) > 1
    for kind in KINDS:
        for group in GROUPS if divided and kind != "janus" else GROUPS[:1]:
            inside = [e for e in entries if group in ("all", e["category"])]
            found: dict[str, Figure] = {}
            for source in SOURCES:
                shares = values(inside, kind, source)
                if shares and source == "chance":
                    level = sum(shares) / len(shares)
                    found[source] = Figure(level, level, level, len(shares))
                    continue
                of = [e["prompt"] for e in inside if e[kind] is not None]
                if made := figure(shares, of if source == "runs" else None):
                    found[source] = made
            if "runs" in found:
                out.append(Row(kind, group, found))
    return out


def table(entries: Sequence[Entry]) -> str:
    """The figures in Markdown."""
    made = rows(entries)
    sources = [s for s in SOURCES if any(s in row.figures for row in made)]
    lines = [
        "| score | prompts | objects | " + " | ".join(SOURCES[s] for s in sources) + " |",
        "| --- | --- | --- |" + " --- |" * len(sources),
    ]
    for row in made:
        cells = [cell(row, source) for source in sources]
        count = row.figures["runs"].objects
        lines.append(f"| {row.kind} | {row.group} | {count} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(row: Row, source: str) -> str:
    """A figure as a report writes it."""
    found = row.figures.get(source)
    if found is None:
        return ""
    return f"{100 * found.value:.1f} %" if source == "chance" else str(found)
