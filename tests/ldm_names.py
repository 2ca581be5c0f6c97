"""The names that the original latent-diffusion code gives the weights of our tiny networks.

The inverse of what a converter does, for networks of two levels and one layer each.
"""

import re

from torch import Tensor

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
WHOLE = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "class_embedding.linear_1": "camera_embed.0", "class_embedding.linear_2": "camera_embed.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "down_blocks.0.resnets.0": "input_blocks.1.0",
    "down_blocks.0.attentions.0": "input_blocks.1.1",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0": "input_blocks.3.0",
    "mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "up_blocks.0.resnets.0": "output_blocks.0.0", "up_blocks.0.resnets.1": "output_blocks.1.0",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.1.conv",
    "up_blocks.1.resnets.0": "output_blocks.2.0", "up_blocks.1.attentions.0": "output_blocks.2.1",
    "up_blocks.1.resnets.1": "output_blocks.3.0", "up_blocks.1.attentions.1": "output_blocks.3.1",
}  # fmt: skip
AUTOENCODER = (
    (r"down_blocks\.(\d)\.resnets", r"down.\1.block"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.0\.resnets", "up.1.block"), (r"up_blocks\.1\.resnets", "up.0.block"),
    (r"up_blocks\.0\.upsamplers\.0", "up.1.upsample"), (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"), (r"mid_block\.attentions\.0", "mid.attn_1"),
    ("conv_shortcut", "nin_shortcut"), ("conv_norm_out", "norm_out"), ("group_norm", "norm"),
    (r"to_([qkv])\b", r"\1"), (r"to_out\.0", "proj_out"),
)  # fmt: skip


def unet(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A UNet of `tiny_pipelines.UNET` in the original's names."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        start = max((s for s in WHOLE if key.startswith(f"{s}.")), key=len)
        end = key.removeprefix(f"{start}.")
        if "resnets" in start:
            part, _, last = end.partition(".")
            end = f"{RESNET[part]}.{last}"
        renamed[f"model.diffusion_model.{WHOLE[start]}.{end}"] = value
    return renamed


def vae(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A VAE in the original's names; its attention's matrices are convolutions there."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key
        for ours, theirs in AUTOENCODER:
            name = re.sub(ours, theirs, name)
        attends = "attn_1" in name and value.ndim == 2
        renamed[f"first_stage_model.{name}"] = value[..., None, None] if attends else value
    return renamed


def eye(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """CLIP's picture encoder as OpenAI's code has it."""
    import torch

    said = {key.removeprefix("vision_model."): value for key, value in state.items()}
    renamed = {
        "class_embedding": said["embeddings.class_embedding"],
        "positional_embedding": said["embeddings.position_embedding.weight"],
        "conv1.weight": said["embeddings.patch_embedding.weight"],
        "proj": said["visual_projection.weight"].T,
    }
    for end in ("weight", "bias"):
        renamed[f"ln_pre.{end}"] = said[f"pre_layrnorm.{end}"]
        renamed[f"ln_post.{end}"] = said[f"post_layernorm.{end}"]
        for i in range(layers):
            a, b = f"transformer.resblocks.{i}", f"encoder.layers.{i}"
            parts = [said[f"{b}.self_attn.{x}_proj.{end}"] for x in "qkv"]
            renamed[f"{a}.attn.in_proj_{end}"] = torch.cat(parts)
            renamed[f"{a}.attn.out_proj.{end}"] = said[f"{b}.self_attn.out_proj.{end}"]
            renamed[f"{a}.ln_1.{end}"] = said[f"{b}.layer_norm1.{end}"]
            renamed[f"{a}.ln_2.{end}"] = said[f"{b}.layer_norm2.{end}"]
            renamed[f"{a}.mlp.c_fc.{end}"] = said[f"{b}.mlp.fc1.{end}"]
            renamed[f"{a}.mlp.c_proj.{end}"] = said[f"{b}.mlp.fc2.{end}"]
    return {f"cond_stage_model.model.visual.{key}": value for key, value in renamed.items()}
