"""Books: what text encoders said of sentences, on the disk by content, so that each is asked once.

A book is one .safetensors file: in its metadata the sentences and who read them, and the embeddings
as "0.tokens", "0.pooled", "1.tokens" ..., in the encoder's own precision. It can be made on another
machine (`dreamlift embed`), where a text encoder of 10 GB has room, and brought here.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dreamlift.errors import BadInput
from dreamlift.io.atomic import atomic
from dreamlift.prior import Embedding

FORMAT = "dreamlift embeddings 1"
SUFFIX = ".safetensors"
log = logging.getLogger("dreamlift")


def library() -> Path:
    """The folder of this machine's books: DREAMLIFT_CACHE, or in the user's cache."""
    given = os.environ.get("DREAMLIFT_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dreamlift"
    return (Path(given) if given else base).expanduser() / "embeddings"


@dataclass(frozen=True)
class Reader:
    """Who read a sentence."""

    kind: str
    """Of pipeline: how its text encoders are asked."""
    words: str
    """A hash of its tokenizers and text encoders; empty where they are not there."""
    network: str
    """A hash of its denoiser, which stands for the model where the text encoders are not there."""

    def agrees(self, other: "Reader") -> bool:
        """Whether both say the same of a sentence."""
        if self.kind != other.kind:
            return False
        if self.words and other.words:
            return self.words == other.words
        return self.network == other.network


@dataclass(frozen=True)
class Book:
    """The head of a file."""

    file: Path
    reader: Reader
    dtype: str
    texts: tuple[str, ...]

    def read(self, text: str) -> Embedding:
        """What was said of a sentence. Raises KeyError for one that is not in it."""
        if text not in self.texts:
            raise KeyError(text)
        start = f"{self.texts.index(text)}."
        with safe_open(self.file, "pt") as content:
            keys = [key for key in content.keys() if key.startswith(start)]
            return {key.removeprefix(start): content.get_tensor(key) for key in keys}


def opened(file: Path) -> Book:
    """A file's head. Raises ValueError for one that is no book, or damaged."""
    try:
        with safe_open(file, "pt") as content:
            said = content.metadata() or {}
        if said.get("format") != FORMAT:
            raise ValueError("it holds no embeddings of `dreamlift embed`")
        reader = Reader(said["kind"], said["words"], said["network"])
        return Book(file, reader, said["dtype"], tuple(json.loads(said["texts"])))
    except (SafetensorError, OSError, KeyError) as error:
        raise ValueError(f"it is damaged ({' '.join(str(error).split())})") from error


def write(file: Path, reader: Reader, dtype: torch.dtype, said: Mapping[str, Embedding]) -> None:
    """A book of these sentences; atomic."""
    texts = list(said)
    tensors = {
        f"{i}.{key}": value.detach().cpu().contiguous().clone()
        for i, text in enumerate(texts)
        for key, value in said[text].items()
    }
    head = {"format": FORMAT, "dtype": str(dtype), "texts": json.dumps(texts)}
    head |= {"kind": reader.kind, "words": reader.words, "network": reader.network}
    with atomic(file) as temporary:
        save_file(tensors, temporary, head)


def adopt(given: Path) -> list[Path]:
    """Copy a book, or a folder of books, into this machine's library; the copies.

    Raises BadInput for anything else.
    """
    if not given.exists():
        raise BadInput(f"{given} does not exist. Make it with `dreamlift embed --out FILE`.")
    files = sorted(given.glob(f"*{SUFFIX}")) if given.is_dir() else [given]
    if not files:
        raise BadInput(f"{given} holds no {SUFFIX} file. Make one with `dreamlift embed --out`.")
    copies: list[Path] = []
    for file in files:
        try:
            opened(file)
        except ValueError as error:
            raise BadInput(f"{file} is no file of embeddings: {error}.") from error
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        copy = library() / f"{digest}{SUFFIX}"
        if not copy.exists():
            with atomic(copy) as temporary:
                shutil.copyfile(file, temporary)
        copies.append(copy)
    return copies


@dataclass
class Shelf:
    """The books of this machine that one reader's sentences can be taken from."""

    reader: Reader
    dtype: torch.dtype
    """In which the text encoder would be asked; where it is not there, any other will do."""
    folder: Path = field(default_factory=library)

    def __post_init__(self) -> None:
        self._books: list[Book] = []
        for file in sorted(self.folder.glob(f"[!.]*{SUFFIX}")):
            try:
                book = opened(file)
            except ValueError as error:
                log.warning("%s is passed over: %s", file, error)
                continue
            same = book.dtype == str(self.dtype) or not self.reader.words
            if same and book.reader.agrees(self.reader):
                self._books.append(book)

    def find(self, text: str) -> Embedding | None:
        """What was said of a sentence; None where no book has it."""
        for book in self._books:
            if text in book.texts:
                return book.read(text)
        return None

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Which sentences no book has."""
        known = {text for book in self._books for text in book.texts}
        return [text for text in dict.fromkeys(texts) if text not in known]

    def add(self, said: Mapping[str, Embedding]) -> Path | None:
        """Keep sentences in a new book; None, with a warning, where the disk cannot."""
        named = json.dumps([self.reader.kind, self.reader.words, self.reader.network,
                            str(self.dtype), *said])  # fmt: skip
        file = self.folder / f"{hashlib.sha256(named.encode()).hexdigest()[:16]}{SUFFIX}"
        try:
            write(file, self.reader, self.dtype, said)
        except OSError as error:
            log.warning("The embeddings are not kept in %s: %s", self.folder, error.strerror)
            return None
        self._books.append(opened(file))
        return file
