"""`dreamlift reconstruct`: posed photographs to a 3D scene, its scores on views not learned from,
films and the usual files.

    config.json, plan.json       what was asked, and how many steps that came to
    report.json                  PSNR and SSIM of each held-out view; where the data's world lies
    held_out.png                 each held-out photograph, what was made of it, and their difference
    flythrough.mp4, orbit.mp4    past the photographs' places, and once around
    asset.glb, ...               as `dreamlift generate` leaves them
"""

import hashlib
import json
import logging
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import tyro

from dreamlift.errors import BadInput
from dreamlift.reconstructed import REPORT, finish_of, finished

if TYPE_CHECKING:
    from dreamlift.distil.elsewhere import Elsewhere
    from dreamlift.fit import Moment
    from dreamlift.io.album import Album
    from dreamlift.posed import Posed
    from dreamlift.recipes.hashed import HashGrid
    from dreamlift.recipes.reconstruct import Reconstruct as Field
    from dreamlift.recipes.splatting import Splatting
    from dreamlift.run import Run

    Recipe: TypeAlias = Field | HashGrid | Splatting

NAME = "reconstruct"
PLAN = "plan.json"
LIMITS = {
    "downscale": (1, 64), "hold_out": (0, 1000), "minutes": (0, 10_000), "reach": (0, 1000),
    "steps": (1, 1_000_000), "resolution": (65, 513), "rays": (64, 1 << 20), "seed": (0, 1 << 62),
    "gaussians": (100, 10_000_000), "views": (3, 100_000), "clip_weight": (0, 1000),
}  # fmt: skip
"""The least and the most of what can be asked for."""
GROWTH = 1.4
"""Times as long as one of its first steps does a step of Gaussians take in the mean: they become
more, and opaque. A guess: with --minutes a run ends somewhat sooner or later."""
EVERY = 10
"""Steps from one question to a CLIP to the next (DietNeRF's)."""
PRESETS = {"draft": (129, 1500), "full": (193, 2000)}
"""Resolution and steps of a field's."""
HASHED = {"draft": (257, 1500), "full": (513, 3000)}
"""The same of one on a hash grid."""
GAUSSIANS = 20_000
"""To begin with, where no other number is asked for."""
RAYS = {"field": 8192, "hashed": 2048, "gaussians": 8192}
"""Of a step, where no other number is asked for."""
SIDES = (64, 168)
"""Of the pictures that the embedded CLIP sees, and of those that others do, in pixels (theirs:
DietNeRF's)."""
log = logging.getLogger("dreamlift")
Metavar = tyro.conf.arg


@dataclass(frozen=True)
class Reconstruct:
    """Make a 3D scene of photographs taken from known places, and say how well it shows views
    that it was not made from.

    FOLDER holds a transforms.json of instant-ngp's or nerfstudio's, NeRF's transforms_train.json
    and its like, or a COLMAP model (sparse/0) beside images/. Lenses are straightened. The same
    command again continues the run, or prints the folder at once where it is finished."""

    folder: Annotated[Path, Metavar(metavar="FOLDER")]
    """Where the photographs are."""
    scene: Literal["field", "hashed", "gaussians"] = "field"
    """What to make of them: a radiance field on a dense grid or on a hash grid (Instant-NGP), or
    Gaussians (3D Gaussian splatting)."""
    preset: Literal["draft", "full"] = "draft"
    """Of a field: a grid of 129 vertices and 1,500 steps, or of 193 and 2,000; hashed, 257 and
    1,500, or 513 and 3,000."""
    downscale: int = 1
    """Work with photographs this many times smaller."""
    hold_out: int = 8
    """Keep back every n-th photograph to be scored on (0: none), where the data have no split."""
    views: Annotated[int | None, Metavar(metavar="INT")] = None
    """Learn from so many of the others only, those that stand farthest apart; by default all."""
    clip: Annotated[str | None, Metavar(metavar="NAME")] = None
    """For few views: from elsewhere too it should look like one of them to a CLIP (DietNeRF).
    `embedded`, which knows toys only, or a folder of OpenAI's CLIP or an OpenCLIP."""
    clip_weight: Annotated[float | None, Metavar(metavar="FLOAT")] = None
    """Of that likeness, asked for at every tenth step; by default 0.1."""
    minutes: Annotated[float | None, Metavar(metavar="FLOAT")] = None
    """About how long to optimise: measured at the start and turned into steps, which are kept."""
    steps: Annotated[int | None, Metavar(metavar="INT")] = None
    """How long to optimise where no minutes are given; by default the preset's, 3,000 for
    Gaussians."""
    seed: int = 0
    """Every random draw follows from it."""
    resolution: Annotated[int | None, Metavar(metavar="INT")] = None
    """Of the field's grid, in vertices: one more than a multiple of 64; hashed, of the finest
    level, any; by default the preset's."""
    rays: Annotated[int | None, Metavar(metavar="INT")] = None
    """Of a step of a field's; by default 8,192, hashed 2,048."""
    gaussians: Annotated[int | None, Metavar(metavar="INT")] = None
    """To begin with, where not the data's points say how many; by default 20,000."""
    begin: Literal["auto", "points", "field", "random"] = "auto"
    """Where Gaussians begin: at the data's points (auto: where they are 1,000 or more), on a coarse
    field (else), or anywhere."""
    background: Literal["auto", "random", "learned", "black"] = "auto"
    """What stands behind: random colours (of cut-out photographs), learned, or black."""
    reach: Annotated[float | None, Metavar(metavar="FLOAT")] = None
    """Radius of the scene, as a share of the cameras' mean distance from what they look at; by
    default what the silhouettes of cut-out objects leave, else 1."""
    device: str = "auto"
    """Where to compute: auto, cpu, mps, cuda or cuda:N."""
    out: Annotated[Path | None, Metavar(metavar="FOLDER")] = None
    """The run's own folder; by default runs/reconstruct/FOLDER-HASH."""

    def start(self) -> "Run":
        """The run's folder, once all that can be checked is. Raises BadInput."""
        from dreamlift.io.lock import alone
        from dreamlift.photographs import read_album
        from dreamlift.priors.comparer import comparer_of
        from dreamlift.priors.source import device_named
        from dreamlift.run import Run, run_folder

        self._check()
        device = device_named(self.device)
        clip = None if self.clip is None else comparer_of(self.clip, device, flag="--clip")
        album = read_album(self.folder, hold_out=self.hold_out, views=self.views)
        if self.scene == "gaussians" and self.begin == "points" and album.points is None:
            raise BadInput(
                f"{album.source} came without points to begin at. Say --begin field, or bring "
                "COLMAP's points3D beside its images."
            )
        asked: dict[str, Any] = {
            "recipe": NAME,
            **{k: v for k, v in asdict(self).items() if k not in ("out", "folder", "device")},
            "folder": str(self.folder.resolve()),
            **self.numbers(),
            "device": device,
            "clip": None if clip is None else asdict(clip),
            "data": digest(album),
        }
        folder = self.out or run_folder(
            Path("runs"), NAME, self.folder.resolve().name or "scene", asked
        )
        used = any(folder.glob("[!.]*"))  # then nothing is written; else two may begin at once
        with nullcontext() if used else alone(folder):
            return Run.create(folder, asked)

    def numbers(self) -> dict[str, float | None]:
        """Those that have another default, where they were not asked for."""
        resolution, steps = (HASHED if self.scene == "hashed" else PRESETS)[self.preset]
        return {
            "resolution": self.resolution or resolution,
            "steps": self.steps or (None if self.scene == "gaussians" else steps),
            "rays": self.rays or RAYS[self.scene],
            "gaussians": self.gaussians or GAUSSIANS,
            "clip_weight": 0.1 if self.clip_weight is None else self.clip_weight,
        }

    def _check(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise BadInput(f"The {name} must be {least} to {most}; {value:g} was asked for.")
        dense = self.scene != "hashed"
        if dense and self.resolution is not None and self.resolution % 64 != 1:
            raise BadInput(
                "The resolution must be one more than a multiple of 64, so that the coarse grid "
                f"nests: 65, 129, 193 or 257; {self.resolution} was asked for."
            )
        if self.scene != "gaussians" and self.begin != "auto":
            raise BadInput(
                f"--begin {self.begin} is where Gaussians begin, and a grid begins as fog. Leave "
                "it out, or say --scene gaussians."
            )
        if self.scene != "gaussians" and self.gaussians is not None:
            raise BadInput("--gaussians is of Gaussians. Leave it out, or say --scene gaussians.")
        if self.scene == "gaussians" and self.rays is not None:
            raise BadInput(
                "--rays is of fields; Gaussians are learned from whole photographs. Leave it out."
            )
        if self.scene == "gaussians" and self.preset == "full":
            raise BadInput("--preset full is of fields. For Gaussians say --gaussians and --steps.")
        if self.clip is None and self.clip_weight is not None:
            raise BadInput("--clip-weight is of --clip, which is not there. Say --clip NAME too.")
        if self.minutes == 0 or self.reach == 0:
            raise BadInput("The minutes and the reach must be above 0.")


def digest(album: "Album") -> str:
    """What tells one set of photographs from another, without opening them."""
    said = [
        [p.name, p.path.stat().st_size, p.camera_to_world.tolist(), asdict(p.lens), p.held_out]
        for p in album.photos
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def work(run: "Run") -> None:
    """Do what is left of a run. Raises BadInput before any work."""
    from dreamlift.io.lock import alone

    if finished(run):
        return
    with alone(run.path):
        try:
            _work(run)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"Interrupted; nothing is lost. Continue with: dreamlift resume {run.path}"
            ) from None


def _work(run: "Run") -> None:
    from dreamlift import memory
    from dreamlift.evaluate import photos
    from dreamlift.observers import Bar
    from dreamlift.observers import log as terms
    from dreamlift.photographs import develop, read_album
    from dreamlift.recipes.reconstruct import empty

    config = run.settings
    try:
        folder, device = Path(config["folder"]), str(config["device"])
        album = read_album(folder, hold_out=config["hold_out"], views=config["views"])
        if digest(album) != config["data"]:
            raise BadInput(
                f"The photographs or cameras of {folder} are not those that {run.path} was begun "
                "with. Bring those back, or start again with another --out."
            )
        posed = develop(
            album,
            downscale=config["downscale"],
            reach=config["reach"],
            progress=_Said(len(album.photos)),
        )
        also = _likeness(config, posed, device)
        recipe = _planned(run, config, posed, device, also)
    except (KeyError, TypeError) as error:
        raise BadInput(
            f"{run.path / 'config.json'} cannot be continued ({error!r}). It was edited, or made "
            "by another version; start again in another folder."
        ) from error
    _tell(album, posed)
    memory.keep()
    watching = terms, photos.Watch(posed, empty=empty(recipe.background)), Bar()
    made = recipe.run(run, posed, watching, device=device, also=also)
    log.info("scoring, filming, cutting the surface ...")
    photos.report(
        run.path,
        posed,
        made,
        {"steps": recipe.steps, "left_out": [*album.left_out], "data": album.about},
        resolution=finish_of(run).resolution,
    )


class _Said:
    """Tells on stderr how many photographs are opened, where that takes long."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.due = time.monotonic() + 5

    def __call__(self, done: int) -> None:
        if time.monotonic() >= self.due:
            print(f"{done}/{self.total} photographs", file=sys.stderr, flush=True)
            self.due = time.monotonic() + 5


def _tell(album: "Album", posed: "Posed") -> None:
    """What is worked with, and what is not."""
    for why in album.left_out[:5]:
        log.info("left out: %s", why)
    if len(album.left_out) > 5:
        log.info("left out: %d more, listed in %s", len(album.left_out) - 5, REPORT)
    held = int(posed.held_out.sum())
    size = f"{posed.cameras.width}x{posed.cameras.height}"
    log.info("%d photographs of %s pixels, %d more held out", len(posed.names) - held, size, held)


def _likeness(config: Mapping[str, Any], posed: "Posed", device: str) -> "Elsewhere | None":
    """What a CLIP asks of views from elsewhere, where one was named."""
    if config["clip"] is None:
        return None
    from dreamlift.distil.elsewhere import Elsewhere
    from dreamlift.priors.comparer import Comparer

    clip = Comparer(**config["clip"])
    learned = posed.some(~posed.held_out).to(device)
    numbers = config["clip_weight"], EVERY, SIDES[clip.open]
    return Elsewhere(clip.load(device), learned, numbers, dark=config["background"] == "black")


def _planned(
    run: "Run",
    config: Mapping[str, Any],
    posed: "Posed",
    device: str,
    also: "Elsewhere | None",
) -> "Recipe":
    """The recipe of a run; its steps are those of its plan, or of minutes, which are measured."""
    from dreamlift.io.atomic import atomic
    from dreamlift.io.settings import from_json

    recipe = recipe_of(config)
    if config["minutes"] is None:
        return recipe
    plan = run.path / PLAN
    if plan.is_file():
        try:
            return from_json(type(recipe), json.loads(plan.read_text()))
        except ValueError as error:
            raise BadInput(
                f"{plan} is damaged ({error}). Delete it to measure the time again."
            ) from error
    steps = max(2, round(60 * config["minutes"] / _seconds(recipe, posed, device, also)))
    recipe = replace(recipe, steps=steps)
    with atomic(plan) as file:
        file.write_text(json.dumps(asdict(recipe), indent=2) + "\n")
    return recipe


def recipe_of(config: Mapping[str, Any]) -> "Recipe":
    """What a run's settings ask for. Raises KeyError or TypeError for what are none."""
    from dreamlift.recipes.hashed import HASHED, HashGrid
    from dreamlift.recipes.reconstruct import Reconstruct as Field
    from dreamlift.recipes.splatting import GAUSSIANS, Splatting

    names = ("scene", "seed", "background")
    numbers: dict[str, Any] = {name: config[name] for name in names}
    if config["steps"] is not None:
        numbers["steps"] = config["steps"]
    if config["scene"] == GAUSSIANS:
        return Splatting(**numbers, count=config["gaussians"], begin=config["begin"])
    resolution = config["resolution"]
    numbers |= {"rays": config["rays"], "resolution": resolution}
    if config["scene"] == HASHED:
        return HashGrid(**numbers, samples=3 * (resolution - 1) // 4)
    return Field(**numbers, samples=3 * (resolution - 1) // 2)


def _seconds(recipe: "Recipe", posed: "Posed", device: str, also: "Elsewhere | None") -> float:
    """How long a step takes here, in the mean of all stages: by doing some of each."""
    from dreamlift.recipes.reconstruct import Reconstruct as Field
    from dreamlift.recipes.splatting import Splatting
    from dreamlift.run import Run

    ends: dict[str, list[float]] = {}

    def note(moment: "Moment") -> None:
        ends.setdefault(moment.run.stage, []).append(time.monotonic())

    log.info("measuring how many steps that is ...")
    dense = isinstance(recipe, Field)
    # Coarse steps of a field are done until it is known what is empty.
    short = replace(recipe, steps=64, coarse=0.8) if dense else replace(recipe, steps=64)
    with TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", {})
        short.run(run, posed, (note,), device=device, also=also)
    stages = recipe.stages() if dense else ((recipe.scene, 1),)
    total = 0.0
    for name, steps in stages:
        # The first steps are slow: nothing is known to be empty. A CLIP is asked at one in ten.
        later = ends[f"{name}"][-11:]
        total += steps * (later[-1] - later[0]) / (len(later) - 1)
    return (
        total / sum(steps for _, steps in stages) * (GROWTH if isinstance(recipe, Splatting) else 1)
    )
