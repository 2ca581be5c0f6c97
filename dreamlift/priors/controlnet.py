"""ControlNet (arXiv:2302.05543): Stable Diffusion with a copy of its encoder that sees a drawing.

The drawing is of what the scene shows (depth, normals or edges), or any function of the shot. A
ControlNet is a folder of its own beside that of the model, or controlnet/ inside of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from dreamlift.prior import Condition
from dreamlift.priors.control import Kind, drawn
from dreamlift.priors.distilled import SCALE, beside_time
from dreamlift.priors.encoders import load_clip_words
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.latent import Latent, load_unet
from dreamlift.priors.parts import network, placed, settings
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.told import Sentences, likeness
from dreamlift.priors.vae import load_vae
from dreamlift.scene import Shot

Draw: TypeAlias = Callable[[Shot], Tensor]
"""A shot to pictures in [0, 1], (b 3 size size) at the model's native size."""
KINDS: tuple[Kind, ...] = ("depth", "normal", "canny")
KEY = "control"
"""A key of ours in a ControlNet's config.json: what it is shown."""


@dataclass(frozen=True)
class AskControlled:
    """A UNet, to whose inner layers a ControlNet adds what it makes of its drawing."""

    control: Any
    strength: float  # what the ControlNet adds is multiplied by it
    scale: float = SCALE  # told to networks that were distilled with a guidance scale

    def __call__(self, network: Any, z: Tensor, time: Tensor, told: Condition) -> Tensor:
        tokens = told["tokens"].to(z)
        down, middle = self.control(
            z,
            time,
            tokens,
            controlnet_cond=told["control"].to(z),
            conditioning_scale=self.strength,
            return_dict=False,
        )
        return network(
            z,
            time,
            tokens,
            timestep_cond=beside_time(network, z, told, self.scale),
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            added_cond_kwargs=likeness(told, z),
            return_dict=False,
        )[0]


def kind_of(net: Path) -> Kind:
    """What a ControlNet is shown: its config's "control", or the word in its folder's name.

    Raises ValueError where neither says it.
    """
    folder = net.parent if net.name == "controlnet" else net
    names = [settings(net, "config.json").get(KEY), folder.name]
    if folder.parent.name == "snapshots":  # of Hugging Face's cache
        names.append(folder.parents[1].name)
    for name in names:
        found: list[Kind] = [kind for kind in KINDS if str(name).count(kind)]
        if len(found) == 1:
            return found[0]
    raise ValueError(
        f"{net} does not say what it is shown. Name the folder with depth, normal or canny, or "
        f'write "{KEY}": "depth" into its config.json.'
    )


def controlnet(
    folder: Path | str,
    net: Path | str | None = None,
    draw: Kind | Draw | None = None,
    *,
    strength: float = 1.0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> Latent:
    """Stable Diffusion 1.x or 2.x from a folder, with the ControlNet in `net` (None: the folder's
    own controlnet/).

    `draw` None is what the ControlNet's name says. Every prompt, the null one too, is told the
    drawing. Raises ValueError, OSError where a folder is not whole.
    """
    from diffusers.models.controlnets.controlnet import ControlNetModel

    folder = Path(folder)
    net = folder / "controlnet" if net is None else Path(net)
    dtype = best_dtype(device) if dtype is None else dtype
    schedule, prediction = load_schedule(folder)
    vae = load_vae(folder, device)
    unet, size = load_unet(folder, vae, device, dtype)
    made, config = network(ControlNetModel.from_pretrained, net.parent, net.name, dtype=dtype)
    if config["cross_attention_dim"] != unet.config["cross_attention_dim"]:
        raise ValueError(
            f"{net} was made for another model: it reads tokens of {config['cross_attention_dim']} "
            f"numbers, and the model's have {unet.config['cross_attention_dim']}."
        )
    kind = kind_of(net) if draw is None else draw

    def sight(shot: Shot) -> Condition:
        return {"control": kind(shot) if callable(kind) else drawn(kind, shot, size)}

    tells = Sentences(load_clip_words(folder, dtype), sight=sight)
    ask = AskControlled(placed(made, device), strength)
    return Latent(unet, ask, vae, tells, schedule, prediction, size=size)
