"""Gaussians that follow a guidance: DreamGaussian's loop, LucidDreamer's and GaussianDreamer's."""

from collections.abc import Callable

import torch

from dreamlift.fit import Stage, Terms
from dreamlift.guidance import Guidance
from dreamlift.guidance.regularizers import entropy
from dreamlift.prior import Prior
from dreamlift.render.splat import Splats
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.densify import Densify
from dreamlift.scenes.gaussians import Cloud, Rates
from dreamlift.step import Step, linear


def growth(steps: int, push: float) -> Densify:
    """After every eighth of the first four fifths of a stage (six times); no resets, no pruning for
    size."""
    return Densify(
        start=0,
        until=steps * 4 // 5,
        every=max(steps // 8, 1),
        push=push,
        small=0.03,
        faintest=0.02,
        reset_every=None,
    )


def cloud_stage(
    cloud: Cloud,
    shots: Callable[[Step], Shot],
    prior: Prior,
    guidance: Guidance,
    steps: int,
    solid: float,
    *,
    seed: int,
) -> Stage[Splats]:
    """A cloud that follows a guidance; `solid` is the weight, at the end, of the penalty on pixels
    that are neither object nor background."""

    def objective(view: Rendering[Splats], shot: Shot, step: Step) -> Terms:
        return {
            "guidance": guidance(prior.encode(view.before(shot)), shot, step),
            "entropy": linear(step.progress, 0, solid) * entropy(view.alpha),
        }

    rates = Rates((5e-3, 5e-4), quaternions=0.005, log_scales=0.01, dc=0.02)
    adam = torch.optim.Adam(rates.groups(cloud), eps=1e-15)
    return Stage(cloud, shots, objective, adam, steps, seed=seed, rates=rates.at)
