"""What a texture shows at a place; u to the right, v upward, (0, 0) its lower left corner."""

from jaxtyping import Float
from torch import Tensor


def sample(texture: Float[Tensor, "h w c"], uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n c"]:
    """Bilinear colours of a texture that repeats in both directions."""
    h, w, c = texture.shape
    x, y = uv[:, 0] * w - 0.5, (1 - uv[:, 1]) * h - 0.5
    x0, y0 = x.floor(), y.floor()
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    left, top = x0.long() % w, y0.long() % h
    right, bottom = (left + 1) % w, (top + 1) % h
    flat = texture.reshape(-1, c)
    upper = flat[top * w + left] * (1 - fx) + flat[top * w + right] * fx
    lower = flat[bottom * w + left] * (1 - fx) + flat[bottom * w + right] * fx
    return upper * (1 - fy) + lower * fy
