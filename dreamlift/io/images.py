"""Pictures in and out (PNG), and sheets of many pictures. Images are `h w c`, sRGB in [0, 1]."""

import io
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.io.atomic import atomic


def to_bytes(image: Float[Tensor, "*b h w c"]) -> NDArray[np.uint8]:
    """The nearest of 256 levels for each value; values outside [0, 1] are clamped."""
    return (image.detach().cpu().clamp(0, 1) * 255).round().byte().numpy()


def _to_pil(image: Float[Tensor, "h w c"]) -> Image.Image:
    """1 channel is grey, 3 are red, green, blue, 4 have (straight) alpha last."""
    channels = image.shape[-1]
    if channels not in (1, 3, 4):
        raise ValueError(f"A picture has 1, 3 or 4 channels, not {channels}.")
    pixels = to_bytes(image)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def png_bytes(image: Float[Tensor, "h w c"]) -> bytes:
    """A picture of 1, 3 or 4 channels as the contents of a PNG file."""
    buffer = io.BytesIO()
    _to_pil(image).save(buffer, format="PNG")
    return buffer.getvalue()


def save_png(path: Path, image: Float[Tensor, "h w c"]) -> None:
    """Write a picture of 1, 3 or 4 channels (alpha straight, not premultiplied)."""
    content = png_bytes(image)
    with atomic(path) as file:
        file.write_bytes(content)


def decode(content: bytes, *, name: str) -> Float[Tensor, "h w c"]:
    """The picture in the contents of a PNG, JPEG or WebP file; `name` is for messages."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            has_alpha = "A" in picture.getbands() or "transparency" in picture.info
            pixels = np.asarray(picture.convert("RGBA" if has_alpha else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{name} is not a picture that can be read: {error}.") from error
    return torch.from_numpy(pixels.copy()).float() / 255


def load_image(path: Path) -> Float[Tensor, "h w c"]:
    """A picture file: 3 channels, or 4 where it has (straight) alpha."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"Cannot read the picture {path}: {error.strerror}.") from error
    return decode(content, name=str(path))


def save_levels(path: Path, levels: Int[Tensor, "h w"]) -> None:
    """Write whole numbers from 0 to 65535 as a grey PNG of 16 bits."""
    if not 0 <= int(levels.min()) <= int(levels.max()) <= 65535:
        raise ValueError(
            f"16 bits hold 0 to 65535; {int(levels.min())} to {int(levels.max())} were given."
        )
    buffer = io.BytesIO()
    Image.fromarray(levels.cpu().numpy().astype(np.uint16)).save(buffer, format="PNG")
    with atomic(path) as file:
        file.write_bytes(buffer.getvalue())


def load_levels(path: Path) -> Int[Tensor, "h w"]:
    """The numbers in a grey PNG."""
    try:
        with Image.open(path) as picture:
            levels = np.asarray(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path} is not a picture that can be read: {error}.") from error
    if levels.ndim != 2:
        raise BadInput(f"{path} holds colours, where grey levels of 16 bits were expected.")
    return torch.from_numpy(levels.astype(np.int64))


def contact_sheet(
    images: Float[Tensor, "b h w 3"],
    *,
    columns: int,
    labels: Sequence[str] = (),
    gap: int = 4,
    background: float = 1.0,
) -> Float[Tensor, "y x 3"]:
    """Pictures in rows of `columns`, `gap` pixels apart, each above its label if there are any.

    A label wider than its picture goes on in the next line.
    """
    b, h, w, _ = images.shape
    if labels and len(labels) != b:
        raise ValueError(f"{b} pictures need {b} labels, not {len(labels)}.")
    rows = -(-b // columns)
    text = max(11, h // 16)
    font = ImageFont.load_default(text)
    letters = max(1, int(w / font.getlength("e")))
    below = ["\n".join(wrap(label, letters)) for label in labels]
    lines = max((1 + label.count("\n") for label in below), default=0)
    line = lines * (text + 6)
    size = (columns * (w + gap) + gap, rows * (h + line + gap) + gap)
    shade = round(255 * background)
    sheet = Image.new("RGB", size, (shade,) * 3)
    draw = ImageDraw.Draw(sheet)
    ink = (0, 0, 0) if background > 0.5 else (255, 255, 255)
    for i in range(b):
        x, y = gap + i % columns * (w + gap), gap + i // columns * (h + line + gap)
        sheet.paste(_to_pil(images[i]), (x, y))
        if labels:
            middle = (x + w / 2, y + h + line / 2)
            draw.multiline_text(middle, below[i], ink, font, anchor="mm", align="center")
    return torch.from_numpy(np.asarray(sheet).copy()).float() / 255


def strip(images: Float[Tensor, "b h w 3"], *, gap: int = 0) -> Float[Tensor, "y x 3"]:
    """Pictures side by side."""
    return contact_sheet(images, columns=len(images), gap=gap)
