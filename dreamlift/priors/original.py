"""Checkpoints in the layout of the original latent-diffusion code, one file for all networks.

A file has no settings and no tokenizer, so a folder of the model that it was made from lends its
own: `single_file(file, base)` for Stable Diffusion. Zero-1-to-3's is converted into a folder, once.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dreamlift.priors.encoders import ClipWords
from dreamlift.priors.latent import Latent, stable_diffusion
from dreamlift.priors.told import changeable

CLIP_WORDS = "cond_stage_model.transformer."
SCHEDULER: Mapping[str, Any] = {
    "_class_name": "DDIMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "epsilon",
    "num_train_timesteps": 1000,
}
ZERO123_UNET: Mapping[str, Any] = {
    "sample_size": 32,
    "in_channels": 8,
    "out_channels": 4,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
ZERO123_VAE: Mapping[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 4,
}
ZERO123_EYE: Mapping[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 224,
    "projection_dim": 768,
}


def is_checkpoint(file: Path) -> bool:
    """Whether a .safetensors file holds all of a UNet in the original layout. Reads its header."""
    with safe_open(file, "pt") as content:
        return any(key.startswith("model.diffusion_model.") for key in content.keys())


def single_file(
    file: Path,
    base: Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> Latent:
    """Stable Diffusion 1.x with the weights of one .safetensors file.

    `base` is a folder of the model that it was made from. Raises ValueError where a network of the
    base's finds no weights in the file.
    """
    state, prior = load_file(file), stable_diffusion(base, device=device, dtype=dtype)
    fill(prior.network, unet_weights(state, prior.network.config), "UNet")
    fill(prior.vae.network, _vae(state, prior.vae.network.config), "autoencoder")
    words = {k.removeprefix(CLIP_WORDS): v for k, v in state.items() if k.startswith(CLIP_WORDS)}
    match changeable(prior.tells) if words else None:
        case ClipWords(encoder=encoder):
            if not any(key.startswith("text_model.") for key in encoder.state_dict()):
                words = {key.removeprefix("text_model."): value for key, value in words.items()}
            fill(encoder, words, "text encoder")
        case _:
            pass
    return prior


def convert_zero123(
    file: Path,
    folder: Path,
    *,
    stable: bool = False,
    unet: Mapping[str, Any] = ZERO123_UNET,
    vae: Mapping[str, Any] = ZERO123_VAE,
    eye: Mapping[str, Any] = ZERO123_EYE,
) -> None:
    """Write an original Zero-1-to-3 checkpoint, as .safetensors, as a folder that zero123.py reads.

    `stable`: it is Stable Zero123, whose pose holds the picture's own polar angle. Raises
    ValueError where weights are missing.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    state = load_file(file)
    make_unet, make_vae, make_config = map(_any, (UNet2DConditionModel, AutoencoderKL,
                                                  CLIPVisionConfig))  # fmt: skip
    parts: dict[str, Any] = {
        "unet": make_unet(**dict(unet)),
        "vae": make_vae(**dict(vae)),
        "image_encoder": _any(CLIPVisionModelWithProjection)(make_config(**dict(eye))),
    }
    fill(parts["unet"], unet_weights(state, parts["unet"].config), "UNet")
    fill(parts["vae"], _vae(state, parts["vae"].config), "autoencoder")
    fill(parts["image_encoder"], _eye(state, eye["num_hidden_layers"]), "picture encoder")
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    layer = {end: state[f"cc_projection.{end}"].contiguous() for end in ("weight", "bias")}
    (folder / "cc_projection").mkdir(exist_ok=True)
    save_file(layer, folder / "cc_projection" / "diffusion_pytorch_model.safetensors")
    (folder / "scheduler").mkdir(exist_ok=True)
    said = {
        "scheduler/scheduler_config.json": SCHEDULER,
        "model_index.json": {
            "_class_name": "Zero123Pipeline",
            "pose_fourth": "elevation" if stable else "distance",
        },
    }
    for name, values in said.items():
        (folder / name).write_text(json.dumps(dict(values), indent=2) + "\n")


def _any(kind: Any) -> Any:
    return kind


def unet_weights(state: Mapping[str, Tensor], config: Any) -> Mapping[str, Tensor]:
    """A UNet's weights in diffusers' names."""
    from diffusers.loaders import single_file_utils

    return _any(single_file_utils).convert_ldm_unet_checkpoint(dict(state), dict(config))


def _vae(state: Mapping[str, Tensor], config: Any) -> Mapping[str, Tensor]:
    """An autoencoder's weights in diffusers' names."""
    from diffusers.loaders import single_file_utils

    return _any(single_file_utils).convert_ldm_vae_checkpoint(dict(state), dict(config))


def _eye(state: Mapping[str, Tensor], layers: int) -> Mapping[str, Tensor]:
    """The weights of CLIP's picture encoder, from OpenAI's names to those of transformers."""
    start = "cond_stage_model.model.visual."
    said = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
    named = {
        "vision_model.embeddings.class_embedding": said.pop("class_embedding"),
        "vision_model.embeddings.position_embedding.weight": said.pop("positional_embedding"),
        "vision_model.embeddings.patch_embedding.weight": said.pop("conv1.weight"),
        "visual_projection.weight": said.pop("proj").T.contiguous(),
    }
    for end in ("weight", "bias"):
        named[f"vision_model.pre_layrnorm.{end}"] = said[f"ln_pre.{end}"]
        named[f"vision_model.post_layernorm.{end}"] = said[f"ln_post.{end}"]
        for i in range(layers):
            a, b = f"transformer.resblocks.{i}", f"vision_model.encoder.layers.{i}"
            for x, part in zip("qkv", said[f"{a}.attn.in_proj_{end}"].chunk(3), strict=True):
                named[f"{b}.self_attn.{x}_proj.{end}"] = part
            for old, new in (("attn.out_proj", "self_attn.out_proj"), ("ln_1", "layer_norm1"),
                             ("ln_2", "layer_norm2"), ("mlp.c_fc", "mlp.fc1"),
                             ("mlp.c_proj", "mlp.fc2")):  # fmt: skip
                named[f"{b}.{new}.{end}"] = said[f"{a}.{old}.{end}"]
    return named


def fill(network: Any, state: Mapping[str, Tensor], name: str) -> None:
    """Load all of a network's weights. Raises ValueError where one is missing or of another size.

    Position numbers, which old files hold, are no weights.
    """
    wanted = cast(nn.Module, network).state_dict()
    missing = [key for key in wanted if key not in state]
    if missing:
        raise ValueError(f"The file has no {name}: it lacks {missing[0]} of {len(wanted)} weights.")
    odd = [key for key, value in wanted.items() if state[key].shape != value.shape]
    if odd:
        raise ValueError(f"The file's {name} is of another size: {odd[0]} differs.")
    network.load_state_dict({key: state[key] for key in wanted})
