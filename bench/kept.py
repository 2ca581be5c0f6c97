"""Figures that stay in a folder, with what they were made of: others are not told as one's own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dreamlift.io.atomic import atomic


class Kept:
    """Rows by name in a JSON file, each written as soon as it is known.

    Raises SystemExit where the file's rows were made with other settings, naming them.
    """

    def __init__(self, file: Path, made: Mapping[str, Any]) -> None:
        self.file, self.made = file, json.loads(json.dumps(made))
        found = json.loads(file.read_text()) if file.exists() else {}
        before = found.get("made", {} if not found else {"all of it": "an earlier version"})
        changed = [k for k in {**before, **self.made} if before.get(k) != self.made.get(k)]
        if found and changed:
            told = ", ".join(f"{k} {before.get(k)}, now {self.made.get(k)}" for k in changed)
            raise SystemExit(
                f"{file} holds figures made otherwise ({told}). Name another folder, or remove it."
            )
        self.rows: dict[str, Any] = found.get("rows", {})

    def keep(self, name: str, row: Any) -> None:
        """A row, on disk at once."""
        self.rows[name] = row
        with atomic(self.file) as file:
            file.write_text(json.dumps({"made": self.made, "rows": self.rows}, indent=1) + "\n")
