"""Fields that follow a guidance without light, of colours or of latents, led by a sketch."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.fit import Stage, Terms, on_white
from dreamlift.guidance import Guidance
from dreamlift.guidance.regularizers import entropy
from dreamlift.guidance.sketch import Sketch
from dreamlift.prior import Latents, Prior
from dreamlift.render.volume import RayIntegrals
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.latent import LatentField, from_rgb, to_rgb
from dreamlift.step import Step, falling, linear

SCALE = 0.18215
"""Of the latents of Stable Diffusion 1 and 2, for which the colours of scenes/latent.py hold."""


def plain(scene: Field | LatentField) -> Field:
    """The same on one level, in colours."""
    if isinstance(scene, LatentField):
        return scene.field()
    return Field.of(scene.dense(), scene.seen, scene.occupied, samples=scene.samples)


def latents(view: Rendering[RayIntegrals], shot: Shot) -> Float[Tensor, "b 4 y x"]:
    """A field's latents before the shot's background, as latents of its colour."""
    before = view.color if shot.background is None else view.over(from_rgb(shot.background))
    return before.permute(0, 3, 1, 2)


def on_white_latents(view: Rendering[RayIntegrals]) -> Float[Tensor, "b h w 3"]:
    """About what they look like, before white."""
    return to_rgb(view.over(from_rgb(view.color.new_ones(1, 1, 1, 3)))).clamp(0, 1)


def field_stage(
    scene: Field | LatentField,
    shots: Callable[[Step], Shot],
    prior: Prior,
    guidance: Guidance,
    steps: int,
    *,
    lr: tuple[float, float],
    sparsity: tuple[float, float],
    sketch: Sketch | None,
    sketched: float,
    seed: int,
) -> Stage[RayIntegrals]:
    """A field that follows a guidance; `lr` and `sparsity` (the weight of the penalty on
    half-transparent pixels) at the first and at the last step; `sketched` is the weight of the
    sketch's loss. Raises BadInput for a field of latents and a prior of others than its four."""
    latent, device = isinstance(scene, LatentField), scene.seen.device
    if latent:
        refuse_other_latents(prior, device)
    guide = None if sketch is None else sketch.to(device)

    def objective(view: Rendering[RayIntegrals], shot: Shot, step: Step) -> Terms:
        z = latents(view, shot) if latent else prior.encode(view.before(shot))
        terms = {
            "guidance": guidance(z, shot, step),
            "sparsity": linear(step.progress, *sparsity) * entropy(view.alpha),
        }
        if guide is not None:
            terms["sketch"] = sketched * guide.loss(scene.density, step.rng)
        return terms

    adam = torch.optim.Adam(scene.parameters(), lr=lr[0], fused=True)
    return Stage(
        scene,
        shots,
        objective,
        adam,
        steps,
        seed=seed,
        rates=falling(lr),
        preview=on_white_latents if latent else on_white,
    )


def refuse_other_latents(prior: Prior, device: torch.device) -> None:
    """BadInput for a prior whose latents are not the four of Stable Diffusion 1 and 2."""
    with torch.no_grad():
        grey = torch.full((1, prior.size, prior.size, 3), 0.5, device=device)
        channels = prior.encode(grey).shape[1] if isinstance(prior, Latents) else 3
    if channels != 4:
        raise BadInput(
            f"Latent-NeRF's colours are four latents of Stable Diffusion 1 or 2; this prior's z "
            f"has {channels} channels. Choose sd15 or sd21, or another recipe."
        )
    scale = getattr(getattr(prior, "vae", None), "scale", SCALE)
    if abs(scale - SCALE) > 1e-4:
        raise BadInput(
            f"Latent-NeRF's colours are latents of Stable Diffusion 1 or 2, of scale {SCALE}; this "
            f"prior's autoencoder is another, of {scale:g}. Choose sd15 or sd21, or another recipe."
        )
