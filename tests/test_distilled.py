"""Distilled students through our adapter say and make what diffusers' own pipelines do."""

from pathlib import Path
from typing import Any

import pytest
import tiny_others
import torch
from conftest import rng
from test_latent import noisy, plain
from test_scores import some_shot
from torch import Tensor

from dreamlift.diffusion import add_noise, ddim_step, x0_from_eps
from dreamlift.guidance.prompts import Sentence
from dreamlift.priors import distilled, opening
from dreamlift.priors.latent import Latent, stable_diffusion
from dreamlift.priors.lora import Student

pytestmark = pytest.mark.weights

PROMPT = "a frog, on stilts"


@pytest.fixture(scope="module")
def lcm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Latent]:
    folder = tmp_path_factory.mktemp("lcm")
    theirs = tiny_others.lcm(folder)
    return theirs, stable_diffusion(folder, dtype=torch.float32, scale=4.5)


def said(prior: Latent, z: Tensor, t: float) -> tuple[Tensor, Tensor]:
    at = prior.schedule.snap(torch.full((len(z),), t))
    return prior.eps(z, at, Sentence(prior, PROMPT)(some_shot(20)))[0], at


@torch.no_grad()
def check_eps(lcm: tuple[Any, Latent]) -> None:
    theirs, prior = lcm
    z_t, t = noisy(prior)
    (eps,) = prior.eps(z_t, t, Sentence(prior, PROMPT)(some_shot(30, -100)))
    tokens = plain(theirs, PROMPT)["encoder_hidden_states"].expand(2, -1, -1)
    index = (t * 999).round().long()
    answers = [
        theirs.unet(z_t, index, tokens, timestep_cond=theirs.get_guidance_scale_embedding(
            torch.full((2,), scale - 1), 15)).sample
        for scale in (4.5, 1.0)
    ]  # fmt: skip
    torch.testing.assert_close(eps, answers[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(*answers, atol=1e-3)


def test_eps_is_the_pipelines_own_at_a_guidance_scale(lcm: tuple[Any, Latent]) -> None:
    check_eps(lcm)


@torch.no_grad()
@pytest.mark.parametrize("steps", [1, 2])
def test_consistency_steps_give_the_pipelines_picture(lcm: tuple[Any, Latent], steps: int) -> None:
    """Clean sample, noise again, clean sample."""
    theirs, prior = lcm
    z = torch.randn(1, 4, 8, 8, generator=rng(5))
    picture = theirs(PROMPT, latents=z.clone(), num_inference_steps=steps, guidance_scale=4.5,
                     output_type="pt", height=16, width=16, generator=rng(9)).images  # fmt: skip
    noise, times = rng(9), [int(i) / 999 for i in theirs.scheduler.timesteps]
    for t, s in zip(times, [*times[1:], None], strict=True):
        eps, at = said(prior, z, t)
        z = x0_from_eps(prior.schedule, z, at, eps)
        if s is not None:
            to = prior.schedule.snap(torch.tensor([s]))
            z = add_noise(prior.schedule, z, to, torch.randn(z.shape, generator=noise))
    ours = prior.decode(z).clamp(0, 1).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, picture, atol=1e-4, rtol=0)
    assert ours.std() > 0.05


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers'
@pytest.mark.parametrize("steps", [1, 2])
def test_turbos_picture_is_the_pipelines(tmp_path: Path, steps: int) -> None:
    """Its sampler, Euler's in units of sigma / alpha, is DDIM; from the table's last entry."""
    theirs = tiny_others.turbo(tmp_path)
    prior = opening.load(tmp_path, device="cpu", dtype=torch.float32)
    assert isinstance(prior, Latent)
    start = torch.randn(1, 4, 8, 8, generator=rng(5))
    picture = theirs(PROMPT, latents=start.clone(), num_inference_steps=steps, guidance_scale=0.0,
                     output_type="pt", height=16, width=16).images  # fmt: skip
    times = [float(i) / 999 for i in theirs.scheduler.timesteps]
    assert times[0] == 1
    z = start * prior.schedule.sigma(torch.ones(1))
    for t, s in zip(times, times[1:], strict=False):
        eps, at = said(prior, z, t)
        z = ddim_step(prior.schedule, z, at, prior.schedule.snap(torch.tensor([s])), eps)
    eps, at = said(prior, z, times[-1])
    z = x0_from_eps(prior.schedule, z, at, eps)
    ours = prior.decode(z).clamp(0, 1).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, picture, atol=1e-4, rtol=0)


def test_a_folder_of_a_student_is_known(tmp_path: Path) -> None:
    tiny_others.lcm(tmp_path)
    prior = opening.load(tmp_path, device="cpu", dtype=torch.float32)
    assert isinstance(prior, Latent)


def test_a_scale_that_counts_from_another_number_is_caught(
    lcm: tuple[Any, Latent], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = distilled.embedded_scale
    monkeypatch.setattr(distilled, "embedded_scale", lambda scale, width: right(scale + 1, width))
    with pytest.raises(AssertionError):
        check_eps(lcm)


@torch.no_grad()
def test_a_student_of_vsd_begins_as_its_teacher(lcm: tuple[Any, Latent]) -> None:
    """It is told the teacher's guidance scale too, before the camera."""
    _, prior = lcm
    told, shot = Sentence(prior, PROMPT), some_shot(30, -100)
    student = Student(prior, told, rng=rng(1))
    z_t, t = noisy(prior)
    (eps,) = prior.eps(z_t, t, told(shot))
    assert torch.equal(student(z_t, t, shot), eps)
    student.pose.out.bias += 0.5
    assert not torch.allclose(student(z_t, t, shot), eps, atol=1e-3)
