"""OpenAI's CLIP (arXiv:2103.00020) and OpenCLIP (arXiv:2212.07143), as transformers keeps them.

Pictures and sentences in one space, for guidance and for scores; gradients reach the pictures.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamlift.priors.parts import network, placed, settings
from dreamlift.priors.pixel import best_dtype


class ClipAligner:
    """Both towers of a CLIP; its vectors have length 1."""

    def __init__(
        self, model: Any, tokenizer: Any, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        """`mean` and `std` are of the colours that the model was trained on."""
        self.model, self.tokenizer = model, tokenizer
        self.size: int = model.config.vision_config.image_size
        self.mean = torch.tensor(mean, device=model.device)[:, None, None]
        self.std = torch.tensor(std, device=model.device)[:, None, None]

    def embed_image(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        """Unit vectors of pictures (sRGB in [0, 1], any square size), differentiably."""
        y = x.permute(0, 3, 1, 2).float()
        if y.shape[-2:] != (self.size, self.size):
            y = F.interpolate(y, (self.size, self.size), mode="bicubic", antialias=True)
        pixels = ((y - self.mean) / self.std).to(self.model.dtype)
        seen = self.model.vision_model(pixel_values=pixels).pooler_output
        return F.normalize(self.model.visual_projection(seen).float(), dim=-1)

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Unit vectors of sentences; what is longer than 77 tokens is cut off, as CLIP's users do.

        Captions of judges and data sets are longer than prompts, and their ends matter less.
        """
        said = self.tokenizer(
            list(texts),
            padding="max_length",
            max_length=self.model.config.text_config.max_position_embeddings,
            truncation=True,
            return_tensors="pt",
        ).to(self.model.device)
        read = self.model.text_model(**said).pooler_output
        return F.normalize(self.model.text_projection(read).float(), dim=-1)


def clip_aligner(
    folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> ClipAligner:
    """From a folder with config.json, model.safetensors, the tokenizer's files and
    preprocessor_config.json; `dtype` None is the device's best. Raises ValueError, OSError."""
    from transformers import CLIPModel, CLIPTokenizer

    folder = Path(folder)
    dtype = best_dtype(device) if dtype is None else dtype
    model, _ = network(CLIPModel.from_pretrained, folder, ".", dtype=dtype)
    tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    prepared = settings(folder, "preprocessor_config.json")
    return ClipAligner(
        placed(model, device), tokenizer, prepared["image_mean"], prepared["image_std"]
    )
