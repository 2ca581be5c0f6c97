"""A folder to oneself: two processes that write into one run would spoil it for both."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from dreamlift.errors import BadInput

LOCK = ".lock"


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Nobody else is inside for the same `folder`, in this process or another. Makes the folder.

    Raises BadInput at once where somebody is, or where the folder cannot be written. The operating
    system holds the lock for the process and drops it with the process, however that ends; the file
    stays, and means nothing by itself.
    """
    from filelock import FileLock, Timeout  # a bare GPU machine may lack it

    if folder.is_file():
        raise BadInput(f"{folder} is a file. Name a folder.")
    try:
        held = FileLock(folder / LOCK, timeout=0).acquire()
    except Timeout:
        raise BadInput(
            f"Another process is working in {folder}. Wait until it ends or stop it, or choose "
            "another folder."
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(
            f"Cannot write to {folder}: {reason}. Name a folder that can be written; what was "
            "begun in this one goes on in a copy of it."
        ) from error
    with held:
        yield
