"""Whether a file can be written, asked before the work that makes it."""

from pathlib import Path
from tempfile import TemporaryFile

from dreamlift.errors import BadInput


def refuse_unwritable(path: Path) -> None:
    """Raise BadInput where a file could not be written. Makes no folder, and leaves no trace."""
    there = path.absolute().parent
    try:
        path.exists()  # some names no disk can hold
        while not there.exists():
            there = there.parent
        if there.is_dir():
            TemporaryFile(dir=there).close()
            return
        reason = f"{there} is no folder"
    except OSError as error:
        reason = error.strerror or str(error)
    raise BadInput(f"{path} cannot be written: {reason}. Choose another place.")
