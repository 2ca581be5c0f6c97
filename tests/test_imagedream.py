"""ImageDream: four views and the picture, against its network written out from published names."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_others
import tiny_pipelines
import torch
import torch.nn.functional as F
from conftest import rng, shared_data
from published import Published
from safetensors.torch import load_file, save_file
from test_mvdream import AROUND, REAL, original, shot
from tiny_prior import FINISH
from torch import Tensor

from dreamlift.cli import main
from dreamlift.diffusion import ddim
from dreamlift.errors import BadInput
from dreamlift.export import FILES
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.io.images import save_png
from dreamlift.prior import Condition, Latents, Prior, Prompt, View
from dreamlift.priors import imagedream as module
from dreamlift.priors.imagedream import adapter, imagedream
from dreamlift.priors.latent import Latent
from dreamlift.priors.mvdream import diffusers_names, mvdream, unet_settings
from dreamlift.priors.source import source_of

pytestmark = pytest.mark.weights

LEVELS = (255 * torch.rand(21, 21, 3, generator=rng(1))).round()
"""A picture of the encoder's own size, in levels of 8 bits: nobody's resizing changes it."""
WEIGHTS = Path("unet") / "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("imagedream")
    tiny_others.imagedream(made)
    return made


def ours(folder: Path, picture: Tensor | None = LEVELS / 255) -> Latent:
    """In double precision: the tiny network makes much of single rounding."""
    return imagedream(folder, picture, dtype=torch.float64)


def shown(folder: Path) -> tuple[Tensor, Tensor]:
    """The picture as the published pipeline shows it: CLIP's patches, and scaled latents."""
    from diffusers import AutoencoderKL
    from transformers import CLIPImageProcessor, CLIPVisionModel

    levels = LEVELS.byte().numpy()
    prepared = CLIPImageProcessor(size={"shortest_edge": 21}, crop_size=21)(levels)
    pixels = torch.as_tensor(prepared["pixel_values"][0])[None]
    eye = CLIPVisionModel.from_pretrained(folder / "image_encoder").eval()
    vae = AutoencoderKL.from_pretrained(folder / "vae")
    small = F.interpolate((LEVELS / 127.5 - 1).permute(2, 0, 1)[None], (16, 16), mode="area")
    look = eye(pixels, output_hidden_states=True).hidden_states[-2]
    return look, vae.encode(small).latent_dist.mode() * vae.config.scaling_factor


def published(folder: Path, tokens: Tensor, *, picture: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """eps(z, index) of four views at a time: the fifth frame is the picture, its camera zeros."""
    state = {key: value.double() for key, value in load_file(folder / WEIGHTS).items()}
    network = Published(state, head=8, frames=5, weight=0.7)
    look, latents = ((x if picture else 0 * x).double() for x in shown(folder))

    def eps(z: Tensor, index: Tensor) -> Tensor:
        said: list[Tensor] = []
        for i in range(0, len(z), 4):
            cameras = [torch.tensor(original(az + 90, 15.0)).flatten() for az in AROUND[i : i + 4]]
            frames = network.noise(
                torch.cat([z[i : i + 4], latents]),
                torch.cat([index[i : i + 4], index[i + 3 : i + 4]]),
                tokens[:1].expand(5, -1, -1).double(),
                torch.stack([*cameras, torch.zeros(16)]).double(),
                look.expand(5, -1, -1),
            )
            said.append(frames[:4])
        return torch.cat(said)

    return eps


@torch.no_grad()
def check_eps(folder: Path) -> None:
    """Two objects at two noise levels, under the picture and the words, and under neither."""
    prior, where = ours(folder), shot(*AROUND)
    z_t = torch.randn(8, 4, 8, 8, generator=rng(4)).double()
    t = prior.schedule.snap(torch.tensor([0.23, 0.81]).repeat_interleave(4))
    told = [Sentence(prior, text)(where) for text in ("a frog", "")]
    answers = prior.eps(z_t, t, *told)
    for condition, answer, picture in zip(told, answers, (True, False), strict=True):
        eps = published(folder, condition["tokens"], picture=picture)
        wanted = eps(z_t, (t * 999).round().long())
        torch.testing.assert_close(answer, wanted, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(*answers, atol=1e-3)


def test_eps_is_that_of_the_published_network(folder: Path) -> None:
    check_eps(folder)


@torch.no_grad()
def test_our_ddim_is_diffusers_ddim_of_the_published_network(folder: Path) -> None:
    from diffusers import DDIMScheduler

    prior, where = ours(folder), shot(*AROUND[:4])
    y, null = Sentence(prior, "a frog"), Sentence(prior, "")
    theirs = [published(folder, said(where)["tokens"], picture=p) for said, p in
              ((y, True), (null, False))]  # fmt: skip
    scheduler, start = DDIMScheduler(**tiny_pipelines.PLAIN), torch.randn(4, 4, 8, 8).double()
    scheduler.set_timesteps(4)
    z = start
    for i in scheduler.timesteps:
        eps_y, eps_null = (eps(z, i.repeat(4)) for eps in theirs)
        z = scheduler.step(eps_null + 3 * (eps_y - eps_null), i, z).prev_sample
    score = cfg(prior, y, null, 3.0)
    times = [int(i) / 999 for i in scheduler.timesteps] + [0.0]
    found = ddim(prior.schedule, lambda z_t, t: score(z_t, t, where), start, times)
    torch.testing.assert_close(found, z, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_both_ways_of_the_picture_count(folder: Path) -> None:
    """Its tokens and its latents each change the answer, of every view."""
    prior, where = ours(folder), shot(*AROUND[:4])
    told = Sentence(prior, "a frog")(where)
    z_t = torch.randn(4, 4, 8, 8, generator=rng(4))
    t = prior.schedule.snap(torch.full((4,), 0.4))

    def without(key: str) -> Condition:
        return {**told, key: torch.zeros_like(told[key])}

    whole, *others = prior.eps(z_t, t, told, without("likeness"), without("beside"))
    for other in others:
        assert ((whole - other).flatten(1).abs().amax(1) > 1e-3).all()


def test_it_is_a_prior_of_four_views_and_takes_no_others(folder: Path) -> None:
    prior = ours(folder)
    assert isinstance(prior, Prior) and isinstance(prior, Latents)
    assert (prior.views, prior.size) == (4, 16)
    for n in (2, 6):  # two under two conditions are four, and no group
        told = [Sentence(prior, text)(shot(*AROUND[:n])) for text in ("a frog", "")]
        with pytest.raises(BadInput, match=f"denoises 4 views of an object together; got {n}"):
            prior.eps(torch.zeros(n, 4, 8, 8), torch.full((n,), 0.4), *told)


def test_what_is_told_of_a_picture(folder: Path) -> None:
    """The given one with every sentence, a prompt's own before it, none with what is not wanted."""
    prior, bare = ours(folder), ours(folder, None)
    view = View(LEVELS / 255, torch.ones(21, 21, 1), shot(0.0).cameras)
    told, own, alone = (
        p.embed(prompt) for p, prompt in ((prior, Prompt("a frog")),
                                          (bare, Prompt("a frog", (view,))),
                                          (bare, Prompt("", (view,))))
    )  # fmt: skip
    for key in ("likeness", "beside"):
        assert told[key].any()
        torch.testing.assert_close(own[key], told[key])
        torch.testing.assert_close(alone[key], told[key])
        for prompt in (Prompt(""), Prompt("ugly", negative=True)):
            nothing = prior.embed(prompt)[key]
            assert nothing.shape == told[key].shape and not nothing.any()
    with pytest.raises(BadInput, match=r"there is none\. Add it to the prior's name"):
        bare.embed(Prompt("a frog"))


def test_it_is_named_with_its_picture_on_the_command_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, side in (("photo", 21), ("wide", 20)):
        save_png(tmp_path / f"{name}.png", torch.rand(21, side, 3))
    save_png(tmp_path / "photo.png", LEVELS / 255)
    for more, said in (
        ("", "it is told a picture beside the words. Add one to its name"),
        ("+photo.png+wide.png", "it is told one picture, not 2"),
    ):
        with pytest.raises(BadInput, match=said):
            source_of(f"{folder}{more}", "cpu").check("a frog", together=True)
    with pytest.raises(BadInput, match="wide.png is 20x21 pixels; this prior wants a square"):
        source_of(f"{folder}+wide.png", "cpu").load("cpu")
    source = source_of(f"{folder}+photo.png", "cpu")
    with pytest.raises(BadInput, match="four views of an object at once, as .*--recipe mvdream"):
        source.check("a frog")
    source.check("a frog", together=True)
    prior: Any = replace(source, dtype="float32").load("cpu")
    single = imagedream(folder, LEVELS / 255, dtype=torch.float32)
    told, meant = (p.embed(Prompt("a frog")) for p in (prior, single))
    for key in told:
        torch.testing.assert_close(told[key], meant[key], atol=1e-5, rtol=1e-5)


def without(name: str) -> Callable[[Path], None]:
    """A folder whose UNet lacks what has `name` in its name."""

    def cut(folder: Path) -> None:
        state = load_file(folder / WEIGHTS)
        kept = {key: value for key, value in state.items() if name not in key}
        assert len(kept) < len(state)
        save_file(kept, folder / WEIGHTS)

    return cut


def blind(folder: Path) -> None:
    (folder / "image_encoder" / "model.safetensors").unlink()


def plain(folder: Path) -> None:
    tiny_pipelines.edit(folder / "unet" / "config.json", ip_dim=0)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (without("middle_block.1.transformer_blocks.0.attn2.to_v_ip"),
         "lacks weights for a picture: .*mid_block.*to_v_ip.weight"),
        (without("image_embed.norm_out"), "lacks weights for a picture: .*norm_out"),
        (without("out.2.bias"), "lacks conv_out.bias"),
        (blind, "image_encoder has no safetensors"),
        (plain, "is told no picture: its unet/config.json has no ip_dim"),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_whole_is_refused(
    harm: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    tiny_others.imagedream(tmp_path)
    harm(tmp_path)
    with pytest.raises(ValueError, match=said):
        ours(tmp_path)


def test_mvdream_does_not_take_it(folder: Path) -> None:
    with pytest.raises(ValueError, match="it holds ImageDream. Load it with priors.imagedream"):
        mvdream(folder)


def test_the_published_networks_weights_are_all_known() -> None:
    """Names and shapes of all 773, against diffusers' classes of the published settings."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.embeddings import IPAdapterPlusImageProjection

    file = shared_data("reference", "native3d_keys", "imagedream_ipmv_unet.json")
    shapes = json.loads(file.read_text())["keys"]
    assert len(shapes) == 773
    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in shapes.items()}
        network = UNet2DConditionModel(**unet_settings({**REAL, "ip_dim": 16}))
        projection = IPAdapterPlusImageProjection(1280, 1024, 1024, 4, 64, 12, 16)
    parts = adapter(network, state)
    wanted = tiny_others.originals({k: (*v.shape,) for k, v in projection.state_dict().items()})
    assert {key: (*value.shape,) for key, value in parts["image_proj"].items()} == wanted
    layers = [m for name, m in network.named_modules() if name.endswith("attn2")]
    # An adapter's layers are counted in the order of the processors, self-attention between them.
    order = [name for name in network.attn_processors if name.endswith("attn2.processor")]
    for i, name in enumerate(order):
        layer: Any = network.get_submodule(name.removesuffix(".processor"))
        for letter in "kv":
            made = parts["ip_adapter"][f"{2 * i + 1}.to_{letter}_ip.weight"]
            assert made.shape == layer.to_k.weight.shape
    assert len(layers) == len(order) == 16
    rest = {key: value.shape for key, value in network.state_dict().items()}
    named = diffusers_names(state, network.config)
    assert {key: named[key].shape for key in rest} == rest
    assert len(rest) + len(parts["image_proj"]) + len(parts["ip_adapter"]) == 773


def test_a_tiny_imagedream_runs_to_a_glb(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    save_png(tmp_path / "photo.png", LEVELS / 255)
    few = "--steps 3 --size 16 --init blob --device cpu --negative ugly --scale 5".split()
    few += [f"--finish.{k}={v}" for k, v in vars(FINISH).items() if k != "smooth"]
    asked = ["generate", "a red mug", "--prior", f"{folder}+photo.png", "--out", "run", *few]
    assert main([*asked, "--recipe", "mvdream"]) == 0, capsys.readouterr().err
    assert all((tmp_path / "run" / name).exists() for name in FILES)


def last_first(views: Tensor, last: Tensor) -> Tensor:
    return FIFTH(views, last).unflatten(0, (-1, 5)).roll(1, 1).flatten(0, 1)


def of_the_first(views: Tensor, last: Tensor) -> Tensor:
    return FIFTH(views, last.unflatten(0, (-1, 4)).roll(2, 0).flatten(0, 1))


FIFTH = module.fifth
JOIN = module.join


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("fifth", last_first),
        ("fifth", of_the_first),
        ("join", lambda unet, views: JOIN(unet, 1)),
        ("attach", lambda unet, parts, strength: ATTACH(unet, parts, 1.0)),
    ],
)
def test_a_picture_in_the_wrong_place_is_caught(
    name: str, wrong: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(AssertionError):
        check_eps(folder)


ATTACH = module.attach
