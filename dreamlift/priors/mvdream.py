"""MVDream (arXiv:2308.16512): four views of one object denoised together, told their cameras.

Its network is Stable Diffusion 2.1's with two changes: self-attention is over the four views at
once, and a camera is embedded beside the time. diffusers' UNet has both places: a processor of the
attention, and an embedding of classes. A folder as `ashawkey/mvdream-sd2.1-diffusers` has it, whose
unet/ holds the original's names; vae/, scheduler/, tokenizer/ and text_encoder/ are diffusers'.
imagedream.py adds what is told of a picture.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.prior import Condition
from dreamlift.priors.encoders import load_clip_words
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.latent import Latent
from dreamlift.priors.original import fill, unet_weights
from dreamlift.priors.parts import placed, settings, shapes, shapes_alone, variant
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.told import Sentences, likeness
from dreamlift.priors.vae import load_vae
from dreamlift.scene import Shot

VIEWS = 4
"""Pictures that are denoised together: around the object, a quarter turn apart, at one height."""


class Joint:
    """diffusers' attention over all `views` of an object, for a processor's place."""

    def __init__(self, views: int) -> None:
        from diffusers.models.attention_processor import AttnProcessor2_0

        self.inner, self.views = AttnProcessor2_0(), views

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        n, places, width = hidden_states.shape
        joined = hidden_states.reshape(n // self.views, self.views * places, width)
        return self.inner(attn, joined).reshape(n, places, width)


def camera_matrix(cameras: Cameras) -> Float[Tensor, "b 16"]:
    """Camera to world, row by row, as the original has it: axes right, up and back, in a world with
    z up, and the camera on the unit sphere."""
    ours = cameras.world_to_camera[:, :3, :3].mT  # its columns are right, down and forward
    matrix = torch.zeros_like(cameras.world_to_camera)
    matrix[:, :3, :3] = ours * ours.new_tensor([1.0, -1.0, -1.0])
    matrix[:, :3, 3] = cameras.position / cameras.distance[:, None]
    matrix[:, 3, 3] = 1
    return matrix.flatten(1)


def sight(shot: Shot) -> Condition:
    """Every prompt is told the cameras, the null one too."""
    return {"camera": camera_matrix(shot.cameras)}


def ask_mvdream(network: Any, z: Tensor, time: Tensor, told: Condition) -> Tensor:
    """The UNet, whose classes are cameras."""
    return network(
        z,
        time,
        told["tokens"].to(z),
        class_labels=told["camera"].to(z),
        timestep_cond=told.get("pose"),  # only a student has a network for it (priors.lora)
        added_cond_kwargs=likeness(told, z),
        return_dict=False,
    )[0]


def unet_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The original's settings as those of diffusers' UNet."""
    widths = [config["model_channels"] * by for by in config["channel_mult"]]
    attends = [2**i in config["attention_resolutions"] for i in range(len(widths))]
    down = ["CrossAttnDownBlock2D" if each else "DownBlock2D" for each in attends]
    up = ["CrossAttnUpBlock2D" if each else "UpBlock2D" for each in reversed(attends)]
    return {
        "sample_size": config["image_size"],
        "in_channels": config["in_channels"],
        "out_channels": config["out_channels"],
        "block_out_channels": tuple(widths),
        "down_block_types": tuple(down),
        "up_block_types": tuple(up),
        "layers_per_block": config["num_res_blocks"],
        "cross_attention_dim": config["context_dim"],
        # diffusers' name for the number of heads
        "attention_head_dim": tuple(width // config["num_head_channels"] for width in widths),
        "use_linear_projection": True,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": config["camera_dim"],
    }


def diffusers_names(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The original's weights under the names of diffusers' UNet; its cameras are classes."""
    start = "model.diffusion_model."
    named = {key.replace("camera_embed.", "label_emb.0."): value for key, value in state.items()}
    return unet_weights({start + key: value for key, value in named.items()}, config)


def load_views(folder: Path) -> tuple[Any, Mapping[str, Tensor]]:
    """The UNet of unet/, on the CPU, and all weights of the folder, in the original's names.

    Within `parts.hollow()` both have shapes alone, on torch's meta device. Raises ValueError where
    a weight is missing, OSError.
    """
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    config = unet_settings(settings(folder, "unet/config.json"))
    device = "meta" if shapes_alone() else "cpu"
    with torch.device(device):
        unet: Any = UNet2DConditionModel(**config)
    chosen = variant(folder / "unet") or ""
    state: dict[str, Tensor] = {}
    for file in (folder / "unet").glob("*.safetensors"):
        if file.name.removesuffix(".safetensors").split("-0")[0].partition(".")[2] == chosen:
            state |= shapes(file) if shapes_alone() else load_file(file)
    fill(unet, diffusers_names(state, config), "UNet")
    unet.requires_grad_(False).eval()
    return unet, state


def join(unet: Any, views: int) -> None:
    """Have a UNet's self-attention see so many consecutive samples at once."""
    joint = {
        name: Joint(views) if name.endswith("attn1.processor") else processor
        for name, processor in unet.attn_processors.items()
    }
    unet.set_attn_processor(joint)


def mvdream(
    folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> Latent:
    """From a folder; `dtype` None is the device's best. Raises ValueError, OSError."""
    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    if settings(folder, "unet/config.json").get("ip_dim"):
        raise ValueError(
            f"{folder} is told a picture: it holds ImageDream. Load it with priors.imagedream."
        )
    schedule, prediction = load_schedule(folder)
    unet, _ = load_views(folder)
    join(unet, VIEWS)
    vae, tells = load_vae(folder, device), Sentences(load_clip_words(folder, dtype), sight=sight)
    size = int(unet.config["sample_size"]) * vae.factor
    made = placed(unet, device, dtype)
    return Latent(made, ask_mvdream, vae, tells, schedule, prediction, size=size, views=VIEWS)
