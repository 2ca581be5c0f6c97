"""The sentences of rectified-flow models: what they read of CLIP's and T5's encoders together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from dreamlift.prior import Embedding
from dreamlift.priors.encoders import Later, tokenized
from dreamlift.priors.parts import network

T5_LENGTHS = {"sd3": 256, "flux": 512}
"""Tokens that T5 reads for each."""


class ThreeTowers:
    """SD3's sentence: both CLIPs' penultimate layers side by side, then T5's tokens (Fig. 2)."""

    def __init__(self, clips: Sequence[tuple[Any, Any]], t5: tuple[Any, Any]) -> None:
        """Each a tokenizer and an encoder; the CLIPs with projections."""
        self.clips, self.t5 = clips, t5

    def __call__(self, text: str) -> Embedding:
        said: list[Any] = []
        for tokenizer, encoder in self.clips:
            ids, _ = tokenized(tokenizer, text, tokenizer.model_max_length)
            said.append(encoder(ids, output_hidden_states=True))
        ids, _ = tokenized(self.t5[0], text, T5_LENGTHS["sd3"])
        read = self.t5[1](ids)[0][0]
        both = torch.cat([each.hidden_states[-2][0] for each in said], -1)
        both = F.pad(both, (0, read.shape[-1] - both.shape[-1]))
        pooled = torch.cat([each.text_embeds[0] for each in said], -1)
        return {"tokens": torch.cat([both, read]), "pooled": pooled}


class ClipAndT5:
    """FLUX's sentence: CLIP's pooled one, and T5's tokens."""

    def __init__(self, clip: tuple[Any, Any], t5: tuple[Any, Any]) -> None:
        self.clip, self.t5 = clip, t5

    def __call__(self, text: str) -> Embedding:
        ids, _ = tokenized(self.clip[0], text, self.clip[0].model_max_length)
        longer, _ = tokenized(self.t5[0], text, T5_LENGTHS["flux"])
        return {"tokens": self.t5[1](longer)[0][0], "pooled": self.clip[1](ids).pooler_output[0]}


def load_three_towers(folder: Path, dtype: torch.dtype) -> Later:
    """SD3's tokenizers and text encoders, when they are needed."""
    return Later(lambda: _three_towers(folder, dtype))


def _three_towers(folder: Path, dtype: torch.dtype) -> ThreeTowers:
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel, T5Tokenizer

    clip = (CLIPTokenizer, CLIPTextModelWithProjection)
    first, second, t5 = load_towers(folder, dtype, clip, clip, (T5Tokenizer, T5EncoderModel))
    return ThreeTowers((first, second), t5)


def load_clip_and_t5(folder: Path, dtype: torch.dtype) -> Later:
    """FLUX's tokenizers and text encoders, when they are needed."""
    return Later(lambda: _clip_and_t5(folder, dtype))


def _clip_and_t5(folder: Path, dtype: torch.dtype) -> ClipAndT5:
    from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5Tokenizer

    clip, t5 = load_towers(
        folder, dtype, (CLIPTokenizer, CLIPTextModel), (T5Tokenizer, T5EncoderModel)
    )
    return ClipAndT5(clip, t5)


def load_towers(folder: Path, dtype: torch.dtype, *kinds: tuple[Any, Any]) -> list[tuple[Any, Any]]:
    """Tokenizers and encoders of a pipeline, in the order of their numbers."""
    towers: list[tuple[Any, Any]] = []
    for i, (tokenizer, encoder) in enumerate(kinds, 1):
        end = "" if i == 1 else f"_{i}"
        words = tokenizer.from_pretrained(str(folder / f"tokenizer{end}"), local_files_only=True)
        made, _ = network(encoder.from_pretrained, folder, f"text_encoder{end}", dtype=dtype)
        towers.append((words, made))
    return towers
