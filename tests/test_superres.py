"""DeepFloyd IF's second stage through our adapter is asked as diffusers' own pipeline asks it."""

from pathlib import Path
from typing import Any

import pytest
import tiny_others
import torch
import torch.nn.functional as F
from conftest import rng
from test_control import ball
from test_latent import plain
from torch import Tensor

from dreamlift import diffusion
from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.prior import Latents, Prior
from dreamlift.priors import opening, superres
from dreamlift.priors.pixel import Pixel
from dreamlift.priors.superres import super_resolution
from dreamlift.scene import Shot
from dreamlift.step import Step

pytestmark = pytest.mark.weights

PROMPTS = ("a frog, on stilts", "")
SMALL = torch.rand(1, 3, 4, 4, generator=rng(1))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("if2")
    return folder, tiny_others.super_resolution(folder)


def load(folder: Path, **more: Any) -> Pixel:
    small = more.pop("small", lambda shot: SMALL.expand(len(shot), -1, -1, -1))
    return super_resolution(folder, small, dtype=torch.float32, **more)


def their_eps(theirs: Any, z: Tensor, index: Tensor, text: str, level: int) -> Tensor:
    """As the pipeline asks: the small picture grown and noised beside z, its level as a class."""
    x = theirs.preprocess_image([2 * SMALL[0] - 1], len(z), "cpu")
    grown = F.interpolate(x, (8, 8), mode="bilinear", align_corners=True)
    noise = torch.randn(grown.shape, generator=rng(0))
    levels = torch.full((len(z),), level)
    grown = theirs.image_noising_scheduler.add_noise(grown, noise, levels)
    tokens = plain(theirs, text)["encoder_hidden_states"].expand(len(z), -1, -1)
    out = theirs.unet(torch.cat([z, grown], 1), index, tokens, class_labels=levels).sample
    return out[:, :3]


@torch.no_grad()
def check_eps(tiny: tuple[Path, Any], level: int) -> None:
    folder, theirs = tiny
    prior, shot = load(folder, level=level), ball(30.0, -100.0)
    t = prior.schedule.snap(torch.tensor([0.23, 0.81]))
    z_t = torch.randn(2, 3, 8, 8, generator=rng(4))
    answers = prior.eps(z_t, t, *(Sentence(prior, text)(shot) for text in PROMPTS))
    for text, answer in zip(PROMPTS, answers, strict=True):
        wanted = their_eps(theirs, z_t, (t * 999).round().long(), text, level)
        torch.testing.assert_close(answer, wanted, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(*answers, atol=1e-3)
    other = their_eps(theirs, z_t, (t * 999).round().long(), "", 900)
    assert not torch.allclose(answers[1], other, atol=1e-3)


@pytest.mark.parametrize("level", [250, 10])
def test_eps_is_the_pipelines_own(tiny: tuple[Path, Any], level: int) -> None:
    check_eps(tiny, level)


@torch.no_grad()
def test_our_ddim_is_diffusers_ddim(tiny: tuple[Path, Any]) -> None:
    """The pipeline's own sampler draws noise; DDIM beside it, over the pipeline's answers."""
    from diffusers import DDIMScheduler

    folder, theirs = tiny
    prior, shot, start = load(folder), ball(30.0), torch.randn(1, 3, 8, 8, generator=rng(5))
    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", clip_sample=False, set_alpha_to_one=False
    )
    scheduler.set_timesteps(5)
    z = start
    for i in scheduler.timesteps:
        y, null = (their_eps(theirs, z, i, text, 250) for text in PROMPTS)
        z = scheduler.step(null + 3 * (y - null), i, z).prev_sample
    score = cfg(prior, Sentence(prior, PROMPTS[0]), Sentence(prior, ""), 3.0)
    times = [int(i) / 999 for i in scheduler.timesteps] + [0.0]
    ours = diffusion.ddim(prior.schedule, lambda z_t, t: score(z_t, t, shot), start, times)
    torch.testing.assert_close(ours, z, atol=1e-3, rtol=1e-3)


def test_without_a_small_picture_it_is_what_the_scene_shows(tiny: tuple[Path, Any]) -> None:
    prior = opening.load(tiny[0], device="cpu", dtype=torch.float32)
    assert isinstance(prior, Prior) and not isinstance(prior, Latents) and prior.size == 8
    shot = ball(30.0, size=16)
    assert shot.seen is not None
    small = F.avg_pool2d(shot.seen.color.permute(0, 3, 1, 2), 8)
    given = load(tiny[0], small=lambda _: small)
    told, meant = (Sentence(p, "a frog")(shot)["beside"] for p in (prior, given))
    torch.testing.assert_close(told, meant)
    with pytest.raises(BadInput, match="told what the scene shows, and here is none"):
        Sentence(prior, "a frog")(Shot(shot.cameras))
    x = torch.rand(1, 16, 16, 3, generator=rng(3)).requires_grad_()
    sds = SDS(cfg(prior, Sentence(prior, "a frog"), Sentence(prior, ""), 7.5, clamp=1.0))
    sds(prior.encode(x), shot, Step(0, 1, rng(4))).backward()
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.any()


def test_a_small_picture_that_is_not_noised_is_caught(
    tiny: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(superres, "add_noise", lambda schedule, z, t, noise: z)
    with pytest.raises(AssertionError):
        check_eps(tiny, 250)
