"""One object in a picture, cut out, in the middle, of one size: what picture-to-3D begins with.

A photograph is turned as its EXIF data say.

A picture with alpha is cut out already. Of another the plain colour around its border is what is
behind: pixels of that colour which hang together with the border (so that white teeth before a
white wall stay). Nothing is guessed where the border is not plain.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from PIL import Image, ImageOps
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.io.images import from_pil, noted, reading, save_png, to_bytes

SIDE = 256
"""Of the cut-out, in pixels: what Zero-1-to-3 was trained on."""
LARGEST = 2048
"""Along a side, in pixels: a larger picture is shrunk to this before it is looked at."""
FILL = 0.8
"""Share of the side that the object's longer extent takes: a ball of radius 1 in our frame."""
TOLERANCE = 0.08
"""How far a colour may be from the plain one, in its furthest channel; of [0, 1]."""
PLAIN = 0.95
"""Share of the border that must be plain."""
FEWEST = 0.005
"""Share of a picture that an object takes, at least; and of transparent pixels, that alpha says
anything."""
NOTE = "cut out"
"""In a file that `save_cutout` wrote."""


def save_cutout(path: Path, rgba: Float[Tensor, "s s 4"]) -> None:
    """Write what `read_cutout` made, so that it reads the same again."""
    save_png(path, rgba, note=NOTE)


def read_cutout(path: Path) -> Float[Tensor, "s s 4"]:
    """The object in a picture file, alpha straight, 256 pixels a side.

    What `save_cutout` wrote is taken as it lies. Raises BadInput where there is no object to be
    told from what is behind it.
    """
    with reading(str(path)), Image.open(path) as file:
        file.draft(None, (LARGEST, LARGEST))  # of a large JPEG not every pixel is decoded
        ours = noted(file) == NOTE and file.size == (SIDE, SIDE)
        ImageOps.exif_transpose(file, in_place=True)
        picture = _shrunk(from_pil(file, name=str(path)))
    if picture.shape[-1] == 4 and bool((picture[..., 3] < 0.5).float().mean() > FEWEST):
        rgba = picture
    else:
        behind = plain_background(picture[..., :3])
        if behind is None:
            raise BadInput(
                f"{path} has no alpha, and what is behind the object is not plain. Cut the object "
                "out with a background remover and save it as a PNG with alpha, or photograph it "
                "before a plain wall."
            )
        rgba = torch.cat([picture[..., :3], 1 - behind[..., None].float()], -1)
    if not _opaque(rgba):
        raise BadInput(
            f"{path} shows no object: less than {FEWEST:.1%} of it is opaque. Choose another "
            "picture, or crop it to the object."
        )
    made = rgba if ours else centred(rgba)
    if not _opaque(made):
        raise BadInput(
            f"{path} shows an object that is too thin: of {SIDE} x {SIDE} pixels it covers less "
            f"than {FEWEST:.1%}. Choose another picture, or take it from another side."
        )
    return made


def _opaque(rgba: Float[Tensor, "h w 4"]) -> bool:
    """Whether there is an object."""
    return bool((rgba[..., 3] > 0.5).float().mean() >= FEWEST)


def _shrunk(picture: Float[Tensor, "h w c"]) -> Float[Tensor, "h2 w2 c"]:
    """At most `LARGEST` pixels along each side."""
    h, w, channels = picture.shape
    if max(h, w) <= LARGEST:
        return picture
    size = max(h * LARGEST // max(h, w), 1), max(w * LARGEST // max(h, w), 1)
    if channels == 3:
        return F.interpolate(picture.permute(2, 0, 1)[None], size, mode="area")[0].permute(1, 2, 0)
    return _resized(picture, size)


def _resized(rgba: Float[Tensor, "h w 4"], size: tuple[int, int]) -> Float[Tensor, "h2 w2 4"]:
    """Of another size (h2, w2); each colour counts as much as it is opaque."""
    alpha = rgba[..., 3:]
    flat = torch.cat([rgba[..., :3] * alpha, alpha], -1).permute(2, 0, 1)[None]
    if size[0] <= len(rgba):
        scaled = F.interpolate(flat, size, mode="area")
    else:
        scaled = F.interpolate(flat, size, mode="bilinear", align_corners=False)
    color, opaque = scaled[0].permute(1, 2, 0).split([3, 1], -1)
    return torch.cat([color / opaque.clamp_min(1e-6) * (opaque > 0), opaque], -1).clamp(0, 1)


def plain_background(rgb: Float[Tensor, "h w 3"]) -> Bool[Tensor, "h w"] | None:
    """Where the plain colour of the border is, as far as it hangs together with the border.

    None where the border has no such colour.
    """
    from scipy.ndimage import label

    border = torch.cat([rgb[0], rgb[-1], rgb[1:-1, 0], rgb[1:-1, -1]])
    plain = border.median(0).values
    if bool(((border - plain).abs().amax(-1) < TOLERANCE).float().mean() < PLAIN):
        return None
    alike = ((rgb - plain).abs().amax(-1) < TOLERANCE).numpy()
    pieces = np.zeros(alike.shape, np.int32)
    label(alike, output=pieces)
    rim = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    return torch.from_numpy(np.isin(pieces, np.unique(rim[rim > 0])))


def centred(rgba: Float[Tensor, "h w 4"]) -> Float[Tensor, "s s 4"]:
    """The object in the middle of a square of 256 pixels, its longer extent taking `FILL` of it.

    One that lies so already, to within 4 pixels, stays as it is.
    """
    rows, columns = ((rgba[..., 3] > 0.5).any(axis).nonzero()[:, 0] for axis in (1, 0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    side = max(round(max(bottom - top, right - left) / FILL), 1)
    y, x = (top + bottom - side) // 2, (left + right - side) // 2
    h, w = rgba.shape[:2]
    if h == w == SIDE and max(abs(side - SIDE), abs(x), abs(y)) <= 4:
        return rgba
    around = (0, 0, -x, x + side - w, -y, y + side - h)  # what is added on each side, or taken
    return _resized(F.pad(rgba, around), (SIDE, SIDE))


def digest(rgba: Float[Tensor, "h w 4"]) -> str:
    """The first 16 digits of the SHA-256 of a picture's levels: what it shows, not its file."""
    return hashlib.sha256(to_bytes(rgba).tobytes()).hexdigest()[:16]
