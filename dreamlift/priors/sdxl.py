"""Stable Diffusion XL (arXiv:2307.01952): two text encoders, and sizes told beside the time.

A folder in the diffusers layout, with tokenizer_2/ and text_encoder_2/ beside what latent.py needs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.prior import Condition, Embedding, Prompt
from dreamlift.priors.encoders import tokenized
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.latent import load_unet, noises, refuse_channels, together, weighted
from dreamlift.priors.parts import network, settings
from dreamlift.priors.pixel import Prediction, TextEncoder, best_dtype
from dreamlift.priors.vae import VAE, load_vae
from dreamlift.scene import Shot
from dreamlift.schedules import Table

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


class TwoTowers:
    """Tokens of both CLIPs' penultimate layers side by side, and the second's "pooled" sentence.

    `zeros`: the null prompt is not read, its embeddings are zeros, as the base model was trained.
    """

    def __init__(self, first: tuple[Any, Any], second: tuple[Any, Any], *, zeros: bool) -> None:
        """Each a tokenizer and an encoder; the second one's with a projection."""
        self.towers, self.zeros = (first, second), zeros

    def __call__(self, text: str) -> Embedding:
        said: list[Any] = []
        for tokenizer, encoder in self.towers:
            ids, _ = tokenized(tokenizer, text, tokenizer.model_max_length)
            said.append(encoder(ids, output_hidden_states=True))
        tokens = torch.cat([each.hidden_states[-2][0] for each in said], -1)
        pooled: Tensor = said[1].text_embeds[0]
        if self.zeros and text == "":
            return {"tokens": torch.zeros_like(tokens), "pooled": torch.zeros_like(pooled)}
        return {"tokens": tokens, "pooled": pooled}


class XL:
    """eps(z_t; y, t) of SDXL's UNet, told that the picture is whole and of the native size."""

    views = 1

    def __init__(
        self,
        unet: "UNet2DConditionModel",
        vae: VAE,
        text: TextEncoder,
        schedule: Table,
        prediction: Prediction,
    ) -> None:
        """The network is used as it lies: frozen, in its own dtype, on its own device."""
        self.network = unet
        self.vae = vae
        self.text = text
        self.schedule = schedule
        self.prediction: Prediction = prediction
        self.factor = vae.factor
        self.size: int = unet.config["sample_size"] * vae.factor
        refuse_channels(unet, vae.channels)

    def encode(
        self, x: Float[Tensor, "b h w 3"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "b c y x"]:
        """Pictures in [0, 1], of any square size, to latents, through the VAE's Jacobian."""
        return self.vae.encode(x, self.size, rng)

    def decode(self, z: Float[Tensor, "b c y x"]) -> Float[Tensor, "b h w 3"]:
        """Latents to pictures."""
        return self.vae.decode(z)

    def embed(self, prompt: Prompt) -> Embedding:
        """Tokens, and the pooled sentence. Raises BadInput for more tokens than are read."""
        with torch.no_grad():
            said = self.text(prompt.text)
        return {key: value.to(self.network.device) for key, value in said.items()}

    def condition(
        self, mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], shot: Shot
    ) -> Condition:
        """Tokens and pooled sentences interpolated; the cameras are told by words alone."""
        return {key: weighted(mix, key) for key in ("tokens", "pooled")}

    def eps(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b c y x"], ...]:
        """The network's noise predictions, all conditions in one batch, in z_t's dtype."""
        n, told, dtype = len(conditions), together(conditions), self.network.dtype
        # Original height and width, cut off at the top and the left, height and width now.
        sizes = [self.size, self.size, 0, 0, self.size, self.size]
        ids = torch.tensor(sizes, dtype=dtype, device=z_t.device).expand(n * len(z_t), -1)
        out = self.network(
            z_t.to(dtype).repeat(n, 1, 1, 1),
            self.schedule.index(t).repeat(n),
            told["tokens"].to(dtype),
            added_cond_kwargs={"text_embeds": told["pooled"].to(dtype), "time_ids": ids},
            return_dict=False,
        )[0]
        return noises(self.schedule, self.prediction, z_t, t, out)


def load_two_towers(folder: Path, dtype: torch.dtype) -> TwoTowers:
    """Both tokenizers and text encoders of a pipeline. Raises ValueError, OSError."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    towers: list[tuple[Any, Any]] = []
    for kind, end in ((CLIPTextModel, ""), (CLIPTextModelWithProjection, "_2")):
        tokenizer = CLIPTokenizer.from_pretrained(
            str(folder / f"tokenizer{end}"), local_files_only=True
        )
        encoder, _ = network(kind.from_pretrained, folder, f"text_encoder{end}", dtype=dtype)
        towers.append((tokenizer, encoder))
    index = settings(folder, "model_index.json")
    return TwoTowers(towers[0], towers[1], zeros=index.get("force_zeros_for_empty_prompt", True))


def sdxl(
    folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> XL:
    """Stable Diffusion XL from a folder; `dtype` None is the device's best.

    Raises ValueError, OSError where the folder is not whole.
    """
    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    schedule, prediction = load_schedule(folder)
    return XL(
        load_unet(folder, device, dtype),
        load_vae(folder, device),
        load_two_towers(folder, dtype),
        schedule,
        prediction,
    )
