"""What a network is told of a prompt and of a shot, apart from how it is asked."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.prior import Condition, Embedding, Prompt
from dreamlift.priors.encoders import Later
from dreamlift.priors.pixel import TextEncoder, counted
from dreamlift.scene import Rendering, Shot

Pictured: TypeAlias = Callable[[Prompt], Embedding]
"""What is embedded of a prompt's pictures, beside its words."""
Sight: TypeAlias = Callable[[Shot], Condition]
"""What is told of a shot, beside the prompt: the same under every prompt, the null one too."""


@runtime_checkable
class Tells(Protocol):
    """`Sentences`, or a picture and a turn (zero123.py)."""

    def embed(self, prompt: Prompt) -> Embedding: ...

    def condition(
        self, mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], shot: Shot
    ) -> Condition: ...


def weighted(
    mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], key: str
) -> Float[Tensor, "b *d"]:
    """What embeddings say under a name, interpolated with weights for each camera."""
    first = mix[0][0][key]
    shape = [-1, *[1] * first.ndim]
    return torch.stack([w.to(first).reshape(shape) * said[key] for said, w in mix]).sum(0)


class Sentences:
    """What a text encoder says of a sentence, and others of pictures and shots beside it."""

    def __init__(
        self, text: TextEncoder, *, pictured: Pictured | None = None, sight: Sight | None = None
    ) -> None:
        self.text, self.pictured, self.sight = text, pictured, sight

    def embed(self, prompt: Prompt) -> Embedding:
        """Raises BadInput for more tokens than are read."""
        said = self.text(prompt.text)
        return said if self.pictured is None else {**said, **self.pictured(prompt)}

    def condition(
        self, mix: Sequence[tuple[Embedding, Float[Tensor, " b"]]], shot: Shot
    ) -> Condition:
        """All that was embedded, interpolated, and what is told of the shot."""
        told = {key: weighted(mix, key) for key in mix[0][0] if key != "mask"}
        if "mask" in mix[0][0]:
            told["mask"] = counted(mix)
        return told if self.sight is None else {**told, **self.sight(shot)}


def likeness(told: Condition, z: Tensor) -> dict[str, list[Tensor]] | None:
    """What a UNet with an IP-Adapter (ip_adapter.py) is told besides: each sample's one picture."""
    return {"image_embeds": [told["likeness"][:, None].to(z)]} if "likeness" in told else None


def changeable(tells: Tells) -> TextEncoder | None:
    """The text encoder, for good in memory, where there is one."""
    match tells:
        case Sentences(text=Later() as later):
            return later.changed()
        case Sentences(text=text):
            return text
        case _:
            return None


def shown(shot: Shot) -> Rendering[None]:
    """What the scene shows of a shot. Raises BadInput where nothing was rendered."""
    if shot.seen is None:
        raise BadInput(
            "This prior is told what the scene shows, and here is none: a recipe that renders can "
            "follow it. In Python, give Shot(cameras, seen=scene.render(shot).detached())."
        )
    return shot.seen


def picture_shown(shot: Shot) -> Float[Tensor, "b h w 3"]:
    """What the scene shows before the shot's background. Raises BadInput where that is no colour
    (a field of latents), or nothing."""
    seen = shown(shot)
    if seen.color.shape[-1] != 3:
        raise BadInput(
            "This prior is told a picture of what the scene shows, and this scene shows latents. "
            "Choose a recipe whose scene has colours."
        )
    return seen.before(shot)


def picture_of(
    prompt: Prompt, given: Float[Tensor, "h w 3"] | None
) -> Float[Tensor, "h w 3"] | None:
    """The picture that goes with a prompt, on white: its own, or else the one `given`.

    None for the null prompt, which has neither words nor a picture, and for a negative one in its
    place. Raises BadInput for other words where there is no picture.
    """
    if len(prompt.views) > 1:
        raise BadInput(f"This prior is told one picture; the prompt has {len(prompt.views)}.")
    if prompt.views:
        return prompt.views[0].image + 1 - prompt.views[0].alpha
    followed = prompt.text and not prompt.negative
    if followed and given is None:
        raise BadInput(
            "This prior is told a picture beside the words, and there is none. Add it to the "
            "prior's name, --prior NAME+picture.png, or to the prompt in Python."
        )
    return given if followed else None
