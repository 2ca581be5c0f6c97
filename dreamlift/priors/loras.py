"""LoRA files of others (arXiv:2106.09685), merged into a prior's networks: W + s (alpha / r) B A.

Both diffusers' names and those of kohya's scripts are read, through diffusers and peft.
"""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from dreamlift.errors import BadInput
from dreamlift.priors.encoders import ClipWords
from dreamlift.priors.latent import Latent
from dreamlift.priors.sdxl import TwoTowers
from dreamlift.priors.told import changeable


def merge_lora(prior: Latent, file: Path, weight: float = 1.0) -> None:
    """Change a prior's UNet and text encoders by a LoRA's .safetensors, `weight` times.

    Raises ValueError for a file that is none, or was made for another model.
    """
    from diffusers.loaders.lora_pipeline import (
        StableDiffusionLoraLoaderMixin,
        StableDiffusionXLLoraLoaderMixin,
    )
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    raw = load_file(file)
    if not any("lora" in key for key in raw):
        raise ValueError(f"{file} holds no LoRA: none of its {len(raw)} tensors is named so.")
    if not isinstance(prior.network, UNet2DConditionModel):
        raise ValueError("A LoRA can change Stable Diffusion 1.x, 2.x and XL, not this model.")
    wide = prior.network.config["addition_embed_type"] == "text_time"
    mixin: Any = StableDiffusionXLLoraLoaderMixin if wide else StableDiffusionLoraLoaderMixin
    state, alphas = mixin.lora_state_dict(dict(raw), unet_config=prior.network.config)[:2]
    networks: list[tuple[Any, str]] = [(prior.network, "unet")]
    if any(key.startswith("text_encoder") for key in state):
        networks += _encoders(prior)
    for network, prefix in networks:
        if not any(key.startswith(f"{prefix}.") for key in state):
            continue
        try:
            if prefix == "unet":
                mixin.load_lora_into_unet(state, alphas, network)
            else:
                mixin.load_lora_into_text_encoder(state, alphas, network, prefix=prefix)
        except (RuntimeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{file} was made for another model: {reason}") from error
        _merge(network, weight)


def _encoders(prior: Latent) -> list[tuple[Any, str]]:
    """A prior's text encoders and what a LoRA's keys for them begin with; none where they are not
    here: the embeddings that then speak for them were made by the changed ones.

    Raises ValueError for other kinds.
    """
    try:
        encoder = changeable(prior.tells)
    except BadInput:
        return []
    match encoder:
        case ClipWords(encoder=encoder):
            return [(encoder, "text_encoder")]
        case TwoTowers(towers=((_, first), (_, second))):
            return [(first, "text_encoder"), (second, "text_encoder_2")]
        case _:
            raise ValueError("This LoRA changes a text encoder that this model does not have.")


def _merge(network: Any, weight: float) -> None:
    """Fold the low-rank layers into those they stand beside, so that they cost nothing more.

    Nothing of them stays: peft would take one that does out of the weights again for the next.
    """
    from peft.tuners.lora import LoraLayer

    low = {name: part for name, part in network.named_modules() if isinstance(part, LoraLayer)}
    if not low:
        raise ValueError("The LoRA changes no layer of this model: it was made for another.")
    for name, layer in low.items():
        layer.scale_layer(weight)
        layer.merge(safe_merge=True)
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, layer.get_base_layer())
    vars(network).pop("peft_config", None)
    network._hf_peft_config_loaded = False
    network.requires_grad_(False)
