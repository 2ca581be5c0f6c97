"""What a run of `reconstruct` has made: is it all there, and how it is brought out again."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamlift.errors import BadInput

if TYPE_CHECKING:
    from dreamlift.convert.finish import Finish
    from dreamlift.export import Format
    from dreamlift.run import Run

REPORT = "report.json"
"""Written last."""
FINISH = (128, 384)
"""Samples along the grid that the surface is cut from: those of the field, within these."""


def finished(run: "Run") -> bool:
    """Whether all is there that the run was to make."""
    from dreamlift.export import FILES

    try:
        report = json.loads((run.path / REPORT).read_text())
    except (OSError, ValueError):
        return False
    empty = "degenerate" in (report.get("surface") or {})
    return empty or all((run.path / name).is_file() for name in FILES)


def finish_of(run: "Run") -> "Finish":
    """How finely a run's object was brought out."""
    from dreamlift.convert.finish import Finish

    return Finish(min(max(int(_setting(run, "resolution")), FINISH[0]), FINISH[1]))


def _setting(run: "Run", name: str) -> Any:
    """Of a run's config.json. Raises BadInput where it is not there."""
    try:
        return run.settings[name]
    except KeyError:
        raise BadInput(
            f"{run.path / 'config.json'} does not say the {name}. It was edited, or made by "
            "another version; bring it back."
        ) from None


def export_again(folder: Path, out: Path, finish: "Finish", format: "Format | None" = None) -> Path:
    """As api.export_again: what was made of photographs, once more, as one file."""
    from dreamlift.convert.finish import check_finish
    from dreamlift.export import FILES, Asset, read_again, refuse_existing, write
    from dreamlift.run import Run
    from dreamlift.scenes.restore import restored

    run = Run.open(folder)
    check_finish(finish)
    refuse_existing([out], replace=False)
    scene, resolution = _setting(run, "scene"), _setting(run, "resolution")
    if not (run.path / REPORT).is_file():
        raise BadInput(f"{run.path} is not finished. Finish it first: dreamlift resume {run.path}")
    if finish == finish_of(run) and all((run.path / name).exists() for name in FILES):
        return Asset(run.path).save(out, format=format)
    stage = run / (str(resolution) if scene == "field" else scene)
    with read_again(run.path, finished=True):
        state = stage.load()
        if state is None:
            raise BadInput(f"{stage.checkpoint} is missing.")
    return write(restored(state["scene"]), out, format=format, finish=finish)
