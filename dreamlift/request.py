"""All that decides what a run makes: checked before any work, kept in its config.json."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dreamlift import asked, pilots, split
from dreamlift.convert.finish import Finish, check_finish
from dreamlift.errors import BadInput
from dreamlift.io.settings import from_json
from dreamlift.offers import RECIPES, Compared, Recipe, check_numbers, kind, name_of
from dreamlift.priors.comparer import Comparer, comparer_of
from dreamlift.priors.source import Source, device_named, source_for
from dreamlift.recipes.zero123 import Zero123
from dreamlift.run import Run
from dreamlift.within import plan_for


@dataclass(frozen=True)
class Request:
    """All that decides what a run makes."""

    recipe: Recipe
    prior: Source | Comparer
    device: str
    finish: Finish
    remedies: bool = True
    """Whether empty scenes and second faces are looked for on the way, and remedied."""
    pilot: int = 1
    """Seeds, from the recipe's on, that begin; the best goes on (pilots.py)."""
    memory: str = ""
    """What the prior may take of it, "8G"; empty: whatever it takes."""
    parts: int = 1
    """In which a step's views are scored, one after another or one on each process (split.py)."""

    def config(self) -> dict[str, Any]:
        """What config.json says of it."""
        numbers = asked.settings(self.recipe, asdict(self.recipe))
        rest: dict[str, Any] = {
            "prior": asdict(self.prior),
            "device": self.device,
            "finish": asdict(self.finish),
        }
        if not self.remedies:
            rest["remedies"] = False
        if self.pilot > 1:
            rest["pilot"] = self.pilot
        if self.memory:
            rest["memory"] = self.memory
        if self.parts > 1:
            rest["parts"] = self.parts
        return {"recipe": name_of(self.recipe), **numbers, **rest}

    @staticmethod
    def of(run: Run) -> "Request":
        """The request that a run was started with. Raises BadInput for what cannot be read."""
        try:
            config = dict(run.settings)
            name, device = config.pop("recipe"), config.pop("device")
            prior, finish = config.pop("prior"), config.pop("finish")
            remedies, pilot = config.pop("remedies", True), config.pop("pilot", 1)
            memory, parts = str(config.pop("memory", "")), config.pop("parts", 1)
            if type(remedies) is not bool or not type(pilot) is type(parts) is int:
                said = f"its remedies are {remedies!r}, its pilots {pilot!r}, its parts {parts!r}"
                raise ValueError(said)
            recipe = from_json(kind(name), asked.kept(run, config, kind(name)))
            followed = Comparer if isinstance(recipe, Compared) else Source
            return Request(
                recipe,
                from_json(followed, prior),
                str(device),
                from_json(Finish, finish),
                remedies,
                pilot,
                memory,
                parts,
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
    remedies: bool = True,
    pilot: int = 1,
    memory: str = "",
    parts: int = 1,
) -> Request:
    """Check all that can be checked without a network. Raises BadInput.

    `memory`: what the prior may take of it, such as "8G"; whether it can is planned here. `parts`:
    in which a step's views are scored; under torchrun at least one for each process. Nothing is
    remedied in a run of several.
    """
    if type(recipe) not in RECIPES:
        raise BadInput(
            "`make` takes the numbers of a recipe, such as dreamlift.recipes.dreamfusion."
            f"DreamFusion('a cone', scale=20.0); {recipe!r} was given. `generate` takes a sentence."
        )
    finish = finish or Finish()
    asked.refuse_mistyped(recipe, pilot, parts)
    asked.refuse_kinds(finish=(finish, Finish), remedies=(remedies, bool), device=(device, str))
    check_numbers(recipe)
    asked.check_files(recipe)
    check_finish(finish)
    device = device_named(device)
    parts = max(parts, split.join(device)) if parts == 1 else parts
    asked.check_parts(recipe, parts, pilot)
    compared = isinstance(recipe, Compared)
    pictured = isinstance(recipe, Zero123)
    source: Source | Comparer
    if compared:
        source = comparer_of(prior, device)
    else:
        source = source_for(prior, device, recipe.prompt, pictured=pictured)
    if isinstance(source, Source):
        asked.check_told(recipe, source)
    else:
        source.check(recipe.prompt)
    if pilot != 1:
        pilots.check(recipe.prompt, pilot, world=not source.open)
    plan_for(recipe, source, memory, device)
    act = remedies and parts == 1
    return Request(recipe, source, device, finish, act, pilot, memory, parts)
