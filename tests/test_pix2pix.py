"""InstructPix2Pix through our adapter says and makes what diffusers' own pipeline does."""

from pathlib import Path
from typing import Any

import pytest
import tiny_others
import torch
from conftest import rng
from test_scores import some_shot
from torch import Tensor

from dreamlift import diffusion
from dreamlift.cameras import orbit
from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix
from dreamlift.prior import Condition, Prior, Prompt, View
from dreamlift.priors.latent import Latent
from dreamlift.priors.pix2pix import instruct_pix2pix
from dreamlift.priors.vae import VAE
from dreamlift.scene import Shot

pytestmark = pytest.mark.weights

PROMPT = "a red hat, on it"
PICTURE = torch.rand(16, 16, 3, generator=rng(1))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("pix2pix")
    return folder, tiny_others.pix2pix(folder)


def load(folder: Path) -> Latent:
    return instruct_pix2pix(folder, PICTURE, dtype=torch.float32)


def view() -> View:
    camera = orbit(torch.tensor([20.0]), torch.tensor([10.0]), size=16)
    return View(PICTURE, torch.ones(16, 16, 1), camera)


def conditions(prior: Prior, shot: Shot) -> list[Condition]:
    """Both, the picture alone, and neither."""
    alone = prior.embed(Prompt("", (view(),)))
    everywhere = torch.ones(len(shot))
    return [
        Sentence(prior, PROMPT)(shot),
        prior.condition([(alone, everywhere)], shot),
        Sentence(prior, "")(shot),
    ]


@torch.no_grad()
def check_eps(tiny: tuple[Path, Any]) -> None:
    """As the pipeline asks: text and picture, picture, neither."""
    folder, theirs = tiny
    prior, shot = load(folder), some_shot(30, -100)
    t = prior.schedule.snap(torch.tensor([0.2, 0.7]))
    z_t = torch.randn(2, 4, 8, 8, generator=rng(4))
    answers = prior.eps(z_t, t, *conditions(prior, shot))
    tokens = theirs._encode_prompt(PROMPT, "cpu", 1, True)
    image = theirs.image_processor.preprocess(PICTURE.permute(2, 0, 1)[None])
    latents = theirs.prepare_image_latents(image, 1, 1, torch.float32, "cpu", True)
    index = (t * 999).round().long()
    for i, answer in enumerate(answers):
        both = torch.cat([z_t, latents[i : i + 1].expand(2, -1, -1, -1)], 1)
        wanted = theirs.unet(both, index, tokens[i : i + 1].expand(2, -1, -1)).sample
        torch.testing.assert_close(answer, wanted, atol=1e-5, rtol=1e-5)
    for one, other in ((0, 1), (1, 2)):
        assert not torch.allclose(answers[one], answers[other], atol=1e-3)


def test_eps_is_the_pipelines_own(tiny: tuple[Path, Any]) -> None:
    check_eps(tiny)


@torch.no_grad()
def test_our_ddim_gives_the_pipelines_picture(tiny: tuple[Path, Any]) -> None:
    """With both scales, as a mix of three conditions."""
    folder, theirs = tiny
    prior, start = load(folder), torch.randn(1, 4, 8, 8, generator=rng(5))
    picture = theirs(PROMPT, image=PICTURE.permute(2, 0, 1)[None], latents=start.clone(),
                     num_inference_steps=5, guidance_scale=3.0, image_guidance_scale=1.7,
                     output_type="pt").images  # fmt: skip
    weights = (3.0, 1.7 - 3.0, 1 - 1.7)
    asked = [lambda shot, i=i: conditions(prior, shot)[i] for i in range(3)]
    score, shot = Mix(prior, dict(zip(asked, weights, strict=True))), some_shot(30)
    times = [int(i) / 999 for i in theirs.scheduler.timesteps] + [0.0]
    z = diffusion.ddim(prior.schedule, lambda z_t, t: score(z_t, t, shot), start, times)
    ours = prior.decode(z).clamp(0, 1).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, picture, atol=1e-4, rtol=0)


def test_a_prompt_brings_its_own_picture_or_takes_the_given_one(tiny: tuple[Path, Any]) -> None:
    prior, bare = load(tiny[0]), instruct_pix2pix(tiny[0], dtype=torch.float32)
    own = bare.embed(Prompt(PROMPT, (view(),)))["beside"]
    torch.testing.assert_close(own, prior.embed(Prompt(PROMPT))["beside"])
    assert own.any() and not bare.embed(Prompt(""))["beside"].any()
    against, ugly = prior.embed(Prompt("ugly", negative=True)), prior.embed(Prompt("ugly"))
    assert not against["beside"].any() and torch.equal(against["tokens"], ugly["tokens"])
    with pytest.raises(BadInput, match=r"there is none\. Add it to the prior's name"):
        bare.embed(Prompt(PROMPT))
    with pytest.raises(BadInput, match="told one picture; the prompt has 2"):
        bare.embed(Prompt(PROMPT, (view(), view())))


def scaled(self: VAE, x: Tensor, size: int, rng: Any = None) -> Tensor:
    return self.scale * PLAIN(self, x, size, rng)


PLAIN = VAE.picture


def test_scaled_latents_of_the_picture_are_caught(
    tiny: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VAE, "picture", scaled)
    with pytest.raises(AssertionError):
        check_eps(tiny)
