"""Muon: the step of a matrix is its momentum with all singular values made one.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); the size of a step
after Liu et al., "Muon is scalable for LLM training" (arXiv:2502.16982, eq. 4), so that AdamW's
learning rate and decay serve both. A convolution is the matrix that maps its patches to channels.
Vectors, and the first and the last layer, are left to AdamW.
"""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

MOMENTUM = 0.95
STEP = 0.2
"""Root mean square of a step, of the learning rate: what AdamW's steps have."""
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""x -> a x + b x^3 + c x^5, five times, takes every singular value in (0.003, 1] near to one."""


def matrices(network: nn.Module) -> list[nn.Parameter]:
    """What Muon takes of a network: the weights of its linear and convolutional layers but for the
    first and the last of them; tables of words and of places are not layers."""
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return [cast(nn.Parameter, w) for w in weights if w.requires_grad][1:-1]


def orthogonal(x: Float[Tensor, "r c"]) -> Float[Tensor, "r c"]:
    """U V^T, about, of x = U S V^T: singular values between 0.7 and 1.2. In bfloat16."""
    a, b, c = NEWTON_SCHULZ
    y = x.bfloat16()
    y = y if len(x) <= x.shape[1] else y.mT
    y = y / y.norm().clamp_min(1e-7)
    for _ in range(5):
        square = y @ y.mT
        y = torch.addmm(y, torch.addmm(square, square, square, beta=b, alpha=c), y, beta=a)
    return (y if len(x) <= x.shape[1] else y.mT).to(x)


@torch.no_grad()
def take(
    parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer, lr: float, decay: float
) -> None:
    """One step of matrices, whose gradients are used up: AdamW, whose `optimizer.state` holds the
    momentum, passes them over."""
    for p in parameters:
        if p.grad is None:
            continue
        state = optimizer.state[p]
        if not state:
            state.update(step=torch.zeros((), device=p.device), exp_avg=torch.zeros_like(p))
        state["step"] += 1
        state["exp_avg"].lerp_(p.grad, 1 - MOMENTUM)
        ahead = p.grad.lerp(state["exp_avg"], MOMENTUM).flatten(1)  # Nesterov's
        size = STEP * max(ahead.shape) ** 0.5
        p.mul_(1 - lr * decay).sub_(lr * size * orthogonal(ahead).view_as(p))
        p.grad = None
