"""The command line: `dreamlift COMMAND`, made by tyro from the dataclasses below.

The exit code is 0 when it is done, 2 for bad input (one sentence on stderr, before any work), 130
when it was interrupted (with how to continue) and 1 when it failed. What a command made is the
last line on stdout; all else goes to stderr. Each command imports what it needs when it runs, so
that help and refusals come at once.
"""

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, make_dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union, get_args

import tyro

from dreamlift.batch import Batch
from dreamlift.commands import Doctor, Evaluate, Export, Folder, Image, Train
from dreamlift.data import Data
from dreamlift.embed import Embed, bring
from dreamlift.errors import BadInput
from dreamlift.flags import refuse_aliases, refuse_anothers, refuse_choices, refuse_unquoted
from dreamlift.priors.homes import Absent
from dreamlift.recipes import Name, Preset
from dreamlift.reconstruct import NAME as RECONSTRUCT
from dreamlift.reconstruct import Reconstruct

if TYPE_CHECKING:
    from dreamlift.fit import Observer

Debug: TypeAlias = Annotated[
    bool,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.arg(help="Show the traceback of a failure."),
]
ERRORS = "error.log"
CONFIG = (
    tyro.conf.PositionalRequiredArgs,
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.CascadeSubcommandArgs,
)


class Failed(Exception):
    """A run that failed; its cause says why."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"the run in {folder} failed")
        self.folder = folder


@dataclass(frozen=True)
class Choice:
    """What decides which flags `generate` has."""

    recipe: Name = "dreamfusion"
    """The paper to follow."""
    preset: Preset = "draft"
    """The numbers to start from; the flags below, shown with the preset's values, change them."""


@dataclass(frozen=True)
class Generate:  # what it runs is added by `_numbered`, with the recipe's numbers
    """Make a 3D object from a sentence.

    Leaves asset.glb, asset.obj, turntable.mp4, contact_sheet.png, config.json and metrics.jsonl in
    the run's folder and prints that folder. The same command again continues the run, or prints
    the folder at once where it is finished."""

    prompt: Annotated[str, tyro.conf.arg(metavar="PROMPT")]
    """What to make."""
    choice: Annotated[Choice, tyro.conf.arg(name="")] = Choice()
    prior: str = "embedded"
    """The diffusion model to follow: `embedded`; sd15, sd21, sdxl, if ... where downloaded
    (`dreamlift doctor --prior sd21` says more); or a folder of a pipeline."""
    device: str = "auto"
    """Where to compute: auto, cpu, mps, cuda or cuda:N."""
    out: Folder = None
    """The run's own folder; by default runs/RECIPE/PROMPT-HASH, one for each set of settings."""
    previews: Annotated[int, tyro.conf.arg(metavar="STEPS")] = 0
    """Every so many steps, leave a picture of what the guidance asks its prior: the render, the
    same with noise, what is guessed of it at once, and by a short DDIM. 0: none."""
    memory: Annotated[str, tyro.conf.arg(metavar="SIZE")] = ""
    """What the prior may take of the device's memory, such as 8G: the fastest way that fits is
    chosen (`dreamlift doctor --prior sd21 --memory 8G` shows it); by default whatever it takes."""
    embeddings: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """What `dreamlift embed --out FILE` wrote, here or on another machine, or a folder of such
    files: then the prior's text encoder is not needed."""
    split: int = 1
    """Score each step's views in so many parts, each with noise of its own: one after another, or
    under torchrun one on each process, of which there is then at least one for each."""
    pilot: int = 1
    """Begin with so many seeds, from --seed on, and go on with the one that is most like the
    prompt by the embedded CLIP after 30 % of its first stage."""
    remedies: bool = True
    """Look for an empty scene and for two faces on the way, and remedy them; what is wrong in the
    end is told either way."""
    explain: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the recipe's algorithm with this run's numbers, and make nothing; needs no prompt."""


@dataclass(frozen=True)
class Photographs(Reconstruct):
    __doc__ = Reconstruct.__doc__

    def run(self) -> int:
        return _carry_on(_told(self.start().path))


@dataclass(frozen=True)
class Resume:
    """Continue a run that was interrupted or killed: same bits as if it never had been."""

    run_folder: Annotated[Path, tyro.conf.arg(name="run", metavar="RUN")]
    """The folder that `dreamlift generate` or `dreamlift reconstruct` named."""

    def run(self) -> int:
        return _carry_on(self.run_folder)


OTHERS = (Batch, Resume, Evaluate, Data, Image, Export, Train, Embed, Doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. Raises SystemExit for help and for misspelt flags."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle threads must sleep
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is ever fetched
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in arguments
    if arguments == ["--version"]:
        print(f"dreamlift {metadata.version('dreamlift')}")
        return 0
    try:
        run = _parse(arguments)
        with _listening():
            return run()
    except BadInput as error:
        print(f"dreamlift: {error}{_continued(error, arguments)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"\ndreamlift: {str(error) or 'Interrupted.'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has stopped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"dreamlift: {_sentence(error)}", file=sys.stderr)
        return 1


def _continued(error: BadInput, arguments: Sequence[str]) -> str:
    """The command that goes on once a prior has been downloaded; nothing for other errors."""
    return f":\n\n  {error.again(arguments)}" if isinstance(error, Absent) else ""


def _parse(arguments: Sequence[str]) -> Callable[[], int]:
    """The command that the arguments ask for, to be run."""
    words = [word for word in arguments if not word.startswith("-")]
    refuse_unquoted(arguments)
    first = _numbered(arguments) if words[:1] == ["generate"] else Generate
    commands = {"generate": first, "reconstruct": Photographs}
    commands |= {each.__name__.lower(): each for each in OTHERS}
    if words and words[0] in commands:
        refuse_aliases(arguments, words[0])
        refuse_choices(arguments, commands[words[0]])
    named = [Annotated[each, tyro.conf.subcommand(name)] for name, each in commands.items()]
    command: Any = Union[*named]
    whole: Any = make_dataclass(
        "Dreamlift",
        [("command", Annotated[command, tyro.conf.arg(name="")]), ("debug", Debug, False)],
    )
    asked = tyro.cli(
        whole,
        prog="dreamlift",
        description="Text and pictures to 3D by following a diffusion prior.",
        args=_joined(arguments) if words[:1] == ["batch"] else arguments,
        config=CONFIG,
    )
    return asked.command.run


def _joined(arguments: Sequence[str]) -> list[str]:
    """`--flags "--prior sd21"` as one word: alone, a word that begins with a dash is no value."""
    words = list(arguments)
    if "--flags" in words[:-1]:
        at = words.index("--flags")
        words[at : at + 2] = [f"--flags={words[at + 1]}"]
    return words


def _numbered(arguments: Sequence[str]) -> type[Generate]:
    """`Generate` with the numbers of the recipe and preset that the arguments name."""
    from dreamlift.api import start, watching
    from dreamlift.convert.finish import Finish
    from dreamlift.offers import explain, recipe_of
    from dreamlift.request import request

    plain = [word for word in arguments if word not in ("-h", "--help")]
    refuse_choices(plain, Choice)
    asked, _ = tyro.cli(Choice, args=plain, prog="dreamlift generate", return_unknown_args=True)
    preset = recipe_of(asked.recipe, asked.preset, "")
    refuse_anothers(plain, preset)
    refuse_choices(plain, type(preset))
    # The recipe's own dataclass is the list of flags, but for the prompt, which is no flag.
    hidden = ("prompt", Annotated[str, tyro.conf.Suppress, tyro.conf.Fixed], "")
    numbers: Any = make_dataclass("Numbers", [hidden], bases=(type(preset),), frozen=True)

    def run(self: Any) -> int:
        recipe = type(preset)(**{**vars(self.numbers), "prompt": self.prompt})
        if self.explain:
            print(explain(recipe), end="")
            return 0
        if self.embeddings is not None:
            bring(self.embeddings, self.prior)
        settings = request(
            recipe,
            prior=self.prior,
            device=self.device,
            finish=self.finish,
            remedies=self.remedies,
            pilot=self.pilot,
            memory=self.memory,
            parts=self.split,
        )
        _refuse_file_name(self.out)
        observers = watching(recipe, self.previews)
        return _carry_on(_told(start(settings, self.out).path), observers)

    fields = [
        ("choice", Annotated[Choice, tyro.conf.arg(name="")], asked),
        ("numbers", Annotated[numbers, tyro.conf.arg(name="")], numbers(**vars(preset))),
        ("finish", Finish, Finish()),
    ]
    if "--explain" in arguments or "picture" in vars(preset):
        spoken = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PROMPT")]
        fields.insert(0, ("prompt", spoken, ""))
    space = {"run": run, "__doc__": Generate.__doc__}
    return make_dataclass("Numbered", fields, bases=(Generate,), namespace=space, frozen=True)


def _refuse_file_name(out: Path | None) -> None:
    """Raise BadInput for a run's folder that is named as one of the files in it would be."""
    from dreamlift.export import Format, suffix_of

    if out and not out.is_dir() and out.suffix.lower() in map(suffix_of, get_args(Format)):
        raise BadInput(
            f"--out is the run's folder, and {out} is named as a file. The mesh in it is "
            f"asset.glb; `dreamlift export RUN --out {out.name}` writes others."
        )


def _told(folder: Path) -> Path:
    """The folder of a run, named before its work begins: it can be watched, and gone on with."""
    from dreamlift.export import TURNTABLE
    from dreamlift.split import leads

    if leads() and not (folder / TURNTABLE).exists():
        print(f"The run is in {folder}", file=sys.stderr)
    return folder


def _carry_on(folder: Path, observers: "Sequence[Observer] | None" = None) -> int:
    """Do what is left of a run and print its folder; `observers` None are the usual ones."""
    from dreamlift.api import carry_on
    from dreamlift.reconstruct import work
    from dreamlift.run import Run
    from dreamlift.split import leads

    run = Run.open(folder)
    try:
        if run.settings.get("recipe") == RECONSTRUCT:
            work(run)
        else:
            carry_on(run, observers)
    except BadInput:
        raise
    except Exception as error:
        raise Failed(folder) from error
    if leads():
        with suppress(OSError):  # it is not there, or a finished run's disk is read only
            (folder / ERRORS).unlink()
        print(folder)
    return 0


@contextmanager
def _listening() -> Generator[None]:
    """What the package says while it works goes to stderr."""
    log, handler = logging.getLogger("dreamlift"), logging.StreamHandler()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _sentence(error: Exception) -> str:
    """What failed, and the file that its traceback was written to."""
    cause = error.__cause__ if isinstance(error, Failed) else error
    said = " ".join(str(cause).split())
    if type(cause).__module__ == "builtins":
        said = f"{type(cause).__name__}: {said}"
    trace = "".join(traceback.format_exception(error))
    folder = (
        error.folder if isinstance(error, Failed) else Path(tempfile.mkdtemp(prefix="dreamlift-"))
    )
    file = folder / ERRORS
    try:
        file.write_text(trace)
    except OSError as other:
        return f"Failed: {said.rstrip('.')}. No traceback was written to {file}: {other.strerror}."
    return f"Failed: {said.rstrip('.')}. The traceback is in {file}."


if __name__ == "__main__":
    sys.exit(main())
