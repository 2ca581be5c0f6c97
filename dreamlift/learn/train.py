"""`dreamlift train NAME`: the trainings of the embedded models by name."""

import difflib
import json
import math
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import torch

from dreamlift.errors import BadInput
from dreamlift.io.lock import alone
from dreamlift.io.place import refuse_unwritable
from dreamlift.learn.loop import LAST, Stop
from dreamlift.learn.together import beside

NAMES = ("tower", "text-to-image", "whole", "clip", "judge", "judge-whole")
PRIORS = NAMES[1:3]
PROCESSES = (1, 2, 4, 8, 16)
"""What a prior's batch of 32 can be shared among."""
MOST = 1 << 62
"""Of seeds."""
SHIPPED_TOWER = Path(__file__).parents[1] / "weights" / "text-to-image" / "tower"


@dataclass(frozen=True)
class Further:
    """How a prior's training differs from the recorded one."""

    begin: Path | None = None
    """A folder of trained weights to go on from, with unet/ and tower/."""
    processes: int = 1
    """How many share every step."""


RECORDED = Further()


def train(
    name: str,
    folder: Path,
    *,
    stop: Stop = LAST,
    steps: int | None = None,
    seed: int,
    further: Further = RECORDED,
) -> None:
    """Train one of NAMES in `folder`, to `steps` or where it is to stop; the same again goes on.

    Weights, ready to load, are left in a folder in it. Raises BadInput for another name, for a
    folder of another training, where the tower is missing that all but judges stand on, and for
    weights that a training cannot begin with.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.0)[0]
        raise BadInput(
            f"There is no training {name!r}. Nearest: {near}. There are: {', '.join(NAMES)}."
        )
    if steps is not None and steps < 1:
        raise BadInput(f"A training needs at least one step, not {steps}.")
    if not 0 < stop.share <= 1:
        raise BadInput(
            "A training stops after a share of its steps that is above 0 and at most 1, not "
            f"{stop.share:g}. Say --stop-after 0.02, for the first fiftieth."
        )
    if stop.minutes is not None and not 0 < stop.minutes < math.inf:
        raise BadInput(f"A training stops after minutes above 0, not {stop.minutes:g}.")
    if not 0 <= seed <= MOST:
        raise BadInput(f"The seed must be 0 to {MOST}; {seed} was asked for.")
    _refuse(name, further)
    language: Path | None = None
    settings: dict[str, str | int] = {"training": name, "seed": seed}
    if further.begin is not None:
        language = further.begin / "tower"
        settings["begin"] = sha256(_weights(further.begin).read_bytes()).hexdigest()[:12]
    if further.processes > 1:
        settings["processes"] = further.processes
    if language is None and name in ("clip", "text-to-image", "whole"):
        # `whole` goes on from a network that was told by the shipped one.
        language = tower_beside(folder, only_shipped=name == "whole")
    if language is not None:
        settings["tower"] = sha256((language / "model.safetensors").read_bytes()).hexdigest()[:12]
    _claim(folder, settings)
    with alone(folder):
        _train(name, folder, language, stop=stop, steps=steps, seed=seed, further=further)


def _train(
    name: str,
    folder: Path,
    language: Path | None,
    *,
    stop: Stop,
    steps: int | None,
    seed: int,
    further: Further,
) -> None:
    """The training itself, in a folder that is its own."""
    if name == "tower":
        from dreamlift.learn import tower

        tower.train(folder, steps=steps or 800, seed=seed, stop=stop)
    elif name in ("judge", "judge-whole"):
        from dreamlift.learn import judge

        recipe = judge.WHOLE if name == "judge-whole" else judge.Recipe()
        recipe = replace(recipe, seed=recipe.seed + seed, steps=steps or recipe.steps)
        judge.train(folder, recipe, stop=stop)
    elif name == "clip" and language is not None:
        from dreamlift.learn import clip

        recipe = clip.Recipe(seed=clip.Recipe.seed + seed)
        recipe = replace(recipe, steps=steps or recipe.steps)
        clip.train(folder, language, recipe, stop=stop)
    elif language is not None:
        from dreamlift.learn import denoiser

        recipe = denoiser.WHOLE if name == "whole" else denoiser.Recipe()
        if further.begin is not None:
            recipe = recipe.further(further.begin)
        recipe = replace(recipe, seed=seed, steps=steps or recipe.steps)
        training = partial(denoiser.train, folder, language, recipe)
        with beside(further.processes, training) as place:
            training(stop=stop, together=place)


def _refuse(name: str, further: Further) -> None:
    """Raise BadInput where this training cannot be so begun or shared."""
    if name not in PRIORS and further != RECORDED:
        raise BadInput(
            f"Only a prior's training can begin with other weights or be shared by processes, not "
            f"{name}'s. There are: {', '.join(PRIORS)}."
        )
    if further.processes not in PROCESSES:
        raise BadInput(
            f"{further.processes} processes cannot share a batch evenly. Say one of "
            f"{', '.join(map(str, PROCESSES))}; at most one for each core is of use."
        )
    if further.processes > 1 and torch.cuda.is_available():
        raise BadInput("One process keeps a GPU busy. Leave --processes away.")
    if further.begin is None:
        return
    tower = further.begin / "tower"
    for path in (_weights(further.begin), tower / "model.safetensors", tower / "config.json"):
        if not path.is_file():
            raise BadInput(
                f"{path} is not there. --begin takes a folder that a prior's training left, such "
                f"as runs/train/whole/whole, or one that ships: {SHIPPED_TOWER.parents[1]}/whole."
            )
    from dreamlift.learn.denoiser import fits

    if not fits(further.begin):
        raise BadInput(
            f"{further.begin} has another network or tower than is trained here, or a damaged one. "
            f"Begin with what a prior's training left, or with {SHIPPED_TOWER.parents[1]}/whole."
        )


def _weights(begin: Path) -> Path:
    return begin / "unet" / "diffusion_pytorch_model.safetensors"


def tower_beside(folder: Path, *, only_shipped: bool = False) -> Path:
    """The text tower trained in the folder beside, or else the shipped one."""
    for tower in (folder.parent / "tower" / "tower", SHIPPED_TOWER)[only_shipped:]:
        if (tower / "model.safetensors").is_file():
            return tower
    raise BadInput(
        f"There is no text tower in {folder.parent / 'tower'}, nor one that ships inside. Train "
        "one first: `dreamlift train tower`."
    )


def _claim(folder: Path, settings: dict[str, str | int]) -> None:
    """Say whose folder it is; refuse another's, and one that cannot be written."""
    note = folder / "training.json"
    refuse_unwritable(note)
    if not note.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput(f"{folder} holds something else. Train in a folder of its own.")
        note.write_text(json.dumps(settings) + "\n")
        return
    try:
        found = json.loads(note.read_text())
    except ValueError as error:
        raise BadInput(f"{note} is damaged ({error}). Train in another folder.") from error
    if found != settings:
        raise BadInput(
            f"{folder} holds another training, {found}, not {settings}. Train in another folder, "
            "or say what was said then."
        )
