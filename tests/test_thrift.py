"""Less memory for the same numbers: what each way saves, what fits, and that nothing changes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_others
import tiny_pipelines
import torch
from conftest import rng
from test_scores import some_shot

from dreamlift.cameras import orbit
from dreamlift.cli import main
from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import Sentence
from dreamlift.io.images import save_png
from dreamlift.prior import Prompt, View
from dreamlift.priors import thrift
from dreamlift.priors.imagedream import imagedream
from dreamlift.priors.pix2pix import instruct_pix2pix
from dreamlift.priors.source import Source, source_of
from dreamlift.priors.thrift import GIB, Alive, Needs, Ways, bytes_of, needs, planned, spare
from dreamlift.priors.zero123 import zero123
from dreamlift.scene import Shot

QUICK = (
    "--steps 3 --size 16 --samples 24 --init blob --device cpu --finish.resolution 32 "
    "--finish.faces 600 --finish.texture 64 --finish.frames 2 --finish.size 16"
).split()
FAMILIES = ("stable_diffusion", "sdxl", "sd3", "flux", "deepfloyd")
SD15: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
SD_VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


def made(folder: Path, family: str) -> Source:
    getattr(tiny_pipelines, family)(folder / family)
    return source_of(folder / family, "cpu")


def test_sizes_are_read_as_people_write_them() -> None:
    assert bytes_of("8G") == bytes_of("8 GiB") == bytes_of("8192m") == 8 * GIB
    assert bytes_of("1.5g") == 1.5 * GIB
    for said in ("8", "G", "-1G", "0G", "8T", ""):
        with pytest.raises(BadInput, match="--memory is a size such as 8G"):
            bytes_of(said)


def test_what_is_alive_is_counted_and_what_is_gone_is_not() -> None:
    with Alive() as alive:
        a = torch.empty(1000, device="meta")
        b = a[:10]  # a view takes nothing
        assert alive.now == 4000
        c = a + 1
        assert alive.now == 8000
        del a
        assert alive.now == 8000, "b still holds it"
        del b, c
        assert (alive.now, alive.peak) == (0, 8000)
        x = torch.empty(1000, device="meta", requires_grad=True)
        y = x.exp().square()  # each of them is kept for the gradient
        assert alive.now == 4000 * 3
        del y
        assert alive.now == 4000


@pytest.mark.seconds
@pytest.mark.weights
def test_stable_diffusions_step_is_of_the_size_that_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SD 1.5's own configuration, without its weights: 860 million numbers, and 84 in the VAE."""
    source = made(tmp_path, "stable_diffusion")
    configs = {"unet": SD15, "vae": SD_VAE}
    for part, config in configs.items():
        tiny_pipelines.edit(source.folder / part / "config.json", **config)
    unet = source.folder / "unet" / "config.json"
    blocks = ("CrossAttn",) * 3
    tiny_pipelines.edit(unet, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
                        norm_num_groups=32,
                        down_block_types=[f"{b}DownBlock2D" for b in (*blocks, "")],
                        up_block_types=[f"{b}UpBlock2D" for b in ("", *blocks)])  # fmt: skip
    tiny_pipelines.edit(source.folder / "vae" / "config.json", norm_num_groups=32)
    source = Source(source.name, source.sha256, "bfloat16")
    found = {ways: needs(source, ways) for ways in thrift.LADDER}
    plain, recomputed, alone, off = (found[ways] for ways in thrift.LADDER)
    assert plain.network == pytest.approx(859.5e6 * 2, rel=0.001)
    assert plain.encoder == pytest.approx(83.65e6 * 4, rel=0.001)
    # Of 128 channels of 512x512 in float32, 134 MB each, the first two blocks keep about a dozen.
    assert 2e9 < plain.kept < 4e9 and recomputed.kept < 0.3e9
    assert recomputed.encoding < 0.8 * plain.encoding
    assert alone.asked < 0.3 * recomputed.asked
    assert off.network < 0.2 * plain.network
    assert plain.peak > recomputed.peak >= alone.peak > off.peak
    twice = needs(source, Ways(), batch=2)
    assert twice.kept == pytest.approx(2 * plain.kept, rel=0.02)
    assert twice.asked == pytest.approx(2 * plain.asked, rel=0.02)
    roomy = planned(source, "24G", "cuda")
    assert roomy.ways == Ways() and "fits" in roomy.why[-1]
    tight = planned(source, f"{plain.peak / GIB - 0.01:.2f}G", "cuda")
    assert tight.ways == Ways(checkpoint=True) and "too much" in tight.why[0]
    with pytest.raises(BadInput, match=r"does not fit in 1\.0 GiB on cuda\. Tried nothing saved: "):
        planned(source, "1G", "cuda")
    with pytest.raises(BadInput, match="one sentence at a time") as caught:
        planned(source, f"{off.peak / GIB + 0.01:.2f}G", "cpu")
    assert "main memory" not in str(caught.value), "there is nothing to bring it from"


@pytest.mark.weights
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_planned_for(family: str, tmp_path: Path) -> None:
    source = made(tmp_path, family)
    plain, alone = needs(source, Ways()), needs(source, Ways(checkpoint=True, one_by_one=True))
    assert plain.asked > alone.asked > 0 and plain.kept >= alone.kept
    assert planned(source, "16G", "cpu").ways == Ways()


@pytest.mark.weights
@pytest.mark.parametrize("pictured", [False, True], ids=["MVDream", "ImageDream"])
def test_four_views_together_can_be_planned_for(pictured: bool, tmp_path: Path) -> None:
    (tiny_others.imagedream if pictured else tiny_others.mvdream)(tmp_path / "made")
    save_png(tmp_path / "photo.png", torch.rand(21, 21, 3, generator=rng(1)))
    added = f"+{tmp_path / 'photo.png'}" if pictured else ""
    source = source_of(f"{tmp_path / 'made'}{added}", "cpu")
    one, four, five = (needs(source, Ways(), batch=batch) for batch in (1, 4, 5))
    assert one == four and five.kept == pytest.approx(2 * four.kept, rel=0.02)
    plain: Any = source.load("cpu")
    assert four.network == sum(map(thrift.size, plain.network.parameters()))
    assert planned(source, "16G", "cpu", batch=4).ways == Ways()


@pytest.mark.weights
def test_a_likeness_is_planned_for_and_a_controlnet_is_refused(tmp_path: Path) -> None:
    plain = made(tmp_path, "stable_diffusion")
    theirs = tiny_pipelines.stable_diffusion(tmp_path / "again")
    tiny_others.ip_adapter(theirs, tmp_path / "ip.safetensors")
    save_png(tmp_path / "photo.png", torch.rand(21, 21, 3, generator=rng(1)))
    files = f"{tmp_path / 'ip.safetensors'}+{tmp_path / 'photo.png'}"
    liked = source_of(f"{plain.name}+{files}", "cpu")
    loaded: Any = liked.load("cpu")
    assert needs(liked, Ways()).network == sum(map(thrift.size, loaded.network.parameters()))
    assert needs(liked, Ways()).asked > needs(plain, Ways()).asked
    tiny_others.controlnet(tmp_path / "edges")
    shown = source_of(f"{plain.name}+{tmp_path / 'edges' / 'controlnet'}", "cpu")
    with pytest.raises(BadInput, match="what controlnet, a ControlNet, takes beside it is not kn"):
        planned(shown, "16G", "cpu")


@pytest.mark.weights
@pytest.mark.parametrize(
    ("family", "ways"), [*zip(FAMILIES, [*thrift.LADDER[1:], *thrift.LADDER[2:]], strict=True)]
)
def test_no_way_changes_what_is_computed(family: str, ways: Ways, tmp_path: Path) -> None:
    source = replace(made(tmp_path, family), dtype="float32")
    plain: Any = source.load("cpu")
    frugal: Any = thrift.load(source, "cpu", ways)
    plain.size = frugal.size = 16  # FLUX says no size, and 1024 is much for a CPU
    x = torch.rand(2, 16, 16, 3, generator=rng(1))

    def step(prior: Any) -> tuple[torch.Tensor, ...]:
        leaf = x.clone().requires_grad_()
        z = prior.encode(leaf)
        shot = some_shot(0, 90)
        told = [Sentence(prior, text)(shot) for text in ("a cone", "", "a cube")]
        with torch.no_grad():
            said = prior.eps(z.detach(), torch.tensor([0.3, 0.7]), *told)
        z.backward(torch.linspace(-1, 1, z.numel()).reshape(z.shape))
        assert leaf.grad is not None
        return (*said, leaf.grad)

    for a, b in zip(step(plain), step(frugal), strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=2e-4)


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a:UserWarning")
def test_a_compiled_network_says_the_same(tmp_path: Path) -> None:
    prior: Any = made(tmp_path, "stable_diffusion").load("cpu")
    z = torch.randn(1, 4, 8, 8, generator=rng(2))
    told = Sentence(prior, "a cone")(some_shot(0))
    compiled: list[int] = []

    def backend(graph: Any, inputs: Any) -> Callable[..., Any]:
        compiled.append(1)
        return graph.forward

    with torch.no_grad():
        (wanted,) = prior.eps(z, torch.tensor([0.4]), told)
        spare(prior, "cpu", Ways(), backend=backend)
        (found,) = prior.eps(z, torch.tensor([0.4]), told)
    assert compiled
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.weights
def test_a_run_is_planned_and_told_what_cannot_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made(tmp_path, "stable_diffusion")
    run = ["generate", "a cone", *QUICK, "--prior", "stable_diffusion", "--out", "run"]
    assert main([*run, "--memory", "1G"]) == 2
    assert "stable_diffusion does not fit in 1.0 GiB on cpu. Tried" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main([*run, "--memory", "2G"]) == 0
    assert "memory of a step: nothing saved: 1.5 GiB" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["memory"] == "2G"
    assert main(["resume", "run"]) == 0
    assert main(["generate", "a cone", "--memory", "2G"]) == 2


def test_a_plan_says_where_the_memory_goes() -> None:
    said = str(Needs(2 * GIB, GIB / 2, GIB, 3 * GIB, 3.5 * GIB))
    assert said.startswith("8.0 GiB (network 2.0, autoencoder 0.5, asking it 1.0, ")
    assert str(Ways()) == "nothing saved"


@pytest.mark.parametrize("family", ["pix2pix", "zero123", "imagedream"])
def test_pictures_reach_an_autoencoder_that_is_elsewhere(family: str, tmp_path: Path) -> None:
    """Offloaded, a prior is loaded on the CPU and its autoencoder moved; `meta` for a GPU."""
    cameras = orbit(torch.tensor([20.0]), torch.tensor([10.0]), size=16)
    picture = torch.rand(16, 16, 3, generator=rng(0))
    seen = (View(picture, torch.ones(16, 16, 1), cameras),)
    match family:
        case "pix2pix":
            tiny_others.pix2pix(tmp_path)
            prior, seen = instruct_pix2pix(tmp_path, picture, dtype=torch.float32), ()
        case "imagedream":
            tiny_others.imagedream(tmp_path)
            prior, seen = imagedream(tmp_path, picture, dtype=torch.float32), ()
        case _:
            tiny_pipelines.zero123(tmp_path)
            prior = zero123(tmp_path, dtype=torch.float32)
    spare(prior, "meta", Ways(offload=True))
    said = prior.embed(Prompt("a hat", seen))
    assert said["latent" if family == "zero123" else "beside"].device.type == "meta"
    if family == "zero123":
        null, shot = prior.embed(Prompt("")), Shot(cameras.to("meta"))
        assert prior.condition([(null, torch.ones(1, device="meta"))], shot)["tokens"].is_meta
