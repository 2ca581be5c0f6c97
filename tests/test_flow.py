"""Rectified-flow models through our adapter are what diffusers' own pipelines compute."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines
import torch
from conftest import rng
from test_scores import some_shot
from torch import Tensor

from dreamlift import diffusion
from dreamlift.diffusion import add_noise, eps_from_flow
from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.prior import Latents, Prior, Prompt
from dreamlift.priors import flow, opening, pipelines, prediction
from dreamlift.priors.flow import ask_sd3, packed, unpacked
from dreamlift.priors.latent import Latent
from dreamlift.priors.lora import Student
from dreamlift.schedules import Flow
from dreamlift.step import Step

pytestmark = pytest.mark.weights

PROMPTS = ("a frog, on stilts", "")


@dataclass(frozen=True)
class Family:
    """Their pipeline, ours of the same folder, and their velocity for a prompt."""

    theirs: Any
    ours: Latent
    velocity: Callable[[Any, str, Tensor, Tensor], Tensor]


def sd3_velocity(pipeline: Any, text: str, z: Tensor, t: Tensor) -> Tensor:
    tokens, _, pooled, _ = pipeline.encode_prompt(text, text, text, device="cpu",
                                                  do_classifier_free_guidance=False)  # fmt: skip
    return pipeline.transformer(
        hidden_states=z, timestep=1000 * t, return_dict=False,
        encoder_hidden_states=tokens.expand(len(z), -1, -1),
        pooled_projections=pooled.expand(len(z), -1),
    )[0]  # fmt: skip


def flux_velocity(pipeline: Any, text: str, z: Tensor, t: Tensor) -> Tensor:
    b, c, h, w = z.shape
    tokens, pooled, places = pipeline.encode_prompt(text, text, device="cpu")
    image = pipeline._prepare_latent_image_ids(b, h // 2, w // 2, "cpu", torch.float32)
    guided = pipeline.transformer.config.guidance_embeds
    out = pipeline.transformer(
        hidden_states=pipeline._pack_latents(z, b, c, h, w), timestep=t,
        guidance=torch.ones(b) if guided else None,
        pooled_projections=pooled.expand(b, -1), encoder_hidden_states=tokens.expand(b, -1, -1),
        txt_ids=places, img_ids=image, return_dict=False,
    )[0]  # fmt: skip
    return pipeline._unpack_latents(out, 2 * h, 2 * w, 2)


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Family]:
    root = tmp_path_factory.mktemp("flows")
    sd3 = tiny_pipelines.sd3(root / "sd3")
    made = {"sd3": Family(sd3, flow.stable_diffusion_3(root / "sd3", dtype=torch.float32),
                          sd3_velocity)}  # fmt: skip
    for name, guided in (("flux", True), ("schnell", False)):
        theirs = tiny_pipelines.flux(root / name, guided=guided)
        ours = flow.flux(root / name, dtype=torch.float32, size=16)
        made[name] = Family(theirs, ours, flux_velocity)
    return made


@torch.no_grad()
def check_eps(family: Family) -> None:
    prior = family.ours
    z = prior.encode(torch.rand(2, 16, 16, 3, generator=rng(1)))
    t = torch.tensor([0.23, 0.81])
    z_t = add_noise(prior.schedule, z, t, torch.randn(z.shape, generator=rng(2)))
    told = [Sentence(prior, text)(some_shot(30, -100)) for text in PROMPTS]
    answers = prior.eps(z_t, t, *told)
    for text, answer in zip(PROMPTS, answers, strict=True):
        at = t[:, None, None, None]
        wanted = z_t + (1 - at) * family.velocity(family.theirs, text, z_t, t)
        torch.testing.assert_close(answer, wanted, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(*answers, atol=1e-3)


@pytest.mark.parametrize("name", ["sd3", "flux", "schnell"])
def test_eps_is_the_pipelines_own(families: dict[str, Family], name: str) -> None:
    check_eps(families[name])


def test_the_noise_of_a_velocity_is_the_noise() -> None:
    schedule, t = Flow(), torch.tensor([0.1, 0.9], dtype=torch.float64)
    z, noise = (torch.randn(2, 3, 4, dtype=torch.float64, generator=rng(i)) for i in (1, 2))
    z_t = add_noise(schedule, z, t, noise)
    torch.testing.assert_close(eps_from_flow(z_t, t, noise - z), noise)


def test_flux_sees_cells_in_the_pipelines_order(families: dict[str, Family]) -> None:
    z = torch.randn(2, 4, 6, 10, generator=rng(3))
    theirs = families["flux"].theirs
    assert torch.equal(packed(z), theirs._pack_latents(z, 2, 4, 6, 10))
    assert torch.equal(unpacked(packed(z), 3), z)


@torch.no_grad()
@pytest.mark.parametrize("name", ["sd3", "schnell"])
def test_our_ddim_gives_the_pipelines_picture(families: dict[str, Family], name: str) -> None:
    """DDIM on a straight way is Euler's step, which is the pipeline's sampler."""
    prior, theirs = families[name].ours, families[name].theirs
    shot, start = some_shot(30), torch.randn(1, 4, 8, 8, generator=rng(5))
    packs = name == "schnell"
    given = theirs._pack_latents(start, 1, 4, 8, 8) if packs else start
    more = {"guidance_scale": 0.0} if packs else {"guidance_scale": 3.0}
    picture = theirs(PROMPTS[0], latents=given.clone(), num_inference_steps=4, output_type="pt",
                     height=16, width=16, **more).images  # fmt: skip
    scale = 1.0 if packs else 3.0
    score = cfg(prior, Sentence(prior, PROMPTS[0]), Sentence(prior, ""), scale)
    z, times = start, theirs.scheduler.sigmas.tolist()
    for t, s in zip(times, times[1:], strict=False):
        at, to = (torch.full((1,), each) for each in (t, s))
        eps = score(z, at, shot)
        if t == 1:  # no picture is left in z: eps is z, and the velocity is asked for itself
            u = sum_of_velocities(families[name], z, at, scale)
            z = z + (s - t) * u
            continue
        z = diffusion.ddim_step(prior.schedule, z, at, to, eps)
    ours = prior.decode(z).clamp(0, 1).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, picture, atol=1e-4, rtol=0)


def sum_of_velocities(family: Family, z: Tensor, t: Tensor, scale: float) -> Tensor:
    y, null = (family.velocity(family.theirs, text, z, t) for text in PROMPTS)
    return null + scale * (y - null)


def test_encoding_scales_and_shifts(families: dict[str, Family]) -> None:
    for name in ("sd3", "flux"):
        prior, vae = families[name].ours, families[name].theirs.vae
        x = torch.rand(1, 16, 16, 3, generator=rng(6))
        posterior = vae.encode(2 * x.permute(0, 3, 1, 2) - 1).latent_dist
        wanted = (posterior.mode() - vae.config.shift_factor) * vae.config.scaling_factor
        z = prior.encode(x)
        torch.testing.assert_close(z, wanted)
        said = vae.decode(z / vae.config.scaling_factor + vae.config.shift_factor).sample
        torch.testing.assert_close(prior.decode(z), (said.permute(0, 2, 3, 1) + 1) / 2)


def test_distillation_reaches_the_picture(families: dict[str, Family]) -> None:
    for name in ("sd3", "flux"):
        prior = families[name].ours
        assert isinstance(prior, Prior) and isinstance(prior, Latents) and prior.size == 16
        x = torch.rand(1, 12, 12, 3, generator=rng(3)).requires_grad_()
        sds = SDS(cfg(prior, Sentence(prior, "a frog"), Sentence(prior, ""), 7.5, clamp=1.0))
        sds(prior.encode(x), some_shot(20), Step(0, 1, rng(4))).backward()
        assert x.grad is not None and x.grad.isfinite().all() and x.grad.any()
        with pytest.raises(BadInput, match="this prior reads 77"):
            prior.embed(Prompt("a frog " * 20))


def test_the_kind_of_a_folder_is_read_from_its_index(tmp_path: Path) -> None:
    tiny_pipelines.sd3(tmp_path)
    prior = opening.load(tmp_path, device="cpu", dtype=torch.float32)
    assert isinstance(prior, Latent) and prior.ask is ask_sd3
    numbers, size = pipelines.weights(tmp_path)
    assert size > 4 * numbers > 100_000


def test_vsd_has_no_student_in_a_transformer(families: dict[str, Family]) -> None:
    prior = families["sd3"].ours
    with pytest.raises(BadInput, match="has no place for it. Take one with a UNet"):
        Student(prior, Sentence(prior, "a frog"), rng=rng(1))


@pytest.mark.parametrize(
    "wrong", [lambda z_t, t, u: u, lambda z_t, t, u: z_t - t[:, None, None, None] * u]
)
def test_a_wrong_velocity_is_caught(
    families: dict[str, Family], wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "eps_from_flow", wrong)
    with pytest.raises(AssertionError):
        check_eps(families["sd3"])
