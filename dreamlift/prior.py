"""A prior is a frozen denoiser eps(z_t; y, t) and the map from pictures x to its space z."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.diffusion import Schedule
from dreamlift.scene import Shot

Condition: TypeAlias = Mapping[str, Tensor]
"""What a denoiser is told for each of b samples; made and read by one prior; leading axis b."""

Embedding: TypeAlias = Mapping[str, Tensor]
"""A prompt, encoded once by one prior; no batch axis; cacheable on disk."""


@dataclass(frozen=True)
class View:
    """A reference picture for image-conditioned priors."""

    image: Float[Tensor, "h w 3"]  # sRGB in [0, 1], times alpha
    alpha: Float[Tensor, "h w 1"]
    camera: Cameras  # a batch of one


@dataclass(frozen=True)
class Prompt:
    """What to make. The empty text is the null prompt of classifier-free guidance."""

    text: str
    views: tuple[View, ...] = ()
    negative: bool = False
    """Said in the null prompt's place: a picture that a prior was given does not go with it."""


@runtime_checkable
class Denoiser(Protocol):
    """All that samplers need; z is a picture, a latent, a triplane, a point set: any `b *z`."""

    @property
    def schedule(self) -> Schedule: ...

    def eps(
        self, z_t: Float[Tensor, "b *z"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b *z"], ...]:
        """The noise predicted under each condition, in one batched evaluation."""
        ...


@runtime_checkable
class Prior(Denoiser, Protocol):
    """A denoiser of pictures."""

    @property
    def size(self) -> int:
        """Native side, in pixels."""
        ...

    @property
    def views(self) -> int:
        """How many consecutive pictures are denoised together (1; MVDream 4)."""
        ...

    def encode(
        self, x: Float[Tensor, "b h w 3"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "b c y x"]:
        """Pictures (sRGB in [0, 1]) to z, differentiably. rng: posterior sample; None: its mode."""
        ...

    def decode(self, z: Float[Tensor, "b c y x"]) -> Float[Tensor, "b h w 3"]:
        """z to pictures."""
        ...

    def embed(self, prompt: Prompt) -> Embedding:
        """Encode a prompt. Raises ValueError for words this prior does not know."""
        ...

    def condition(
        self, mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], shot: Shot
    ) -> Condition:
        """Embeddings mixed with per-camera weights; the prior knows what may be interpolated.

        A prior takes from the shot what it understands: most the cameras or nothing, the oracle
        all of it, so that it knows the light and the background in front of which z was seen.
        """
        ...


@runtime_checkable
class Latents(Protocol):
    """What a prior of latents has besides: its z is no picture and has no range to be kept in."""

    @property
    def factor(self) -> int:
        """Pixels of the side of a latent's cell."""
        ...


@runtime_checkable
class Aligner(Protocol):
    """CLIP and its kin: pictures and texts in one space, compared by inner product."""

    def embed_image(self, x: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]: ...

    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "n d"]: ...


Reads: TypeAlias = Callable[[Float[Tensor, "n h w 3"], Sequence[str]], Float[Tensor, "n m"]]
"""What reads pictures (sRGB in [0, 1]): log-likelihoods of captions, differentiably."""
