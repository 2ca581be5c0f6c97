"""Latent diffusion through our adapters is what diffusers' own pipelines compute.

Tiny pipelines with random weights, written by the real classes and read from the disk by ours.
"""

import json
import shutil
import socket
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
from dreamlift.diffusion import add_noise
from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.prior import Latents, Prior, Prompt
from dreamlift.priors import latent, prediction, sdxl
from dreamlift.priors.deepfloyd import deepfloyd
from dreamlift.priors.latent import Latent, stable_diffusion
from dreamlift.priors.lora import NetworkPrior, Student
from dreamlift.priors.pixel import Pixel
from dreamlift.priors.sdxl import TwoTowers
from dreamlift.priors.source import speech
from dreamlift.step import Step

pytestmark = pytest.mark.weights

PROMPTS = ("a frog, on stilts", "")


@dataclass(frozen=True)
class Family:
    """Their pipeline, ours of the same folder, and what theirs gives its network for a prompt."""

    folder: Path
    theirs: Any
    ours: Any
    told: Callable[[str], dict[str, Any]]


def no_socket(*_: Any) -> None:
    raise AssertionError("a socket was opened")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", no_socket)


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Family]:
    root = tmp_path_factory.mktemp("pipelines")
    made: dict[str, Family] = {}
    for name, make, load, more in (
        ("sd15", tiny_pipelines.stable_diffusion, stable_diffusion, {}),
        ("sd21", tiny_pipelines.stable_diffusion, stable_diffusion,
         {"prediction_type": "v_prediction"}),
        ("sdxl", tiny_pipelines.sdxl, sdxl.sdxl, {}),
        ("if", tiny_pipelines.deepfloyd, deepfloyd, {}),
    ):  # fmt: skip
        theirs = make(root / name, **more)
        ours = load(root / name, dtype=torch.float32)
        told = plain if name != "sdxl" else xl
        made[name] = Family(root / name, theirs, ours, lambda text, p=theirs, f=told: f(p, text))
    return made


def plain(pipeline: Any, text: str) -> dict[str, Any]:
    said = pipeline.encode_prompt(text, device="cpu", num_images_per_prompt=1,
                                  do_classifier_free_guidance=False)  # fmt: skip
    return {"encoder_hidden_states": said[0]}


def xl(pipeline: Any, text: str) -> dict[str, Any]:
    """As the pipeline asks for a prompt, and for the negative one that nobody gave."""
    tokens, null, pooled, none = pipeline.encode_prompt(text or "unsaid", device="cpu")
    ids = pipeline._get_add_time_ids((16, 16), (0, 0), (16, 16), torch.float32, 24)
    more = {"text_embeds": pooled if text else none, "time_ids": ids}
    return {"encoder_hidden_states": tokens if text else null, "added_cond_kwargs": more}


def repeated(value: Any) -> Any:
    """For a batch of two."""
    if isinstance(value, dict):
        return {key: repeated(part) for key, part in value.items()}
    return value.expand(2, *value.shape[1:])


def noisy(prior: Any, b: int = 2) -> tuple[Tensor, Tensor]:
    z = prior.encode(torch.rand(b, prior.size, prior.size, 3, generator=rng(1)))
    t = prior.schedule.snap(torch.tensor([0.23, 0.81])[:b])
    return add_noise(prior.schedule, z, t, torch.randn(z.shape, generator=rng(2))), t


@torch.no_grad()
def check_eps(family: Family) -> None:
    prior = family.ours
    z_t, t = noisy(prior)
    shot = some_shot(30, -100)
    answers = prior.eps(z_t, t, *(Sentence(prior, text)(shot) for text in PROMPTS))
    for text, answer in zip(PROMPTS, answers, strict=True):
        out = family.theirs.unet(z_t, (t * 999).round().long(), **repeated(family.told(text)))
        said = out.sample[:, : z_t.shape[1]]
        if prior.prediction == "v_prediction":
            bar = family.theirs.scheduler.alphas_cumprod[(t * 999).round().long()]
            a, s = bar.sqrt()[:, None, None, None], (1 - bar).sqrt()[:, None, None, None]
            said = a * said + s * z_t
        torch.testing.assert_close(answer, said, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(*answers, atol=1e-3)
    assert not torch.allclose(answers[0][0], answers[0][1], atol=1e-3)


@pytest.mark.parametrize("name", ["sd15", "sd21", "sdxl", "if"])
def test_eps_is_the_pipelines_own(families: dict[str, Family], name: str) -> None:
    check_eps(families[name])


@pytest.mark.parametrize("name", ["sd15", "sd21", "sdxl", "if"])
def test_each_is_a_prior(families: dict[str, Family], name: str) -> None:
    prior = families[name].ours
    assert isinstance(prior, Prior)
    assert (prior.size, prior.views) == ({"if": 8}.get(name, 16), 1)
    assert isinstance(prior, Latents) == (name != "if")
    assert isinstance(prior, {"if": Pixel}.get(name, Latent))


@torch.no_grad()
def check_picture(family: Family) -> None:
    """Five steps of DDIM, guided, from the same noise: the pipeline's picture."""
    prior, shot = family.ours, some_shot(30)
    start = torch.randn(1, 4, 8, 8, generator=rng(5))
    theirs = family.theirs(
        PROMPTS[0], latents=start.clone(), num_inference_steps=5, guidance_scale=3.0,
        output_type="pt", height=16, width=16,
    ).images  # fmt: skip
    score = cfg(prior, Sentence(prior, PROMPTS[0]), Sentence(prior, ""), 3.0)
    times = [int(i) / 999 for i in family.theirs.scheduler.timesteps] + [0.0]
    z = diffusion.ddim(prior.schedule, lambda z_t, t: score(z_t, t, shot), start, times)
    ours = prior.decode(z).clamp(0, 1).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    assert 0.05 < ours.std() < 0.6


@pytest.mark.parametrize("name", ["sd15", "sd21", "sdxl"])
def test_our_ddim_gives_the_pipelines_picture(families: dict[str, Family], name: str) -> None:
    check_picture(families[name])


def check_encoding(family: Family) -> None:
    """The posterior's mode or a sample, scaled, with its own gradient."""
    prior, vae = family.ours, family.theirs.vae
    x = torch.rand(2, 16, 16, 3, generator=rng(6)).requires_grad_()
    y = x.detach().clone().requires_grad_()
    posterior = vae.encode(2 * y.permute(0, 3, 1, 2) - 1).latent_dist
    scale = vae.config.scaling_factor
    torch.testing.assert_close(prior.encode(x), scale * posterior.mode())
    noise = torch.randn(posterior.mean.shape, generator=rng(7))
    sample = prior.encode(x, rng(7))
    wanted = scale * (posterior.mean + posterior.std * noise)
    torch.testing.assert_close(sample, wanted)
    weights = torch.randn(sample.shape, generator=rng(8))
    (sample * weights).sum().backward()
    (wanted * weights).sum().backward()
    assert x.grad is not None and y.grad is not None and y.grad.abs().max() > 1e-3
    torch.testing.assert_close(x.grad, y.grad)
    z = torch.randn(1, 4, 8, 8, generator=rng(9))
    said = vae.decode(z / scale).sample.permute(0, 2, 3, 1)
    torch.testing.assert_close(2 * prior.decode(z) - 1, said)


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_encoding_is_the_autoencoders(families: dict[str, Family], name: str) -> None:
    check_encoding(families[name])


def test_small_pictures_are_enlarged(families: dict[str, Family]) -> None:
    prior = families["sd15"].ours
    grey = prior.encode(torch.full((1, 5, 5, 3), 0.7))
    torch.testing.assert_close(grey, prior.encode(torch.full((1, 16, 16, 3), 0.7)))


def test_distillation_reaches_the_picture_and_spares_the_networks(
    families: dict[str, Family],
) -> None:
    for name in ("sd21", "sdxl"):
        prior = families[name].ours
        x = torch.rand(1, 12, 12, 3, generator=rng(3)).requires_grad_()
        sds = SDS(cfg(prior, Sentence(prior, "a frog"), Sentence(prior, ""), 7.5, clamp=1.0))
        sds(prior.encode(x), some_shot(20), Step(0, 1, rng(4))).backward()
        assert x.grad is not None and x.grad.isfinite().all() and x.grad.any()
        for network in (prior.network, prior.vae.network):
            assert not any(p.requires_grad for p in network.parameters())


def test_latents_have_no_range_to_be_kept_in(families: dict[str, Family]) -> None:
    """A clamp is of pictures; with latents it changes nothing, with DeepFloyd's pixels it does."""
    for name, same in (("sd15", True), ("if", False)):
        prior, shot = families[name].ours, some_shot(20, 70)
        y, null = Sentence(prior, "a frog"), Sentence(prior, "")
        z_t, t = noisy(prior)
        with torch.no_grad():
            free, kept = (cfg(prior, y, null, 9.0, clamp=c)(z_t, t, shot) for c in (None, 0.1))
        assert torch.equal(free, kept) == same


def test_sentences_are_interpolated(families: dict[str, Family]) -> None:
    for name, keys in (("sd15", {"tokens"}), ("sdxl", {"tokens", "pooled"})):
        prior = families[name].ours
        one, two = (prior.embed(Prompt(text)) for text in ("ab", "abcd"))
        w = torch.tensor([1.0, 0.25])
        told = prior.condition([(one, w), (two, 1 - w)], some_shot(0, 90))
        assert told.keys() == keys
        for key in keys:
            torch.testing.assert_close(told[key][0], one[key])
            torch.testing.assert_close(told[key][1], 0.25 * one[key] + 0.75 * two[key])


def test_the_null_prompt_of_sdxl_is_zeros_only_where_its_folder_says_so(tmp_path: Path) -> None:
    theirs = tiny_pipelines.sdxl(tmp_path, zeros=False)
    ours = sdxl.sdxl(tmp_path, dtype=torch.float32)
    check_eps(Family(tmp_path, theirs, ours, lambda text: xl(theirs, text)))
    tiny_pipelines.edit(tmp_path / "model_index.json", force_zeros_for_empty_prompt=True)
    said = sdxl.sdxl(tmp_path, dtype=torch.float32).embed(Prompt(""))
    assert not said["tokens"].any() and not said["pooled"].any()


def test_bf16_agrees(families: dict[str, Family]) -> None:
    for name, load in (("sd15", stable_diffusion), ("sdxl", sdxl.sdxl), ("if", deepfloyd)):
        exact = families[name].ours
        fast = load(families[name].folder, dtype=torch.bfloat16)
        z_t, t = noisy(exact)
        with torch.no_grad():
            (a,), (b,) = (p.eps(z_t, t, Sentence(p, "abc")(some_shot(0, 9))) for p in (exact, fast))
        assert b.dtype == torch.float32
        assert (a - b).square().mean().sqrt() < 0.05 * a.square().mean().sqrt()


def test_a_prompt_that_would_be_cut_off_is_refused(families: dict[str, Family]) -> None:
    for name in ("sd15", "sdxl", "if"):
        with pytest.raises(BadInput, match="tokens, and this prior reads 77. Shorten it"):
            families[name].ours.embed(Prompt("a frog " * 20))


def test_a_folder_that_is_not_whole_is_refused(families: dict[str, Family], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "prior"
    shutil.copytree(families["sd15"].folder, folder)
    weights = folder / "text_encoder" / "model.safetensors"
    state = load_file(weights)
    state.pop(next(key for key in sorted(state) if "layers.1" in key))
    save_file(state, weights, {"format": "pt"})
    with pytest.raises(BadInput, match="lacks 1 weights, .*layers.1"):
        stable_diffusion(folder).embed(Prompt("a cone"))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(BadInput, match="text_encoder has no safetensors, only .bin files"):
        stable_diffusion(folder).embed(Prompt("a cone"))
    (folder / "vae" / "config.json").unlink()
    with pytest.raises(ValueError, match=r"has no vae/config\.json\. Give a whole folder"):
        stable_diffusion(folder)


def test_a_half_precision_variant_is_found(families: dict[str, Family], tmp_path: Path) -> None:
    folder = tmp_path / "prior"
    shutil.copytree(families["sd15"].folder, folder)
    for file in folder.rglob("*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))
    exact, ours = families["sd15"].ours, stable_diffusion(folder, dtype=torch.float32)
    said, meant = ours.embed(Prompt("a frog")), exact.embed(Prompt("a frog"))
    assert torch.equal(said["tokens"], meant["tokens"])


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("scheduler/scheduler_config.json", {"trained_betas": [0.1]}, "trained_betas"),
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "'sample'; known are"),
        ("vae/config.json", {"latents_mean": [0.0] * 4}, "mean of its own"),
    ],
)
def test_settings_that_we_cannot_follow_are_refused(
    families: dict[str, Family], tmp_path: Path, part: str, changes: Any, message: str
) -> None:
    shutil.copytree(families["sd15"].folder, tmp_path / "prior")
    tiny_pipelines.edit(tmp_path / "prior" / part, **changes)
    with pytest.raises(ValueError, match=message):
        stable_diffusion(tmp_path / "prior")


def test_a_network_for_inpainting_is_refused(families: dict[str, Family], tmp_path: Path) -> None:
    from diffusers import UNet2DConditionModel

    shutil.copytree(families["sd15"].folder, tmp_path / "prior")
    unet = UNet2DConditionModel(**tiny_pipelines.UNET, in_channels=9, out_channels=4)
    unet.save_pretrained(tmp_path / "prior" / "unet")
    with pytest.raises(ValueError, match="takes 9 channels and the autoencoder has 4"):
        stable_diffusion(tmp_path / "prior")


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_vsd_teaches_a_student_in_the_network(families: dict[str, Family], name: str) -> None:
    """It says what the prior says until it has learned; then a step makes its loss smaller."""
    prior, shot = families[name].ours, some_shot(30, -100)
    assert isinstance(prior, NetworkPrior)
    z_t, t = noisy(prior)
    student = Student(prior, Sentence(prior, "a frog"), rng=rng(1), dropout=0.0)
    with torch.no_grad():
        (meant,) = prior.eps(z_t, t, Sentence(prior, "a frog")(shot))
        assert torch.equal(student(z_t, t, shot), meant)
    z, noise = prior.encode(torch.rand(2, 16, 16, 3, generator=rng(2))), torch.randn_like(z_t)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
    losses: list[float] = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = student.loss(z, t, noise, shot, rng(3))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.999 * losses[0]
    with torch.no_grad():
        assert torch.equal(prior.eps(z_t, t, Sentence(prior, "a frog")(shot))[0], meant)


def by_999(self: Any, t: Tensor) -> Tensor:
    return (t * 998).round().long()


def unscaled(self: Any, x: Tensor, size: int, rng: Any = None) -> Tensor:
    return self.picture(x, size, rng)


def swapped(self: Latent, *given: Any) -> Any:
    return PREDICT(self, *given)[::-1]


PREDICT = Latent.predict


def last_layer(self: TwoTowers, text: str) -> Any:
    return {**SAID(self, text), "pooled": SAID(self, text)["pooled"] + 0.1}


SAID = TwoTowers.__call__
BUGS: dict[str, tuple[str, Any, str, Any, Any]] = {
    "v taken for eps": ("sd21", prediction, "eps_from_v", lambda s, z_t, t, v: v, check_eps),
    "another entry": ("sd15", latent.Table, "index", by_999, check_eps),
    "latents not scaled": ("sd15", latent.VAE, "encode", unscaled, check_encoding),
    "another pooled": ("sdxl", TwoTowers, "__call__", last_layer, check_eps),
    "answers swapped": ("sd15", Latent, "predict", swapped, check_eps),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(
    families: dict[str, Family], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, holder, attribute, wrong, check = BUGS[name]
    monkeypatch.setattr(holder, attribute, wrong)
    if (later := speech(families[family].ours)) is not None:
        monkeypatch.setattr(later, "_said", {})  # else it would not be asked again
    with pytest.raises(AssertionError):
        check(families[family])


def test_a_schedule_that_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps([1]))
    with pytest.raises(ValueError, match="is no JSON object"):
        stable_diffusion(tmp_path)
