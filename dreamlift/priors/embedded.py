"""The prior that ships inside: `weights/text-to-image`, a pixel model of the embedded world.

No download, and a vocabulary of its own: a word it has never seen in a picture is refused with the
nearest words it has.
"""

from pathlib import Path
from typing import cast

import torch
from torch import nn

from dreamlift.diffusion import Cosine
from dreamlift.prior import Embedding
from dreamlift.priors.pixel import Pixel, best_dtype
from dreamlift.priors.seen import plainly, refuse, unseen
from dreamlift.priors.text import TextTower, load_tower
from dreamlift.words import CONTEXT

WEIGHTS = Path(__file__).parents[1] / "weights" / "text-to-image"


class Words:
    """The frozen text tower, for captions of words that the weights have seen in pictures."""

    def __init__(self, tower: TextTower, strange: frozenset[str] = frozenset()) -> None:
        self.tower, self.strange = tower, strange

    def __call__(self, text: str) -> Embedding:
        """Token features of a caption, or of nothing. Raises UnknownWord, ValueError."""
        refuse(text, self.strange, "prior")
        features, mask = self.tower.encode([plainly(text)], CONTEXT)
        return {"tokens": features[0], "mask": mask[0].float()}


def embedded(
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    folder: Path = WEIGHTS,
) -> Pixel:
    """The embedded prior. Raises FileNotFoundError where its weights are not installed."""
    if not (folder / "unet").is_dir():
        raise FileNotFoundError(
            f"The embedded prior's weights are not in {folder}. Install the package again, or "
            "train them with `dreamlift train text-to-image`."
        )
    tower = load_tower(folder / "tower").to(device)
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(
        folder, subfolder="unet", local_files_only=True, use_safetensors=True
    )
    cast(nn.Module, unet).to(device)
    dtype = best_dtype(device) if dtype is None else dtype
    return Pixel(unet, Words(tower, unseen(folder)), Cosine(), "v_prediction", dtype=dtype)
