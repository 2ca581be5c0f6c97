"""Stable Diffusion 2 told the depth: its UNet sees a map of it beside the latents.

A folder in the diffusers layout (StableDiffusionDepth2ImgPipeline); its depth_estimator/, which
guesses depth from photographs, is not needed: the scene's own depth is told.
"""

from pathlib import Path

import torch
import torch.nn.functional as F

from dreamlift.prior import Condition
from dreamlift.priors.control import disparity
from dreamlift.priors.encoders import load_clip_words
from dreamlift.priors.folder import load_schedule
from dreamlift.priors.latent import AskUNet, Latent, load_unet
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.told import Sentences, shown
from dreamlift.priors.vae import load_vae
from dreamlift.scene import Shot


def stable_diffusion_depth(
    folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> Latent:
    """From a folder; `dtype` None is the device's best.

    Every prompt, the null one too, is told the depth in `shot.seen`. Raises ValueError, OSError
    where the folder is not whole.
    """
    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    schedule, prediction = load_schedule(folder)
    vae = load_vae(folder, device)
    unet, size = load_unet(folder, vae, device, dtype, beside=1)
    cells = size // vae.factor

    def sight(shot: Shot) -> Condition:
        """Disparity on the latents' grid, from -1 to 1 in each picture."""
        near = disparity(shown(shot), shot.cameras)
        near = F.interpolate(near, (cells, cells), mode="bicubic", align_corners=False)
        least, most = near.amin((1, 2, 3), keepdim=True), near.amax((1, 2, 3), keepdim=True)
        return {"beside": 2 * (near - least) / (most - least).clamp_min(1e-6) - 1}

    tells = Sentences(load_clip_words(folder, dtype), sight=sight)
    return Latent(unet, AskUNet(), vae, tells, schedule, prediction, size=size)
