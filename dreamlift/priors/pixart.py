"""PixArt-alpha and PixArt-Sigma (arXiv:2310.00426, 2403.04692): a transformer on latents, and T5.

A folder in the diffusers layout: transformer/, vae/, scheduler/, tokenizer/ and text_encoder/.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dreamlift.prior import Condition
from dreamlift.priors.deepfloyd import load_t5_words
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.latent import Latent
from dreamlift.priors.parts import network, placed, settings
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.told import Sentences
from dreamlift.priors.vae import load_vae

ALPHA, SIGMA = 120, 300
"""Tokens that each reads."""


@dataclass(frozen=True)
class AskPixArt:
    """The transformer, told which tokens are padding, and, where it asks, the picture's size.

    It answers with a learned variance behind the noise, which is dropped.
    """

    size: int  # pixels

    def __call__(self, network: Any, z: Tensor, time: Tensor, told: Condition) -> Tensor:
        resolution = aspect = None
        if network.use_additional_conditions:
            resolution = z.new_full((len(z), 2), self.size)
            aspect = z.new_ones(len(z), 1)
        return network(
            z,
            encoder_hidden_states=told["tokens"].to(z),
            encoder_attention_mask=told["mask"].to(z),
            timestep=time,
            added_cond_kwargs={"resolution": resolution, "aspect_ratio": aspect},
            return_dict=False,
        )[0]


def pixart(
    folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> Latent:
    """From a folder; `dtype` None is the device's best. Raises ValueError, OSError."""
    from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel

    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    schedule, prediction = load_schedule(folder)
    vae = load_vae(folder, device)
    made, config = network(
        PixArtTransformer2DModel.from_pretrained, folder, "transformer", dtype=dtype
    )
    sigma = "Sigma" in str(settings(folder, "model_index.json").get("_class_name"))
    words = load_t5_words(folder, dtype, length=SIGMA if sigma else ALPHA, masked=True)
    size = int(config["sample_size"]) * vae.factor
    tells, ask = Sentences(words), AskPixArt(size)
    return Latent(placed(made, device), ask, vae, tells, schedule, prediction, size=size)
