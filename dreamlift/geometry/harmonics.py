"""Real spherical harmonics to degree 3, with the signs and the order of 3D Gaussian splatting.

The basis is Y_lm for l = 0, 1, ..., m = -l, ..., l with the Condon-Shortley phase, as in
Sloan, "Efficient Spherical Harmonic Evaluation" and the INRIA code (arXiv:2308.04079).
"""

import torch
from jaxtyping import Float
from torch import Tensor

C0 = 0.28209479177387814
"""Y_00: a colour is C0 times its first coefficient, plus 0.5."""
C1 = 0.4886025119029199
"""Of the three of degree 1; below, of degrees 2 and 3, in the order in which `basis` needs them."""
C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
C3 = (
    0.5900435899266435,
    2.890611442640554,
    0.4570457994644658,
    0.3731763325901154,
    1.445305721320277,
)


def count(degree: int) -> int:
    """Number of coefficients to a degree from 0 to 3."""
    if not 0 <= degree <= 3:
        raise ValueError(f"Spherical harmonics are known here to degree 3; {degree} was asked for.")
    return (degree + 1) ** 2


def degree_of(coefficients: int) -> int:
    """The degree that has so many coefficients: 1, 4, 9 or 16."""
    for degree in range(4):
        if count(degree) == coefficients:
            return degree
    raise ValueError(f"To degrees 0 to 3 belong 1, 4, 9 or 16 coefficients, not {coefficients}.")


def basis(directions: Float[Tensor, "*s 3"], degree: int) -> Float[Tensor, "*s k"]:
    """The values of Y_lm in unit directions."""
    count(degree)
    x, y, z = directions.unbind(-1)
    out = [torch.full_like(x, C0)]
    if degree >= 1:
        out += [-C1 * y, C1 * z, -C1 * x]
    if degree >= 2:
        xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
        a, b, c = C2
        out += [a * xy, -a * yz, b * (2 * zz - xx - yy), -a * xz, c * (xx - yy)]
        if degree == 3:
            d, e, f, g, h = C3
            out += [
                -d * y * (3 * xx - yy),
                e * xy * z,
                -f * y * (4 * zz - xx - yy),
                g * z * (2 * zz - 3 * xx - 3 * yy),
                -f * x * (4 * zz - xx - yy),
                h * z * (xx - yy),
                -d * x * (xx - 3 * yy),
            ]
    return torch.stack(out, -1)
