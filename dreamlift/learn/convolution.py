"""Convolutions as matrix products, where a CPU's bfloat16 convolutions crawl.

With two threads on a busy machine, oneDNN's bfloat16 gradients took up to a hundred times longer
than with one on small maps, with a stride, with few or many channels and for 1x1 kernels
(docs/log.md); as matrix products they do not. With one thread oneDNN is always the faster.
Everything stays in the default memory format: group normalisation of channels-last bfloat16 is 25
times slower than of channels-first.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Convolution(nn.Conv2d):
    """A Conv2d with the same parameters and the same result, by the faster way."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o y x"]:
        side = min(input.shape[-2:])
        awkward = self.kernel_size[0] == 1 or self.stride[0] > 1 or side <= 4
        awkward = awkward or self.in_channels < 16 or self.in_channels > 2 * self.out_channels
        return self.product(input) if awkward else super().forward(input)

    def product(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o y x"]:
        """The convolution as one matrix product over shifted copies."""
        k, s = self.kernel_size[0], self.stride[0]
        p = int(self.padding[0])
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        rows = x.permute(0, 2, 3, 1)
        if k > 1:
            rows = F.pad(rows, (0, 0, p, p, p, p))
            h, w = (rows.shape[1] - k) // s + 1, (rows.shape[2] - k) // s + 1
            shifted = [
                rows[:, i : i + s * (h - 1) + 1 : s, j : j + s * (w - 1) + 1 : s]
                for i in range(k)
                for j in range(k)
            ]
            rows = torch.cat(shifted, -1)
        else:
            rows = F.pad(rows, (0, 0, p, p, p, p))[:, ::s, ::s]
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        return F.linear(rows, weight, self.bias).permute(0, 3, 1, 2).contiguous()


def _plain(layer: nn.Conv2d) -> bool:
    """Whether a convolution is of the kind that `product` computes: square and undivided."""
    square = all(len({*pair}) == 1 for pair in (layer.kernel_size, layer.stride, layer.padding))
    square = square and not isinstance(layer.padding, str)
    return square and layer.dilation == (1, 1) and layer.groups == 1


def hasten(network: nn.Module) -> None:
    """Make plain Conv2ds of a network Convolutions, in place; parameters stay what they are."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.padding_mode == "zeros" and _plain(module):
            module.__class__ = Convolution
