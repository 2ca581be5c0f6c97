"""One object in a picture, cut out, in the middle, of one size: what picture-to-3D begins with.

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
from scipy import ndimage
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.io.images import load_image, to_bytes

SIDE = 256
"""Of the cut-out, in pixels: what Zero-1-to-3 was trained on."""
FILL = 0.8
"""Share of the side that the object's longer extent takes: a ball of radius 1 in our frame."""
TOLERANCE = 0.08
"""How far a colour may be from the plain one, in its furthest channel; of [0, 1]."""
PLAIN = 0.95
"""Share of the border that must be plain."""
FEWEST = 0.005
"""Share of a picture that an object takes, at least; and of transparent pixels, that alpha says
anything."""


def read_cutout(path: Path) -> Float[Tensor, "s s 4"]:
    """The object in a picture file, alpha straight, 256 pixels a side.

    A picture of this very size with alpha is taken as it lies, so what this made it leaves alone.
    Raises BadInput where there is no object to be told from what is behind it.
    """
    picture = load_image(path)
    transparent = picture.shape[-1] == 4 and bool((picture[..., 3] < 0.5).float().mean() > FEWEST)
    if transparent and picture.shape[:2] == (SIDE, SIDE):
        return picture
    if transparent:
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
    if bool((rgba[..., 3] > 0.5).float().mean() < FEWEST):
        raise BadInput(f"{path} shows no object: nothing of it is opaque. Choose another picture.")
    return centred(rgba)


def plain_background(rgb: Float[Tensor, "h w 3"]) -> Bool[Tensor, "h w"] | None:
    """Where the plain colour of the border is, as far as it hangs together with the border.

    None where the border has no such colour.
    """
    border = torch.cat([rgb[0], rgb[-1], rgb[1:-1, 0], rgb[1:-1, -1]])
    plain = border.median(0).values
    if bool(((border - plain).abs().amax(-1) < TOLERANCE).float().mean() < PLAIN):
        return None
    alike = ((rgb - plain).abs().amax(-1) < TOLERANCE).numpy()
    pieces = np.zeros(alike.shape, np.int32)
    ndimage.label(alike, output=pieces)
    rim = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    return torch.from_numpy(np.isin(pieces, np.unique(rim[rim > 0])))


def centred(rgba: Float[Tensor, "h w 4"]) -> Float[Tensor, "s s 4"]:
    """The object in the middle of a square of 256 pixels, its longer extent taking `FILL` of it."""
    alpha = rgba[..., 3:]
    rows, columns = ((alpha[..., 0] > 0.5).any(axis).nonzero()[:, 0] for axis in (1, 0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    side = max(round(max(bottom - top, right - left) / FILL), 1)
    y, x = (top + bottom - side) // 2, (left + right - side) // 2
    h, w = alpha.shape[:2]
    around = (-x, x + side - w, -y, y + side - h)  # what is to be added on each side, or taken
    flat = torch.cat([rgba[..., :3] * alpha, alpha], -1).permute(2, 0, 1)[None]
    square = F.pad(flat, around)
    if side >= SIDE:
        small = F.interpolate(square, (SIDE, SIDE), mode="area")
    else:
        small = F.interpolate(square, (SIDE, SIDE), mode="bilinear", align_corners=False)
    color, opaque = small[0].permute(1, 2, 0).split([3, 1], -1)
    return torch.cat([color / opaque.clamp_min(1e-6) * (opaque > 0), opaque], -1).clamp(0, 1)


def digest(rgba: Float[Tensor, "h w 4"]) -> str:
    """The first 16 digits of the SHA-256 of a picture's levels: what it shows, not its file."""
    return hashlib.sha256(to_bytes(rgba).tobytes()).hexdigest()[:16]
