"""Latent diffusion (arXiv:2112.10752): the one prior over a VAE's latents, and Stable Diffusion.

`Latent` has three parts that families differ in: the network, how it is asked (`Ask`), and what it
is told of a prompt and a shot (`Tells`). Stable Diffusion 1.x and 2.x, noise or v prediction, is a
folder in the diffusers layout: unet/, vae/, scheduler/, tokenizer/ and text_encoder/.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import Schedule
from dreamlift.errors import BadInput
from dreamlift.prior import Condition, Embedding, Prompt
from dreamlift.priors.distilled import SCALE, beside_time
from dreamlift.priors.encoders import load_clip_words
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.parts import network, placed
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.prediction import Prediction, noise_of
from dreamlift.priors.told import Sentences, Tells, likeness
from dreamlift.priors.vae import VAE, load_vae
from dreamlift.scene import Shot
from dreamlift.schedules import Table

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

Ask: TypeAlias = Callable[[Any, Tensor, Tensor, Condition], Tensor]
"""(network, z, time, told) to the network's answer, whose first channels are those of z.

z (n c y x) is in the network's dtype; time (n) is a table's entry, or t for a continuous schedule.
"""


class Latent:
    """eps(z_t; y, t) of a network over a VAE's latents."""

    def __init__(
        self,
        network: Any,
        ask: Ask,
        vae: VAE,
        tells: Tells,
        schedule: Schedule,
        prediction: Prediction,
        *,
        size: int,
        views: int = 1,
    ) -> None:
        """The network is used as it lies: frozen, in its own dtype, on its own device.

        `size`: the native side, in pixels. `views` consecutive pictures are denoised together.
        """
        self.network = network
        self.ask, self.vae, self.tells = ask, vae, tells
        self.schedule = schedule
        self.prediction: Prediction = prediction
        self.size, self.views, self.factor = size, views, vae.factor
        self.dtype: torch.dtype = network.dtype
        self.device: torch.device = network.device
        self.one_by_one = False
        """Whether the network is asked each condition alone, which takes less memory."""

    def encode(
        self, x: Float[Tensor, "b h w 3"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "b c y x"]:
        """Pictures in [0, 1], of any square size, to latents, through the VAE's Jacobian."""
        return self.vae.encode(x, self.size, rng)

    def decode(self, z: Float[Tensor, "b c y x"]) -> Float[Tensor, "b h w 3"]:
        """Latents to pictures."""
        return self.vae.decode(z)

    def embed(self, prompt: Prompt) -> Embedding:
        """What the prompt says, once. Raises BadInput for one that cannot be told."""
        with torch.no_grad():
            said = self.tells.embed(prompt)
        return {key: value.to(self.device) for key, value in said.items()}

    def condition(
        self, mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], shot: Shot
    ) -> Condition:
        """What was embedded, interpolated, and what the family is told of the shot."""
        return self.tells.condition(mix, shot)

    def predict(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b c y x"], ...]:
        """What the network says; all conditions in one batch, in z_t's dtype. Raises BadInput for
        pictures that are not in groups of `views`."""
        if len(z_t) % self.views:
            raise BadInput(
                f"This prior denoises {self.views} views of an object together; got {len(z_t)}. "
                "Give a multiple."
            )
        if self.one_by_one and conditions[1:]:
            return tuple(out for told in conditions for out in self.predict(z_t, t, told))
        n, channels = len(conditions), z_t.shape[1]
        told = {key: torch.cat([each[key] for each in conditions]) for key in conditions[0]}
        time = self.schedule.index(t) if isinstance(self.schedule, Table) else t
        z = z_t.to(self.dtype).repeat(n, 1, 1, 1)
        out = self.ask(self.network, z, time.repeat(n), told)
        return tuple(part[:, :channels].to(z_t) for part in out.chunk(n))

    def eps(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b c y x"], ...]:
        """The network's noise predictions, all conditions in one batch, in z_t's dtype."""
        said = self.predict(z_t, t, *conditions)
        return tuple(noise_of(self.schedule, self.prediction, z_t, t, out) for out in said)


@dataclass(frozen=True)
class AskUNet:
    """A UNet that is told tokens; further channels "beside" z where there are some."""

    scale: float = SCALE  # told to networks that were distilled with a guidance scale

    def __call__(self, network: Any, z: Tensor, time: Tensor, told: Condition) -> Tensor:
        return network(
            torch.cat([z, told["beside"].to(z)], 1) if "beside" in told else z,
            time,
            told["tokens"].to(z),
            timestep_cond=beside_time(network, z, told, self.scale),
            added_cond_kwargs=likeness(told, z),
            return_dict=False,
        )[0]


def load_unet(
    folder: Path, vae: VAE, device: torch.device | str, dtype: torch.dtype, *, beside: int = 0
) -> tuple["UNet2DConditionModel", int]:
    """unet/ of a pipeline, which sees `beside` channels beside the latents, and its native side in
    pixels. Raises ValueError, OSError."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    made, config = network(UNet2DConditionModel.from_pretrained, folder, "unet", dtype=dtype)
    if config["in_channels"] != vae.channels + beside:
        raise ValueError(
            f"This network takes {config['in_channels']} channels and the autoencoder has "
            f"{vae.channels}, with {beside} beside them: the folder is not of the kind that its "
            "model_index.json says, or it is made for inpainting, which is not known here."
        )
    unet = cast("UNet2DConditionModel", placed(made, device))
    return unet, int(config["sample_size"]) * vae.factor


def stable_diffusion(
    folder: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    scale: float = SCALE,
) -> Latent:
    """Stable Diffusion 1.x or 2.x, or a student of it, from a folder.

    `dtype` None is the device's best; `scale` is told to students that read one. Raises
    ValueError, OSError where the folder is not whole.
    """
    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    schedule, prediction = load_schedule(folder)
    vae = load_vae(folder, device)
    unet, size = load_unet(folder, vae, device, dtype)
    tells = Sentences(load_clip_words(folder, dtype))
    return Latent(unet, AskUNet(scale), vae, tells, schedule, prediction, size=size)
