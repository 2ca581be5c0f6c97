"""What the command line refuses before it reads the flags: a choice that none is, with the nearest
that is; and another recipe's flag, with the recipes that have it."""

import difflib
import itertools
import shlex
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from dreamlift.errors import BadInput

if TYPE_CHECKING:
    from dreamlift.offers import Recipe


def refuse_choices(words: Sequence[str], command: type) -> None:
    """Raise BadInput for a flag of `command`, a dataclass, without a choice of its own."""
    choices = {name: _choices(kind) for name, kind in get_type_hints(command).items()}
    for flag, value in _said(words):
        known = choices.get(_field(flag), ())
        if value is not None and known and value not in known:
            near = difflib.get_close_matches(value, known, n=1, cutoff=0.0)[0]
            raise BadInput(
                f"There is no {flag} {value!r}. Did you mean {near!r}? All: {', '.join(known)}."
            )


ALIASES: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(
        ("generate", "image"),
        {"--guidance": "--scale", "--cfg": "--scale", "--guidance-scale": "--scale",
         "--iterations": "--steps", "--iters": "--steps", "-o": "--out", "--output": "--out",
         "--method": "--optimise", "--optimize": "--optimise", "--model": "--prior"},
    ),
    **dict.fromkeys(("export", "embed", "train", "batch"), {"-o": "--out", "--output": "--out"}),
}  # fmt: skip
"""What flags are called elsewhere, by command."""


def refuse_aliases(words: Sequence[str], command: str) -> None:
    """Raise BadInput for a flag as others call it, naming ours."""
    ours = ALIASES.get(command, {})
    for word in words:
        flag = word.partition("=")[0]
        if flag in ours and not (command == "generate" and ours[flag] == "--optimise"):
            raise BadInput(f"There is no {flag}. Say {ours[flag]}.")


def refuse_unquoted(words: Sequence[str]) -> None:
    """Raise BadInput for a prompt of several words without quotes."""
    if words[:1] not in (["generate"], ["image"]):
        return
    prompt = list(itertools.takewhile(lambda word: not word.startswith("-"), words[1:]))
    if len(prompt) > 1 and not any(" " in word or Path(word).suffix for word in prompt):
        said = shlex.join([" ".join(prompt), *words[1 + len(prompt) :]])
        raise BadInput(f"Put the prompt in quotes: dreamlift {words[0]} {said}")


def refuse_anothers(words: Sequence[str], recipe: "Recipe") -> None:
    """Raise BadInput for a flag that `recipe` has not and another has."""
    from dreamlift.offers import RECIPES, name_of  # recipes take a second to import

    for flag, _ in _said(words):
        field = _field(flag)
        able = [name_of(each) for each in RECIPES if field in each.__dataclass_fields__]
        if able and name_of(recipe) not in able:
            raise BadInput(
                f"{name_of(recipe)} has no {flag}. Say --recipe with one that has: "
                f"{', '.join(able)}."
            )


def _said(words: Sequence[str]) -> Generator[tuple[str, str | None]]:
    """Each flag and its first value, if it has one."""
    for word, after in zip(words, [*words[1:], "--"], strict=True):
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            yield flag, value if equals else None if after.startswith("--") else after


def _field(flag: str) -> str:
    """The dataclass's name of a flag: `t_start` of --t-start, `clamp` of --no-clamp."""
    return flag.removeprefix("--").removeprefix("no-").replace("-", "_")


def _choices(kind: Any) -> tuple[str, ...]:
    """What a Literal offers, and None where it may be that; nothing of other types."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    offered = next(filter(None, map(_choices, get_args(kind))), ())
    return (*offered, "None") if offered and type(None) in get_args(kind) else offered
