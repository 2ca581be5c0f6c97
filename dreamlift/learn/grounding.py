"""Token grounding: a word's attention should lie on what the word names.

A word that owns a mask (a noun, its colour, its size) is attended from inside it: the loss is the
squared share of the attention it draws from elsewhere, the token loss of TokenCompose
(arXiv:2312.03626, Eq. 4).
"""

from typing import Any

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class Attend:
    """A diffusers attention processor, written out; cross-attention keeps the last call's maps.

    (On a CPU the fused attention's bfloat16 gradient is 7 times slower than this.)
    """

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.maps: Float[Tensor, "b u n"] | None = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Float[Tensor, "b u w"],
        encoder_hidden_states: Float[Tensor, "b n d"] | None = None,
        attention_mask: Float[Tensor, "b 1 n"] | None = None,
        **_: Any,
    ) -> Float[Tensor, "b u w"]:
        """softmax(q k / sqrt(d)) v, averaged over heads for the maps."""
        words = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        heads = attn.heads

        def split(x: Tensor) -> Tensor:
            return x.unflatten(-1, (heads, -1)).transpose(1, 2)

        q = split(attn.to_q(hidden_states))
        k, v = split(attn.to_k(words)), split(attn.to_v(words))
        scores = (q * attn.scale) @ k.transpose(-1, -2)
        if attention_mask is not None:
            scores = scores + attention_mask[:, None]
        shares = scores.softmax(-1)
        if self.keep:
            self.maps = shares.mean(1)
        out = (shares @ v).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](out))


def attend(network: nn.Module) -> list[Attend]:
    """Let a diffusers UNet attend so; the cross-attentions, whose maps are kept."""
    processors: list[Attend] = []
    for name, module in network.named_modules():
        if name.endswith(("attn1", "attn2")):
            processors.append(Attend(name.endswith("attn2")))
            module.processor = processors[-1]  # pyright: ignore
    return [processor for processor in processors if processor.keep]


def grounding(
    maps: Float[Tensor, "b u n"],
    masks: Float[Tensor, "b things h w"],
    owner: Int[Tensor, "b n"],
    told: Bool[Tensor, " b"],
) -> Float[Tensor, ""]:
    """The mean squared share of a word's attention outside its thing; -1 owns nothing.

    `told` leaves out pictures whose caption was dropped. 0 where no word owns anything.
    """
    side = round(maps.shape[1] ** 0.5)
    area = F.adaptive_avg_pool2d(masks, side).flatten(2)
    index = owner.clamp_min(0)[..., None].expand(-1, -1, area.shape[2])
    own = area.gather(1, index.clamp_max(area.shape[1] - 1))
    attention = maps.transpose(1, 2)
    inside = (attention * own).sum(-1) / attention.sum(-1).clamp_min(1e-6)
    counted = (owner >= 0) & (own.amax(-1) > 0.3) & told[:, None]
    return ((1 - inside).square() * counted).sum() / counted.sum().clamp_min(1)
