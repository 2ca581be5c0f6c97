"""What the commands do, as ordinary functions: from a sentence to the files of an object.

    asset = generate("a frog on stilts")
    asset.save("frog.glb")

A run's config.json holds all that was asked for: the recipe's numbers side by side, the prior with
a hash of its weights, the device, and how finely the object is brought out. That is why a run can
be continued from its folder alone, and why other settings are told from the same ones.
"""

import dataclasses
import json
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from dreamlift import memory
from dreamlift.cameras import orbit
from dreamlift.convert import check_finish
from dreamlift.embed import own_of, sentences_of
from dreamlift.errors import BadInput
from dreamlift.export import (
    FILES,
    Asset,
    Finish,
    Format,
    Report,
    export,
    refuse_existing,
    write,
)
from dreamlift.fit import Observer
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.sampling import strip
from dreamlift.guidance.scores import cfg
from dreamlift.io.atomic import atomic
from dreamlift.io.images import save_png
from dreamlift.io.lock import alone
from dreamlift.io.settings import from_json
from dreamlift.observers import Bar, standard
from dreamlift.offers import Compared, Recipe, check_numbers, kind, name_of, recipe_of
from dreamlift.playground import Picture
from dreamlift.prior import Aligner, Prior
from dreamlift.priors.comparer import Comparer, comparer_of
from dreamlift.priors.source import Source, device_named, rehearse, source_of
from dreamlift.recipes import Name, Preset
from dreamlift.run import Run, run_folder
from dreamlift.scene import Shot
from dreamlift.strips import Strips
from dreamlift.within import loaded, plan_for

REPORT = "report.json"
"""Written last, beside the asset's files: what was made, or why nothing was."""
log = logging.getLogger("dreamlift")


@dataclass(frozen=True)
class Request:
    """All that decides what a run makes."""

    recipe: Recipe
    prior: Source | Comparer
    device: str
    finish: Finish
    memory: str = ""
    """What the prior may take of it, "8G"; empty: whatever it takes."""

    def config(self) -> dict[str, Any]:
        """What config.json says of it."""
        numbers = asdict(self.recipe)
        rest = {"prior": asdict(self.prior), "device": self.device, "finish": asdict(self.finish)}
        if self.memory:
            rest["memory"] = self.memory
        return {"recipe": name_of(self.recipe), **numbers, **rest}

    @staticmethod
    def of(run: Run) -> "Request":
        """The request that a run was started with. Raises BadInput for what cannot be read."""
        try:
            config = dict(run.settings)
            name, device = config.pop("recipe"), config.pop("device")
            prior, finish = config.pop("prior"), config.pop("finish")
            memory = str(config.pop("memory", ""))
            recipe = from_json(kind(name), config)
            followed = Comparer if isinstance(recipe, Compared) else Source
            return Request(
                recipe,
                from_json(followed, prior),
                str(device),
                from_json(Finish, finish),
                memory,
            )
        except BadInput:
            raise
        except KeyError as error:
            reason = f"it lacks {error.args[0]}"
        except ValueError as error:
            reason = str(error)
        raise BadInput(
            f"{run.path / 'config.json'} cannot be continued: {reason}. It was edited, or made by "
            "another version; start again in another folder."
        )


def request(
    recipe: Recipe,
    *,
    prior: str | Path = "embedded",
    device: str = "auto",
    finish: Finish | None = None,
    memory: str = "",
) -> Request:
    """Check all that can be checked without a network. Raises BadInput.

    `memory`: what the prior may take of it, such as "8G"; whether it can is planned here.
    """
    finish = finish or Finish()
    check_numbers(recipe)
    check_finish(finish)
    device = device_named(device)
    compared = isinstance(recipe, Compared)
    source = comparer_of(prior, device) if compared else source_of(prior, device)
    source.check(recipe.prompt)
    if isinstance(source, Source):
        source.refuse_unread(sentences_of(recipe), own_of(recipe))
    plan_for(recipe, source, memory, device)
    return Request(recipe, source, device, finish, memory)


def start(request: Request, out: str | Path | None = None) -> Run:
    """The run's folder: `out`, or one under runs/ that is named by the prompt and the settings.

    Raises BadInput where it cannot be written or holds anything but this very run.
    """
    config = request.config()
    recipe = request.recipe
    folder = Path(out or run_folder(Path("runs"), name_of(recipe), recipe.prompt, config))
    used = any(folder.glob("[!.]*"))  # then nothing is written; else two may begin at once
    with nullcontext() if used else alone(folder):
        return Run.create(folder, config)


def carry_on(run: Run, observers: Sequence[Observer] | None = None) -> Asset:
    """Do what is left of a run, which is nothing where it is finished.

    Raises BadInput before any work, as where another process is at it; KeyboardInterrupt when its
    state is safe, and DegenerateError where the field holds no object.
    """
    asset = finished(run)
    if asset is not None:
        return asset
    with alone(run.path):
        return _work(run, standard() if observers is None else observers)


def _work(run: Run, observers: Sequence[Observer]) -> Asset:
    """Optimise, bring out, report."""
    request = Request.of(run)
    _compare_versions(run)
    memory.keep()
    try:
        recipe, device = request.recipe, device_named(request.device)
        prior = loaded(recipe, request.prior, request.memory, device)
        rehearse(prior, sentences_of(recipe))
        if isinstance(recipe, Compared):
            assert isinstance(prior, Aligner)
            scene = recipe.run(run, prior, observers, device=device)
        else:
            assert isinstance(prior, Prior)
            scene = recipe.run(run, prior, observers, device=device)
        log.info("cutting the surface, baking its colours, filming it ...")
        asset = export(scene, run.path, finish=request.finish, replace=True)
    except DegenerateError as error:
        _write_report(run, {"degenerate": str(error)})
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Interrupted; nothing is lost. Continue with: dreamlift resume {run.path}"
        ) from None
    if asset.report is not None:
        log.info("%s", asset.report)
        _write_report(run, asdict(asset.report))
    return asset


def _write_report(run: Run, report: Mapping[str, Any]) -> None:
    with atomic(run.path / REPORT) as file:
        file.write_text(json.dumps(report, indent=2) + "\n")


def _report(run: Run) -> object:
    """What the run's report says; None where it has none."""
    try:
        return json.loads((run.path / REPORT).read_text())
    except (OSError, ValueError):
        return None


def finished(run: Run) -> Asset | None:
    """What a run has made, or None if it is not done."""
    if not all((run.path / name).exists() for name in FILES):
        return None
    try:
        return Asset(run.path, from_json(Report, _report(run)))
    except ValueError:
        return None


def degenerate(run: Run) -> str | None:
    """Why a run that did all of its steps made no object; None where it made one, or is not done.

    Such a run scores nothing in an evaluation; leaving it out would flatter the others.
    """
    match _report(run):
        case {"degenerate": str(why)}:
            return why
        case _:
            return None


def generate(
    prompt: str,
    *,
    recipe: Name = "dreamfusion",
    preset: Preset = "draft",
    seed: int = 0,
    steps: int | None = None,
    prior: str | Path = "embedded",
    device: str = "auto",
    out: str | Path | None = None,
    finish: Finish | None = None,
    previews: int = 0,
    observers: Sequence[Observer] | None = None,
) -> Asset:
    """A 3D object from a sentence, in a run's folder: `out`, or one under runs/.

    The same request again continues the run, or gives the finished object at once. `steps` None is
    the preset's; `previews`: every so many steps, what the guidance asks its prior (strips.py), 0:
    never; `observers` None are a progress bar, metrics and pictures. Raises BadInput.
    """
    numbers = recipe_of(recipe, preset, prompt, seed)
    if steps is not None:
        numbers = dataclasses.replace(numbers, steps=steps)
    asked = request(numbers, prior=prior, device=device, finish=finish)
    watched = watching(numbers, previews, observers)
    return carry_on(start(asked, out), watched)


def watching(
    recipe: Recipe, previews: int, observers: Sequence[Observer] | None = None
) -> Sequence[Observer]:
    """The observers, None being the usual ones, and strips every `previews` steps; 0: none.

    Raises BadInput for a recipe that asks no diffusion prior.
    """
    observers = standard() if observers is None else observers
    if previews == 0:
        return observers
    if isinstance(recipe, Compared):
        raise BadInput(
            f"{name_of(recipe)} follows CLIP and asks no diffusion prior, so there is nothing to "
            "preview of its guidance. Leave --previews out, or choose another recipe."
        )
    return [*observers, Strips(previews)]


def make(
    recipe: Recipe,
    *,
    prior: str | Path = "embedded",
    device: str = "auto",
    out: str | Path | None = None,
    finish: Finish | None = None,
    observers: Sequence[Observer] | None = None,
) -> Asset:
    """`generate` by numbers: `make(DreamFusion("a cone", steps=900, scale=20.0))`."""
    asked = request(recipe, prior=prior, device=device, finish=finish)
    return carry_on(start(asked, out), observers)


def resume(folder: str | Path, *, observers: Sequence[Observer] | None = None) -> Asset:
    """Continue a run that was interrupted or killed; it ends as if it never had been."""
    return carry_on(Run.open(Path(folder)), observers)


def export_again(
    folder: str | Path, out: Path, finish: Finish, format: Format | None = None
) -> Path:
    """A finished run's object once more, as one file, brought out as `finish` says.

    `format` None: by the suffix, as `Asset.save`.
    """
    run = Run.open(Path(folder))
    request = Request.of(run)
    check_finish(finish)
    refuse_existing([out], replace=False)
    asset = finished(run)
    if asset is not None and finish == request.finish:
        return asset.save(out, format=format)
    return write(request.recipe.made(run), out, format=format, finish=finish)


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
    loaded, device = _looked_at(prompt, out, steps, scale, prior, device)
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
    if picture.count < 1:
        raise BadInput(f"At least 1 picture is made; {picture.count} were asked for.")
    steps, scale = picture.steps, picture.scale
    loaded, device = _looked_at(picture.prompt, out, steps, scale, prior, device)
    with TemporaryDirectory() as folder:
        save_png(out, picture.run(Run(Path(folder)), loaded, [Bar(), *strips], device=device))
    return out


def _looked_at(
    prompt: str, out: Path, steps: int, scale: float, prior: str | Path, device: str
) -> tuple[Prior, str]:
    """The prior that a picture is asked of, and its device. Raises BadInput before it is loaded."""
    refuse_existing([out], replace=False)
    if out.suffix.lower() != ".png":
        raise BadInput(f"{out.name}: pictures are written as .png.")
    if not 1 <= steps <= 1000:
        raise BadInput(f"The steps must be 1 to 1000; {steps} were asked for.")
    if not 0 <= scale < math.inf:
        raise BadInput(f"The scale must be at least 0; {scale} was asked for.")
    device = device_named(device)
    source = source_of(prior, device)
    source.check(prompt)
    source.refuse_unread([prompt, ""])
    return source.load(device), device


def _compare_versions(run: Run) -> None:
    """Say that the bits of a run may change if it is continued by another torch."""
    before = run.config.get("versions", {}).get("torch")
    now = metadata.version("torch")
    if run.checkpoint.exists() and before != now:
        log.warning(
            "The run was started with torch %s, this is %s: it may end with other bits than "
            "if it had never been stopped.",
            before,
            now,
        )
