"""Frozen text encoders of other people's pipelines: CLIP's (arXiv:2103.00020).

They stay on the CPU: they are asked a dozen sentences before the first step, and it is the GPU's
memory that runs short. They are not even loaded where books (books.py) have all of these, and are
freed once they have said them. A sentence longer than the encoder reads is refused, for what it
would cut off is the end, where the words for the view stand.
"""

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.prior import Embedding
from dreamlift.priors.books import Shelf
from dreamlift.priors.parts import network
from dreamlift.priors.pixel import TextEncoder


def tokenized(tokenizer: Any, text: str, length: int) -> tuple[Int[Tensor, "1 n"], Tensor]:
    """Ids of a text, padded to `length`, and which of them are no padding. Raises BadInput."""
    said = tokenizer(text, padding="max_length", max_length=length, return_tensors="pt")
    count = said.input_ids.shape[1]
    if count > length:
        raise BadInput(
            f"The prompt is too long: {text!r} has {count} tokens, and this prior reads {length}. "
            "Shorten it."
        )
    return said.input_ids, said.attention_mask


class ClipWords:
    """CLIP's text tower as Stable Diffusion asks it: the last layer, normalised, of 77 tokens."""

    def __init__(self, tokenizer: Any, encoder: Any) -> None:
        self.tokenizer, self.encoder = tokenizer, encoder
        self.length: int = tokenizer.model_max_length
        self.masked: bool = bool(getattr(encoder.config, "use_attention_mask", False))

    def __call__(self, text: str) -> Embedding:
        ids, mask = tokenized(self.tokenizer, text, self.length)
        said = self.encoder(ids, attention_mask=mask if self.masked else None)
        return {"tokens": said[0][0]}


class Later:
    """A text encoder that is loaded when it is asked for a sentence that no book has."""

    def __init__(self, load: Callable[[], TextEncoder]) -> None:
        """`load` may raise ValueError, OSError where the encoder is not on this machine."""
        self._load = load
        self._encoder: TextEncoder | None = None
        self._changed = False
        self.shelf: Shelf | None = None
        """Where to look first, and to keep what is said; None: nowhere."""
        self._said: dict[str, Embedding] = {}

    def __call__(self, text: str) -> Embedding:
        """Raises BadInput for a sentence that no book has where the encoder is not here."""
        return self.read([text])[text]

    @property
    def loaded(self) -> bool:
        """Whether the encoder is in memory."""
        return self._encoder is not None

    def read(self, texts: Sequence[str]) -> dict[str, Embedding]:
        """What is said of each sentence; those that no book has become one."""
        for text in texts:
            found = self.shelf.find(text) if self.shelf and text not in self._said else None
            if found is not None:
                self._said[text] = found
        missing = [text for text in dict.fromkeys(texts) if text not in self._said]
        if missing:
            encoder = self._awake(missing)
            with torch.no_grad():
                new = {text: encoder(text) for text in missing}
            self._said |= new
            if self.shelf:
                self.shelf.add(new)
        return {text: self._said[text] for text in texts}

    def changed(self) -> TextEncoder:
        """The encoder, to be changed by a LoRA or other weights; it stays in memory from then."""
        self._changed = True
        self._said.clear()
        return self._awake([])

    def forget(self) -> None:
        """Free the encoder; it is loaded again should another sentence be asked for."""
        if not self._changed:
            self._encoder = None
            gc.collect()

    def _awake(self, missing: Sequence[str]) -> TextEncoder:
        if self._encoder is None:
            try:
                self._encoder = self._load()
            except (ValueError, OSError) as error:
                raise BadInput(f"{unread(missing)} The text encoder: {error}") from error
        return self._encoder


def unread(missing: Sequence[str]) -> str:
    """What is said where sentences can be neither read nor found."""
    more = f" and {len(missing) - 1} more" if missing[1:] else ""
    what = f"{missing[0]!r}{more}" if missing else "nothing"
    return f"The text encoder is not on this machine, and no embeddings of {what} are."


def load_clip_words(folder: Path, dtype: torch.dtype) -> Later:
    """tokenizer/ and text_encoder/ of a pipeline, when they are needed."""
    return Later(lambda: _clip_words(folder, dtype))


def _clip_words(folder: Path, dtype: torch.dtype) -> ClipWords:
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
    encoder, _ = network(CLIPTextModel.from_pretrained, folder, "text_encoder", dtype=dtype)
    return ClipWords(tokenizer, encoder)
