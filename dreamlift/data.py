"""`dreamlift data`: captioned objects with everything that is known of them, for other tools."""

import difflib
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from dreamlift.errors import BadInput
from dreamlift.io.collection import OUTPUTS, Output

SECONDS = 10.0
"""Between two lines of progress, where stderr is no terminal."""


@dataclass(frozen=True)
class Data:
    """Write captioned objects for other tools: pictures from all sides with cameras, depth,
    normals and part numbers, a GLB mesh with named parts, an SDF grid and a coloured point cloud;
    captions.jsonl lists them.

    Of the toybox: random scenes, or those of given captions. Or of other people's mesh files:
    those of a folder with a captions.jsonl. The same command continues, and with a larger count
    adds; what is there is kept."""

    out: Annotated[Path, tyro.conf.arg(metavar="OUT")]
    """The folder to write to: new, or of the same settings."""
    count: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """How many; by default 16, or as many as captions or meshes are given."""
    captions: Annotated[tuple[str, ...], tyro.conf.arg(metavar="CAPTION...")] = ()
    """What to draw, in place of random scenes; with a larger count, again with other seeds."""
    captions_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A text file of such captions, one on each line."""
    meshes: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """A folder of GLB, glTF, OBJ, PLY, STL or OFF files with a captions.jsonl, in place of toys."""
    world: Literal["taught", "whole"] = "taught"
    """Random scenes: of what the shipped models are taught, or of all that can be drawn."""
    seed: int = 0
    """Every object follows from it and its own number."""
    views: int = 8
    """Pictures of each object."""
    size: int = 256
    """Side of the pictures, in pixels."""
    outputs: Annotated[tuple[Output, ...] | None, tyro.conf.arg(metavar="OUTPUT...")] = None
    """What to write: images, albedo, depth, normal, part, mesh, sdf, points; by default all (of
    meshes all but sdf, which is exact for toys only)."""
    grid: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Samples along a side of the SDF grid; by default 64."""
    points: int = 16384
    """Of the point cloud."""

    def run(self) -> int:
        try:
            if self.meshes is None:
                self._toys()
            else:
                self._meshes(self.meshes)
        except KeyboardInterrupt:
            said = "Interrupted; what is whole is kept, and the same command continues."
            raise KeyboardInterrupt(said) from None
        print(self.out)
        return 0

    def _toys(self) -> None:
        from dreamlift.toybox.dataset import Dataset

        listed = [] if self.captions_file is None else lines(self.captions_file)
        captions = (*self.captions, *listed)
        dataset = Dataset(
            self.seed,
            self.views,
            self.size,
            outputs=OUTPUTS if self.outputs is None else self.outputs,
            world=self.world,
            captions=captions,
            grid=64 if self.grid is None else self.grid,
            points=self.points,
        )
        count = (len(captions) or 16) if self.count is None else self.count
        with progress(count) as bar:
            dataset.write(self.out, count, bar)

    def _meshes(self, folder: Path) -> None:
        from dreamlift.learn.meshes import MESH_OUTPUTS, MeshDataset, Shelf

        if self.captions or self.captions_file or self.world != "taught":
            raise BadInput("Captions and --world are for toys; --meshes has its captions.jsonl.")
        if self.grid is not None:
            raise BadInput("--grid is of the SDF of toys; of --meshes none is made. Leave it out.")
        outputs = MESH_OUTPUTS if self.outputs is None else self.outputs
        dataset = MeshDataset(self.seed, self.views, self.size, outputs, self.points)
        shelf = Shelf(folder)
        count = len(shelf.entries) if self.count is None else self.count
        with progress(count) as bar:
            refused = dataset.write(shelf, self.out, count, bar)
        for _, why in refused:
            print(f"left out: {why}", file=sys.stderr)
        if refused:
            print(f"{count - len(refused)} of {count} objects; the rest above.", file=sys.stderr)
        if len(refused) == count:
            raise BadInput(f"No mesh of {folder} can be read; the reasons are above.")
        if others := len(shelf.unlisted()):
            print(f"{others} mesh files have no line in captions.jsonl.", file=sys.stderr)


def lines(path: Path, what: str = "caption") -> list[str]:
    """The captions, or prompts, in a text file. Raises BadInput where there are none."""
    wanted = f"A text file was expected, a {what} on each line."
    if not path.exists():
        beside = [file.name for file in path.parent.glob("*") if file.is_file()]
        near = difflib.get_close_matches(path.name, beside, 1)
        nearest = f" Nearest: {path.with_name(near[0])}." if near else ""
        raise BadInput(f"There is no file {path}. {wanted}{nearest}")
    try:
        found = [text.strip() for text in path.read_text(encoding="utf-8-sig").split("\n")]
    except UnicodeDecodeError:
        raise BadInput(f"{path} holds no text in UTF-8. {wanted}") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}. {wanted}") from None
    if not any(found):
        raise BadInput(f"{path} holds no {what}s. {wanted}")
    return [text for text in found if text]


class Counted:
    """Tells how far a count has come: a bar on a terminal, else a line now and then."""

    def __init__(self, total: int, bar: Any) -> None:
        self.total, self.bar = total, bar
        self.start: tuple[float, int] | None = None  # a time, and how many were done then
        self.due = 0.0

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=done)
        elif now >= self.due or done == self.total:
            text = f"{done}/{self.total} objects"
            if self.start is not None and done > self.start[1]:
                left = round((now - self.start[0]) / (done - self.start[1]) * (self.total - done))
                text += f"  {left // 60}:{left % 60:02d} left"
            print(text, file=sys.stderr, flush=True)
            self.due = now + SECONDS
        self.start = self.start or (now, done)


@contextmanager
def progress(total: int) -> Generator[Counted]:
    """A bar with the time left, on stderr."""
    if not sys.stderr.isatty():
        yield Counted(total, None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    columns = (TextColumn("objects"), BarColumn(), MofNCompleteColumn(), Left())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        bar.add_task("", total=total)
        yield Counted(total, bar)
