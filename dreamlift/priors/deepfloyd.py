"""DeepFloyd IF, stage I: T5 (arXiv:1910.10683) and a UNet on 64x64 pixels, as Imagen has it.

A folder in the diffusers layout: unet/, scheduler/, tokenizer/ and text_encoder/.
"""

from pathlib import Path
from typing import Any

import torch

from dreamlift.prior import Embedding
from dreamlift.priors.encoders import Later, tokenized
from dreamlift.priors.folder import from_folder
from dreamlift.priors.parts import network
from dreamlift.priors.pixel import Pixel, best_dtype

LENGTH = 77
"""Tokens that the UNet was trained with."""


class T5Words:
    """T5's tokens of a sentence in small letters; padding is hidden from T5.

    `masked`: from the denoiser too, which is told the mask.
    """

    def __init__(
        self, tokenizer: Any, encoder: Any, *, length: int = LENGTH, masked: bool = False
    ) -> None:
        self.tokenizer, self.encoder = tokenizer, encoder
        self.length, self.masked = length, masked

    def __call__(self, text: str) -> Embedding:
        ids, mask = tokenized(self.tokenizer, text.lower().strip(), self.length)
        said = {"tokens": self.encoder(ids, attention_mask=mask)[0][0]}
        return {**said, "mask": mask[0]} if self.masked else said


def load_t5_words(
    folder: Path, dtype: torch.dtype, *, length: int = LENGTH, masked: bool = False
) -> Later:
    """tokenizer/ and text_encoder/ of a pipeline, when they are needed."""
    return Later(lambda: _t5_words(folder, dtype, length, masked))


def _t5_words(folder: Path, dtype: torch.dtype, length: int, masked: bool) -> T5Words:
    from transformers import T5EncoderModel, T5Tokenizer

    tokenizer = T5Tokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
    encoder, _ = network(T5EncoderModel.from_pretrained, folder, "text_encoder", dtype=dtype)
    return T5Words(tokenizer, encoder, length=length, masked=masked)


def deepfloyd(
    folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> Pixel:
    """Stage I from a folder; `dtype` None is the device's best. Raises ValueError, OSError."""
    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    return from_folder(folder, load_t5_words(folder, dtype), device=device, dtype=dtype)
