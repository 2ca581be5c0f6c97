"""Tiny, randomly initialised pipelines of each family, saved by the real classes in their layout.

Their numbers are large enough to see a swapped condition: fresh text encoders and UNets say nearly
the same to everything, so weights are drawn wider.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

LETTERS = "abcdefghijklmnopqrstuvwxyz,.-0123456789"
PLAIN: dict[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "set_alpha_to_one": False,
    "clip_sample": False,
    "steps_offset": 1,
}
UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": 32,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}


def widened(network: Any, by: float = 3.0) -> Any:
    """The network with its matrices' numbers `by` times as large."""
    with torch.no_grad():
        for value in network.parameters():
            if value.ndim > 1:
                value.mul_(by)
    return network


def clip_tokenizer(length: int = 77, pad: str = "<|endoftext|>") -> Any:
    """CLIP's tokenizer with letters for words."""
    from transformers import CLIPTokenizer

    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    ids = {word: i for i, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>", "!"])}
    tokenizer = CLIPTokenizer(vocab=ids, merges=[], pad_token=pad, model_max_length=length)
    return tokenizer


def clip_text(projected: bool = False, **sizes: int) -> Any:
    """A CLIP text encoder of two layers."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    ends = len(LETTERS) * 2
    config = CLIPTextConfig(
        **{"vocab_size": ends + 3, "hidden_size": 32, "intermediate_size": 40, "projection_dim": 24}
        | {"num_hidden_layers": 3, "num_attention_heads": 4, "bos_token_id": ends}
        | {"eos_token_id": ends + 1, "pad_token_id": ends + 1} | sizes
    )  # fmt: skip
    return widened((CLIPTextModelWithProjection if projected else CLIPTextModel)(config))


def clip(folder: Path) -> Any:
    """Both towers, of pictures of 21 pixels, with their tokenizer, as transformers keeps them."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    words = clip_text().config.to_dict()
    eye = {"hidden_size": 16, "intermediate_size": 20, "patch_size": 7, "image_size": 21}
    eye |= {"num_hidden_layers": 2, "num_attention_heads": 4}
    model = CLIPModel(CLIPConfig(text_config=words, vision_config=eye, projection_dim=12)).eval()
    widened(model).save_pretrained(folder)
    clip_tokenizer().save_pretrained(folder)
    prepared = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared))
    return model


def autoencoder(**config: Any) -> Any:
    """A VAE that halves the side once."""
    from diffusers import AutoencoderKL

    return widened(
        AutoencoderKL(
            **{"block_out_channels": (8, 16), "norm_num_groups": 4, "latent_channels": 4}
            | {"down_block_types": ("DownEncoderBlock2D",) * 2, "sample_size": 16}
            | {"up_block_types": ("UpDecoderBlock2D",) * 2} | config
        ), 1.5,
    )  # fmt: skip


def stable_diffusion(folder: Path, **scheduler: Any) -> Any:
    """Stable Diffusion 1.x or, with prediction_type v_prediction, 2.x, saved; the pipeline."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(pad="!"),
        unet=widened(UNet2DConditionModel(**UNET, in_channels=4, out_channels=4)),
        scheduler=DDIMScheduler(**PLAIN, **scheduler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return saved(pipeline, folder)


def sdxl(folder: Path, *, zeros: bool = True) -> Any:
    """Stable Diffusion XL, saved; the pipeline."""
    from diffusers import DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    torch.manual_seed(1)
    more = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4}
    more |= {"projection_class_embeddings_input_dim": 6 * 4 + 24, "cross_attention_dim": 32 + 24}
    pipeline = StableDiffusionXLPipeline(
        vae=autoencoder(scaling_factor=0.13025),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_text(projected=True, hidden_size=24, num_hidden_layers=2),
        tokenizer_2=clip_tokenizer(pad="!"),
        unet=widened(UNet2DConditionModel(**{**UNET, **more}, in_channels=4, out_channels=4)),
        scheduler=DDIMScheduler(**PLAIN),
        force_zeros_for_empty_prompt=zeros,
        add_watermarker=False,
    )
    return saved(pipeline, folder)


def t5_tokenizer() -> Any:
    """T5's tokenizer with letters for words."""
    from transformers import T5Tokenizer

    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("\N{LOWER ONE EIGHTH BLOCK}", -2.0)]
    words += [(letter, -3.0 - i / 50) for i, letter in enumerate(LETTERS)]
    return T5Tokenizer(vocab=words, extra_ids=0, model_max_length=512)


def t5(width: int = 20) -> Any:
    """T5's encoder of two layers."""
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=len(LETTERS) + 4, d_model=width, d_kv=5, d_ff=30, num_layers=2, num_heads=4
    )
    return T5EncoderModel(config)


def deepfloyd(folder: Path) -> Any:
    """DeepFloyd IF's first stage, saved; the pipeline."""
    from diffusers import DDPMScheduler, IFPipeline, UNet2DConditionModel

    torch.manual_seed(2)
    more = {"encoder_hid_dim": 20, "cross_attention_dim": 12, "addition_embed_type": "text"}
    more |= {"addition_embed_type_num_heads": 2, "act_fn": "gelu"}
    pipeline = IFPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5(),
        unet=widened(UNet2DConditionModel(**{**UNET, **more}, in_channels=3, out_channels=6)),
        scheduler=DDPMScheduler(
            beta_schedule="squaredcos_cap_v2", variance_type="learned_range", thresholding=True
        ),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )
    return saved(pipeline, folder)


def sd3(folder: Path) -> Any:
    """Stable Diffusion 3, saved; the pipeline."""
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    torch.manual_seed(4)
    transformer = SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=2, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=64, caption_projection_dim=16,
        pooled_projection_dim=24 + 20, out_channels=4, pos_embed_max_size=12,
    )  # fmt: skip
    pipeline = StableDiffusion3Pipeline(
        transformer=widened(transformer, 2.0),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(scaling_factor=1.5305, shift_factor=0.0609),
        text_encoder=clip_text(projected=True),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_text(projected=True, hidden_size=24, projection_dim=20),
        tokenizer_2=clip_tokenizer(pad="!"),
        text_encoder_3=t5(64),
        tokenizer_3=t5_tokenizer(),
    )
    return saved(pipeline, folder)


def flux(folder: Path, *, guided: bool = True) -> Any:
    """FLUX.1, saved; the pipeline."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    torch.manual_seed(5)
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=20, pooled_projection_dim=32,
        guidance_embeds=guided, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=False),
        vae=autoencoder(scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=t5(20),
        tokenizer_2=t5_tokenizer(),
        transformer=widened(transformer, 2.0),
    )
    return saved(pipeline, folder)


def zero123(folder: Path, projection: str = "clip_camera_projection") -> dict[str, Any]:
    """Zero-1-to-3, saved part by part, for its pipeline is not among diffusers' own; the parts."""
    from diffusers import DDIMScheduler, UNet2DConditionModel
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(3)
    eye = CLIPVisionConfig(hidden_size=16, intermediate_size=20, projection_dim=32, patch_size=7,
                           num_hidden_layers=2, num_attention_heads=4, image_size=21)  # fmt: skip
    parts = {
        "unet": widened(UNet2DConditionModel(**UNET, in_channels=8, out_channels=4)),
        "vae": autoencoder(),
        "image_encoder": widened(CLIPVisionModelWithProjection(eye)),
        "scheduler": DDIMScheduler(**PLAIN),
    }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    layer = nn.Linear(32 + 4, 32)
    (folder / projection).mkdir()
    state = {f"proj.{key}": value.detach() for key, value in layer.state_dict().items()}
    save_file(state, folder / projection / "diffusion_pytorch_model.safetensors")
    index = {"_class_name": "Zero1to3StableDiffusionPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    for name in ("unet", "vae", "image_encoder"):
        nn.Module.requires_grad_(parts[name], False).eval()
    return {**parts, "projection": layer}


def saved(pipeline: Any, folder: Path) -> Any:
    """The pipeline, frozen and quiet, and on the disk."""
    pipeline.save_pretrained(folder, safe_serialization=True)
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            nn.Module.requires_grad_(part, False).eval()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def edit(file: Path, **changes: Any) -> None:
    """A JSON file with other values."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
