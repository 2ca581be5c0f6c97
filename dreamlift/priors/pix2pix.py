"""InstructPix2Pix (arXiv:2211.09800): Stable Diffusion that sees a picture, told how to change it.

A folder in the diffusers layout, whose unet/ has twice the latents' channels. The paper's two
scales (Eq. 3) are a mix of three conditions: with s for the text and r for the picture,
`Mix(prior, {both: s, picture_alone: r - s, null: 1 - r})`. Guided by one scale, words and picture
count alike.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.prior import Embedding, Prompt
from dreamlift.priors.encoders import load_clip_words
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.latent import AskUNet, Latent, load_unet
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.told import Sentences, picture_of
from dreamlift.priors.vae import load_vae


def instruct_pix2pix(
    folder: Path | str,
    picture: Float[Tensor, "h w 3"] | None = None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> Latent:
    """From a folder; `dtype` None is the device's best.

    `picture` (sRGB in [0, 1], square) goes with every sentence that brings none of its own
    (`Prompt(text, views)`); the null prompt is told zeros, and Prompt("", views) the picture
    without words. Raises ValueError, OSError where the folder is not whole.
    """
    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    schedule, prediction = load_schedule(folder)
    vae = load_vae(folder, device)
    unet, size = load_unet(folder, vae, device, dtype, beside=vae.channels)
    cells = size // vae.factor

    def pictured(prompt: Prompt) -> Embedding:
        """The picture's latents, unscaled: the network was trained so."""
        x = picture_of(prompt, picture)
        if x is None:
            return {"beside": torch.zeros(vae.channels, cells, cells)}
        return {"beside": vae.picture(x[None], size)[0]}

    tells = Sentences(load_clip_words(folder, dtype), pictured=pictured)
    return Latent(unet, AskUNet(), vae, tells, schedule, prediction, size=size)
