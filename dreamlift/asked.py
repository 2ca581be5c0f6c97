"""What comes with a recipe: files of the user's, and sentences that its prior must be able to read.

A run that begins with a picture keeps what it looks at, the object cut out, in its own folder, and
in config.json what that shows; of a sketch it keeps which places are inside. The user's file is not
needed again.
"""

import json
import math
import shutil
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dreamlift import split
from dreamlift.embed import own_of, sentences_of
from dreamlift.errors import BadInput
from dreamlift.geometry.placement import fitted
from dreamlift.guidance.sketch import Sketch
from dreamlift.io.atomic import atomic
from dreamlift.io.cutout import digest, read_cutout, save_cutout
from dreamlift.io.meshes import read_mesh
from dreamlift.io.settings import from_json
from dreamlift.offers import Recipe, name_of
from dreamlift.priors.source import Source
from dreamlift.recipes.dreamgaussian import DreamGaussian
from dreamlift.recipes.gaussiandreamer import GaussianDreamer
from dreamlift.recipes.latent_nerf import SKETCH, LatentNeRF
from dreamlift.recipes.luciddreamer import LucidDreamer
from dreamlift.recipes.mvdream import AROUND, MVDream
from dreamlift.recipes.zero123 import Zero123
from dreamlift.run import Run

PICTURE = "picture.png"
"""In the folder of a run that begins with a picture."""
RADIUS = 0.9
"""World units: sketches are made to fit into this ball."""


def refuse_mistyped(recipe: Recipe, pilot: int, parts: int) -> None:
    """BadInput for numbers that are none, or the wrong kind of them; `check_numbers` knows more."""
    found = {
        name: 0.0 if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(recipe).items()
    }
    try:
        from_json(type(recipe), json.loads(json.dumps(found)))
        for name, count in (("pilot", pilot), ("parts", parts)):
            if type(count) is not int:
                raise ValueError(f"its {name} is {count!r}, not int")
    except (ValueError, TypeError) as error:
        raise BadInput(f"{name_of(recipe)} cannot be made: {error}.") from error


def refuse_kinds(**given: tuple[object, type]) -> None:
    """BadInput for a keyword whose value is not of its type."""
    for name, (value, kind) in given.items():
        if type(value) is not kind:
            raise BadInput(f"`{name}` is of type {kind.__name__}; {value!r} was given.")


def check_files(recipe: object) -> None:
    """Raise BadInput for a file that is not there, or says nothing."""
    if isinstance(recipe, LatentNeRF) and recipe.sketch:
        sketch_of(Path(recipe.sketch))
    if isinstance(recipe, Zero123):
        recipe.view()


def sketch_of(path: Path, *, proximal: float = 0.3) -> Sketch:
    """Of any mesh file, moved and scaled into the ball of radius .9; glTF and OBJ stand +y up and
    face +z, all others +z up; `proximal` as `Sketch.of` takes it.

    Raises BadInput where it cannot be read or has no inside.
    """
    up = "y" if path.suffix.lower() in (".glb", ".gltf", ".obj") else "z"
    parts = read_mesh(path, up=up)
    if not all(bool(part.vertices.isfinite().all()) for part in parts):
        raise BadInput(f"{path} has corners that are NaN or infinite. Export it again.")
    try:
        sketch = Sketch.of(fitted(parts, radius=RADIUS), proximal=proximal)
    except ValueError as error:
        raise BadInput(f"{path} cannot be a sketch. {error}") from error
    if not bool(sketch.inside.any()):
        raise BadInput(
            f"{path} encloses nothing, so that it says of no place whether it is inside. Give a "
            "closed mesh."
        )
    return sketch


def check_told(recipe: object, source: Source) -> None:
    """Raise BadInput for a prior that cannot be told what the recipe says."""
    pictured, together = isinstance(recipe, Zero123), isinstance(recipe, MVDream)
    source.check(vars(recipe)["prompt"], pictured=pictured, together=together)
    for name in ("negative", "bad"):
        if (said := vars(recipe).get(name, "")).strip():
            if pictured and source.turns:
                raise BadInput(
                    f"The prior {source.name} turns a picture and reads no words: leave --{name} "
                    "out, or follow a text-to-image prior."
                )
            try:
                source.check(said, together=together)
            except BadInput as error:
                raise BadInput(f"What --{name} says cannot be told. {error}") from error
    source.refuse_unread(sentences_of(recipe), own_of(recipe))


def check_parts(recipe: object, parts: int, pilot: int) -> None:
    """Raise BadInput for a run whose steps cannot be done in so many parts (split.py)."""
    if parts == 1:
        return
    growing = isinstance(recipe, DreamGaussian | GaussianDreamer | LucidDreamer)
    if growing or vars(recipe).get("particles", 1) > 1:
        raise BadInput(
            "What this recipe makes grows by what each view shows, or is drawn from particles, "
            "and its steps cannot be done in parts. Leave --split and torchrun out."
        )
    if pilot > 1:
        raise BadInput("--pilot and --split do not go together. Leave one of them out.")
    together = AROUND if isinstance(recipe, MVDream) else 1
    split.check(parts, int(vars(recipe)["batch"]), together)


def title(recipe: object) -> str:
    """What a run is called after: its prompt, or else its picture's name."""
    prompt: str = vars(recipe)["prompt"]
    return prompt if prompt.strip() else Path(str(vars(recipe).get("picture", ""))).stem


def settings(recipe: object, numbers: dict[str, Any]) -> dict[str, Any]:
    """A recipe's numbers as config.json has them: of a picture what it shows, wherever it lies."""
    if isinstance(recipe, Zero123):
        numbers["picture"] = digest(read_cutout(Path(recipe.picture)))
    if numbers.get("negative") == "":
        del numbers["negative"]
    return numbers


def kept(run: Run, numbers: dict[str, Any], known: type[Recipe]) -> dict[str, Any]:
    """The reverse: the picture is the one in the run's folder."""
    if known is Zero123:
        numbers["picture"] = str(run.path / PICTURE)
    if "negative" in {field.name for field in fields(known)}:
        numbers.setdefault("negative", "")
    return numbers


def keep(recipe: object, run: Run) -> None:
    """Keep the picture, or what is made of the sketch, in the run's folder.

    Raises BadInput where the sketch is there, and no longer what the run keeps of it.
    """
    if isinstance(recipe, LatentNeRF) and recipe.sketch:
        _keep_sketch(recipe, run.path / SKETCH)
    if isinstance(recipe, Zero123) and not (run.path / PICTURE).exists():
        save_cutout(run.path / PICTURE, read_cutout(Path(recipe.picture)))


def _keep_sketch(recipe: LatentNeRF, place: Path) -> None:
    drawn = Path(recipe.sketch)
    if not place.exists():
        with atomic(place) as file:
            sketch_of(drawn, proximal=recipe.proximal).keep(file)
    elif drawn.exists():
        if not sketch_of(drawn, proximal=recipe.proximal).like(Sketch.kept(place)):
            raise BadInput(
                f"{drawn} is not the sketch that the run was started with: it has changed since. "
                "Give the command again with another --out, or move the file away to go on with "
                "what the run keeps of it."
            )


def hand_on(run: Run, pilot: Run) -> None:
    """What a run keeps of a sketch, to a pilot of it: the user's file may be gone."""
    if (run.path / SKETCH).exists():
        with atomic(pilot.path / SKETCH) as file:
            shutil.copy(run.path / SKETCH, file)


def refuse_changed(recipe: object, run: Run) -> None:
    """Raise BadInput where the picture in the run's folder is gone, or is another one."""
    if not isinstance(recipe, Zero123):
        return
    if digest(read_cutout(Path(recipe.picture))) != run.settings["picture"]:
        raise BadInput(
            f"{recipe.picture} is not the picture that the run was started with. Give the command "
            "that started it again, with another --out."
        )
