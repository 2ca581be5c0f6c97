"""DeepFloyd IF, stage II: pictures of 256x256, seen beside a small one of 64x64.

A folder in the diffusers layout (IFSuperResolutionPipeline), as stage I and with
image_noising_scheduler/. The small picture is noised to a known level (Sec. 3 of Imagen,
arXiv:2205.11487), so that the network may mend it: the higher, the freer it is.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamlift.diffusion import add_noise
from dreamlift.geometry.squares import resize
from dreamlift.prior import Condition
from dreamlift.priors.deepfloyd import load_t5_words
from dreamlift.priors.folder import from_folder, schedule_from_config
from dreamlift.priors.parts import settings
from dreamlift.priors.pixel import Pixel, best_dtype
from dreamlift.priors.told import picture_shown
from dreamlift.scene import Shot

Small: TypeAlias = Callable[[Shot], Tensor]
"""A shot to small square pictures in [0, 1], (b 3 s s)."""

LEVEL = 250
"""The pipeline's own noise level of the small picture, of 1000."""


def super_resolution(
    folder: Path | str,
    small: Small | None = None,
    *,
    level: int = LEVEL,
    seed: int = 0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> Pixel:
    """Stage II from a folder; `dtype` None is the device's best.

    `small` None is what the scene shows, at a quarter of the side. Its noise, of `level` in
    [0, 999], is always the same draw of `seed`: the same under every prompt, or their difference
    would be noise. Raises ValueError, OSError where the folder is not whole.
    """
    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    noised = schedule_from_config(settings(folder, "image_noising_scheduler/scheduler_config.json"))
    size = int(settings(folder, "unet/config.json")["sample_size"])

    def sight(shot: Shot) -> Condition:
        if small is None:
            x = resize(picture_shown(shot).permute(0, 3, 1, 2), size // 4)
        else:
            x = small(shot)
        grown = F.interpolate(2 * x - 1, (size, size), mode="bilinear", align_corners=True)
        noise = torch.randn(grown.shape, generator=torch.Generator().manual_seed(seed)).to(grown)
        t = grown.new_full((len(grown),), level / 999)
        return {"beside": add_noise(noised, grown, t, noise), "level": 999 * t}

    words = load_t5_words(folder, dtype)
    return from_folder(folder, words, device=device, dtype=dtype, sight=sight)
