"""Stable Diffusion XL (arXiv:2307.01952): two text encoders, and sizes told beside the time.

A folder in the diffusers layout, with tokenizer_2/ and text_encoder_2/ beside what latent.py needs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dreamlift.prior import Condition, Embedding
from dreamlift.priors.distilled import SCALE, beside_time
from dreamlift.priors.encoders import Later, tokenized
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.latent import Latent, load_unet
from dreamlift.priors.parts import network, settings
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.told import Sentences, likeness
from dreamlift.priors.vae import load_vae


class TwoTowers:
    """Tokens of both CLIPs' penultimate layers side by side, and the second's "pooled" sentence.

    `zeros`: the null prompt is not read, its embeddings are zeros, as the base model was trained.
    """

    def __init__(self, first: tuple[Any, Any], second: tuple[Any, Any], *, zeros: bool) -> None:
        """Each a tokenizer and an encoder; the second one's with a projection."""
        self.towers, self.zeros = (first, second), zeros

    def __call__(self, text: str) -> Embedding:
        said: list[Any] = []
        for tokenizer, encoder in self.towers:
            ids, _ = tokenized(tokenizer, text, tokenizer.model_max_length)
            said.append(encoder(ids, output_hidden_states=True))
        tokens = torch.cat([each.hidden_states[-2][0] for each in said], -1)
        pooled: Tensor = said[1].text_embeds[0]
        if self.zeros and text == "":
            return {"tokens": torch.zeros_like(tokens), "pooled": torch.zeros_like(pooled)}
        return {"tokens": tokens, "pooled": pooled}


@dataclass(frozen=True)
class AskXL:
    """SDXL's UNet, told that the picture is whole and of the native size."""

    size: int  # pixels
    scale: float = SCALE  # told to networks that were distilled with a guidance scale

    def __call__(self, network: Any, z: Tensor, time: Tensor, told: Condition) -> Tensor:
        # Original height and width, cut off at the top and the left, height and width now.
        sizes = z.new_tensor([self.size, self.size, 0, 0, self.size, self.size])
        added = {"text_embeds": told["pooled"].to(z), "time_ids": sizes.expand(len(z), -1)}
        return network(
            z,
            time,
            told["tokens"].to(z),
            timestep_cond=beside_time(network, z, told, self.scale),
            added_cond_kwargs={**added, **(likeness(told, z) or {})},
            return_dict=False,
        )[0]


def load_two_towers(folder: Path, dtype: torch.dtype) -> Later:
    """Both tokenizers and text encoders of a pipeline, when they are needed."""
    return Later(lambda: _two_towers(folder, dtype))


def _two_towers(folder: Path, dtype: torch.dtype) -> TwoTowers:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    towers: list[tuple[Any, Any]] = []
    for kind, end in ((CLIPTextModel, ""), (CLIPTextModelWithProjection, "_2")):
        tokenizer = CLIPTokenizer.from_pretrained(
            str(folder / f"tokenizer{end}"), local_files_only=True
        )
        encoder, _ = network(kind.from_pretrained, folder, f"text_encoder{end}", dtype=dtype)
        towers.append((tokenizer, encoder))
    index = settings(folder, "model_index.json")
    return TwoTowers(towers[0], towers[1], zeros=index.get("force_zeros_for_empty_prompt", True))


def sdxl(
    folder: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    scale: float = SCALE,
) -> Latent:
    """Stable Diffusion XL, or a student of it, from a folder; `dtype` None is the device's best.

    `scale` is told to students that read one. Raises ValueError, OSError where the folder is not
    whole.
    """
    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    schedule, prediction = load_schedule(folder)
    vae = load_vae(folder, device)
    unet, size = load_unet(folder, vae, device, dtype)
    tells = Sentences(load_two_towers(folder, dtype))
    return Latent(unet, AskXL(size, scale), vae, tells, schedule, prediction, size=size)
