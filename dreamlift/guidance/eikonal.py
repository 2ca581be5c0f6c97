"""What keeps a distance a distance (IGR, arXiv:2002.10099), beside guidance/regularizers.py."""

from jaxtyping import Float
from torch import Tensor


def eikonal(gradient: Float[Tensor, "n 3"]) -> Float[Tensor, ""]:
    """Mean of (|grad d| - 1)^2: a signed distance changes by 1 for each unit (arXiv:2002.10099).

    IGR's term, in VolSDF and NeuS alike. Finite where the gradient is 0.
    """
    length = (gradient.square().sum(-1) + 1e-12).sqrt()
    return (length - 1).square().mean()
