"""A run is a folder; there is no other state.

    config.json                      every setting, and the versions of what made it
    metrics.jsonl                    one line a step: {"stage": ..., "step": ..., term: value, ...}
    previews/latest.png, ...         pictures for whoever watches
    [STAGE/]checkpoint.safetensors   scene, optimiser, generator and step of a stage
    asset.glb, turntable.mp4, ...    what it made

Every file is written beside its place, flushed to the disk and renamed, so that a reader, and
whoever continues after a kill, finds the old file or the new one and never a torn one.
"""

import hashlib
import json
import platform
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, cast

from dreamlift.errors import BadInput
from dreamlift.io.atomic import atomic
from dreamlift.io.states import Damaged, load_state, save_state

CONFIG = "config.json"
METRICS = "metrics.jsonl"
CHECKPOINT = "checkpoint.safetensors"
_PACKAGES = ("dreamlift", "torch", "diffusers", "warp-lang", "numpy")


@dataclass(frozen=True)
class Run:
    """A run's folder, or with `/` one stage of it."""

    path: Path
    stage: str = ""

    @staticmethod
    def create(path: Path, config: Mapping[str, Any]) -> "Run":
        """A new run, or the one that `path` holds if it has the same settings.

        `config` is all that decides the result, in JSON's types. Raises BadInput where `path`
        holds another run or anything else, or cannot be written.
        """
        asked = cast("dict[str, Any]", json.loads(json.dumps(config)))
        if path.is_file():
            raise BadInput(f"{path} is a file. Name a folder with --out.")
        try:
            path.mkdir(parents=True, exist_ok=True)
            _refuse_foreign(path)
            TemporaryFile(dir=path).close()
        except OSError as error:
            reason = error.strerror or str(error)
            raise BadInput(
                f"Cannot write to {path}: {reason}. Choose another folder with --out."
            ) from error
        run = Run(path)
        if not (path / CONFIG).exists():
            with atomic(path / CONFIG) as file:
                file.write_text(json.dumps({**asked, "versions": _versions()}, indent=2) + "\n")
            return run
        changes = _changes(run.settings, asked)
        if changes:
            raise BadInput(
                f"{path} holds a run with other settings: {'; '.join(changes)}. Ask for the same "
                "settings to continue it, or choose another folder with --out."
            )
        return run

    @staticmethod
    def open(path: Path) -> "Run":
        """The run that `path` holds; BadInput where it holds none."""
        if not (path / CONFIG).is_file():
            what = "is not a run: it has no config.json"
            if not path.is_dir():
                what = "is a file" if path.exists() else "does not exist"
            raise BadInput(f"{path} {what}. Name the folder that `dreamlift generate` printed.")
        run = Run(path)
        _ = run.config
        return run

    def __truediv__(self, stage: str) -> "Run":
        """One stage of the run."""
        return Run(self.path, stage)

    @property
    def config(self) -> dict[str, Any]:
        """The settings and the versions of the packages that the run was started with."""
        file = self.path / CONFIG
        try:
            found = json.loads(file.read_text())
            if not isinstance(found, dict):
                raise ValueError("it holds no settings")
            return cast("dict[str, Any]", found)
        except ValueError as error:
            raise BadInput(
                f"{file} is damaged ({error}). Bring it back, or start again in another folder."
            ) from error

    @property
    def settings(self) -> dict[str, Any]:
        """What `create` was given."""
        return {key: value for key, value in self.config.items() if key != "versions"}

    @property
    def checkpoint(self) -> Path:
        """Where the stage's state is kept."""
        return self.path / self.stage / CHECKPOINT

    def save(self, state: Mapping[str, object]) -> None:
        """Replace the stage's checkpoint; the old one stands until the new one is whole."""
        with atomic(self.checkpoint) as file:
            save_state(file, state)

    def load(self) -> dict[str, Any] | None:
        """The stage's checkpoint, or None where there is none yet; BadInput where it is damaged."""
        if not self.checkpoint.exists():
            return None
        try:
            return cast("dict[str, Any]", load_state(self.checkpoint))
        except (Damaged, OSError) as error:
            raise BadInput(
                f"{self.checkpoint} is damaged ({error}). Delete it to start this stage again "
                "from its first step, or bring back a copy of it."
            ) from error

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl."""
        with (self.path / METRICS).open("a") as file:
            file.write(json.dumps({**self._key, "step": step, **values}) + "\n")

    def rewind(self, step: int) -> None:
        """Drop the stage's metrics from `step` on, and any torn line, as if never written."""
        file = self.path / METRICS
        if not file.exists():
            return
        lines = file.read_text(errors="replace").splitlines(keepends=True)
        kept = [line for line in lines if self._before(line, step)]
        if len(kept) < len(lines):
            with atomic(file) as fresh:
                fresh.write_text("".join(kept))

    @property
    def _key(self) -> dict[str, str]:
        return {"stage": self.stage} if self.stage else {}

    def _before(self, line: str, step: int) -> bool:
        """Whether a line of metrics is whole and of another stage or an earlier step."""
        try:
            entry = json.loads(line)
        except ValueError:
            return False
        return entry.get("stage", "") != self.stage or entry["step"] < step


def run_folder(root: Path, recipe: str, prompt: str, config: Mapping[str, Any]) -> Path:
    """`root/recipe/<slug of the prompt>-<hash of the settings>`: one place for one request."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    return root / recipe / f"{slug(prompt)}-{digest}"


def slug(prompt: str) -> str:
    """At most 40 characters of a-z, 0-9 and hyphens, cut between words where possible."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    whole = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    cut = whole[:40] if len(whole) <= 40 or whole[40] == "-" else whole[:40].rpartition("-")[0]
    return cut.strip("-") or whole[:40] or "run"


def _refuse_foreign(path: Path) -> None:
    """A folder that is no run is used only if it is empty but for our own hidden files."""
    if (path / CONFIG).exists():
        return
    foreign = [p.name for p in path.iterdir() if not re.fullmatch(r"\.(lock|.*\.tmp.*)", p.name)]
    if foreign:
        raise BadInput(
            f"{path} is not a run (it has no config.json) and is not empty: it holds "
            f"{sorted(foreign)[0]}. Nothing was changed; choose another folder with --out."
        )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _changes(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """The settings that differ, each as `name is A there and B asked`."""
    old, new = _flat(there), _flat(asked)
    return [
        f"{name} is {old.get(name, 'absent')} there and {new.get(name, 'absent')} asked"
        for name in sorted(old.keys() | new.keys())
        if old.get(name, "absent") != new.get(name, "absent")
    ]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings under dotted names, each as JSON."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            found |= _flat(cast("dict[str, Any]", value), f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value)
    return found
