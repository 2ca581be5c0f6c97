"""A machine with few packages: a folder of links to them, and a Python that sees nothing else."""

import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

REPO = Path(__file__).parents[1]


def needed(*packages: str) -> set[str]:
    """Packages with all that they need, as far as they are installed here; extras left out."""
    found: set[str] = set()
    todo = [*packages]
    while todo:
        name = re.split(r"[^A-Za-z0-9_.-]", todo.pop())[0]
        try:
            wanted = distribution(name)
        except PackageNotFoundError:
            continue
        if name.lower() not in found:
            found.add(name.lower())
            todo += [r for r in wanted.requires or [] if "extra ==" not in r]
    return found


def site(folder: Path, *packages: str) -> Path:
    """A folder of links to packages and all that they need."""
    folder.mkdir(parents=True)
    for name in needed(*packages):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            source = Path(str(distribution(name).locate_file(top)))
            if not (folder / top).exists():
                (folder / top).symlink_to(source)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """python -S, with the repository and the folder on its path."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment |= {"PYTHONPATH": f"{REPO}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        env=environment, cwd=REPO, capture_output=True, text=True, check=False,
    )  # fmt: skip
