"""Pixel-space diffusion: a diffusers UNet in a local folder, on pictures or unshuffled pictures.

Dreamlift's own shipped weights and DeepFloyd IF's first stage are such folders:
`unet/` (UNet2DConditionModel) and `scheduler/scheduler_config.json`.
"""

import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dreamlift.cameras import Cameras
from dreamlift.diffusion import Schedule
from dreamlift.geometry.squares import resize
from dreamlift.prior import Condition, Embedding, Prompt
from dreamlift.priors.prediction import Prediction, noise_of
from dreamlift.scene import Shot
from dreamlift.schedules import Table

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

CAMERA_NUMBERS = 9


@runtime_checkable
class TextEncoder(Protocol):
    """A frozen text tower: a sentence as n tokens of d numbers, which must not depend on others."""

    def __call__(self, text: str) -> Embedding:
        """The "tokens" (n d), and where some are padding "mask" (n), 1 for a token, 0 for padding.

        n is the same for every text, so that embeddings can be batched and interpolated. Raises
        ValueError for words that the tower does not know.
        """
        ...


def native_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; elsewhere it is slower than float32."""
    if platform.system() != "Linux":
        return False
    flags = Path("/proc/cpuinfo").read_text().split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def best_dtype(device: torch.device | str) -> torch.dtype:
    """The fastest dtype in which a frozen network keeps its range: bfloat16 where it is native."""
    device = torch.device(device)
    if device.type == "cuda":
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float32
    return torch.bfloat16 if device.type == "cpu" and native_bf16() else torch.float32


def camera_numbers(cameras: Cameras) -> Float[Tensor, "b 9"]:
    """What the network is told of a camera; nine zeros say that it is not told.

    Sine and cosine of azimuth and elevation, a 1, and sine and cosine of two and four azimuths: a
    table looks the same from two sides, a cube from four.
    """
    az, el = torch.deg2rad(cameras.azimuth), torch.deg2rad(cameras.elevation)
    first = [az.sin(), az.cos(), el.sin(), el.cos(), torch.ones_like(az)]
    return torch.stack([*first, *(f(k * az) for k in (2, 4) for f in (torch.sin, torch.cos))], -1)


def counted(mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]]) -> Bool[Tensor, "b n"]:
    """Which tokens count of sentences mixed: where any with a share in it has one."""
    masks = [(w.to(e["tokens"])[:, None] > 0) & e["mask"].bool() for e, w in mix]
    return torch.stack(masks).any(0)


class Pixel:
    """eps(z_t; y, t, camera) of a UNet over pictures in [-1, 1].

    A network of 12 channels sees the picture's 2x2 pixel-unshuffle, at half the side: a permutation
    of its numbers, so plain noise stays plain noise.
    """

    views = 1

    def __init__(
        self,
        unet: "UNet2DConditionModel",
        text: TextEncoder,
        schedule: Schedule,
        prediction: Prediction,
        *,
        dtype: torch.dtype = torch.float32,
        clock: float = 999.0,
        cameras: Literal["always", "named", "never"] = "named",
        sight: Callable[[Shot], Condition] | None = None,
    ) -> None:
        """The network is frozen in place, cast to `dtype`, and reads t as `clock` times t.

        A table's entry it reads as a whole number.
        `cameras`: whether a network that knows them is told the cameras always, for every prompt
        but the null one, or never. `sight`: what it is told of a shot under every prompt, pictures
        "beside" z and the "level" of their noise (superres.py).
        """
        # torch's own `to`: that of diffusers warns of layers which this class does not have.
        network = cast(nn.Module, unet).requires_grad_(False).eval()
        self.network = nn.Module.to(network, dtype)
        nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
        self.text, self.sight = text, sight
        self.schedule = schedule
        self.prediction: Prediction = prediction
        self.dtype = dtype
        self.clock = clock
        self.cameras: Literal["always", "named", "never"] = cameras
        config: Mapping[str, Any] = unet.config
        self.device: torch.device = unet.device
        self.one_by_one = False
        """Whether the network is asked each condition alone, which takes less memory."""
        self.unshuffle = config["in_channels"] == 12
        self.size: int = int(config["sample_size"]) * (2 if self.unshuffle else 1)
        self.sees_cameras = config["class_embed_type"] == "projection"
        if self.sees_cameras and config["projection_class_embeddings_input_dim"] != CAMERA_NUMBERS:
            raise ValueError(
                f"This network takes {config['projection_class_embeddings_input_dim']} numbers "
                f"for a camera; ours are {CAMERA_NUMBERS} (priors.pixel.camera_numbers)."
            )

    def encode(
        self, x: Float[Tensor, "b h w 3"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "b c y x"]:
        """Pictures in [0, 1], of any square size, to [-1, 1] at the native size."""
        z = 2 * resize(x.permute(0, 3, 1, 2), self.size) - 1
        return F.pixel_unshuffle(z, 2) if self.unshuffle else z

    def decode(self, z: Float[Tensor, "b c y x"]) -> Float[Tensor, "b h w 3"]:
        """The inverse of `encode` at the native size; not clamped."""
        x = F.pixel_shuffle(z, 2) if self.unshuffle else z
        return (x.permute(0, 2, 3, 1) + 1) / 2

    def embed(self, prompt: Prompt) -> Embedding:
        """The text tower's tokens, and whether the prompt names a thing."""
        with torch.no_grad():
            said = self.text(prompt.text)
        named = torch.tensor(float(prompt.text != ""))
        return {key: value.to(self.device) for key, value in {**said, "named": named}.items()}

    def condition(
        self, mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], shot: Shot
    ) -> Condition:
        """Tokens interpolated; a token counts where any sentence with a share in it has one."""
        parts = [(e, w.to(e["tokens"])[:, None]) for e, w in mix]
        tokens = torch.stack([w[..., None] * e["tokens"] for e, w in parts]).sum(0)
        told: dict[str, Tensor] = {"tokens": tokens}
        if "mask" in parts[0][0]:
            told["mask"] = counted(mix)
        if self.sees_cameras:
            numbers = camera_numbers(shot.cameras).to(tokens)
            share = {
                "always": torch.ones_like(numbers[:, :1]),
                "named": torch.stack([w * e["named"] for e, w in parts]).sum(0),
                "never": torch.zeros_like(numbers[:, :1]),
            }
            told["camera"] = share[self.cameras] * numbers
        return told if self.sight is None else {**told, **self.sight(shot)}

    def predict(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b c y x"], ...]:
        """What the network says, eps or v; all conditions in one batch, in z_t's dtype."""
        if self.one_by_one and conditions[1:]:
            return tuple(out for told in conditions for out in self.predict(z_t, t, told))
        n, channels = len(conditions), z_t.shape[1]
        told = {key: torch.cat([c[key] for c in conditions]) for key in conditions[0]}
        clock = self.clock * t
        if isinstance(self.schedule, Table):
            clock = clock.round()
        z = z_t.to(self.dtype).repeat(n, 1, 1, 1)
        out = self.network(
            torch.cat([z, told["beside"].to(z)], 1) if "beside" in told else z,
            clock.repeat(n),
            told["tokens"].to(z),
            class_labels=told["camera"].to(z) if "camera" in told else told.get("level"),
            timestep_cond=told.get("pose"),  # only a student has a network for it (priors.lora)
            encoder_attention_mask=told.get("mask"),
            return_dict=False,
        )[0]
        # Models that learn their variance (DeepFloyd IF) append it as further channels.
        return tuple(part[:, :channels].to(z_t) for part in out.chunk(n))

    def eps(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b c y x"], ...]:
        """The network's noise predictions, all conditions in one batch, in z_t's dtype."""
        said = self.predict(z_t, t, *conditions)
        return tuple(noise_of(self.schedule, self.prediction, z_t, t, out) for out in said)
