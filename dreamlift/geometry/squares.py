"""Square pictures, as priors see them."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def resize(x: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c size size"]:
    """Square pictures on another grid: areas averaged when shrinking, bilinear when
    growing. Raises ValueError for others."""
    h, w = x.shape[-2:]
    if h != w:
        raise ValueError(f"Priors see square pictures; got {h}x{w}. Render them square.")
    if h >= size:
        return F.interpolate(x, (size, size), mode="area")
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False)
