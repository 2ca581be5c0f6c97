"""Which prior a run follows: a name and a hash of its weights, checked before anything is loaded.

A prior is "embedded", a short name or id of other people's models (homes.py), or the path of a
folder: one like the embedded prior's (unet/, scheduler/, tower/ and vocabulary.json), or a pipeline
in the diffusers layout (model_index.json), which reads any words. "+FILE.safetensors" after one of
the latter changes it by a LoRA, or gives it other weights; "+PICTURE.png" is what a prior is told
that wants a picture beside the words, "+FOLDER" a ControlNet.
"""

import hashlib
import logging
import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError

from dreamlift.errors import BadInput
from dreamlift.grammar import parse
from dreamlift.prior import Prior
from dreamlift.priors import opening, pipelines
from dreamlift.priors.books import Reader, Shelf
from dreamlift.priors.embedded import WEIGHTS, embedded
from dreamlift.priors.encoders import Later, unread
from dreamlift.priors.homes import INSIDE, KNOWN, WHOLE, borrowed, located
from dreamlift.priors.latent import Latent
from dreamlift.priors.pixel import Pixel, best_dtype
from dreamlift.priors.seen import plainly, seen
from dreamlift.priors.told import Sentences
from dreamlift.untextured import untextured
from dreamlift.words import CONTEXT, split

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
NEEDED = (
    "unet/config.json",
    "scheduler/scheduler_config.json",
    "tower/config.json",
    "tower/model.safetensors",
    "vocabulary.json",
)
WEIGHT_FILES = ("unet/*", "scheduler/*", "tower/*", "vocabulary.json")
PIPELINE_FILES = ("model_index.json", "*/*.json", "*/*.txt", "*/*.model", "*/*.safetensors")
READERS = ("tokenizer*/*", "text_encoder*/*.json", "text_encoder*/*.safetensors")
DENOISERS = ("model_index.json", "unet/*", "transformer/*")
LARGE = 2**28
"""Bytes above which a file is not read whole for its hash."""


log = logging.getLogger("dreamlift")


@dataclass(frozen=True)
class Source:
    """A prior that is to be loaded."""

    name: str  # "embedded", a short name or id, or the path of a folder
    sha256: str  # of its files, the first 16 digits
    dtype: Literal["float32", "bfloat16"]

    @property
    def folder(self) -> Path:
        """Where it lies. Raises BadInput where it is not on this machine."""
        return WEIGHTS if self.name == "embedded" else located(borrowed(self.name)[0])

    @property
    def files(self) -> tuple[Path, ...]:
        """What changes it, or is told to it. Raises BadInput where one is not there."""
        return _files(self.name)

    @property
    def open(self) -> bool:
        """Whether it reads any words, not only those of the embedded world."""
        return pipelines.is_pipeline(self.folder)

    @property
    def turns(self) -> bool:
        """Whether it turns a picture and reads no words."""
        return self.open and pipelines.kind(self.folder) in pipelines.TURNING

    def check(self, prompt: str, *, pictured: bool = False, together: bool = False) -> None:
        """Raise BadInput for what this prior cannot be told, from whichever side it is seen.

        `pictured`: a picture comes with the prompt; `together`: four views of an object are drawn
        at once, a quarter turn apart.
        """
        family, turning = pipelines.kind(self.folder) if self.open else "", self.turns
        if turning and not pictured:
            raise _wordless(self.name)
        if family in pipelines.TOGETHER and not together:
            raise BadInput(
                f"The prior {self.name} denoises four views of an object at once, as `dreamlift "
                "generate --recipe mvdream` draws them. Say so, or choose another prior."
            )
        if not prompt.strip() and not turning:
            said = "The prompt is empty. Say what to make, for example 'a frog on stilts'."
            if pictured:
                said = (
                    f"The prior {self.name} follows words and does not see the picture. Say what "
                    "it shows, for example 'a red mug', or choose --prior zero123-xl."
                )
            raise BadInput(said)
        if self.open:
            try:
                pipelines.refuse_files(self.folder, self.files)
            except ValueError as error:
                raise BadInput(f"{self.name} cannot be used: {error}") from error
            return
        strange = [c for c in prompt if not c.isascii() and unicodedata.category(c)[0] in "LMNSC"]
        if strange:
            raise BadInput(
                f"The prompt holds {strange[0]!a}, which the embedded prior cannot read: it knows "
                "English words in the letters a to z."
            )
        _refuse_long(prompt)
        try:
            seen(self.folder).refuse(prompt)
            read = [plainly(prompt), plainly(untextured(prompt))]
        except ValueError as error:
            raise BadInput(str(error)) from error
        for text in read:
            _refuse_long(text)

    def shelf(self) -> Shelf:
        """The embeddings that are here of what this prior's text encoder would say."""
        folder = self.folder
        files = [file for file in self.files if file.suffix == ".safetensors"]
        whole = pipelines.speechless(folder) is None
        reader = Reader(
            pipelines.kind(folder),
            hashed(folder, READERS, files) if whole else "",
            hashed(folder, DENOISERS, files),
        )
        return Shelf(reader, DTYPES[self.dtype])

    def reader(self) -> Later:
        """Its text encoder without the rest, where that is known apart. Raises BadInput."""
        folder, dtype = self.folder, DTYPES[self.dtype]
        alone = None if self.files else opening.words(folder, dtype)
        later = speech(self.load("cpu")) if alone is None else alone
        if not isinstance(later, Later):
            raise BadInput(f"{self.name} reads no sentences that can be kept.")
        later.shelf = self.shelf()
        return later

    def refuse_unread(self, texts: Sequence[str], also: Sequence[str] = ()) -> None:
        """Raise BadInput for sentences, the prompt first, that can be neither read nor found.

        `also`: those of them that do not follow from the prompt.
        """
        why = pipelines.speechless(self.folder) if self.open else None
        if why is None:
            return
        shelf = self.shelf()
        missing = shelf.missing(texts)
        if missing:
            words = shlex.join(["dreamlift", "embed", texts[0], "--prior", self.name,
                                *(["--also", *also] if also else [])])  # fmt: skip
            raise BadInput(
                f"{unread(missing)} {why} Looked in {shelf.folder}. Where the text encoder is, "
                f"`{words} --out words.safetensors` makes them; bring that file here and say "
                "--embeddings words.safetensors."
            )

    def load(self, device: str) -> Prior:
        """The prior itself. Raises BadInput where its files are not those of the run, or broken."""
        folder, dtype = self.folder, DTYPES[self.dtype]
        _check_layout(folder, self.name)
        files = self.files
        now = _hash(folder, files)
        if now != self.sha256:
            raise BadInput(
                f"The prior {self.name!r} has other weights than the run was started with: "
                f"{now}, not {self.sha256}. Start again in another folder."
            )
        try:
            if self.open:
                prior = opening.load(folder, device=device, dtype=dtype, files=files)
                if (later := speech(prior)) is not None:
                    later.shelf = self.shelf()
                return prior
            return embedded(device=device, dtype=dtype, folder=folder)
        except BadInput:
            raise
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise BadInput(f"The prior in {folder} cannot be loaded: {reason}") from error


def speech(prior: object) -> Later | None:
    """The text encoder of another people's model, where it is one that can be freed."""
    match prior:
        case Latent(tells=Sentences(text=Later() as later)) | Pixel(text=Later() as later):
            return later
        case _:
            return None


def rehearse(prior: object, texts: Sequence[str]) -> None:
    """Have a prior's sentences read or found, all at once, and its text encoder freed."""
    if (later := speech(prior)) is not None:
        later.read(texts)
        later.forget()


def _refuse_long(text: str) -> None:
    words = len(split(f"{text}, left side view"))
    if words > CONTEXT:
        raise BadInput(
            f"The prompt is too long: with the words for a view it has {words}, and the embedded "
            f"prior reads {CONTEXT}. Shorten it, or use a prior with an open vocabulary."
        )


def source_of(name: str | Path, device: str) -> Source:
    """The prior of a name or folder, as it is now. Raises BadInput where there is none."""
    name = str(name)
    base, files = borrowed(name)[0], _files(name)
    folder = WEIGHTS if base == "embedded" else located(base)
    _check_layout(folder, base)
    if files and not pipelines.is_pipeline(folder):
        raise BadInput(f"{base} cannot be changed by a file: only other people's models can.")
    dtype = "bfloat16" if best_dtype(device) == torch.bfloat16 else "float32"
    there, inside = Path(base).expanduser().exists(), base in ("embedded", *INSIDE)
    if there and inside:
        log.warning("The prior is the %s that ships inside; the folder is ./%s.", base, base)
    given = there and not inside
    full = "+".join([str(folder) if given else base, *map(str, files)])
    return Source(full, _hash(folder, files), dtype)


def source_for(name: str | Path, device: str, prompt: str, *, pictured: bool = False) -> Source:
    """`source_of`, where "embedded" is, of the priors that ship inside, the one of the smaller
    world that has all of the prompt: the first is the better one of what it knows.

    Raises BadInput, before it says what to download, for a prior that reads no words where no
    picture comes with the prompt.
    """
    known = KNOWN.get(borrowed(str(name))[0])
    if known and known.turns and not pictured:
        raise _wordless(str(name))
    if str(name) == "embedded" and not _has(WEIGHTS, prompt) and _has(WHOLE, prompt):
        log.info("The prior is `whole`: it has seen all of this, but draws it roughly.")
        name = "whole"
    if str(name) in ("embedded", *INSIDE) and _count(prompt) > 2:
        log.warning("The priors that ship inside were shown two things at most in one picture.")
    return source_of(name, device)


def _count(prompt: str) -> int:
    """How many things a prompt names; 0 where it cannot be read."""
    try:
        return len(parse(prompt).things)
    except ValueError:
        return 0


def _wordless(name: str) -> BadInput:
    return BadInput(
        f"The prior {name} turns a picture and reads no words. Say --recipe zero123 "
        "--picture PHOTO.png, or choose a text-to-image prior for a sentence."
    )


def _has(folder: Path, prompt: str) -> bool:
    try:
        seen(folder).refuse(prompt)
    except ValueError:
        return False
    return True


def _files(name: str) -> tuple[Path, ...]:
    """The files that change a prior. Raises BadInput where one is not there."""
    _, files = borrowed(name)
    for file in files:
        known = file.suffix.lower() in (".safetensors", *pipelines.PICTURES)
        if not (known if file.is_file() else (file / "config.json").is_file()):
            raise BadInput(
                f"{file} is no .safetensors file. After + name a LoRA, a checkpoint, the folder of "
                "a ControlNet, or a picture where the prior wants one."
            )
    return files


def _check_layout(folder: Path, name: str) -> None:
    if pipelines.is_pipeline(folder):
        try:
            pipelines.kind(folder)
        except ValueError as error:
            raise BadInput(f"{name} cannot be used: {error}") from error
        return
    missing = [file for file in NEEDED if not (folder / file).is_file()]
    if not missing:
        return
    if name == "embedded":
        raise BadInput(
            f"The embedded prior's weights are not in {folder}: {missing[0]} is missing. Install "
            "the package again, or train them with `dreamlift train text-to-image`."
        )
    raise BadInput(
        f"{name} is no prior: it has no {missing[0]}, and no {pipelines.INDEX}. Say `embedded`, or "
        "name a folder with unet/, scheduler/, tower/ and vocabulary.json, or a pipeline in the "
        "diffusers layout."
    )


def _hash(folder: Path, files: Sequence[Path] = ()) -> str:
    patterns = PIPELINE_FILES if pipelines.is_pipeline(folder) else WEIGHT_FILES
    return hashed(folder, patterns, files)


def hashed(folder: Path, patterns: Sequence[str], files: Sequence[Path] = ()) -> str:
    """The first 16 digits of the SHA-256 of all files that decide what a model says.

    Of a file above `LARGE` its size and 64 evenly spaced pieces of 64 KiB stand for the whole: the
    weights of a large model would take a minute to read.
    """
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
        for block in _pieces(path):
            digest.update(block)
    for file in files:
        for part in sorted(file.iterdir()) if file.is_dir() else [file]:
            for block in _pieces(part) if part.is_file() else ():  # a download leaves a .cache/
                digest.update(block)
    return digest.hexdigest()[:16]


def _pieces(file: Path) -> Iterator[bytes]:
    """All of a file, or 64 pieces of a large one, its first and last bytes among them."""
    size, piece = file.stat().st_size, 1 << 16
    with file.open("rb") as content:
        if size <= LARGE:
            while block := content.read(1 << 20):
                yield block
            return
        for i in range(64):
            content.seek((size - piece) * i // 63)
            yield content.read(piece)


def device_named(name: str) -> str:
    """A device as torch names it: "cpu", "mps", "cuda" or "cuda:N"; "auto" is CUDA, else the CPU.

    Raises BadInput for one that is not here.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if count else "cpu"
    kind, colon, index = name.partition(":")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise BadInput(
                "There is no device 'mps' here: torch sees no Apple GPU. Choose auto or cpu."
            )
        return name
    if name != "cpu" and (kind != "cuda" or (colon and not index.isdecimal())):
        raise BadInput(f"There is no device {name!r}. Choose auto, cpu, mps, cuda or cuda:N.")
    if kind == "cuda" and int(index or 0) >= count:
        have = f"{count} CUDA device(s), counted from 0" if count else "no CUDA device"
        raise BadInput(f"There is no device {name!r} here: torch sees {have}. Choose auto or cpu.")
    return name
