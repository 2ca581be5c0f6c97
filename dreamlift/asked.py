"""What comes with a recipe: files of the user's, and sentences that its prior must be able to read.

A run that begins with a picture keeps what it looks at, the object cut out, in its own folder, and
in config.json what that shows. The user's file is not needed again.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

from dreamlift import split
from dreamlift.embed import own_of, sentences_of
from dreamlift.errors import BadInput
from dreamlift.io.cutout import digest, read_cutout, save_cutout
from dreamlift.offers import Recipe
from dreamlift.priors.source import Source
from dreamlift.recipes.dreamgaussian import DreamGaussian
from dreamlift.recipes.gaussiandreamer import GaussianDreamer
from dreamlift.recipes.latent_nerf import LatentNeRF
from dreamlift.recipes.luciddreamer import LucidDreamer
from dreamlift.recipes.mvdream import AROUND, MVDream
from dreamlift.recipes.zero123 import Zero123
from dreamlift.run import Run

PICTURE = "picture.png"
"""In the folder of a run that begins with a picture."""


def check_files(recipe: object) -> None:
    """Raise BadInput for a file that is not there, or says nothing."""
    if isinstance(recipe, LatentNeRF):
        recipe.guide()
    if isinstance(recipe, Zero123):
        recipe.view()


def check_told(recipe: object, source: Source) -> None:
    """Raise BadInput for a prior that cannot be told what the recipe says."""
    pictured, together = isinstance(recipe, Zero123), isinstance(recipe, MVDream)
    source.check(vars(recipe)["prompt"], pictured=pictured, together=together)
    for name in ("negative", "bad"):
        if (said := vars(recipe).get(name, "")).strip():
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
    """Keep the picture in the run's folder."""
    if isinstance(recipe, Zero123) and not (run.path / PICTURE).exists():
        save_cutout(run.path / PICTURE, read_cutout(Path(recipe.picture)))


def refuse_changed(recipe: object, run: Run) -> None:
    """Raise BadInput where the picture in the run's folder is gone, or is another one."""
    if not isinstance(recipe, Zero123):
        return
    if digest(read_cutout(Path(recipe.picture))) != run.settings["picture"]:
        raise BadInput(
            f"{recipe.picture} is not the picture that the run was started with. Give the command "
            "that started it again, with another --out."
        )
