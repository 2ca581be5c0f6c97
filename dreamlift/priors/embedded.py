"""The prior that ships inside: `weights/text-to-image`, a pixel model of the embedded world.

No download, and a vocabulary of its own: a word it has never seen in a picture is refused with the
nearest words it has.
"""

import json
from functools import cache
from pathlib import Path
from typing import cast

import torch
from torch import nn

from dreamlift.diffusion import Cosine
from dreamlift.prior import Embedding
from dreamlift.priors.pixel import Pixel, best_dtype
from dreamlift.priors.text import TextTower, load_tower
from dreamlift.words import CONTEXT, UnknownWord, nearest, parse

WEIGHTS = Path(__file__).parents[1] / "weights" / "text-to-image"


class Words:
    """The frozen text tower, for captions that the weights have seen the words of."""

    def __init__(
        self, tower: TextTower, nouns: tuple[str, ...], relations: tuple[str, ...]
    ) -> None:
        self.tower, self.nouns, self.relations = tower, nouns, relations

    def __call__(self, text: str) -> Embedding:
        """Token features of a caption, or of nothing. Raises UnknownWord, ValueError."""
        if text:
            self.check(text)
        features, mask = self.tower.encode([text], CONTEXT)
        return {"tokens": features[0], "mask": mask[0].float()}

    def check(self, text: str) -> None:
        """Refuse a caption whose things or relations these weights have no picture of."""
        refuse_unseen(text, self.nouns, self.relations)


def refuse_unseen(text: str, nouns: tuple[str, ...], relations: tuple[str, ...]) -> None:
    """UnknownWord, ValueError for a caption that cannot be read or names what was never seen."""
    graph = parse(text)
    said = [(thing.noun, nouns, "object") for thing in graph.things]
    said += [(link.relation, relations, "relation") for link in graph.links]
    for word, known, kind in said:
        if word not in known:
            raise UnknownWord(
                f"The embedded prior knows the word {word!r}, but has never seen such an "
                f"{kind}. Nearest it has seen: {', '.join(nearest(word, known))}. Use one of "
                "these, or a prior with an open vocabulary."
            )


@cache
def trained(folder: Path = WEIGHTS) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The nouns and relations that a prior's weights have seen pictures of."""
    known = json.loads((folder / "vocabulary.json").read_text())
    return tuple(known["nouns"]), tuple(known["relations"])


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
    nouns, relations = trained(folder)
    tower = load_tower(folder / "tower").to(device)
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(
        folder, subfolder="unet", local_files_only=True, use_safetensors=True
    )
    cast(nn.Module, unet).to(device)
    dtype = best_dtype(device) if dtype is None else dtype
    words = Words(tower, nouns, relations)
    return Pixel(unet, words, Cosine(), "v_prediction", dtype=dtype)
