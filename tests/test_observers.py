"""dreamlift/observers.py: what watches a fit changes none of its bits."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import Tiny, bits

from dreamlift.fit import Moment, fit
from dreamlift.observers import Bar, Previews, log, standard
from dreamlift.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", {"recipe": "tiny"})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.seconds
def test_watching_changes_nothing(run: Run) -> None:
    watched, alone = Tiny().stage(), Tiny().stage()
    fit(alone, run / "alone")
    fit(watched, run / "watched", [*standard(), Previews(0, seconds=0), Previews(3, seconds=0)])
    assert bits(watched) == bits(alone)


def test_every_tenth_of_a_stage_is_pictured(run: Run) -> None:
    fit(Tiny(steps=25).stage(), run / "coarse", [Previews(4, seconds=1e9)])
    names = sorted(p.name for p in (run.path / "previews").iterdir())
    assert names == [*(f"coarse-{n:06d}.png" for n in [*range(2, 25, 2), 25]), "latest.png"]
    with Image.open(run.path / "previews" / "latest.png") as image:
        assert image.size == (4 * 195, 195)  # 5 pixels, enlarged 39 times


def test_a_preview_shows_the_step_s_pictures(run: Run) -> None:
    stage = Tiny(steps=1).stage()
    seen: list[torch.Tensor] = []
    fit(stage, run, [Previews(0), lambda moment: seen.append(moment.view.color.detach())])
    with Image.open(run.path / "previews" / "000001.png") as image:
        small = np.asarray(image.resize((10, 5), Image.Resampling.BOX)) / 255
    expected = torch.cat(list(seen[0]), 1).clamp(0, 1).numpy()
    assert abs(small - expected).max() < 0.15


def test_metrics_are_the_terms_and_their_sum(run: Run) -> None:
    said: list[dict[str, float]] = []
    fit(Tiny(steps=2).stage(), run / "a", [log, lambda moment: said.append(dict(moment.terms))])
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    for index, (line, terms) in enumerate(zip(lines, said, strict=True)):
        assert line == {"stage": "a", "step": index, **terms, "loss": sum(terms.values())}


def test_without_a_terminal_a_line_now_and_then(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(Tiny().stage(), run / "coarse", [Bar(seconds=1e9)])
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("coarse 12/12  ")
    assert " steps/s  0:00 left  data " in line


def test_in_a_terminal_a_bar_that_is_put_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    def crash(moment: Moment) -> None:
        if moment.step.index == 5:
            raise RuntimeError("a crash")

    with pytest.raises(RuntimeError, match="a crash"):
        fit(Tiny().stage(), run, [Bar(), crash])
    text = terminal.getvalue()
    assert "6/12" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again
