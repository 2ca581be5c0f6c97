"""Scores of finished runs, as a JSON that scripts may rely on and a page that people may read.

    {"r_precision": {"color": x, "geometry": y}, "janus": z, "runs": [...]}

x and y are means over the runs, z over those whose object has a front (null where none has). Each
entry of "runs" has

    prompt, seed, category       what was asked for; single, trained pair or held-out pair
    color, geometry, janus       the shares of views; janus is null for what has no front
    captions                     {"color": n, "geometry": m}: among how many the prompt had to win
    mistaken                     {"color": [[caption, views], ...], "geometry": ...}: what beat it
    beside                       the scores, by kind, of "true", "two_faced", "prior" and "chance"
    judge                        which judge: figures of two judges cannot be compared
    note                         why a run scores nothing, where it made no object
    paths                        {"run": folder, "asset": file}

and all else (groups, intervals) follows from the entries: figures.table(result["runs"]).
"""

import json as json_
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dreamlift.errors import BadInput
from dreamlift.evaluate import figures, page
from dreamlift.evaluate.judging import (
    Judge,
    Mark,
    Sides,
    captions,
    fingerprint,
    has_front,
    judge_of,
    readable,
    seen,
    verdict,
)
from dreamlift.evaluate.truths import Beside, beside
from dreamlift.export import GLB
from dreamlift.io.atomic import atomic
from dreamlift.io.meshes import read_mesh
from dreamlift.io.place import refuse_unwritable
from dreamlift.io.settings import from_json
from dreamlift.prior import Prior
from dreamlift.priors.source import Source
from dreamlift.run import Run
from dreamlift.scenes.mesh import load_mesh
from dreamlift.toybox.lists import category

log = logging.getLogger("dreamlift")


@dataclass(frozen=True)
class Asked:
    """What a run was to make."""

    folder: Path
    prompt: str
    seed: int
    source: Source | None  # the prior it followed; None: none that can be loaded

    @property
    def asset(self) -> Path:
        return self.folder / GLB


def asked(folder: Path) -> Asked:
    """What a run's config.json says of it. Raises BadInput."""
    settings = Run.open(folder).settings
    prompt, seed = settings.get("prompt"), settings.get("seed", 0)
    if not isinstance(prompt, str) or not isinstance(seed, int):
        raise BadInput(
            f"{folder} cannot be judged: its config.json has no prompt and seed. Name folders that "
            "`dreamlift generate` printed."
        )
    source = None
    try:
        source = from_json(Source, settings.get("prior", {}))
    except (ValueError, AttributeError):
        pass  # another kind of prior: its own pictures cannot be drawn again
    return Asked(folder, prompt, seed, source)


def evaluate(
    runs: Sequence[Path],
    json: Path | None = None,
    html: Path | None = None,
    *,
    baselines: bool = True,
    judge: Judge | None = None,
    empty: Mapping[Path, str] | None = None,
) -> dict[str, Any]:
    """Judge finished runs, and write what is asked for: the scores and a page with pictures.

    `baselines`: measure true objects, planted two-faced ones and the prior's own pictures beside
    every prompt (once each). `judge` None is that of the first world, or, where one of the prompts
    says more, that of the whole toybox for all of them. `empty`: runs that made no object, and why;
    they score 0. A file that is there is replaced only if it is an earlier report.
    Raises BadInput before any work for folders that are no finished runs, prompts that the judge
    cannot read, objects that cannot be opened, and files that cannot be written or are the same.
    """
    empty = empty or {}
    every = [_finished(folder, folder in empty) for folder in dict.fromkeys(runs)]
    if not every:
        raise BadInput("There is nothing to judge: name at least one run.")
    _writable(json, _is_scores)
    _writable(html, page.is_page)
    if json and html and json.resolve() == html.resolve():
        raise BadInput(f"{json} cannot hold both the scores and the page. Name two files.")
    judge = judge_of([run.prompt for run in every]) if judge is None else judge
    for prompt in {run.prompt for run in every}:
        readable(prompt, judge)
    for run in every:
        if run.folder not in empty:
            _readable(run)
    compared = _Comparisons(judge, on=baselines)
    name = fingerprint(judge)
    entries: list[dict[str, Any]] = []
    shown: list[page.Shown] = []
    for i, run in enumerate(every):
        score = _nothing(run, judge, empty[run.folder]) if run.folder in empty else None
        pictures = None
        if score is None:
            pictures = seen(load_mesh(run.asset))
            score = _scored(run, pictures, judge)
        entries.append({**score, "beside": compared.of(run), "judge": name})
        if html is not None:
            shown.append(page.shown(pictures))
        log.info("%s", _line(entries[-1], i + 1, len(every)))
    result = {
        "r_precision": {kind: figures.mean(entries, kind) for kind in ("color", "geometry")},
        "janus": figures.mean(entries, "janus"),
        "runs": entries,
    }
    if json is not None:
        _write(json, json_.dumps(result, indent=2) + "\n")
    if html is not None:
        _write(html, page.page(result, shown))
    return result


def _line(entry: Mapping[str, Any], number: int, count: int) -> str:
    """What is said of a run as soon as it is judged."""
    scores = f"colour {100 * entry['color']:.0f} %, geometry {100 * entry['geometry']:.0f} %"
    if entry["janus"] is not None:
        scores += f", Janus {100 * entry['janus']:.0f} %"
    return f"{number}/{count}  {entry['prompt']} (seed {entry['seed']}): {scores}"


def _finished(folder: Path, empty: bool) -> Asked:
    run = asked(folder)
    if not empty and not run.asset.is_file():
        raise BadInput(
            f"{folder} has no {GLB}: the run is not finished. Continue it first: "
            f"dreamlift resume {folder}"
        )
    return run


def _readable(run: Asked) -> None:
    """BadInput if the object cannot be opened: found late, it would cost the others' scores."""
    try:
        read_mesh(run.asset)
    except BadInput as error:
        raise BadInput(f"{error} Leave {run.folder} out, or bring back its {GLB}.") from error


def _about(run: Asked) -> dict[str, Any]:
    return {"prompt": run.prompt, "seed": run.seed, "category": category(run.prompt)}


def _scored(run: Asked, pictures: Sides, judge: Judge) -> dict[str, Any]:
    """The scores of an object."""
    said = verdict(pictures, run.prompt, judge)
    return {
        **_about(run),
        "color": said.color.share,
        "geometry": said.geometry.share,
        "janus": said.janus,
        "captions": {"color": said.color.captions, "geometry": said.geometry.captions},
        "mistaken": {
            "color": [list(row) for row in said.color.mistaken],
            "geometry": [list(row) for row in said.geometry.mistaken],
        },
        "note": None,
        "paths": {"run": str(run.folder), "asset": str(run.asset)},
    }


def _nothing(run: Asked, judge: Judge, why: str) -> dict[str, Any]:
    """The scores of a run that made no object: none of its views shows the prompt."""
    return {
        **_about(run),
        "color": 0.0,
        "geometry": 0.0,
        "janus": None,
        "captions": _among(run.prompt, judge),
        "mistaken": {"color": [], "geometry": []},
        "note": why,
        "paths": {"run": str(run.folder), "asset": None},
    }


def _among(prompt: str, judge: Judge) -> dict[str, int]:
    return {
        "color": len(captions(prompt, judge.seen, textureless=False)),
        "geometry": len(captions(prompt, judge.seen, textureless=True)),
    }


class _Comparisons:
    """What stands beside each prompt, measured once for each prompt and prior."""

    def __init__(self, judge: Judge, *, on: bool) -> None:
        self.judge, self.on = judge, on
        self.known: dict[tuple[str, Source | None], dict[str, Any]] = {}
        self.priors: dict[Source, Prior | None] = {}

    def of(self, run: Asked) -> dict[str, Any]:
        """The scores by source and kind; chance alone where comparisons were not asked for."""
        key = (run.prompt, run.source)
        if key not in self.known:
            found = self._measured(run) if self.on else {}
            found["chance"] = {kind: 1 / n for kind, n in _among(run.prompt, self.judge).items()}
            self.known[key] = found
        return self.known[key]

    def _measured(self, run: Asked) -> dict[str, Any]:
        made: Beside = beside(run.prompt, self.judge, self._prior(run))
        truth = made.truth
        shares: dict[str, Any] = {
            "true": {
                "color": truth.color.share,
                "geometry": truth.geometry.share,
                "janus": truth.janus,
            },
            "two_faced": {"janus": made.two_faced} if has_front(run.prompt) else None,
            "prior": None if made.prior is None else _shares(*made.prior),
        }
        return shares

    def _prior(self, run: Asked) -> Prior | None:
        """The run's prior, loaded once; None where it is not here as it was."""
        source = run.source
        if source is None:
            return None
        if source not in self.priors:
            try:
                source.check(run.prompt)
                self.priors[source] = source.load("cpu")
            except BadInput as error:
                log.warning("The prior's own pictures are left out. %s", error)
                self.priors[source] = None
        return self.priors[source]


def _shares(color: Mark, geometry: Mark) -> dict[str, float]:
    return {"color": color.share, "geometry": geometry.share}


def _is_scores(text: str) -> bool:
    """Whether a file's text is what an earlier evaluation wrote."""
    try:
        found = json_.loads(text)
    except ValueError:
        return False
    if not isinstance(found, dict):
        return False
    return {"r_precision", "janus", "runs"} == cast("dict[str, Any]", found).keys()


def _writable(path: Path | None, ours: Any) -> None:
    """BadInput if a report cannot be written there, or would replace what is no report."""
    if path is None:
        return
    refuse_unwritable(path)
    if path.is_dir():
        raise BadInput(f"{path} is a folder; name a file in it.")
    try:
        if path.exists() and not ours(path.read_text(errors="replace")):
            raise BadInput(
                f"{path} exists and is no earlier report, so it is left as it is. Choose another "
                "name."
            )
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(f"{path} cannot be read: {reason}. Choose another name.") from error


def _write(path: Path, text: str) -> None:
    with atomic(path) as file:
        file.write_text(text)
