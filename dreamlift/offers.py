"""The recipes by their names: which there are, their presets, and what each one does, in words."""

import ast
import difflib
import inspect
import sys
from dataclasses import asdict
from typing import TypeAlias, cast, get_args

from dreamlift.errors import BadInput
from dreamlift.recipes import Name, Preset
from dreamlift.recipes.clip_mesh import CLIPMesh
from dreamlift.recipes.csd import CSD
from dreamlift.recipes.dreamfields import DreamFields
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.recipes.dreamgaussian import DreamGaussian
from dreamlift.recipes.dreamtime import DreamTime
from dreamlift.recipes.fantasia3d import Fantasia3D
from dreamlift.recipes.gaussiandreamer import GaussianDreamer
from dreamlift.recipes.hifa import HiFA
from dreamlift.recipes.latent_nerf import LatentNeRF
from dreamlift.recipes.luciddreamer import LucidDreamer
from dreamlift.recipes.magic3d import Magic3D
from dreamlift.recipes.mvdream import MVDream
from dreamlift.recipes.nfsd import NFSD
from dreamlift.recipes.perpneg import PerpNeg
from dreamlift.recipes.prolificdreamer import ProlificDreamer
from dreamlift.recipes.sdi import SDI
from dreamlift.recipes.sjc import SJC
from dreamlift.recipes.textmesh import TextMesh
from dreamlift.recipes.zero123 import Zero123

Recipe: TypeAlias = (
    DreamFusion
    | SJC
    | CSD
    | NFSD
    | SDI
    | HiFA
    | DreamTime
    | PerpNeg
    | LatentNeRF
    | Magic3D
    | Fantasia3D
    | ProlificDreamer
    | TextMesh
    | DreamGaussian
    | GaussianDreamer
    | LucidDreamer
    | DreamFields
    | CLIPMesh
    | MVDream
    | Zero123
)
"""Whatever `Name` offers."""
Compared: TypeAlias = DreamFields | CLIPMesh
"""What follows a CLIP (an Aligner) where the others follow a diffusion prior."""
LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 1 << 62),
    "elevation": (-90, 90),
    "azimuth": (-360, 360),
    "batch": (1, 1024),
    "copies": (1, 1024),
    "particles": (1, 64),
    **dict.fromkeys(("size", "fine_size", "texture_size", "samples"), (1, 4096)),
    **dict.fromkeys(("resolution", "fineness"), (16, 512)),
    **dict.fromkeys(("radius", "axes"), (0.2, 1)),
    **dict.fromkeys(("albedo_first", "shares", "dark", "rescale"), (0, 1)),
}
"""The least and the most of a number; angles are in degrees. For others see `check_number`."""
POSITIVE = ("lr", "t_until", "widths")
"""What cannot be 0."""
MOST = 10_000_000
"""Of counts without limits of their own, and of rates, weights and lengths."""
RECIPES = cast("tuple[type[Recipe], ...]", get_args(Recipe))


def name_of(recipe: Recipe | type[Recipe]) -> Name:
    """A recipe's name is that of its file."""
    return cast(Name, recipe.__module__.rpartition(".")[2])


def kind(name: str) -> type[Recipe]:
    """The class of a recipe. Raises ValueError for a name that none has."""
    for recipe in RECIPES:
        if name_of(recipe) == name:
            return recipe
    raise ValueError(f"there is no recipe {name!r}")


def recipe_of(name: Name, preset: Preset, prompt: str, seed: int = 0) -> Recipe:
    """The numbers of a preset. Raises BadInput for a name that there is not."""
    names = [name_of(each) for each in RECIPES]
    for what, said, known in (("recipe", name, names), ("preset", preset, get_args(Preset))):
        if said not in known:
            near = difflib.get_close_matches(str(said), known, n=1, cutoff=0.0)[0]
            raise BadInput(
                f"There is no {what} {said!r}. Did you mean {near!r}? All: {', '.join(known)}."
            )
    draft = kind(name)(prompt, seed)
    match preset:
        case "draft":
            return draft
        case "full":
            return draft.full()
        case "paper":
            return draft.paper()


def explain(recipe: Recipe) -> str:
    """The paper's algorithm, as its recipe tells it, and this run's numbers with their meanings."""
    said = inspect.getdoc(sys.modules[recipe.__module__]) or ""
    meanings = _meanings(type(recipe))
    lines = [said, "", "The numbers of this run:", ""]
    for name, value in asdict(recipe).items():
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value) or "-"
        lines.append(f"  {name:<14} {shown:<14} {meanings.get(name, '')}".rstrip())
    return "\n".join(lines) + "\n"


def _meanings(recipe: type[Recipe]) -> dict[str, str]:
    """The sentences under a dataclass's fields, and under those that it inherits."""
    found: dict[str, str] = {}
    for numbers in reversed(recipe.__mro__):
        if "__dataclass_fields__" not in vars(numbers):
            continue
        [body] = ast.parse(inspect.getsource(numbers)).body
        assert isinstance(body, ast.ClassDef)
        for field, note in zip(body.body, body.body[1:], strict=False):
            match field, note:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                    value=ast.Constant(value=str(s))
                ):
                    found[name] = " ".join(s.split())
                case _:
                    pass
    return found


def check_numbers(recipe: Recipe) -> None:
    """Raise BadInput for a number that is out of its limits (`check_number`)."""
    for name, value in asdict(recipe).items():
        if not isinstance(value, bool | str):
            check_number(name, *(value if isinstance(value, tuple) else (value,)))


def check_number(name: str, *parts: float) -> None:
    """Raise BadInput for a number, or the parts of one, out of LIMITS.

    Without limits of their own, counts are 1 to MOST, all else 0 to MOST, t a range within 0 to 1.
    """
    least, most = LIMITS.get(name, (1 if isinstance(parts[0], int) else 0, MOST))
    said = " ".join(str(part) if isinstance(part, int) else f"{part:g}" for part in parts)
    if name.startswith("t_"):
        if not 0 <= parts[0] <= parts[-1] <= 1:
            levels = "two noise levels from 0 to 1, the lower first"
            levels = levels if len(parts) > 1 else "0 to 1"
            raise BadInput(f"The {name} must be {levels}; {said} was asked for.")
    elif not all(least <= part <= most for part in parts):
        raise BadInput(f"The {name} must be {least} to {most}; {said} was asked for.")
    if name in POSITIVE and not all(parts):
        raise BadInput(f"The {name} must be above 0; {said} was asked for.")
