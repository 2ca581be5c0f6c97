"""The multi-view UNet of MVDream and ImageDream, from its published weights' names alone.

What `priors.mvdream` and `priors.imagedream` do with diffusers' classes, written out in plain torch
after the public description, for tests: what a block is, its names say. Five views are frames of
one sequence in self-attention; the last frame is the picture's latents (ImageDream).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Published:
    """A network's weights, how wide a head is, how many frames it sees, its picture's weight."""

    state: Mapping[str, Tensor]
    head: int
    frames: int
    weight: float

    def noise(
        self, z: Tensor, index: Tensor, tokens: Tensor, camera: Tensor, seen: Tensor
    ) -> Tensor:
        """What it says of all frames. `seen` (n, p, d): CLIP's look at the picture."""
        width = len(self.state["input_blocks.0.0.bias"])
        rate = torch.exp(-math.log(10_000) * torch.arange(width // 2) / (width // 2))
        wave = index[:, None] * rate  # in single precision, as published
        said = self.twice("time_embed", torch.cat([wave.cos(), wave.sin()], 1).to(z))
        said = said + self.twice("camera_embed", camera)
        likeness = self.tokens(seen)
        h, skips = z, list[Tensor]()
        for i in range(self.count("input_blocks")):
            h = self.block(f"input_blocks.{i}", h, said, tokens, likeness)
            skips.append(h)
        h = self.block("middle_block", h, said, tokens, likeness)
        for i in range(self.count("output_blocks")):
            h = torch.cat([h, skips.pop()], 1)
            h = self.block(f"output_blocks.{i}", h, said, tokens, likeness)
        return self.conv("out.2", F.silu(self.groups("out.0", h, 1e-5)))

    def tokens(self, seen: Tensor) -> Tensor:
        """A few tokens of CLIP's look: a perceiver, whose queries see themselves too."""
        x = self.linear("image_embed.proj_in", seen)
        y = self.state["image_embed.latents"].expand(len(x), -1, -1)
        for i in range(self.count("image_embed.layers")):
            name = f"image_embed.layers.{i}"
            asks = self.layer_norm(f"{name}.0.norm2", y)
            told = torch.cat([self.layer_norm(f"{name}.0.norm1", x), asks], 1)
            k, v = self.linear(f"{name}.0.to_kv", told).chunk(2, -1)
            found = attend(self.linear(f"{name}.0.to_q", asks), k, v, 64)
            y = y + self.linear(f"{name}.0.to_out", found)
            inner = self.linear(f"{name}.1.1", self.layer_norm(f"{name}.1.0", y))
            y = y + self.linear(f"{name}.1.3", F.gelu(inner))
        return self.layer_norm("image_embed.norm_out", self.linear("image_embed.proj_out", y))

    def block(self, name: str, h: Tensor, said: Tensor, tokens: Tensor, seen: Tensor) -> Tensor:
        for j in range(self.count(name)):
            part = f"{name}.{j}"
            if self.has(f"{part}.in_layers"):
                h = self.residual(part, h, said)
            elif self.has(f"{part}.proj_in"):
                h = self.transformer(part, h, tokens, seen)
            elif self.has(f"{part}.op"):
                h = self.conv(f"{part}.op", h, stride=2)
            elif self.has(f"{part}.conv"):
                h = self.conv(f"{part}.conv", h.repeat_interleave(2, -1).repeat_interleave(2, -2))
            else:
                h = self.conv(part, h)
        return h

    def residual(self, name: str, x: Tensor, said: Tensor) -> Tensor:
        h = self.conv(f"{name}.in_layers.2", F.silu(self.groups(f"{name}.in_layers.0", x, 1e-5)))
        h = h + self.linear(f"{name}.emb_layers.1", F.silu(said))[..., None, None]
        h = self.conv(f"{name}.out_layers.3", F.silu(self.groups(f"{name}.out_layers.0", h, 1e-5)))
        changed = self.has(f"{name}.skip_connection")
        return h + (self.conv(f"{name}.skip_connection", x, padding=0) if changed else x)

    def transformer(self, name: str, x: Tensor, tokens: Tensor, seen: Tensor) -> Tensor:
        n, c, rows, columns = x.shape
        h = self.groups(f"{name}.norm", x, 1e-6).flatten(2).mT
        h, one = self.linear(f"{name}.proj_in", h), f"{name}.transformer_blocks.0"
        a = self.layer_norm(f"{one}.norm1", h).reshape(n // self.frames, -1, c)
        a = self.attention(f"{one}.attn1", a, a)
        h = h + self.linear(f"{one}.attn1.to_out.0", a).reshape(h.shape)
        b = self.layer_norm(f"{one}.norm2", h)
        both = self.attention(f"{one}.attn2", b, tokens)
        both = both + self.weight * self.attention(f"{one}.attn2", b, seen, "_ip")
        h = h + self.linear(f"{one}.attn2.to_out.0", both)
        inner, gate = self.linear(f"{one}.ff.net.0.proj", self.layer_norm(f"{one}.norm3", h)).chunk(
            2, -1
        )
        h = h + self.linear(f"{one}.ff.net.2", inner * F.gelu(gate))
        return x + self.linear(f"{name}.proj_out", h).mT.reshape(n, c, rows, columns)

    def attention(self, name: str, x: Tensor, told: Tensor, end: str = "") -> Tensor:
        q, k, v = (
            self.linear(f"{name}.to_{letter}", what)
            for letter, what in (("q", x), (f"k{end}", told), (f"v{end}", told))
        )
        return attend(q, k, v, self.head)

    def has(self, name: str) -> bool:
        return any(key.startswith(f"{name}.") for key in self.state)

    def count(self, name: str) -> int:
        return len({k.removeprefix(f"{name}.").split(".")[0] for k in self.state
                    if k.startswith(f"{name}.")})  # fmt: skip

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"))

    def twice(self, name: str, x: Tensor) -> Tensor:
        return self.linear(f"{name}.2", F.silu(self.linear(f"{name}.0", x)))

    def conv(self, name: str, x: Tensor, *, stride: int = 1, padding: int = 1) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return F.conv2d(x, weight, bias, stride, padding)

    def groups(self, name: str, x: Tensor, eps: float) -> Tensor:
        return F.group_norm(x, 32, self.state[f"{name}.weight"], self.state[f"{name}.bias"], eps)

    def layer_norm(self, name: str, x: Tensor) -> Tensor:
        return F.layer_norm(
            x, x.shape[-1:], self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        )


def attend(q: Tensor, k: Tensor, v: Tensor, head: int) -> Tensor:
    """Softmax attention of heads so wide."""
    q, k, v = (x.unflatten(-1, (-1, head)).transpose(1, 2) for x in (q, k, v))
    return ((q @ k.mT / math.sqrt(head)).softmax(-1) @ v).transpose(1, 2).flatten(2)
