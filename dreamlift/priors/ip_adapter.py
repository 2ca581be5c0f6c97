"""IP-Adapter (arXiv:2308.06721): a likeness, a picture that is followed as a prompt is.

One .safetensors file of image_proj.* and ip_adapter.* beside an image_encoder/, as h94/IP-Adapter
has them, added to Stable Diffusion 1.x, 2.x or XL: the plain ones, of four tokens, and "plus".
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from dreamlift.prior import Embedding, Prompt
from dreamlift.priors.latent import Latent
from dreamlift.priors.parts import network, shapes, shapes_alone
from dreamlift.priors.poses import MEAN, STD
from dreamlift.priors.told import Sentences, picture_of

PARTS = ("image_proj", "ip_adapter")


def is_ip_adapter(file: Path) -> bool:
    """Whether a .safetensors file holds an IP-Adapter. Reads its header."""
    with safe_open(file, "pt") as content:
        return any(key.startswith(f"{PARTS[0]}.") for key in content.keys())


def ip_adapter(
    prior: Latent,
    file: Path | str,
    picture: Float[Tensor, "h w 3"] | None = None,
    *,
    strength: float = 1.0,
    eye: Path | str | None = None,
) -> None:
    """Change a prior so that it follows a picture beside the words.

    `picture` (sRGB in [0, 1], square) goes with every sentence that brings none of its own
    (`Prompt(text, views)`); the null prompt is told none. `strength` multiplies what the picture
    adds. `eye` None: image_encoder/ beside the file. Raises ValueError for a file that is no
    IP-Adapter or another model's, OSError.
    """
    from transformers import CLIPVisionModelWithProjection

    file = Path(file)
    tells, state = prior.tells, _parts(file)
    if not isinstance(tells, Sentences) or tells.pictured is not None:
        raise ValueError(f"{file} cannot change this prior: it follows a picture of its own.")
    eye = file.parent / "image_encoder" if eye is None else Path(eye)
    made, _ = network(
        CLIPVisionModelWithProjection.from_pretrained, eye.parent, eye.name, dtype=prior.dtype
    )
    try:
        attach(prior.network, state, strength)
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{file} was made for another model: {reason}") from error
    plus = "latents" in state[PARTS[0]]

    def pictured(prompt: Prompt) -> Embedding:
        x = picture_of(prompt, picture)
        return {"likeness": look(made, x, plus=plus)}

    tells.pictured = pictured


def attach(network: Any, parts: Mapping[str, Mapping[str, Tensor]], strength: float) -> None:
    """Give a diffusers UNet an adapter's `PARTS`. Raises RuntimeError, KeyError for another's."""
    from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0

    with network.device:
        network._load_ip_adapter_weights([parts], low_cpu_mem_usage=False)  # no public way
    network.requires_grad_(False)
    scale: list[float | int] = [strength]
    for processor in network.attn_processors.values():
        if isinstance(processor, IPAdapterAttnProcessor2_0):
            processor.scale = scale


def _parts(file: Path) -> Mapping[str, Mapping[str, Tensor]]:
    """The file's two parts, without their names. Raises ValueError for what is not known."""
    parts: dict[str, dict[str, Tensor]] = {name: {} for name in PARTS}
    for key, value in (shapes if shapes_alone() else load_file)(file).items():
        name, _, rest = key.partition(".")
        if name in parts:
            parts[name][rest] = value
    if not {"proj.weight", "latents"} & parts[PARTS[0]].keys() or not parts[PARTS[1]]:
        raise ValueError(
            f"{file} is no IP-Adapter that is known here: the plain one and plus are, those of "
            "faces are not."
        )
    return parts


def look(eye: Any, x: Float[Tensor, "h w 3"] | None, *, plus: bool) -> Float[Tensor, "*n d"]:
    """CLIP's look at a picture: its vector, or all its patches' for "plus".

    None is nothing seen: the vector is zeros, the patches are those of zeros.
    """
    size = eye.config.image_size
    if x is None:
        pixels = torch.zeros(1, 3, size, size)
    else:
        pixels = x.permute(2, 0, 1)[None].cpu().float()
        if pixels.shape[-2:] != (size, size):
            pixels = F.interpolate(pixels, (size, size), mode="bicubic", antialias=True)
        mean, std = (pixels.new_tensor(each)[:, None, None] for each in (MEAN, STD))
        pixels = (pixels - mean) / std
    said = eye(pixels.to(eye.device, eye.dtype), output_hidden_states=plus)
    if plus:
        return said.hidden_states[-2][0].float()
    return torch.zeros_like(said.image_embeds[0]) if x is None else said.image_embeds[0].float()
