"""Zero-1-to-3 and its kin (arXiv:2303.11328): a picture of an object, turned to another camera.

A folder in the diffusers layout: unet/ (of 8 channels), vae/, image_encoder/, scheduler/ and
clip_camera_projection/ or cc_projection/. The UNet sees the noisy latents beside those of the
picture, and one token: a projection of CLIP's look at the picture and of four numbers, the pose.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from dreamlift.errors import BadInput
from dreamlift.prior import Condition, Embedding, Prompt
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.latent import AskUNet, Latent, load_unet
from dreamlift.priors.parts import network
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.poses import Fourth, clip_pixels, places, pose
from dreamlift.priors.told import weighted
from dreamlift.priors.vae import VAE, load_vae
from dreamlift.scene import Shot

PROJECTIONS = ("clip_camera_projection", "cc_projection")


class Turned:
    """What a picture shows and the turn from it to each camera; it reads no words."""

    def __init__(
        self, eye: Any, projection: nn.Linear, vae: VAE, size: int, fourth: Fourth = "distance"
    ) -> None:
        """`eye` is CLIP's picture encoder; all are used as they lie, frozen. `size` in pixels."""
        self.eye, self.projection, self.vae = eye, projection, vae
        self.size = size
        self.fourth: Fourth = fourth

    def embed(self, prompt: Prompt) -> Embedding:
        """The prompt's one picture on white: CLIP's look, unscaled latents, where it was taken.

        The null prompt, without a text and a picture, is zeros. Its text is not read. Raises
        BadInput for a text without a picture.
        """
        device = self.projection.weight.device
        if prompt.text and len(prompt.views) != 1:
            raise BadInput(
                f"Zero-1-to-3 turns one picture; the prompt has {len(prompt.views)}. Give one, "
                "with its alpha and its camera."
            )
        if not prompt.views:
            cells = self.size // self.vae.factor
            return {
                "seen": torch.zeros(self.projection.in_features - 4, device=device),
                "latent": torch.zeros(self.vae.channels, cells, cells, device=device),
                "place": torch.zeros(3, device=device),
                "named": torch.zeros((), device=device),
            }
        view = prompt.views[0]
        picture = (view.image + 1 - view.alpha)[None]
        latent = self.vae.picture(picture, self.size)[0]
        pixels = clip_pixels(picture.cpu(), self.eye.config.image_size)
        seen = self.eye(pixels.to(self.eye.dtype)).image_embeds[0].to(device).float()
        place = places(view.camera)[0].to(device)
        return {"seen": seen, "latent": latent, "place": place, "named": torch.ones_like(place[0])}

    def condition(
        self, mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], shot: Shot
    ) -> Condition:
        """The token of each picture and of the turn to each camera, and the picture's latents."""
        to = places(shot.cameras)
        tokens: list[Tensor] = []
        weight, bias = (p.to(to) for p in self.projection.parameters())
        for said, w in mix:
            turn = pose(said["place"].to(to), to, self.fourth)
            seen = said["seen"].to(to).expand(len(to), -1)
            share = w.to(to)[:, None] * said["named"].to(to)  # null: zeros, not their projection
            tokens.append(share * F.linear(torch.cat([seen, turn], -1), weight, bias))
        return {"tokens": torch.stack(tokens).sum(0)[:, None], "beside": weighted(mix, "latent")}


def load_projection(folder: Path) -> nn.Linear:
    """The linear layer that joins look and pose. Raises ValueError where it is missing."""
    for name in PROJECTIONS:
        for file in sorted((folder / name).glob("*.safetensors")):
            state = {key.rpartition(".")[2]: value for key, value in load_file(file).items()}
            wide, narrow = state["weight"].shape[1], state["weight"].shape[0]
            layer = nn.Linear(wide, narrow)
            layer.load_state_dict({key: value.float() for key, value in state.items()})
            return layer.requires_grad_(False)
    raise ValueError(f"{folder} has no safetensors in {' or '.join(PROJECTIONS)}.")


def zero123(
    folder: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    fourth: Fourth = "distance",
) -> Latent:
    """From a folder; `dtype` None is the device's best. Stable Zero123's `fourth` is "elevation".

    Raises ValueError, OSError where the folder is not whole.
    """
    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    schedule, prediction = load_schedule(folder)
    from transformers import CLIPVisionModelWithProjection

    eye, _ = network(
        CLIPVisionModelWithProjection.from_pretrained, folder, "image_encoder", dtype=dtype
    )
    vae = load_vae(folder, device)
    unet, size = load_unet(folder, vae, device, dtype, beside=vae.channels)
    tells = Turned(eye, load_projection(folder).to(device), vae, size, fourth)
    return Latent(unet, AskUNet(), vae, tells, schedule, prediction, size=size)
