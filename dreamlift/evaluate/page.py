"""A report of one page: every figure with its interval and what it is read against, every object
with the very pictures that were judged. It needs nothing but itself, and can be read on a phone.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from dreamlift.evaluate import look
from dreamlift.evaluate.figures import SOURCES, Entry, Row, cell, rows
from dreamlift.evaluate.judging import Sides
from dreamlift.io.images import contact_sheet, to_bytes

GENERATOR = '<meta name="generator" content="dreamlift evaluate">'
"""By which a report is known, so that a later one may take its place."""
TITLES = {"color": "Colour", "geometry": "Geometry", "janus": "Janus"}
STYLE = """
:root { color-scheme: light dark; font: 16px/1.45 system-ui, sans-serif; }
body { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #8886; text-align: left; }
td { font-variant-numeric: tabular-nums; }
section { border-top: 1px solid #8886; padding: .8rem 0; }
section h3 { margin: 0 0 .2rem; font-size: 1rem; }
.pair { display: flex; flex-wrap: wrap; gap: 0 1.5rem; }
.pair div { flex: 1 1 20rem; max-width: 29rem; }
img { width: 100%; image-rendering: pixelated; display: block; }
.faint { opacity: .75; font-size: .9rem; margin: .2rem 0; }
.bar { display: inline-block; width: 5rem; height: .6rem; background: #8884; }
.bar i { display: block; height: 100%; background: #3a7; }
"""


@dataclass(frozen=True)
class Shown:
    """What the page shows of a run."""

    textured: str = ""  # a data URI; empty: there was nothing to see
    untextured: str = ""


def shown(pictures: Sides | None) -> Shown:
    """A run's pictures as they were judged; None for a run that made no object."""
    if pictures is None:
        return Shown()
    return Shown(_uri(pictures.textured), _uri(pictures.untextured))


def _uri(images: Float[Tensor, "v h w 3"]) -> str:
    """A sheet of pictures as a JPEG in a data URI: two rows for each elevation."""
    half = len(look.AZIMUTHS) // 2
    sheet = contact_sheet(images, columns=half, gap=1, background=look.BACKGROUND)
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(sheet)).save(buffer, format="JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def is_page(text: str) -> bool:
    """Whether a file's text is an earlier report."""
    return GENERATOR in text[:1000]


def page(result: Mapping[str, Any], pictures: Sequence[Shown]) -> str:
    """The whole page, for what `evaluate` found and the pictures of each run."""
    entries: Sequence[Entry] = result["runs"]
    objects = "object" if len(entries) == 1 else "objects"
    cards = "\n".join(_card(e, p) for e, p in zip(entries, pictures, strict=True))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">{GENERATOR}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dreamlift: {len(entries)} {objects} judged</title>
<style>{STYLE}</style></head><body>
<h1>{len(entries)} {objects} judged</h1>
{_summary(entries)}
<p>{_method(entries)}</p>
<h2>Every object</h2>
{cards}
</body></html>
"""


def _summary(entries: Sequence[Entry]) -> str:
    made = rows(entries)
    sources = [s for s in SOURCES if any(s in row.figures for row in made)]
    head = "".join(f"<th>{escape(SOURCES[s])}</th>" for s in sources)
    body = "\n".join(_row(row, sources) for row in made)
    return (
        '<div class="wide"><table><thead><tr><th>Score</th><th>Prompts</th><th>Objects</th>'
        f"{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )


def _row(row: Row, sources: Sequence[str]) -> str:
    cells = "".join(f"<td>{escape(cell(row, source))}</td>" for source in sources)
    title = f"<th>{TITLES[row.kind]}</th><td>{row.group}</td>"
    return f"<tr>{title}<td>{row.figures['runs'].objects}</td>{cells}</tr>"


def _method(entries: Sequence[Entry]) -> str:
    """How the figures were taken, in a paragraph."""
    counts = sorted({entry["captions"]["geometry"] for entry in entries})
    left = " to ".join(f"{n}" for n in (counts if len(counts) < 2 else (counts[0], counts[-1])))
    judges = ", ".join(sorted({str(entry["judge"]) for entry in entries}))
    return (
        f"<b>Colour</b> is R-Precision: the share of {look.VIEWS} views of the exported object "
        f"({len(look.AZIMUTHS)} azimuths, {' and '.join(f'{e:.0f}' for e in look.ELEVATIONS)} "
        "degrees above) for which the judge ranks the prompt first among itself and 255 near "
        "captions. <b>Geometry</b> is the same without texture and colour words; captions that "
        f"then mean the same count once, which leaves {left}. "
        "<b>Janus</b>, of objects with a front, is the share of views from behind that are called "
        "the front; low is good. In brackets, 95 % intervals over prompts. True objects are toys "
        "built for the prompt and judged through a GLB file as the runs are; two-faced ones have a "
        "second front at their back; the prior's pictures are its own samples, one for every other "
        f"camera. Judge: {escape(judges)}."
    )


def _card(entry: Entry, pictures: Shown) -> str:
    """One object: its pictures, its scores, and what it was taken for."""
    where = escape(str(entry["paths"]["run"]))
    parts = [
        f"<section><h3>{escape(entry['prompt'])}</h3>",
        f'<p class="faint">{entry["category"]}, seed {entry["seed"]}, {where}</p>',
    ]
    if entry["note"]:
        parts.append(f"<p>{escape(entry['note'])}</p>")
    parts.append('<div class="pair">')
    for kind, uri in (("color", pictures.textured), ("geometry", pictures.untextured)):
        parts.append(f"<div><p>{_score(entry, kind)}</p>")
        if uri:
            alt = escape(f"{entry['prompt']}, seed {entry['seed']}, {look.VIEWS} views")
            parts.append(f'<img alt="{alt}" src="{uri}">')
        if entry["mistaken"][kind]:
            named = [f"{escape(text)} ({views})" for text, views in entry["mistaken"][kind]]
            parts.append(f'<p class="faint">Taken for: {"; ".join(named)}</p>')
        parts.append("</div>")
    parts.append("</div>")
    if entry["janus"] is not None:
        parts.append(f"<p>{_score(entry, 'janus')}</p>")
    return "\n".join([*parts, "</section>"])


def _score(entry: Entry, kind: str) -> str:
    """A score with a bar, and what stands beside it."""
    share = entry[kind]
    beside = [
        f"{SOURCES[source]} {100 * shares[kind]:.{0 if source != 'chance' else 1}f} %"
        for source, shares in entry["beside"].items()
        if shares and shares.get(kind) is not None
    ]
    bar = f'<span class="bar"><i style="width:{100 * share:.0f}%"></i></span>'
    said = f"{TITLES[kind]} <b>{100 * share:.0f} %</b> {bar}"
    return said + (f' <span class="faint">{escape("; ".join(beside))}</span>' if beside else "")
