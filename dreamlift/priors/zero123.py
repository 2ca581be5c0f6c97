"""Zero-1-to-3 and its kin (arXiv:2303.11328): a picture of an object, turned to another camera.

A folder in the diffusers layout: unet/ (of 8 channels), vae/, image_encoder/, scheduler/ and
clip_camera_projection/ or cc_projection/. The UNet sees the noisy latents beside those of the
picture, and one token: a projection of CLIP's look at the picture and of four numbers, the pose.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from dreamlift.errors import BadInput
from dreamlift.prior import Condition, Embedding, Prompt
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.latent import load_unet, noises, together
from dreamlift.priors.parts import network
from dreamlift.priors.pixel import Prediction, best_dtype
from dreamlift.priors.poses import Fourth, clip_pixels, places, pose
from dreamlift.priors.vae import VAE, load_vae
from dreamlift.scene import Shot
from dreamlift.schedules import Table

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

PROJECTIONS = ("clip_camera_projection", "cc_projection")


class Zero123:
    """eps(z_t; a picture, the turn to the shot's camera, t)."""

    views = 1

    def __init__(
        self,
        unet: "UNet2DConditionModel",
        vae: VAE,
        eye: Any,
        projection: nn.Linear,
        schedule: Table,
        prediction: Prediction,
        *,
        fourth: Fourth = "distance",
    ) -> None:
        """`eye` is CLIP's picture encoder; all are used as they lie, frozen."""
        self.network, self.vae, self.eye, self.projection = unet, vae, eye, projection
        self.schedule = schedule
        self.prediction: Prediction = prediction
        self.fourth: Fourth = fourth
        self.factor = vae.factor
        self.size: int = unet.config["sample_size"] * vae.factor
        if unet.config["in_channels"] != 2 * vae.channels:
            raise ValueError(
                f"This network takes {unet.config['in_channels']} channels, not twice the "
                f"autoencoder's {vae.channels}: it is told no picture. It is no Zero-1-to-3."
            )

    def encode(
        self, x: Float[Tensor, "b h w 3"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "b c y x"]:
        """Pictures in [0, 1], of any square size, to latents, through the VAE's Jacobian."""
        return self.vae.encode(x, self.size, rng)

    def decode(self, z: Float[Tensor, "b c y x"]) -> Float[Tensor, "b h w 3"]:
        """Latents to pictures."""
        return self.vae.decode(z)

    def embed(self, prompt: Prompt) -> Embedding:
        """The prompt's one picture on white: CLIP's look, unscaled latents, where it was taken.

        The null prompt, without a text and a picture, is zeros. Its text is not read. Raises
        BadInput for a text without a picture.
        """
        device = self.network.device
        if prompt.text and len(prompt.views) != 1:
            raise BadInput(
                f"Zero-1-to-3 turns one picture; the prompt has {len(prompt.views)}. Give one, "
                "with its alpha and its camera."
            )
        if not prompt.views:
            cells = self.size // self.factor
            return {
                "seen": torch.zeros(self.projection.in_features - 4, device=device),
                "latent": torch.zeros(self.vae.channels, cells, cells, device=device),
                "place": torch.zeros(3, device=device),
                "named": torch.zeros((), device=device),
            }
        view = prompt.views[0]
        picture = (view.image + 1 - view.alpha)[None]
        with torch.no_grad():
            latent = self.vae.picture(picture.to(device), self.size)[0]
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
        latents: list[Tensor] = []
        for said, w in mix:
            turn = pose(said["place"].to(to), to, self.fourth)
            seen = said["seen"].to(to).expand(len(to), -1)
            share = w.to(to)[:, None] * said["named"].to(to)  # null: zeros, not their projection
            tokens.append(share * self.projection(torch.cat([seen, turn], -1)))
            latents.append(w.to(to)[:, None, None, None] * said["latent"].to(to))
        return {
            "tokens": torch.stack(tokens).sum(0)[:, None],
            "latent": torch.stack(latents).sum(0),
        }

    def eps(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b c y x"], ...]:
        """The network's noise predictions, all conditions in one batch, in z_t's dtype."""
        n, told, dtype = len(conditions), together(conditions), self.network.dtype
        out = self.network(
            torch.cat([z_t.repeat(n, 1, 1, 1), told["latent"].to(z_t)], 1).to(dtype),
            self.schedule.index(t).repeat(n),
            told["tokens"].to(dtype),
            return_dict=False,
        )[0]
        return noises(self.schedule, self.prediction, z_t, t, out)


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
) -> Zero123:
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
    return Zero123(
        load_unet(folder, device, dtype),
        load_vae(folder, device),
        eye,
        load_projection(folder).to(device),
        schedule,
        prediction,
        fourth=fourth,
    )
