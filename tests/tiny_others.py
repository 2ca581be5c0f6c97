"""Tiny pipelines of the rarer families, as tests/tiny_pipelines.py has those of the common ones."""

import json
from pathlib import Path
from typing import Any

import ldm_names
import torch
from tiny_pipelines import (
    PLAIN,
    UNET,
    autoencoder,
    clip_text,
    clip_tokenizer,
    edit,
    saved,
    t5,
    t5_tokenizer,
    widened,
)

UNCHECKED: dict[str, Any] = {
    "safety_checker": None,
    "feature_extractor": None,
    "requires_safety_checker": False,
}


def unet(**config: Any) -> Any:
    """A UNet over latents of 4 channels."""
    from diffusers import UNet2DConditionModel

    return widened(UNet2DConditionModel(**{**UNET, "in_channels": 4, "out_channels": 4, **config}))


def words() -> dict[str, Any]:
    """CLIP's tokenizer and text encoder."""
    return {"text_encoder": clip_text(), "tokenizer": clip_tokenizer(pad="!")}


def lcm(folder: Path) -> Any:
    """A latent consistency model, saved; the pipeline."""
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler

    torch.manual_seed(6)
    scheduler = LCMScheduler(**PLAIN)
    network = unet(time_cond_proj_dim=15)
    made = LatentConsistencyModelPipeline(
        vae=autoencoder(), unet=network, scheduler=scheduler, **words(), **UNCHECKED
    )
    return saved(made, folder)


def turbo(folder: Path) -> Any:
    """SD-Turbo, saved; the pipeline."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

    torch.manual_seed(7)
    named = {key: PLAIN[key] for key in ("beta_schedule", "beta_start", "beta_end")}
    scheduler = EulerDiscreteScheduler(**named, timestep_spacing="trailing", steps_offset=1)
    made = StableDiffusionPipeline(
        vae=autoencoder(), unet=unet(), scheduler=scheduler, **words(), **UNCHECKED
    )
    return saved(made, folder)


def pix2pix(folder: Path) -> Any:
    """InstructPix2Pix, saved; the pipeline."""
    from diffusers import DDIMScheduler, StableDiffusionInstructPix2PixPipeline

    torch.manual_seed(8)
    network, scheduler = unet(in_channels=8), DDIMScheduler(**PLAIN)
    made = StableDiffusionInstructPix2PixPipeline(
        vae=autoencoder(), unet=network, scheduler=scheduler, **words(), **UNCHECKED
    )
    return saved(made, folder)


def depth(folder: Path) -> Any:
    """Stable Diffusion 2 told the depth, saved; the pipeline."""
    from diffusers import DDIMScheduler, StableDiffusionDepth2ImgPipeline
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    torch.manual_seed(9)
    config = DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=20,
        image_size=32, patch_size=16, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        backbone_out_indices=[0, 1, 2, 3], is_hybrid=False,
    )  # fmt: skip
    made = StableDiffusionDepth2ImgPipeline(
        vae=autoencoder(), unet=unet(in_channels=5), scheduler=DDIMScheduler(**PLAIN), **words(),
        depth_estimator=DPTForDepthEstimation(config), feature_extractor=DPTImageProcessor(),
    )  # fmt: skip
    return saved(made, folder)


def control(**config: Any) -> Any:
    """A ControlNet whose last layers say something."""
    from diffusers import ControlNetModel

    shared = {key: value for key, value in UNET.items() if key[:2] not in ("sa", "up")}
    made = ControlNetModel(**{**shared, "conditioning_embedding_out_channels": (4, 8), **config})
    with torch.no_grad():
        for value in made.parameters():
            if not value.any():
                value.normal_(std=0.1)
    return widened(made)


def controlnet(folder: Path) -> Any:
    """Stable Diffusion with a ControlNet, saved; the pipeline."""
    from diffusers import DDIMScheduler, StableDiffusionControlNetPipeline

    torch.manual_seed(10)
    made = StableDiffusionControlNetPipeline(
        vae=autoencoder(), unet=unet(), scheduler=DDIMScheduler(**PLAIN), **words(),
        controlnet=control(), **UNCHECKED,
    )  # fmt: skip
    return saved(made, folder)


def super_resolution(folder: Path) -> Any:
    """DeepFloyd IF's second stage, of 8x8 pixels, saved; the pipeline."""
    from diffusers import DDPMScheduler, IFSuperResolutionPipeline

    torch.manual_seed(13)
    more = {"encoder_hid_dim": 20, "cross_attention_dim": 12, "addition_embed_type": "text"}
    more |= {"addition_embed_type_num_heads": 2, "act_fn": "gelu", "class_embed_type": "timestep"}
    scheduler: dict[str, Any] = {"beta_schedule": "squaredcos_cap_v2"}
    made = IFSuperResolutionPipeline(
        tokenizer=t5_tokenizer(), text_encoder=t5(), safety_checker=None, feature_extractor=None,
        unet=unet(in_channels=6, out_channels=6, **more), watermarker=None,
        scheduler=DDPMScheduler(**scheduler, variance_type="learned_range", thresholding=True),
        image_noising_scheduler=DDPMScheduler(**scheduler), requires_safety_checker=False,
    )  # fmt: skip
    return saved(made, folder)


def mvdream(folder: Path, wide: int = 32) -> Any:
    """MVDream with its UNet in the original's names, saved; the network as diffusers' class.

    The original's normalisation has 32 groups always.
    """
    from diffusers import DDIMScheduler
    from safetensors.torch import save_file

    torch.manual_seed(14)
    network = unet(
        block_out_channels=(wide, 2 * wide), attention_head_dim=(wide // 8, wide // 4),
        norm_num_groups=32,
        use_linear_projection=True, class_embed_type="projection",
        projection_class_embeddings_input_dim=16,
    )  # fmt: skip
    start = "model.diffusion_model."
    state = {k.removeprefix(start): v for k, v in ldm_names.unet(network.state_dict()).items()}
    (folder / "unet").mkdir(parents=True)
    save_file(state, folder / "unet" / "diffusion_pytorch_model.safetensors")
    named = {
        "unet/config.json": {
            "image_size": 8, "in_channels": 4, "out_channels": 4, "model_channels": wide,
            "attention_resolutions": [1], "num_res_blocks": 1, "channel_mult": [1, 2],
            "num_head_channels": 8, "context_dim": 32, "camera_dim": 16,
        },
        "model_index.json": {"_class_name": "MVDreamPipeline"},
    }  # fmt: skip
    for name, content in named.items():
        (folder / name).write_text(json.dumps(content))
    parts = {"vae": autoencoder(), "scheduler": DDIMScheduler(**PLAIN), **words()}
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    return network.requires_grad_(False).eval()


def imagedream(folder: Path) -> dict[str, torch.Tensor]:
    """ImageDream, saved; its UNet's weights, in the original's names.

    Its groups have two channels: the null prompt's blank view is even in each channel, and a group
    of one would have no spread to divide by but rounding.
    """
    from diffusers.models.embeddings import IPAdapterPlusImageProjection
    from safetensors.torch import load_file, save_file
    from transformers import CLIPVisionConfig, CLIPVisionModel

    mvdream(folder, 64)
    torch.manual_seed(15)
    eye = CLIPVisionConfig(hidden_size=16, intermediate_size=20, patch_size=7, image_size=21,
                           num_hidden_layers=3, num_attention_heads=4)  # fmt: skip
    widened(CLIPVisionModel(eye)).save_pretrained(folder / "image_encoder")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    made = IPAdapterPlusImageProjection(
        embed_dims=16, output_dims=32, hidden_dims=32, depth=4, heads=2, num_queries=3
    )
    tokens = originals({key: (*value.shape,) for key, value in made.state_dict().items()})
    shapes = {f"image_embed.{key}": shape for key, shape in tokens.items()}
    for key, value in state.items():
        if "attn2.to_k" in key or "attn2.to_v" in key:
            shapes[key.replace(".weight", "_ip.weight")] = (*value.shape,)
    state |= {key: 0.5 * torch.randn(shape) for key, shape in shapes.items()}
    save_file(state, file)
    edit(folder / "unet" / "config.json", ip_dim=3, ip_weight=0.7)
    return state


def pixart(folder: Path, *, sigma: bool = False, sized: bool = False) -> Any:
    """PixArt-alpha or -Sigma, saved; the pipeline. `sized`: it is told the picture's size."""
    from diffusers import (
        DDIMScheduler,
        PixArtAlphaPipeline,
        PixArtSigmaPipeline,
        PixArtTransformer2DModel,
    )

    torch.manual_seed(12)
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=6, num_layers=2, cross_attention_dim=12,
        sample_size=8, caption_channels=20, use_additional_conditions=sized, norm_num_groups=4,
    )  # fmt: skip
    with torch.no_grad():
        for value in transformer.parameters():
            if not value.any():
                value.normal_(std=0.1)
    made = (PixArtSigmaPipeline if sigma else PixArtAlphaPipeline)(
        tokenizer=t5_tokenizer(), text_encoder=t5(), vae=autoencoder(),
        transformer=widened(transformer, 2.0),
        scheduler=DDIMScheduler(beta_schedule="linear", clip_sample=False, set_alpha_to_one=False),
    )  # fmt: skip
    return saved(made, folder)


def ip_adapter(pipeline: Any, file: Path, *, plus: bool = False, wide: int = 32) -> None:
    """An IP-Adapter for a pipeline, and its picture encoder beside it, saved."""
    from diffusers.models.embeddings import IPAdapterPlusImageProjection
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(11)
    eye = CLIPVisionConfig(hidden_size=16, intermediate_size=20, projection_dim=12, patch_size=7,
                           num_hidden_layers=3, num_attention_heads=4, image_size=21)  # fmt: skip
    widened(CLIPVisionModelWithProjection(eye)).save_pretrained(file.parent / "image_encoder")
    state = {"proj.weight": (4 * wide, 12), "proj.bias": (4 * wide,)}
    state |= {"norm.weight": (wide,), "norm.bias": (wide,)}
    if plus:
        made = IPAdapterPlusImageProjection(
            embed_dims=16, output_dims=wide, hidden_dims=8, depth=4, heads=1, num_queries=3
        )
        state = originals({key: (*value.shape,) for key, value in made.state_dict().items()})
    shapes = {f"image_proj.{key}": shape for key, shape in state.items()}
    for i, name in enumerate(pipeline.unet.attn_processors):
        if "attn2" in name:
            layer = pipeline.unet.get_submodule(name.removesuffix(".processor"))
            for end in ("k", "v"):
                shapes[f"ip_adapter.{i}.to_{end}_ip.weight"] = tuple(layer.to_k.weight.shape)
    save_file({key: 0.5 * torch.randn(shape) for key, shape in shapes.items()}, file)


def originals(state: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """A resampler's weights under the names that the authors' files have."""
    names = {"ln0": "0.norm1", "ln1": "0.norm2", "attn.to_q": "0.to_q", "attn.to_out.0": "0.to_out",
             "ff.0": "1.0", "ff.1.net.0.proj": "1.1", "ff.1.net.2": "1.3"}  # fmt: skip
    made: dict[str, tuple[int, ...]] = {}
    for key, shape in state.items():
        layer, _, end = key.removeprefix("layers.").partition(".")
        part = end.rpartition(".")[0]
        if part == "attn.to_k":
            made[f"layers.{layer}.0.to_kv.weight"] = (2 * shape[0], shape[1])
        elif part in names:
            made[f"layers.{layer}.{names[part]}.{end.rpartition('.')[2]}"] = shape
        elif part != "attn.to_v":
            made[key] = shape
    return made
