"""Pictures in and out (PNG), and sheets of many pictures. Images are `h w c`, sRGB in [0, 1]."""

import io
import struct
import warnings
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps, PngImagePlugin
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.io.atomic import atomic

PIXELS = 1 << 26
"""Of a picture that is read, at most (8192 x 8192); below Pillow's own limit."""


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


def png_bytes(image: Float[Tensor, "h w c"], *, note: str = "") -> bytes:
    """A picture of 1, 3 or 4 channels as the contents of a PNG file.

    A `note` is kept in the file under our name (`noted`).
    """
    buffer, texts = io.BytesIO(), PngImagePlugin.PngInfo()
    if note:
        texts.add_text(_NOTE, note)
    _to_pil(image).save(buffer, format="PNG", pnginfo=texts)
    return buffer.getvalue()


def save_png(path: Path, image: Float[Tensor, "h w c"], *, note: str = "") -> None:
    """Write a picture of 1, 3 or 4 channels (alpha straight, not premultiplied)."""
    content = png_bytes(image, note=note)
    with atomic(path) as file:
        file.write_bytes(content)


_NOTE = "dreamlift"


def noted(picture: Image.Image) -> str:
    """What `save_png` was given to note; empty where it was nothing, or another wrote the file."""
    return str(picture.info.get(_NOTE, ""))


@contextmanager
def reading(name: str) -> Generator[None]:
    """Raises BadInput, with the picture's name, for what Pillow says of it inside."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except BadInput:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name) from error
    except (OSError, SyntaxError, ValueError, LookupError, EOFError, struct.error, zlib.error) as e:
        if isinstance(e, OSError) and e.errno:
            raise BadInput(f"Cannot read the picture {name}: {e.strerror}.") from e
        raise BadInput(f"{name} is not a picture that can be read: {e}.") from e


def _too_large(name: str) -> BadInput:
    return BadInput(f"{name} has more than the {PIXELS:,} pixels that are read. Make it smaller.")


def from_pil(picture: Image.Image, *, name: str) -> Float[Tensor, "h w c"]:
    """One of Pillow's pictures: 3 channels, or 4 where it has (straight) alpha.

    Of 16 bits, 65535 is white; of 32, where some number is above 255, and 1 of floats. `name` is
    for messages. Raises BadInput for other numbers, and for what is damaged or too large.
    """
    with reading(name):
        if picture.width * picture.height > PIXELS:
            raise _too_large(name)
        if picture.mode == "F" or picture.mode.startswith("I"):
            return _deep(picture, name)
        levels = np.array(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))
    return torch.from_numpy(levels).float().div_(255)


def _deep(picture: Image.Image, name: str) -> Float[Tensor, "h w c"]:
    """Grey of 16 or 32 bits, which Pillow would clamp to 8."""
    levels = np.asarray(picture)
    low, high = float(levels.min()), float(levels.max())
    white = 1.0 if picture.mode == "F" else 65535.0
    plain = 0 <= low <= high <= white  # not so of NaN
    if picture.mode == "I" and picture.format != "PPM":  # 255 may be white as well
        plain = plain and (high > 255 or high == 0)
    if not plain:
        raise BadInput(
            f"{name} holds numbers of 32 bits from {low:g} to {high:g}, which do not say what is "
            "white: floats from 0 to 1, or whole numbers to 65535, were expected. Save it with 8 "
            "or 16 bits a channel."
        )
    grey = torch.from_numpy(levels.astype(np.float32)).div_(white)[..., None].expand(-1, -1, 3)
    clear = picture.info.get("transparency")
    if clear is None:
        return grey.clone()
    return torch.cat([grey, torch.from_numpy(levels != clear).float()[..., None]], -1)


def decode(content: bytes, *, name: str) -> Float[Tensor, "h w c"]:
    """The picture in the contents of a PNG, JPEG or WebP file; `name` is for messages."""
    with reading(name), Image.open(io.BytesIO(content)) as picture:
        return from_pil(picture, name=name)


def load_image(path: Path, *, upright: bool = False) -> Float[Tensor, "h w c"]:
    """A picture file: 3 channels, or 4 where it has (straight) alpha. `upright`: turned as its
    EXIF says, as a viewer shows it, and not as a camera's calibration has it."""
    with reading(str(path)), Image.open(path) as picture:
        if upright:
            ImageOps.exif_transpose(picture, in_place=True)
        return from_pil(picture, name=str(path))


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
    with reading(str(path)), Image.open(path) as picture:
        levels = np.asarray(picture)
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
