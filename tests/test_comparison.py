"""docs/comparison.md: every row of the table of features, and commands that exist."""

import ast
import importlib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import shared_data

import dreamlift
from dreamlift import cli
from dreamlift.errors import BadInput

REPO = Path(__file__).parents[1]
PAGE = REPO / "docs" / "comparison.md"
VERDICTS = ("yes", "partly", "planned", "no")


class Row(NamedTuple):
    feature: str
    peers: tuple[str, ...]
    ours: str
    shown: list[str]


def cells(text: str) -> list[list[str]]:
    """A table's rows, less its head and the names of its parts."""
    rows = [line.strip().strip("|").split("|") for line in text.splitlines() if line[:1] == "|"]
    plain = [[cell.strip() for cell in row] for row in rows]
    return [row for row in plain if row[0] != "feature" and not row[0].startswith(("---", "**"))]


def page() -> list[Row]:
    return [
        Row(feature, (one, other), ours, re.findall(r"`([^`]+)`", shown))
        for feature, one, other, ours, shown in cells(PAGE.read_text())
    ]


def commands() -> list[str]:
    """Each once; what is no file of ours is a command."""
    said = dict.fromkeys(word for row in page() for word in row.shown)
    return [word for word in said if not is_path(word)]


def is_path(word: str) -> bool:
    return " " not in word and ("/" in word or (REPO / word).exists())


def test_every_feature_of_the_reading_is_reviewed_beside_what_was_read() -> None:
    read = shared_data("reference", "peers.md").read_text().partition("# 5. Feature table")[2]
    wanted = [(name, one, other) for name, one, other, _ in cells(read)]
    assert [(row.feature, *row.peers) for row in page()] == wanted
    assert len(wanted) == 70


def test_every_row_has_a_verdict_and_what_is_there_has_a_command() -> None:
    for row in page():
        verdict = re.split(r"[ ,:;]", row.ours)[0]
        assert verdict in VERDICTS, row
        there = verdict in ("yes", "partly")
        named = row.shown if row.feature == "licence" else [w for w in row.shown if not is_path(w)]
        assert bool(named) == there and bool(row.shown) == there, row
        assert verdict != "partly" or len(row.ours) > len("partly: "), f"{row}: which part?"


def test_files_and_tests_that_are_named_exist() -> None:
    for word in {word for row in page() for word in row.shown if is_path(word)}:
        name, _, test = word.partition("::")
        assert (REPO / name).is_file(), word
        assert not test or f"def {test}(" in (REPO / name).read_text(), word


def accepted(words: Sequence[str]) -> bool:
    """Whether the command line reads these words; nothing is done."""
    try:
        cli._parse(words)
    except SystemExit as ended:
        return ended.code == 0  # help
    except BadInput:
        return False
    return True


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one(command: str) -> None:
    match shlex.split(command):
        case ["dreamlift", *words]:
            assert accepted(words), command
        case ["python", "-c", code]:
            for node in ast.walk(ast.parse(code)):
                match node:
                    case ast.ImportFrom(module=str(module), names=names):
                        found = importlib.import_module(module)
                        assert all(alias.name in vars(found) for alias in names), command
                    case ast.Attribute(value=ast.Name(id="dreamlift"), attr=name):
                        assert name in dir(dreamlift), command
                    case _:
                        pass
        case ["python", "-m", module, *_]:
            assert (REPO / (module.replace(".", "/") + ".py")).is_file(), command
        case ["make", target]:
            assert re.search(rf"^{target}:", (REPO / "Makefile").read_text(), re.M), command
        case ["pip", "install", *_] | ["git", "log", *_]:
            pass
        case _:
            pytest.fail(f"{command} is no command that is known here")


def test_a_misspelt_command_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not accepted(["generate", "a cone", "--recipe", "magic4d"])
    assert not accepted(["exprt", "RUN"])
    assert not accepted(["export", "RUN", "--format", "fbx"])
    assert not accepted(["generate", "a cone", "--interpolatd"])
