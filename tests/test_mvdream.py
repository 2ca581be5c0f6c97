"""MVDream: cameras as the original's code writes them, attention over four views, its key names."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import tiny_others
import tiny_pipelines
import torch
from conftest import rng, shared_data
from torch import Tensor, nn

from dreamlift.cameras import orbit
from dreamlift.diffusion import ddim
from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.prior import Latents, Prior
from dreamlift.priors import mvdream as module
from dreamlift.priors.latent import Latent
from dreamlift.priors.mvdream import camera_matrix, diffusers_names, mvdream, unet_settings
from dreamlift.priors.source import source_of
from dreamlift.scene import Shot

pytestmark = pytest.mark.weights

REAL = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320,
    "attention_resolutions": [4, 2, 1], "num_res_blocks": 2, "channel_mult": [1, 2, 4, 4],
    "num_head_channels": 64, "context_dim": 1024, "camera_dim": 16,
}  # fmt: skip
"""The published network's settings."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("mvdream")
    return folder, tiny_others.mvdream(folder)


def shot(*azimuths: float, elevation: float = 15.0) -> Shot:
    azimuth = torch.tensor(azimuths)
    return Shot(orbit(azimuth, torch.full_like(azimuth, elevation), size=16))


def original(azimuth: float, elevation: float) -> list[list[float]]:
    """The original's matrix: y up and looking from z, then turned so that z is up.

    Its azimuth 90 is where a camera looks at our front, +x.
    """
    az, el = math.radians(azimuth), math.radians(elevation)
    p = torch.tensor([math.cos(el) * math.sin(az), math.sin(el), math.cos(el) * math.cos(az)])
    forward = -p
    right = torch.linalg.cross(forward, torch.tensor([0.0, 1, 0]))
    right = right / right.norm()
    up = torch.linalg.cross(right, forward)
    matrix = torch.eye(4)
    matrix[:3, :3], matrix[:3, 3] = torch.stack([right, up, -forward], 1), p
    turned = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]) @ matrix
    return turned.tolist()


def check_cameras() -> None:
    said = camera_matrix(shot(0.0, 40.0, -100.0).cameras).reshape(3, 4, 4)
    for row, azimuth in zip(said, (90.0, 130.0, -10.0), strict=True):
        wanted = torch.tensor(original(azimuth, 15.0))
        torch.testing.assert_close(row, wanted, atol=1e-5, rtol=0)


def test_cameras_are_the_originals() -> None:
    check_cameras()


def joined(network: Any) -> Any:
    """The same network, whose self-attention is asked about four views by hooks around it."""

    def before(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> Any:
        n, places, width = args[0].shape
        return (args[0].reshape(n // 4, 4 * places, width), *args[1:]), kwargs

    def after(layer: nn.Module, args: Any, out: Tensor) -> Tensor:
        return out.reshape(4 * len(out), -1, out.shape[-1])

    for name, layer in network.named_modules():
        if name.endswith("attn1"):
            layer.register_forward_pre_hook(before, with_kwargs=True)
            layer.register_forward_hook(after)
    return network


def asked(prior: Latent, where: Shot) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    b = len(where)
    z_t, t = torch.randn(b, 4, 8, 8, generator=rng(4)), torch.full((b,), 0.4)
    t = prior.schedule.snap(t)
    told = [Sentence(prior, text)(where) for text in ("a frog", "")]
    with torch.no_grad():
        return z_t, (t * 999).round().long(), prior.eps(z_t, t, *told)


AROUND = (10.0, 100.0, 190.0, 280.0, -20.0, 70.0, 160.0, 250.0)


def check_eps(tiny: tuple[Path, Any], tmp_path: Path) -> None:
    """Against diffusers' class with hooks, told the cameras as classes."""
    prior, where = mvdream(tiny[0], dtype=torch.float32), shot(*AROUND)
    z_t, index, answers = asked(prior, where)
    tiny[1].save_pretrained(tmp_path / "plain")
    theirs = joined(type(tiny[1]).from_pretrained(tmp_path / "plain"))
    for text, answer in zip(("a frog", ""), answers, strict=True):
        tokens = Sentence(prior, text)(where)["tokens"]
        with torch.no_grad():
            wanted = theirs(z_t, index, tokens, class_labels=camera_matrix(where.cameras)).sample
        torch.testing.assert_close(answer, wanted, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(*answers, atol=1e-3)


def test_eps_is_that_of_a_network_that_sees_four_views(
    tiny: tuple[Path, Any], tmp_path: Path
) -> None:
    check_eps(tiny, tmp_path)


@torch.no_grad()
def test_four_times_the_same_view_is_the_plain_network(tiny: tuple[Path, Any]) -> None:
    """Attention over copies of the keys is attention over the keys."""
    prior, where = mvdream(tiny[0], dtype=torch.float32), shot(30.0, 30.0, 30.0, 30.0)
    z_t = torch.randn(1, 4, 8, 8, generator=rng(4)).repeat(4, 1, 1, 1)
    t = prior.schedule.snap(torch.full((4,), 0.4))
    told = Sentence(prior, "a frog")(where)
    (answer,) = prior.eps(z_t, t, told)
    wanted = tiny[1](z_t, (t * 999).round().long(), told["tokens"],
                     class_labels=camera_matrix(where.cameras)).sample  # fmt: skip
    torch.testing.assert_close(answer, wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_views_of_one_object_see_each_other_and_no_others(tiny: tuple[Path, Any]) -> None:
    prior, where = mvdream(tiny[0], dtype=torch.float32), shot(*AROUND)
    z_t, t = torch.randn(8, 4, 8, 8, generator=rng(4)), torch.full((8,), 0.4)
    told = Sentence(prior, "a frog")(where)
    changed = z_t.clone()
    changed[1] += 1
    (one,), (other,) = (prior.eps(z, prior.schedule.snap(t), told) for z in (z_t, changed))
    moved = (one - other).flatten(1).abs().amax(1)
    assert (moved[:4] > 1e-4).all() and (moved[4:] < 1e-5).all()
    with pytest.raises(BadInput, match="denoises 4 views of an object together; got 6"):
        prior.eps(z_t[:6], t[:6], Sentence(prior, "a frog")(shot(*AROUND[:6])))


@torch.no_grad()
def test_our_ddim_is_diffusers_ddim(tiny: tuple[Path, Any], tmp_path: Path) -> None:
    from diffusers import DDIMScheduler

    prior, where = mvdream(tiny[0], dtype=torch.float32), shot(*AROUND[:4])
    tiny[1].save_pretrained(tmp_path / "plain")
    theirs = joined(type(tiny[1]).from_pretrained(tmp_path / "plain"))
    scheduler, start = DDIMScheduler(**tiny_pipelines.PLAIN), torch.randn(4, 4, 8, 8)
    scheduler.set_timesteps(4)
    camera, z = camera_matrix(where.cameras), start
    tokens = [Sentence(prior, text)(where)["tokens"] for text in ("a frog", "")]
    for i in scheduler.timesteps:
        y, null = (theirs(z, i, said, class_labels=camera).sample for said in tokens)
        z = scheduler.step(null + 3 * (y - null), i, z).prev_sample
    score = cfg(prior, Sentence(prior, "a frog"), Sentence(prior, ""), 3.0)
    times = [int(i) / 999 for i in scheduler.timesteps] + [0.0]
    ours = ddim(prior.schedule, lambda z_t, t: score(z_t, t, where), start, times)
    torch.testing.assert_close(ours, z, atol=1e-4, rtol=1e-4)


def test_it_is_a_prior_of_four_views(tiny: tuple[Path, Any]) -> None:
    source = source_of(tiny[0], "cpu")
    prior = source.load("cpu")
    assert isinstance(prior, Prior) and isinstance(prior, Latents)
    assert (prior.views, prior.size) == (4, 16)
    with pytest.raises(BadInput, match="four views of an object at once, as .*--recipe mvdream"):
        source.check("a frog")
    source.check("a frog", together=True)


def test_a_network_that_lacks_a_weight_or_wants_pictures_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tiny_others.mvdream(tmp_path)
    file = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    save_file({key: value for key, value in state.items() if "out.2.bias" not in key}, file)
    with pytest.raises(ValueError, match="lacks conv_out.bias"):
        mvdream(tmp_path)
    tiny_pipelines.edit(tmp_path / "unet" / "config.json", ip_dim=16)
    with pytest.raises(ValueError, match="ImageDream"):
        mvdream(tmp_path)


def test_the_published_networks_weights_are_all_known() -> None:
    """Names and shapes of all 690, against diffusers' class of the published settings."""
    from diffusers import UNet2DConditionModel

    file = shared_data("reference", "native3d_keys", "mvdream_sd21_unet.json")
    shapes = json.loads(file.read_text())["keys"]
    assert len(shapes) == 690
    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in shapes.items()}
        config = unet_settings(REAL)
        network = UNet2DConditionModel(**config)
        named = diffusers_names(state, config)
    wanted = {key: value.shape for key, value in network.state_dict().items()}
    assert {key: value.shape for key, value in named.items()} == wanted


def test_views_apart_are_caught(
    tiny: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "VIEWS", 1)
    with pytest.raises(AssertionError):
        check_eps(tiny, tmp_path)


def test_other_axes_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from dreamlift.priors.lora import pose_numbers

    monkeypatch.setitem(globals(), "camera_matrix", pose_numbers)
    with pytest.raises(AssertionError):
        check_cameras()
