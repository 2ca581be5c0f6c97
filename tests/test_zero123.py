"""Zero-1-to-3: the pose in the original's words, and the network asked as the original asks it."""

import math
from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines
import torch
from conftest import rng
from torch import Tensor

from dreamlift import diffusion
from dreamlift.cameras import Cameras, orbit
from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.prior import Prior, Prompt, View
from dreamlift.priors import opening, zero123
from dreamlift.priors.latent import Latent
from dreamlift.priors.poses import places, pose
from dreamlift.priors.source import source_of
from dreamlift.priors.zero123 import Turned
from dreamlift.scene import Shot

pytestmark = pytest.mark.weights


def cameras(azimuth: Any, elevation: Any, **more: Any) -> Cameras:
    return orbit(torch.tensor(azimuth), torch.tensor(elevation), size=16, **more)


def reference() -> View:
    alpha = (torch.rand(16, 16, 1, generator=rng(1)) > 0.4).float()
    image = alpha * torch.rand(16, 16, 3, generator=rng(2))
    return View(image, alpha, cameras([20.0], [10.0]))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("zero123")
    return folder, tiny_pipelines.zero123(folder)


def load(folder: Path, **more: Any) -> Latent:
    return zero123.zero123(folder, dtype=torch.float32, **more)


def turn(one: Cameras, other: Cameras, fourth: Any = "distance") -> Tensor:
    return pose(places(one)[0], places(other), fourth)


def original(one: Tensor, other: Tensor) -> Tensor:
    """The paper's own code in a few lines: spherical coordinates of two camera positions."""
    (xa, ya, za), (xb, yb, zb) = one.tolist(), other.tolist()
    ra, rb = math.dist((0, 0, 0), (xa, ya, za)), math.dist((0, 0, 0), (xb, yb, zb))
    polar = math.acos(zb / rb) - math.acos(za / ra)
    azimuth = (math.atan2(yb, xb) - math.atan2(ya, xa)) % (2 * math.pi)
    return torch.tensor([polar, math.sin(azimuth), math.cos(azimuth), rb - ra])


LENS = 16 / 35
"""What 35 mm see on a sensor of 32 mm at a distance of 1, above and below."""


def check_pose() -> None:
    one = cameras([20.0], [10.0], distance=1.8, frame=1.8 * LENS)
    other = cameras([150.0, -70.0], [-5.0, 60.0], distance=2.1, frame=2.1 * LENS)
    said = turn(one, other)
    for row, position in zip(said, other.position, strict=True):
        torch.testing.assert_close(row, original(one.position[0], position), atol=1e-5, rtol=1e-5)
    stable = turn(one, other, "elevation")
    torch.testing.assert_close(stable[:, :3], said[:, :3])
    torch.testing.assert_close(stable[:, 3], torch.full((2,), math.radians(80)))


def test_the_pose_is_the_originals() -> None:
    check_pose()


def test_to_stay_is_zero_zero_one_zero_and_to_turn_back_the_opposite() -> None:
    one, other = cameras([-40.0], [25.0]), cameras([35.0], [-5.0])
    torch.testing.assert_close(turn(one, one)[0], torch.tensor([0.0, 0, 1, 0]))
    there, back = turn(one, other)[0], turn(other, one)[0]
    torch.testing.assert_close(back, there * torch.tensor([-1.0, -1, 1, -1]), atol=1e-6, rtol=0)


def test_another_lens_that_frames_the_same_is_no_move() -> None:
    one = cameras([0.0], [0.0], distance=4.0, frame=0.7)
    other = cameras([0.0], [0.0], distance=1.5, frame=0.7)
    torch.testing.assert_close(turn(one, other)[0], torch.tensor([0.0, 0, 1, 0]))


@torch.no_grad()
def asked(parts: dict[str, Any], z_t: Tensor, index: Tensor, turns: Tensor | None) -> Tensor:
    """The original's call: latents side by side, one token; all zeros for the null prompt."""
    view = reference()
    white = (view.image * view.alpha + (1 - view.alpha)).permute(2, 0, 1)[None]
    latent = parts["vae"].encode(2 * white - 1).latent_dist.mode()
    pixels = torch.nn.functional.interpolate(white, (21, 21), mode="bicubic", align_corners=True)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    seen = parts["image_encoder"]((pixels - mean) / std).image_embeds
    if turns is None:
        token, latent = torch.zeros(len(z_t), 1, 32), torch.zeros_like(latent)
    else:
        token = parts["projection"](torch.cat([seen.expand(len(z_t), -1), turns], -1))[:, None]
    both = torch.cat([z_t, latent.expand(len(z_t), -1, -1, -1)], 1)
    return parts["unet"](both, index, token).sample


def check_eps(tiny: tuple[Path, dict[str, Any]], fourth: Any = "distance") -> None:
    folder, parts = tiny
    prior = load(folder, fourth=fourth)
    view, shot = reference(), Shot(cameras([75.0, -130.0], [40.0, -10.0]))
    t = prior.schedule.snap(torch.tensor([0.2, 0.7]))
    z_t = torch.randn(2, 4, 8, 8, generator=rng(4))
    told = [Sentence(prior, "")(shot)]
    everywhere = torch.ones(2)
    told.append(prior.condition([(prior.embed(Prompt("", (view,))), everywhere)], shot))
    with torch.no_grad():
        null, seen = prior.eps(z_t, t, *told)
    index = (999 * t).round().long()
    turns = turn(view.camera, shot.cameras, fourth)
    torch.testing.assert_close(null, asked(parts, z_t, index, None), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(seen, asked(parts, z_t, index, turns), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(seen, null, atol=1e-3)
    still = asked(parts, z_t, index, turn(view.camera, view.camera, fourth).expand(2, -1))
    assert not torch.allclose(seen, still, atol=1e-4)


@pytest.mark.parametrize("fourth", ["distance", "elevation"])
def test_eps_is_what_the_original_asks(tiny: tuple[Path, dict[str, Any]], fourth: str) -> None:
    check_eps(tiny, fourth)


def test_our_ddim_is_diffusers_ddim(tiny: tuple[Path, dict[str, Any]]) -> None:
    folder, parts = tiny
    prior, view = load(folder), reference()
    shot = Shot(cameras([75.0], [40.0]))
    scheduler, start = parts["scheduler"], torch.randn(1, 4, 8, 8, generator=rng(5))
    scheduler.set_timesteps(5)
    z, turns = start, turn(view.camera, shot.cameras)
    for i in scheduler.timesteps:
        null, seen = (asked(parts, z, i, told) for told in (None, turns))
        z = scheduler.step(null + 3 * (seen - null), i, z).prev_sample
    known = prior.embed(Prompt("a frog", (view,)))
    score = cfg(prior, lambda s: prior.condition([(known, torch.ones(1))], s),
                Sentence(prior, ""), 3.0)  # fmt: skip
    times = [int(i) / 999 for i in scheduler.timesteps] + [0.0]
    with torch.no_grad():
        ours = diffusion.ddim(prior.schedule, lambda x, t: score(x, t, shot), start, times)
    torch.testing.assert_close(ours, z, atol=1e-4, rtol=1e-4)


def test_it_is_a_prior_of_pictures_not_of_words(tiny: tuple[Path, dict[str, Any]]) -> None:
    source = source_of(tiny[0], "cpu")
    prior = source.load("cpu")
    assert isinstance(prior, Prior) and prior.size == 16
    with pytest.raises(BadInput, match="turns one picture; the prompt has 0"):
        prior.embed(Prompt("a frog"))
    with pytest.raises(BadInput, match="turns a picture and reads no words. Say --recipe zero123"):
        source.check("a frog")
    source.check("", pictured=True)


def test_stable_zero123_is_told_apart_by_its_folder(tmp_path: Path) -> None:
    tiny_pipelines.zero123(tmp_path, "cc_projection")
    tells = load(tmp_path).tells
    assert isinstance(tells, Turned) and tells.fourth == "distance"
    tiny_pipelines.edit(tmp_path / "model_index.json", pose_fourth="elevation")
    prior = opening.load(tmp_path, device="cpu", dtype=torch.float32)
    assert isinstance(prior, Latent) and isinstance(prior.tells, Turned)
    assert prior.tells.fourth == "elevation"


def test_a_folder_without_the_projection_is_refused(tmp_path: Path) -> None:
    tiny_pipelines.zero123(tmp_path, "elsewhere")
    with pytest.raises(ValueError, match="no safetensors in clip_camera_projection or cc_proj"):
        load(tmp_path)


def swapped(reference: Tensor, to: Tensor, fourth: Any) -> Tensor:
    return POSE(reference, to, fourth)[:, [0, 2, 1, 3]]


def backwards(reference: Tensor, to: Tensor, fourth: Any) -> Tensor:
    return POSE(reference, to, fourth) * torch.tensor([-1.0, 1, 1, 1])


def scaled(self: Any, x: Tensor, size: int, rng: Any = None) -> Tensor:
    return self.scale * PICTURE(self, x, size, rng)


POSE, PICTURE = zero123.pose, zero123.VAE.picture


@pytest.mark.parametrize("wrong", [swapped, backwards])
def test_a_wrong_pose_is_caught(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "pose", wrong)
    with pytest.raises(AssertionError):
        check_pose()


def test_scaled_latents_of_the_picture_are_caught(
    tiny: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zero123.VAE, "picture", scaled)
    with pytest.raises(AssertionError):
        check_eps(tiny)
