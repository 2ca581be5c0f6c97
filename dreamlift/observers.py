"""What watches a fit: a line of metrics a step, previews to look at, a bar with the time left."""

import sys
import time

import torch
import torch.nn.functional as F
from jaxtyping import Float
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from dreamlift.cameras import Cameras, turntable
from dreamlift.fit import Moment, Observer
from dreamlift.io.atomic import atomic
from dreamlift.io.images import png_bytes
from dreamlift.scene import Shot


def standard(views: int = 4) -> tuple[Observer, ...]:
    """Metrics, previews from `views` sides (0: the step's own pictures) and a bar on stderr."""
    return log, Previews(views), Bar()


def log(moment: Moment) -> None:
    """Append the step's terms, and their sum as "loss", to metrics.jsonl."""
    moment.run.log(moment.step.index, {**moment.terms, "loss": sum(moment.terms.values())})


class Previews:
    """previews/latest.png for whoever watches, and a numbered picture every tenth of the stage.

    Pictures are of `views` sides of the scene, without light, or with 0 of what the step saw;
    latest.png is at least `seconds` old when it is replaced.
    """

    def __init__(self, views: int = 4, *, seconds: float = 3.0) -> None:
        self.views = views
        self.seconds = seconds
        self._due = 0.0  # on time.monotonic's clock

    def __call__(self, moment: Moment) -> None:
        done, total = moment.step.index + 1, moment.step.total
        numbered = done % max(total // 10, 1) == 0 or done == total
        if not numbered and time.monotonic() < self._due:
            return
        strip = _strip(self._pictures(moment))
        folder, stage = moment.run.path / "previews", moment.run.stage
        names = ["latest.png"]
        if numbered:
            names.append(f"{stage}-{done:06d}.png" if stage else f"{done:06d}.png")
        content = png_bytes(strip)
        for name in names:
            with atomic(folder / name) as file:
                file.write_bytes(content)
        self._due = time.monotonic() + self.seconds

    @torch.no_grad()
    def _pictures(self, moment: Moment) -> Float[Tensor, "b h w 3"]:
        view = moment.view
        if self.views > 0:
            around = turntable(self.views, offset=30.0, size=view.color.shape[1])
            at = view.color.device
            cameras = Cameras(
                around.world_to_camera.to(at), around.K.to(at), around.height, around.width
            )
            view = moment.stage.scene.render(Shot(cameras))
        return moment.stage.preview(view)


def _strip(pictures: Float[Tensor, "b h w 3"], *, height: int = 192) -> Float[Tensor, "y x 3"]:
    """Pictures side by side, enlarged to at least `height` pixels."""
    row = torch.cat(list(pictures), dim=1).clamp(0, 1)
    scale = max(1, -(-height // row.shape[0]))
    large = F.interpolate(row.permute(2, 0, 1)[None], scale_factor=scale, mode="bicubic")
    return large[0].permute(1, 2, 0)


class Bar:
    """A progress bar with the time left; where stderr is no terminal, a line now and then."""

    def __init__(self, *, seconds: float = 10.0) -> None:
        self.seconds = seconds  # between two lines, where there is no terminal
        self._bar: Progress | None = None
        self._start: tuple[float, int] | None = None  # a time, and the steps that were done then
        self._due = 0.0

    def __enter__(self) -> "Bar":
        self._start = None
        return self

    def __exit__(self, *reason: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, moment: Moment) -> None:
        now = time.monotonic()
        done, total = moment.step.index + 1, moment.step.total
        first = self._start is None
        if first:
            self._start = (now, done)
            self._due = now + self.seconds
        if sys.stderr.isatty():
            self._draw(moment, first=first)
        elif now >= self._due or done == total:
            self._due = now + self.seconds
            print(self._line(moment, now), file=sys.stderr, flush=True)

    def _draw(self, moment: Moment, *, first: bool) -> None:
        if first:
            self._bar = Progress(
                TextColumn(moment.run.stage or "fit"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[terms]}"),
                console=Console(stderr=True),
            )
            self._bar.add_task("", total=moment.step.total, completed=moment.step.index, terms="")
            self._bar.start()
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=moment.step.index + 1, terms=_terms(moment))

    def _line(self, moment: Moment, now: float) -> str:
        done, total = moment.step.index + 1, moment.step.total
        since, before = self._start or (now, done)
        text = f"{moment.run.stage or 'fit'} {done}/{total}"
        if done > before:
            rate = (done - before) / max(now - since, 1e-9)
            left = round((total - done) / rate)
            text += f"  {rate:.1f} steps/s  {left // 60}:{left % 60:02d} left"
        return f"{text}  {_terms(moment)}"


def _terms(moment: Moment) -> str:
    return "  ".join(f"{name} {value:.3g}" for name, value in moment.terms.items())
