"""What a diffusion model does, as pictures: how it gets from noise to one, and what follows it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.errors import BadInput
from dreamlift.export import refuse_existing
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.reading import Read
from dreamlift.guidance.sampling import strip
from dreamlift.guidance.scores import Score, cfg
from dreamlift.io.images import save_png
from dreamlift.learn.reader import embedded_reader
from dreamlift.observers import Bar
from dreamlift.offers import check_number
from dreamlift.pilots import liked, readable
from dreamlift.playground import Picture
from dreamlift.priors.source import Source, device_named, source_for
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.strips import Strips

MOST_TRIES = 64
"""Of a picture."""
HEARD = (0.3, 0.97)
"""The noise levels at which what CLIP reads may lead; below them the prior alone cleans up."""
COLUMNS = (TextColumn("tries"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def image(
    prompt: str,
    out: Path,
    *,
    seed: int = 0,
    steps: int = 32,
    scale: float = 5.0,
    tries: int = 1,
    reading: float = 0.0,
    prior: str | Path = "embedded",
    device: str = "auto",
) -> Path:
    """How diffusion works, as a labelled strip (guidance/sampling.py), seen from the front left.

    Of several `tries` it shows the one that the embedded CLIP finds the likeliest to be of the
    prompt, among its neighbours (pilots.liked). `reading`: how strongly what that CLIP reads leads
    the way there (guidance/reading.py); 0: not at all.
    """
    _check(out, seed, steps, scale)
    if not 1 <= tries <= MOST_TRIES:
        raise BadInput(f"There are 1 to {MOST_TRIES} tries; {tries} were asked for.")
    check_number("reading", reading)
    source, device = _found(prompt, prior, device)
    if tries > 1:
        readable(prompt, "Tries", "--tries", world=not source.open)
    if reading:
        readable(prompt, "Readings", "--reading", world=not source.open)
    loaded = source.load(device)
    y, null = Sentence(loaded, prompt), Sentence(loaded, "")
    shot = Shot(orbit(*torch.tensor([[30.0], [20.0]], device=device)))
    score: Score = cfg(loaded, y, null, scale, clamp=1.0)
    reads = embedded_reader(device=device).likelihood if reading or tries > 1 else None
    if reads is not None and reading:
        score = Read(score, reads, prompt, reading, between=HEARD)
    if reads is None or tries == 1:
        save_png(out, strip(score, shot, steps=steps, seed=seed))
        return out
    with Progress(*COLUMNS, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("tries", total=tries)

        def weighed(x: Float[Tensor, "n h w 3"]) -> Float[Tensor, " n"]:
            bar.advance(task)
            return liked(x, prompt, reads)

        shown = strip(score, shot, steps=steps, seed=seed, tries=tries, liked=weighed)
    save_png(out, shown)
    return out


def optimise(
    picture: Picture,
    out: Path,
    *,
    prior: str | Path = "embedded",
    device: str = "auto",
    previews: int = 0,
) -> Path:
    """What a guidance does to plain pictures, as a labelled sheet (playground.py).

    `previews`: every so many steps, what it asked its prior, in a folder beside `out` that is
    named after it; 0: never.
    """
    beside = out.with_name(f"{out.stem}-previews")
    strips = [Strips(previews, beside)] if previews else []
    if strips:
        refuse_existing([beside], replace=False)
    if not 1 <= picture.count <= 100:
        raise BadInput(f"The count must be 1 to 100; {picture.count} was asked for.")
    _check(out, picture.seed, picture.steps, picture.scale)
    source, device = _found(picture.prompt, prior, device)
    loaded = source.load(device)
    with TemporaryDirectory() as folder:
        save_png(out, picture.run(Run(Path(folder)), loaded, [Bar(), *strips], device=device))
    return out


def _check(out: Path, seed: int, steps: int, scale: float) -> None:
    """Raise BadInput for what cannot be made, or could not be written."""
    refuse_existing([out], replace=False)
    if out.suffix.lower() != ".png":
        raise BadInput(f"{out.name}: pictures are written as .png.")
    if not 1 <= steps <= 1000:
        raise BadInput(f"The steps must be 1 to 1000; {steps} were asked for.")
    check_number("seed", seed)
    check_number("scale", scale)


def _found(prompt: str, prior: str | Path, device: str) -> tuple[Source, str]:
    """The prior that a picture is asked of, and its device. Raises BadInput before loading."""
    device = device_named(device)
    source = source_for(prior, device, prompt)
    source.check(prompt)
    source.refuse_unread([prompt, ""])
    return source, device
