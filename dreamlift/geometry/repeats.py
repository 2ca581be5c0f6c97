"""Lists of different lengths, end to end."""

import torch
from jaxtyping import Int
from torch import Tensor


def listed(count: Int[Tensor, " n"]) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Each of n things `count` times: which one it is, and the how manieth of it."""
    owner = torch.arange(len(count), device=count.device).repeat_interleave(count)
    return owner, torch.arange(len(owner), device=count.device) - (count.cumsum(0) - count)[owner]
