"""Frozen text encoders of other people's pipelines: CLIP's (arXiv:2103.00020).

They stay on the CPU: they are asked a dozen sentences before the first step, and it is the GPU's
memory that runs short. A sentence longer than the encoder reads is refused, for what it would cut
off is the end, where the words for the view stand.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.prior import Embedding
from dreamlift.priors.parts import network


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


def load_clip_words(folder: Path, dtype: torch.dtype) -> ClipWords:
    """tokenizer/ and text_encoder/ of a pipeline. Raises ValueError, OSError."""
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
    encoder, _ = network(CLIPTextModel.from_pretrained, folder, "text_encoder", dtype=dtype)
    return ClipWords(tokenizer, encoder)
