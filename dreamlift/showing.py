"""What a diffusion model does, as pictures: how it gets from noise to one, and what follows it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from dreamlift.cameras import orbit
from dreamlift.errors import BadInput
from dreamlift.export import refuse_existing
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.sampling import strip
from dreamlift.guidance.scores import cfg
from dreamlift.io.images import save_png
from dreamlift.observers import Bar
from dreamlift.offers import check_number
from dreamlift.playground import Picture
from dreamlift.prior import Prior
from dreamlift.priors.source import device_named, source_for
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.strips import Strips


def image(
    prompt: str,
    out: Path,
    *,
    seed: int = 0,
    steps: int = 32,
    scale: float = 5.0,
    prior: str | Path = "embedded",
    device: str = "auto",
) -> Path:
    """How diffusion works, as a labelled strip (guidance/sampling.py), seen from the front left."""
    _check(out, seed, steps, scale)
    loaded, device = _loaded(prompt, prior, device)
    y, null = Sentence(loaded, prompt), Sentence(loaded, "")
    shot = Shot(orbit(*torch.tensor([[30.0], [20.0]], device=device)))
    save_png(out, strip(cfg(loaded, y, null, scale, clamp=1.0), shot, steps=steps, seed=seed))
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
    loaded, device = _loaded(picture.prompt, prior, device)
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


def _loaded(prompt: str, prior: str | Path, device: str) -> tuple[Prior, str]:
    """The prior that a picture is asked of, and its device. Raises BadInput before it is loaded."""
    device = device_named(device)
    source = source_for(prior, device, prompt)
    source.check(prompt)
    source.refuse_unread([prompt, ""])
    return source.load(device), device
