"""Files that appear whole or not at all."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic(path: Path) -> Generator[Path]:
    """A path to write to instead of `path`, with its suffix; renamed to `path` on leaving well.

    The bytes are on the disk before the rename, so that a kill at any moment leaves the old file
    or the new one. The temporary name is fixed: what a kill leaves behind, the next writer reuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    try:
        yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush(temporary)
    os.replace(temporary, path)
    _flush(path.parent)


def unfinished(path: Path) -> Path:
    """Where a file is while it is being written."""
    return path.with_name(f".{path.stem}.tmp{path.suffix}")


def _flush(path: Path) -> None:
    """Bring a file's bytes, or a folder's names, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder, and need not
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
