"""A folder of numbered entries that grows: each appears whole, and none is written twice.

    dataset.json        the settings that every entry was made with
    captions.jsonl      a line for each entry, in their order
    000000/             an entry: its transforms.json (captures.py), a folder for each kind of
                        PICTURES, and FILES

The entries are the truth: captions.jsonl is made again of them whenever writing starts. An entry
is written beside its place, under a hidden name, and renamed when it is whole.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from dreamlift.errors import BadInput
from dreamlift.io.atomic import atomic
from dreamlift.io.lock import LOCK, alone

SETTINGS, CAPTIONS = "dataset.json", "captions.jsonl"
DIGITS = 6
Picture: TypeAlias = Literal["images", "albedo", "depth", "normal", "part"]
Output: TypeAlias = Literal["images", "albedo", "depth", "normal", "part", "mesh", "sdf", "points"]
PICTURES: tuple[Picture, ...] = get_args(Picture)
OUTPUTS: tuple[Output, ...] = get_args(Output)
FILES: Mapping[Output, str] = {"mesh": "mesh.glb", "sdf": "sdf.npz", "points": "points.ply"}

Made = Callable[[int, Path], None]
"""Writes entry `index` into an empty folder; raises BadInput for one that cannot be made."""
Told = Callable[[Path], Mapping[str, Any]]
"""The line of captions.jsonl for an entry's folder."""


def entries(out: Path) -> Iterator[tuple[int, Path]]:
    """The entries that are there, in their order."""
    if out.is_dir():
        for folder in sorted(out.iterdir()):
            if folder.name.isdecimal() and len(folder.name) == DIGITS and folder.is_dir():
                yield int(folder.name), folder


def fill(
    out: Path,
    settings: Mapping[str, Any],
    count: int,
    make: Made,
    tell: Told,
    progress: Callable[[int], None] = lambda done: None,
) -> list[tuple[int, str]]:
    """Write entries 0 to count - 1; those that are there are kept as they are.

    Gives the numbers of those that `make` refused, and why. Raises BadInput, before anything is
    written, where `out` holds anything else, other settings, or another process at work.
    """
    if not 1 <= count <= 10**DIGITS:
        raise BadInput(f"The count must be 1 to {10**DIGITS}; {count} was asked for.")
    wanted = json.loads(json.dumps(settings))
    _look(out, wanted)
    refused: list[tuple[int, str]] = []
    with alone(out):
        _look(out, wanted)  # another may have come before us
        lines = [json.dumps(tell(folder)) + "\n" for _, folder in entries(out)]
        with atomic(out / SETTINGS) as file:
            file.write_text(json.dumps(wanted, indent=1) + "\n")
        with atomic(out / CAPTIONS) as file:
            file.write_text("".join(lines))
        for index in range(count):
            folder = out / f"{index:0{DIGITS}d}"
            if not folder.exists():
                try:
                    _add(folder, index, make)
                except BadInput as error:
                    refused.append((index, str(error)))
                else:
                    with (out / CAPTIONS).open("a") as file:
                        file.write(json.dumps(tell(folder)) + "\n")
            progress(index + 1)
    return refused


def _add(folder: Path, index: int, make: Made) -> None:
    """One entry; its folder appears when it is whole."""
    unfinished = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        make(index, unfinished)
    except BadInput:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    unfinished.rename(folder)


def _look(out: Path, wanted: Mapping[str, Any]) -> None:
    """Raise BadInput unless `out` is new, empty, or a collection of the same settings."""
    note = out / SETTINGS
    if out.is_file():
        raise BadInput(f"{out} is a file. Name a folder.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = note.read_text() if note.exists() else None
        foreign = [p.name for p in out.iterdir() if p.name not in (LOCK, f".{note.stem}.tmp.json")]
    except OSError as error:
        raise BadInput(f"Cannot write to {out}: {error.strerror}. Choose another folder.") from None
    if there is None:
        if foreign:
            raise BadInput(
                f"{out} is not empty: it holds {sorted(foreign)[0]}. Nothing was changed; "
                "choose another folder."
            )
        return
    try:
        found = json.loads(there)
    except ValueError as error:
        raise BadInput(f"{note} is damaged ({error}). Choose another folder.") from error
    if found != wanted:
        raise BadInput(
            f"{out} holds entries of other settings: {_differ(found, wanted)}. Ask for the same "
            "to add to them, or choose another folder."
        )


def _differ(found: Any, wanted: Mapping[str, Any]) -> str:
    """Which settings are others, and how."""
    if not isinstance(found, Mapping):
        return "no settings at all"
    keys = [k for k in {**wanted, **found} if found.get(k) != wanted.get(k)]
    return ", ".join(
        f"{k} is {json.dumps(found.get(k))} there and {json.dumps(wanted.get(k))} asked"
        for k in keys
    )
