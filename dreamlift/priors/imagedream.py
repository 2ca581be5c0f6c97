"""ImageDream (arXiv:2312.02201): MVDream that is shown a picture of the object beside the words.

Its network is MVDream's (mvdream.py), told of the picture in two ways. CLIP's look at it becomes a
few tokens that every cross-attention sees beside the words, which is an IP-Adapter plus whose
weights lie among the network's own. And its latents, clean, with zeros for a camera, are a fifth
view that the four see in their self-attention ("pixel" in the paper); what the network says of it
is dropped. A folder as `ashawkey/imagedream-ipmv-diffusers` has it: MVDream's and image_encoder/.
The picture is the object's front, where our azimuth is 0.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from dreamlift.prior import Condition, Embedding, Prompt
from dreamlift.priors.encoders import load_clip_words
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.ip_adapter import PARTS, attach, look
from dreamlift.priors.latent import Latent
from dreamlift.priors.mvdream import VIEWS, ask_mvdream, diffusers_names, join, load_views, sight
from dreamlift.priors.parts import network, placed, settings
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.told import Sentences, picture_of
from dreamlift.priors.vae import load_vae

TOKENS = "image_embed."
"""What the names of the layers begin with that make tokens of CLIP's look."""


def fifth(views: Shaped[Tensor, "n *d"], last: Shaped[Tensor, "n *d"]) -> Shaped[Tensor, "m *d"]:
    """Each group of four views and, after it, what `last` has at the fourth of them."""
    groups = views.unflatten(0, (-1, VIEWS)), last.to(views).unflatten(0, (-1, VIEWS))[:, -1:]
    return torch.cat(groups, 1).flatten(0, 1)


def ask_imagedream(network: Any, z: Tensor, time: Tensor, told: Condition) -> Tensor:
    """MVDream's network, asked about the picture's own latents after every four."""
    blank = ("camera", "pose")  # zeros say that it is not told
    all_five = {
        key: fifth(value, torch.zeros_like(value) if key in blank else value)
        for key, value in told.items()
        if key != "beside"
    }
    said = ask_mvdream(network, fifth(z, told["beside"]), fifth(time, time), all_five)
    return said.unflatten(0, (-1, VIEWS + 1))[:, :VIEWS].flatten(0, 1)


def adapter(unet: Any, state: Mapping[str, Tensor]) -> Mapping[str, Mapping[str, Tensor]]:
    """A network's own weights for a picture's tokens, as the parts of an IP-Adapter.

    `state` has the original's names. Raises KeyError where one is missing.
    """
    named = diffusers_names(state, unet.config)
    tokens = {k.removeprefix(TOKENS): v for k, v in state.items() if k.startswith(TOKENS)}
    layers = {
        f"{i}.{end}": named[f"{name.removesuffix('processor')}{end}"]
        for i, name in enumerate(unet.attn_processors)
        if name.endswith("attn2.processor")
        for end in ("to_k_ip.weight", "to_v_ip.weight")
    }
    return dict(zip(PARTS, (tokens, layers), strict=True))


def imagedream(
    folder: Path | str,
    picture: Float[Tensor, "h w 3"] | None = None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> Latent:
    """From a folder; `dtype` None is the device's best.

    `picture` (sRGB in [0, 1], square, of the front) goes with every sentence that brings none of
    its own (`Prompt(text, views)`); the null prompt and negative ones are told zeros for CLIP's
    look and for the latents. Raises ValueError, OSError where the folder is not whole.
    """
    from transformers import CLIPVisionModel

    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    config = settings(folder, "unet/config.json")
    if not config.get("ip_dim"):
        raise ValueError(
            f"{folder} is told no picture: its unet/config.json has no ip_dim. MVDream is loaded "
            "with priors.mvdream."
        )
    schedule, prediction = load_schedule(folder)
    unet, state = load_views(folder)
    try:
        attach(unet, adapter(unet, state), float(config.get("ip_weight", 1.0)))
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder / 'unet'} lacks weights for a picture: {reason}") from error
    join(unet, VIEWS + 1)
    eye, seen = network(CLIPVisionModel.from_pretrained, folder, "image_encoder", dtype=dtype)
    vae = load_vae(folder, device)
    cells = int(unet.config["sample_size"])
    size = cells * vae.factor

    def pictured(prompt: Prompt) -> Embedding:
        x = picture_of(prompt, picture)
        if x is None:
            patches = (seen["image_size"] // seen["patch_size"]) ** 2
            return {
                "likeness": torch.zeros(patches + 1, seen["hidden_size"]),
                "beside": torch.zeros(vae.channels, cells, cells),
            }
        latents = vae.encode(x[None], size)[0]
        return {"likeness": look(eye, x, plus=True), "beside": latents}

    tells = Sentences(load_clip_words(folder, dtype), pictured=pictured, sight=sight)
    made = placed(unet, device, dtype)
    return Latent(made, ask_imagedream, vae, tells, schedule, prediction, size=size, views=VIEWS)
