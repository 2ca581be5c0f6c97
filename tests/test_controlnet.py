"""Models that are told what the scene shows say and make what diffusers' own pipelines do."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_others
import tiny_pipelines
import torch
from conftest import rng
from test_control import ball
from test_latent import plain
from torch import Tensor

from dreamlift import diffusion
from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.prior import Prior
from dreamlift.priors import controlnet, depth, opening
from dreamlift.priors.control import disparity, drawn
from dreamlift.priors.controlnet import kind_of
from dreamlift.priors.depth import stable_diffusion_depth
from dreamlift.priors.latent import Latent
from dreamlift.scene import Shot
from dreamlift.scenes.image import Image

pytestmark = pytest.mark.weights

PROMPTS = ("a frog, on stilts", "")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("told")
    made = {"depth": tiny_others.depth(root / "depth")}
    return root, {**made, "control": tiny_others.controlnet(root / "control")}


def asked(prior: Prior, shot: Shot) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
    t = prior.schedule.snap(torch.tensor([0.23, 0.81]))
    z_t = torch.randn(2, 4, 8, 8, generator=rng(4))
    with torch.no_grad():
        answers = prior.eps(z_t, t, *(Sentence(prior, text)(shot) for text in PROMPTS))
    return z_t, t, (t * 999).round().long(), answers


@torch.no_grad()
def check_depth(tiny: tuple[Path, dict[str, Any]]) -> None:
    folder, theirs = tiny[0] / "depth", tiny[1]["depth"]
    prior, shot = stable_diffusion_depth(folder, dtype=torch.float32), ball(30.0, -100.0)
    z_t, _, index, answers = asked(prior, shot)
    assert shot.seen is not None
    near = disparity(shot.seen, shot.cameras)[:, 0]
    image = torch.zeros(2, 3, 16, 16)
    told = theirs.prepare_depth_map(image, near, 2, False, torch.float32, torch.device("cpu"))
    for text, answer in zip(PROMPTS, answers, strict=True):
        tokens = plain(theirs, text)["encoder_hidden_states"].expand(2, -1, -1)
        wanted = theirs.unet(torch.cat([z_t, told], 1), index, tokens).sample
        torch.testing.assert_close(answer, wanted, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(*answers, atol=1e-3)


def test_eps_is_the_depth_pipelines_own(tiny: tuple[Path, dict[str, Any]]) -> None:
    check_depth(tiny)


def control_eps(theirs: Any, z: Tensor, index: Tensor, tokens: Tensor, image: Tensor,
                strength: float) -> Tensor:  # fmt: skip
    down, middle = theirs.controlnet(z, index, tokens, image, strength, return_dict=False)
    return theirs.unet(z, index, tokens, down_block_additional_residuals=down,
                       mid_block_additional_residual=middle).sample  # fmt: skip


def load(tiny: tuple[Path, dict[str, Any]], **more: Any) -> Latent:
    return controlnet.controlnet(tiny[0] / "control", dtype=torch.float32, **more)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["depth", "normal", "canny"])
def test_eps_is_the_controlnet_pipelines_own(
    tiny: tuple[Path, dict[str, Any]], kind: controlnet.Kind
) -> None:
    prior, shot = load(tiny, draw=kind, strength=0.7), ball(30.0, -100.0)
    z_t, _, index, answers = asked(prior, shot)
    theirs, image = tiny[1]["control"], drawn(kind, shot, 16)
    for text, answer in zip(PROMPTS, answers, strict=True):
        tokens = plain(theirs, text)["encoder_hidden_states"].expand(2, -1, -1)
        wanted = control_eps(theirs, z_t, index, tokens, image, 0.7)
        torch.testing.assert_close(answer, wanted, atol=1e-5, rtol=1e-5)
        other = theirs.unet(z_t, index, tokens).sample
        assert not torch.allclose(answer, other, atol=1e-3)
    assert not torch.allclose(*answers, atol=1e-3)


@torch.no_grad()
def test_our_ddim_gives_the_controlnet_pipelines_picture(
    tiny: tuple[Path, dict[str, Any]],
) -> None:
    prior, shot, theirs = load(tiny, draw="depth"), ball(30.0), tiny[1]["control"]
    start = torch.randn(1, 4, 8, 8, generator=rng(5))
    image = drawn("depth", shot, 16)
    picture = theirs(PROMPTS[0], image=image, latents=start.clone(), num_inference_steps=5,
                     guidance_scale=3.0, output_type="pt", height=16, width=16).images  # fmt: skip
    check_picture(prior, shot, start, theirs.scheduler, picture)


@torch.no_grad()
def test_our_ddim_gives_the_depth_pipelines_picture(tiny: tuple[Path, dict[str, Any]]) -> None:
    """At full strength, from the noise that it draws."""
    theirs = tiny[1]["depth"]
    prior = stable_diffusion_depth(tiny[0] / "depth", dtype=torch.float32)
    shot, x = ball(30.0), torch.rand(1, 16, 16, 3, generator=rng(6))
    assert shot.seen is not None
    picture = theirs(PROMPTS[0], image=x.permute(0, 3, 1, 2), strength=1.0, guidance_scale=3.0,
                     depth_map=disparity(shot.seen, shot.cameras)[:, 0], num_inference_steps=5,
                     output_type="pt", generator=rng(7)).images  # fmt: skip
    draws, first = rng(7), torch.tensor([int(theirs.scheduler.timesteps[0]) / 999])
    z = prior.encode(x, draws)
    start = diffusion.add_noise(prior.schedule, z, first, torch.randn(z.shape, generator=draws))
    check_picture(prior, shot, start, theirs.scheduler, picture)


def check_picture(prior: Prior, shot: Shot, z: Tensor, scheduler: Any, picture: Tensor) -> None:
    score = cfg(prior, Sentence(prior, PROMPTS[0]), Sentence(prior, ""), 3.0)
    times = [int(i) / 999 for i in scheduler.timesteps] + [0.0]
    z = diffusion.ddim(prior.schedule, lambda z_t, t: score(z_t, t, shot), z, times)
    ours = prior.decode(z).clamp(0, 1).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, picture, atol=1e-4, rtol=0)


def test_any_drawing_will_do(tiny: tuple[Path, dict[str, Any]]) -> None:
    picture = torch.rand(1, 3, 16, 16, generator=rng(8))
    prior = load(tiny, draw=lambda shot: picture.expand(len(shot), -1, -1, -1))
    told = Sentence(prior, "a frog")(ball(0.0, 50.0))["control"]
    assert torch.equal(told, picture.expand(2, -1, -1, -1))


def test_what_a_controlnet_is_shown_is_in_its_name_or_its_config(
    tiny: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    for name, kind in (("control_v11p_sd15_canny", "canny"), ("sd15_normalbae", "normal")):
        shutil.copytree(tiny[0] / "control" / "controlnet", tmp_path / name)
        assert kind_of(tmp_path / name) == kind
    cache = tmp_path / "models--lllyasviel--sd-controlnet-depth" / "snapshots" / "abc"
    shutil.copytree(tiny[0] / "control", cache)
    assert kind_of(cache / "controlnet") == "depth"
    mute = tmp_path / "depth-of-folders" / "seg"
    shutil.copytree(tiny[0] / "control" / "controlnet", mute)
    with pytest.raises(ValueError, match="does not say what it is shown. Name the folder with"):
        kind_of(mute)
    tiny_pipelines.edit(mute / "config.json", control="depth")
    assert kind_of(mute) == "depth"
    separate = load(tiny, net=mute)
    assert set(Sentence(separate, "a")(ball(0.0))) == {"tokens", "control"}
    tiny_others.control(cross_attention_dim=16).save_pretrained(tmp_path / "depth")
    with pytest.raises(ValueError, match="made for another model: it reads tokens of 16 numbers"):
        load(tiny, net=tmp_path / "depth")


def test_their_folders_are_known(tiny: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    for name in ("depth", "control"):
        folder = tmp_path / f"{name}-depth"
        shutil.copytree(tiny[0] / name, folder)
        prior = opening.load(folder, device="cpu", dtype=torch.float32)
        assert isinstance(prior, Latent) and prior.size == 16
        with pytest.raises(BadInput, match="and here is none"):
            Sentence(prior, "a frog")(Shot(ball(0.0).cameras))
        flat = Image(torch.rand(8, 8, 3, generator=rng(9)))
        cameras = ball(0.0, size=8).cameras
        seen = flat.render(Shot(cameras)).detached()
        with pytest.raises(BadInput, match="this scene shows neither"):
            Sentence(prior, "a frog")(Shot(cameras, seen=seen))


def test_depth_upside_down_is_caught(
    tiny: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depth, "disparity", lambda *given: 1 - disparity(*given))
    with pytest.raises(AssertionError):
        check_depth(tiny)
