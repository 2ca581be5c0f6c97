"""Whether a file can be written, asked before the work that makes it."""

from pathlib import Path
from tempfile import TemporaryFile

from dreamlift.errors import BadInput
from dreamlift.io.atomic import unfinished


def refuse_unwritable(path: Path) -> None:
    """Raise BadInput where a file could not be written. Makes no folder, and leaves no trace."""
    if not path.name:
        raise BadInput(f"{path} is a folder. Name a file.")
    there = path.absolute().parent
    try:
        while not there.exists():
            there = there.parent
        if there.is_dir():
            TemporaryFile(dir=there).close()
            for name in (path.name, unfinished(path).name):
                _ask_for(there / name)
            return
        reason = f"{there} is no folder"
    except OSError as error:
        reason = error.strerror or str(error)
    raise BadInput(f"{path} cannot be written: {reason}. Choose another place.")


def _ask_for(path: Path) -> None:
    """OSError for a name that no disk can hold; whether the file is there does not matter."""
    try:
        path.lstat()
    except FileNotFoundError:
        pass
