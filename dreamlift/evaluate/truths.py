"""What stands beside every figure: the same for a true object, for the prior's own pictures, and
for an object that is wrong on purpose. A figure alone says as much about the judge as about a run.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.errors import BadInput
from dreamlift.evaluate import look
from dreamlift.evaluate.judging import (
    Judge,
    Mark,
    Verdict,
    captions,
    has_front,
    janus,
    marked,
    verdict,
)
from dreamlift.evaluate.judging import seen as pictures_of
from dreamlift.geometry.mesh import Surface
from dreamlift.grammar import parse
from dreamlift.guidance.prompts import Directed, Sentence, sided
from dreamlift.guidance.sampling import levels, trajectory
from dreamlift.guidance.scores import cfg
from dreamlift.io.gltf import write_glb
from dreamlift.prior import Prior
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh, load_mesh
from dreamlift.toybox.mesh import mesh
from dreamlift.toybox.scenes import toy_scene
from dreamlift.untextured import untextured

SCALE, STEPS = 5.0, 16
"""Guidance and DDIM steps of the prior's own pictures."""


log = logging.getLogger("dreamlift")


@dataclass(frozen=True)
class Beside:
    """The figures of one prompt that a run's are read against."""

    truth: Verdict  # of the true object
    two_faced: float | None  # the Janus rate of the true object with a second front at its back
    prior: tuple[Mark, Mark] | None  # its own pictures, coloured and untextured; None: not asked


def true_parts(prompt: str, seed: int = 0) -> tuple[Surface, ...]:
    """The toy that a prompt means, as a mesh. Raises BadInput for what the toybox cannot build."""
    toy = toy_scene(parse(prompt), seed)
    return mesh(toy.built, toy.coat)


def two_faced(parts: Sequence[Surface]) -> tuple[Surface, ...]:
    """An object together with itself turned by half: whatever it has in front, it has behind."""
    half = torch.tensor([-1.0, -1.0, 1.0])
    turned = [
        replace(
            part,
            vertices=part.vertices * half,
            normals=None if part.normals is None else part.normals * half,
        )
        for part in parts
    ]
    return (*parts, *turned)


def through_a_file(parts: Sequence[Surface]) -> Mesh:
    """Written as a GLB and read back, as every object that is judged."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "asset.glb"
        write_glb(path, parts)
        return load_mesh(path)


def sampled_from() -> Cameras:
    """Half of the 24 cameras: every azimuth, from the two elevations in turn."""
    n = len(look.AZIMUTHS)
    azimuth = torch.arange(n)
    return look.cameras()[azimuth + n * (azimuth % len(look.ELEVATIONS))]


@torch.no_grad()
def samples(prior: Prior, text: str, *, seed: int = 0) -> Float[Tensor, "v h w 3"]:
    """One picture of its own by the prior for each of those cameras, which it is told."""
    shot = Shot(sampled_from())
    score = cfg(prior, Directed(prior, sided(text)), Sentence(prior, ""), SCALE, clamp=1.0)
    blank = prior.encode(torch.zeros(len(shot), prior.size, prior.size, 3))
    noise = torch.randn(blank.shape, generator=torch.Generator().manual_seed(seed))
    end = trajectory(score, noise.to(blank), levels(STEPS), shot)[-1].x0
    return prior.decode(end).clamp(0, 1).float().cpu()


def beside(prompt: str, judge: Judge, prior: Prior | None) -> Beside:
    """The figures that a run of this prompt is read against."""
    parts = true_parts(prompt)
    truth = verdict(pictures_of(through_a_file(parts)), prompt, judge)
    planted = None
    if has_front(prompt):
        scene = through_a_file(two_faced(parts))
        planted = janus(look.pictures(scene, textureless=False), judge)
    return Beside(truth, planted, None if prior is None else own(prompt, judge, prior))


def own(prompt: str, judge: Judge, prior: Prior) -> tuple[Mark, Mark] | None:
    """Of the prior's own pictures; None where it makes none of a sentence alone."""
    try:
        pictures = samples(prior, prompt), samples(prior, untextured(prompt))
    except BadInput as error:
        log.warning("The prior's own pictures are left out. %s", error)
        return None
    near = (captions(prompt, judge.seen, textureless=blank) for blank in (False, True))
    color, geometry = (marked(*asked, judge) for asked in zip(pictures, near, strict=True))
    return color, geometry
