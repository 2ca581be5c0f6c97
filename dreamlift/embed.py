"""Sentences read beforehand: which ones a recipe says, and the command that reads them.

A text encoder of 10 GB is needed for a dozen sentences. `dreamlift embed` asks it once, here or on
another machine, and what it said is a file of a few megabytes (priors/books.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_type_hints

import tyro

from dreamlift.errors import BadInput


def sentences_of(recipe: object) -> list[str]:
    """All that a recipe may ask its prior to read: its prompt's, and its own (NFSD's `bad`).

    A recipe is a dataclass with a `prompt`; whatever else of it is a plain str is a sentence (the
    path of a file is a `recipes.File`).
    """
    from dreamlift.guidance.prompts import every

    return list(dict.fromkeys([*every(vars(recipe)["prompt"]), *own_of(recipe)]))


def own_of(recipe: object) -> list[str]:
    """The sentences of a recipe that do not follow from its prompt, and say something."""
    hints = get_type_hints(type(recipe), include_extras=True).items()
    said = [vars(recipe)[name] for name, hint in hints if hint is str and name != "prompt"]
    return [text for text in said if text]


def embed(
    prompts: Sequence[str], prior: str | Path, out: Path | None = None, also: Sequence[str] = ()
) -> Path:
    """Have a prior's text encoder read all that recipes say of these prompts, into a file.

    `also`: further sentences, as they are. `out` None: this machine's library. Nothing but the
    text encoder is loaded, where it is known apart. Raises BadInput.
    """
    from dreamlift.guidance.prompts import every
    from dreamlift.priors.books import library, write
    from dreamlift.priors.source import device_named, source_of

    if out is not None and (out.exists() or out.suffix != ".safetensors"):
        reason = "exists" if out.exists() else "is no .safetensors file"
        raise BadInput(f"{out} {reason}. Give --out another name.")
    source = source_of(prior, device_named("auto"))
    if not source.open:
        raise BadInput(
            "The embedded prior reads its sentences as they come. Name another with --prior."
        )
    for prompt in prompts:
        source.check(prompt, pictured=True, together=True)  # words alone are read here
    texts = list(dict.fromkeys([*(text for p in prompts for text in every(p)), *also]))
    source.refuse_unread(texts, also)
    later = source.reader()
    said = later.read(texts)
    later.forget()
    if out is None or later.shelf is None:
        return library()
    write(out, later.shelf.reader, later.shelf.dtype, said)
    return out


def bring(given: Path, prior: str | Path) -> None:
    """Take a file or a folder of embeddings into this machine's library.

    Raises BadInput where it is none, or none of it was read by this prior's text encoder.
    """
    from dreamlift.priors.books import adopt, opened
    from dreamlift.priors.source import device_named, source_of

    source = source_of(prior, device_named("auto"))
    if not source.open:
        raise BadInput("The embedded prior takes no --embeddings: it reads sentences as they come.")
    reader = source.shelf().reader
    if not any(opened(book).reader.agrees(reader) for book in adopt(given)):
        raise BadInput(
            f"{given} was made with other weights, or another kind of model, than {prior}. Make "
            f"it again with `dreamlift embed PROMPT --prior {prior} --out FILE`."
        )


@dataclass(frozen=True)
class Embed:
    """Have a model's text encoder read prompts, so that `generate` needs none: all the sentences
    that recipes say of them, with every side's and the null prompt. Without --out they are kept
    for this machine alone."""

    prompts: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PROMPT...")]
    """What will be made."""
    prior: str = "embedded"
    """Whose text encoder: sd15, sd21, sdxl, if ..., or a folder of a pipeline."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A .safetensors file to take to another machine, for `generate --embeddings FILE`."""
    also: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SENTENCE...")] = ()
    """Further sentences, as they are: the negative prompts of recipes that have one (nfsd)."""

    def run(self) -> int:
        print(embed(self.prompts, self.prior, self.out, self.also))
        return 0
