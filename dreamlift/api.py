"""What the commands do, as ordinary functions: from a sentence to the files of an object.

    asset = generate("a frog on stilts")
    asset.save("frog.glb")

A run's config.json holds all that was asked for: the recipe's numbers side by side, the prior with
a hash of its weights, the device, and how finely the object is brought out. That is why a run can
be continued from its folder alone, and why other settings are told from the same ones.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from dreamlift import asked, memory, pilots, split
from dreamlift.convert.finish import Finish, check_finish
from dreamlift.detectors import examiner
from dreamlift.embed import sentences_of
from dreamlift.errors import BadInput
from dreamlift.export import FILES, Asset, Format, Report, export, read_again, write
from dreamlift.fit import Observer
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.io.atomic import atomic
from dreamlift.io.lock import alone
from dreamlift.io.settings import from_json
from dreamlift.learn.reader import embedded_reader
from dreamlift.observers import standard
from dreamlift.offers import Compared, Recipe, check_numbers, name_of, recipe_of
from dreamlift.priors.source import device_named, rehearse
from dreamlift.recipes import Name, Preset
from dreamlift.remedies import Remedies, told
from dreamlift.request import Request, request
from dreamlift.run import Run, run_folder
from dreamlift.strips import Strips
from dreamlift.within import loaded

REPORT = "report.json"
"""Written last, beside the asset's files: what was made, or why nothing was."""
log = logging.getLogger("dreamlift")


def start(request: Request, out: str | Path | None = None) -> Run:
    """The run's folder: `out`, or one under runs/ that is named by the prompt and the settings.

    Raises BadInput where it cannot be written or holds anything but this very run.
    """
    config = request.config()
    recipe = request.recipe
    title = asked.title(recipe)
    folder = Path(out or run_folder(Path("runs"), name_of(recipe), title, config))
    if not split.leads():
        split.meet()
        return Run.open(folder)
    used = any(folder.glob("[!.]*"))  # then nothing is written; else two may begin at once
    with nullcontext() if used else alone(folder):
        run = Run.create(folder, config)
    asked.keep(recipe, run)
    split.meet()
    return run


def carry_on(run: Run, observers: Sequence[Observer] | None = None) -> Asset:
    """Do what is left of a run, which is nothing where it is finished.

    Raises BadInput before any work, as where another process is at it; KeyboardInterrupt when its
    state is safe, and DegenerateError where the field holds no object.
    """
    asset = finished(run)
    if asset is not None:
        return asset
    split.join(str(run.settings.get("device")))
    if not split.leads():
        return _work(run, ())
    with alone(run.path):
        return _work(run, standard() if observers is None else observers)


def _work(run: Run, observers: Sequence[Observer]) -> Asset:
    """Optimise, bring out, report."""
    request = Request.of(run)
    check_numbers(request.recipe)
    check_finish(request.finish)
    asked.refuse_changed(request.recipe, run)
    _compare_versions(run)
    memory.keep()
    try:
        device = device_named(request.device)
        model: Any = loaded(request.recipe, request.prior, request.memory, device)
        world = not request.prior.open
        rehearse(model, sentences_of(request.recipe))

        def begin(run: Run, recipe: Recipe, more: Sequence[Observer] = ()) -> Any:
            examine = examiner(recipe.prompt, world=world, numbers=vars(recipe))
            watch = [*observers, Remedies(examine, act=request.remedies), *more]
            if request.parts > 1:  # what one process looks at and changes, the others would not
                watch = [*observers]
            with split.into(request.parts):
                return recipe.run(run, model, watch, device=device)

        scene = begin(run, _piloted(run, request, begin))
        if not split.leads():
            return Asset(run.path)
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
    remedied, found = told(run.path)
    for sentence in [*(f"Remedied at {each}" for each in remedied), *found]:
        log.warning("%s", sentence)
    return asset


def _piloted(run: Run, request: Request, begin: Callable[..., Any]) -> Recipe:
    """The recipe, with the seed of its best pilot, which is found first where it is not known."""
    recipe = request.recipe
    if request.pilot == 1:
        return recipe
    seed = pilots.chosen(run)
    if seed is None:

        def seeded(seed: int) -> Request:
            return replace(request, recipe=replace(recipe, seed=seed), pilot=1)

        def create(seed: int) -> Run:
            pilot = Run.create(run.path / pilots.FOLDER / str(seed), seeded(seed).config())
            asked.hand_on(run, pilot)
            return pilot

        seeds = range(recipe.seed, recipe.seed + request.pilot)
        seed = pilots.choose(
            run,
            seeds,
            recipe.prompt,
            embedded_reader().likelihood,
            create,
            lambda pilot, seed, more: begin(pilot, seeded(seed).recipe, more),
        )
    return replace(recipe, seed=seed)


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
    remedies: bool = True,
    pilot: int = 1,
    observers: Sequence[Observer] | None = None,
) -> Asset:
    """A 3D object from a sentence, in a run's folder: `out`, or one under runs/.

    The same request again continues the run, or gives the finished object at once. `steps` None is
    the preset's; `previews`: every so many steps, what the guidance asks its prior (strips.py), 0:
    never; `remedies`: whether empty scenes and second faces are remedied on the way (remedies.py);
    `pilot`: how many seeds begin, the best of which goes on (pilots.py); `observers` None are a
    progress bar, metrics and pictures. Raises BadInput.
    """
    numbers = recipe_of(recipe, preset, prompt, seed)
    if steps is not None:
        numbers = replace(numbers, steps=steps)
    wanted = request(
        numbers, prior=prior, device=device, finish=finish, remedies=remedies, pilot=pilot
    )
    watched = watching(numbers, previews, observers)
    return carry_on(start(wanted, out), watched)


def watching(
    recipe: Recipe, previews: int, observers: Sequence[Observer] | None = None
) -> Sequence[Observer]:
    """The observers, None being the usual ones, and strips every `previews` steps; 0: none.

    Raises BadInput for a recipe that asks no diffusion prior.
    """
    asked.refuse_kinds(previews=(previews, int))
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
    previews: int = 0,
    remedies: bool = True,
    pilot: int = 1,
    observers: Sequence[Observer] | None = None,
) -> Asset:
    """`generate` by numbers: `make(DreamFusion("a cone", steps=900, scale=20.0))`.

    The numbers are those of a recipe in dreamlift.recipes; all else is as `generate` takes it.
    """
    wanted = request(
        recipe, prior=prior, device=device, finish=finish, remedies=remedies, pilot=pilot
    )
    return carry_on(start(wanted, out), watching(recipe, previews, observers))


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
    asset = finished(run)
    if asset is not None and finish == request.finish:
        return asset.save(out, format=format)
    with read_again(run.path, finished=asset is not None):
        scene = request.recipe.made(run)
    return write(scene, out, format=format, finish=finish)


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
