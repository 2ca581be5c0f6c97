"""io/collection.py: entries appear whole, once, and nothing of anybody's is overwritten."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dreamlift.errors import BadInput
from dreamlift.io.collection import entries, fill
from dreamlift.io.lock import alone

SETTINGS = {"seed": 3, "range": (1, 2)}


def make(index: int, folder: Path) -> None:
    (folder / "text").write_text(f"entry {index}")


def tell(folder: Path) -> Mapping[str, Any]:
    return {"name": folder.name, "said": (folder / "text").read_text()}


def lines(out: Path) -> list[Any]:
    return [json.loads(text) for text in (out / "captions.jsonl").read_text().splitlines()]


def test_entries_are_listed_and_more_are_added(tmp_path: Path) -> None:
    out, seen = tmp_path / "deep" / "out", list[int]()
    assert fill(out, SETTINGS, 2, make, tell, seen.append) == []
    (out / "000000" / "text").write_text("mine")
    assert fill(out, SETTINGS, 3, make, tell, seen.append) == []
    assert seen == [1, 2, 1, 2, 3]
    assert lines(out) == [
        {"name": "000000", "said": "mine"},
        {"name": "000001", "said": "entry 1"},
        {"name": "000002", "said": "entry 2"},
    ]
    assert [index for index, _ in entries(out)] == [0, 1, 2]


def test_a_kill_leaves_no_half_entry(tmp_path: Path) -> None:
    def die(index: int, folder: Path) -> None:
        make(index, folder)
        if index == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, SETTINGS, 3, die, tell)
    assert [folder.name for _, folder in entries(tmp_path)] == ["000000"]
    (tmp_path / ".000001.tmp" / "half").write_text("left behind")
    with (tmp_path / "captions.jsonl").open("a") as file:
        file.write('{"name": "0000')  # a line cut short
    assert fill(tmp_path, SETTINGS, 3, make, tell) == []
    assert [line["said"] for line in lines(tmp_path)] == ["entry 0", "entry 1", "entry 2"]
    assert [p.name for p in (tmp_path / "000001").iterdir()] == ["text"]


def test_what_is_refused_is_passed_over_and_told(tmp_path: Path) -> None:
    def pick(index: int, folder: Path) -> None:
        make(index, folder)
        if index == 1:
            raise BadInput("chair.glb is cut short.")

    assert fill(tmp_path, SETTINGS, 3, pick, tell) == [(1, "chair.glb is cut short.")]
    assert [line["name"] for line in lines(tmp_path)] == ["000000", "000002"]
    assert not list(tmp_path.glob(".0*"))


def test_folders_of_anything_else_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(BadInput, match=r"is not empty: it holds thesis\.tex\. Nothing was changed"):
        fill(tmp_path, SETTINGS, 1, make, tell)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(BadInput, match=r"Cannot write to .*: Not a directory"):
        fill(tmp_path / "thesis.tex" / "x", SETTINGS, 1, make, tell)
    (tmp_path / "thesis.tex").unlink()
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(BadInput, match="is damaged"):
        fill(tmp_path, SETTINGS, 1, make, tell)


def test_other_settings_and_other_processes_are_kept_out(tmp_path: Path) -> None:
    fill(tmp_path, SETTINGS, 1, make, tell)
    with pytest.raises(BadInput, match="other settings: seed is 3 there and 4 asked. Ask"):
        fill(tmp_path, {**SETTINGS, "seed": 4}, 2, make, tell)
    with alone(tmp_path), pytest.raises(BadInput, match="Another process is working"):
        fill(tmp_path, SETTINGS, 2, make, tell)
    for count in (0, 10**6 + 1):
        with pytest.raises(BadInput, match=f"1 to 1000000; {count} was asked for"):
            fill(tmp_path, SETTINGS, count, make, tell)
    assert [folder.name for _, folder in entries(tmp_path)] == ["000000"]
