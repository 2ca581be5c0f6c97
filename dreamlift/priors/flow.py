"""Rectified flow on latents: Stable Diffusion 3 and 3.5 (arXiv:2403.03206), and FLUX.1.

Their networks say the velocity eps - z of the straight way from a picture to noise. Folders in the
diffusers layout, with transformer/ in place of unet/, two CLIPs (FLUX one) and T5.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamlift.diffusion import eps_from_flow
from dreamlift.prior import Condition, Embedding, Prompt
from dreamlift.priors.flow_words import ClipAndT5, ThreeTowers, load_towers
from dreamlift.priors.latent import together, weighted
from dreamlift.priors.parts import network, placed
from dreamlift.priors.pixel import TextEncoder, best_dtype
from dreamlift.priors.vae import VAE, load_vae
from dreamlift.scene import Shot
from dreamlift.schedules import Flow


def packed(z: Float[Tensor, "b c y x"]) -> Float[Tensor, "b n d"]:
    """2x2 cells as one token, row by row; FLUX's network sees latents so."""
    return F.pixel_unshuffle(z, 2).flatten(2).transpose(1, 2)


def unpacked(tokens: Float[Tensor, "b n d"], rows: int) -> Float[Tensor, "b c y x"]:
    """The inverse of `packed`."""
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (rows, -1)), 2)


class FlowLatent:
    """eps(z_t; y, t) of a transformer over a VAE's latents, from its velocity."""

    views = 1

    def __init__(
        self,
        transformer: Any,
        vae: VAE,
        text: TextEncoder,
        *,
        size: int,
        packs: bool,
        guidance: float | None = None,
    ) -> None:
        """The network is used as it lies: frozen, in its own dtype, on its own device.

        `packs`: whether it is FLUX's, which is told latents as tokens with places. `guidance` is
        the scale that a network distilled from guided ones is told; None where it takes none.
        """
        self.network = transformer
        self.vae = vae
        self.text = text
        self.schedule = Flow()
        self.factor = vae.factor
        self.size = size
        self.packs, self.guidance = packs, guidance

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
        """The noise that the network's velocities imply, all conditions in one batch."""
        n, told, dtype = len(conditions), together(conditions), self.network.dtype
        z, at = z_t.to(dtype).repeat(n, 1, 1, 1), t.repeat(n)
        words = {
            "encoder_hidden_states": told["tokens"].to(dtype),
            "pooled_projections": told["pooled"].to(dtype),
        }
        if self.packs:
            out = self._flux(z, at.to(dtype), words)
        else:
            out = self.network(z, timestep=1000 * at, **words, return_dict=False)[0]
        return tuple(eps_from_flow(z_t, t, v.to(z_t)) for v in out.chunk(n))

    def _flux(
        self, z: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], words: Condition
    ) -> Float[Tensor, "b c y x"]:
        """FLUX's network, which is told where each token is, and its guidance."""
        rows, columns = z.shape[2] // 2, z.shape[3] // 2
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        places = torch.stack([torch.zeros_like(y), y, x], -1).flatten(0, 1).to(z)
        guidance = None if self.guidance is None else torch.full_like(t, self.guidance)
        out = self.network(
            packed(z),
            timestep=t,
            guidance=guidance,
            img_ids=places,
            txt_ids=places.new_zeros(words["encoder_hidden_states"].shape[1], 3),
            **words,
            return_dict=False,
        )[0]
        return unpacked(out, rows)


def stable_diffusion_3(
    folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> FlowLatent:
    """Stable Diffusion 3 or 3.5 from a folder. Raises ValueError, OSError."""
    from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel, T5Tokenizer

    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    made, config = network(
        SD3Transformer2DModel.from_pretrained, folder, "transformer", dtype=dtype
    )
    clip = (CLIPTokenizer, CLIPTextModelWithProjection)
    first, second, t5 = load_towers(folder, dtype, clip, clip, (T5Tokenizer, T5EncoderModel))
    vae = load_vae(folder, device)
    text = ThreeTowers((first, second), t5)
    size = int(config["sample_size"]) * vae.factor
    return FlowLatent(placed(made, device), vae, text, size=size, packs=False)


def flux(
    folder: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    size: int = 1024,
    guidance: float = 1.0,
) -> FlowLatent:
    """FLUX.1 from a folder, at a side of `size` pixels. Raises ValueError, OSError.

    `guidance` 1 asks a distilled network for what it would say unguided.
    """
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
    from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5Tokenizer

    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    made, config = network(
        FluxTransformer2DModel.from_pretrained, folder, "transformer", dtype=dtype
    )
    clip, t5 = load_towers(
        folder, dtype, (CLIPTokenizer, CLIPTextModel), (T5Tokenizer, T5EncoderModel)
    )
    return FlowLatent(
        placed(made, device),
        load_vae(folder, device),
        ClipAndT5(clip, t5),
        size=size,
        packs=True,
        guidance=guidance if config["guidance_embeds"] else None,
    )
