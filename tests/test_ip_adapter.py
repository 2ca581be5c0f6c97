"""IP-Adapters added to our priors say and make what they do added to diffusers' own pipelines."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tiny_others
import tiny_pipelines
import torch
from conftest import rng
from PIL import Image
from safetensors.torch import load_file, save_file
from test_latent import plain, xl
from test_scores import some_shot
from torch import Tensor

from dreamlift import diffusion
from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.io.images import save_png
from dreamlift.prior import Prompt
from dreamlift.priors import ip_adapter as module
from dreamlift.priors.ip_adapter import ip_adapter, is_ip_adapter
from dreamlift.priors.latent import Latent, stable_diffusion
from dreamlift.priors.sdxl import sdxl
from dreamlift.priors.source import source_of

pytestmark = pytest.mark.weights

PROMPTS = ("a frog, on stilts", "")
LEVELS = (255 * torch.rand(21, 21, 3, generator=rng(1))).round()
"""A picture of the encoder's own size, in levels of 8 bits: their resizing leaves it alone."""


@dataclass(frozen=True)
class Family:
    folder: Path
    file: Path
    theirs: Any
    told: Callable[[Any, str], dict[str, Any]]
    wide: bool

    def ours(self, strength: float = 0.6) -> Latent:
        prior = (sdxl if self.wide else stable_diffusion)(self.folder, dtype=torch.float32)
        ip_adapter(prior, self.file, LEVELS / 255, strength=strength)
        return prior


@pytest.fixture(scope="module", params=["sd", "plus", "sdxl"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    root, wide = tmp_path_factory.mktemp("ip"), request.param == "sdxl"
    make = tiny_pipelines.sdxl if wide else tiny_pipelines.stable_diffusion
    theirs, file = make(root / "base"), root / "ip-adapter.safetensors"
    width = theirs.unet.config.cross_attention_dim
    tiny_others.ip_adapter(theirs, file, plus=request.param == "plus", wide=width)
    theirs.load_ip_adapter(str(root), subfolder="", weight_name=file.name, low_cpu_mem_usage=False)
    theirs.set_ip_adapter_scale(0.6)
    theirs.image_encoder.eval()
    return Family(root / "base", file, theirs, xl if wide else plain, wide)


def their_picture() -> Image.Image:
    return Image.fromarray(LEVELS.byte().numpy())


@torch.no_grad()
def check_eps(family: Family) -> None:
    prior, shot, theirs = family.ours(), some_shot(30, -100), family.theirs
    t = prior.schedule.snap(torch.tensor([0.23, 0.81]))
    z_t = torch.randn(2, 4, 8, 8, generator=rng(4))
    answers = prior.eps(z_t, t, *(Sentence(prior, text)(shot) for text in PROMPTS))
    (seen,) = theirs.prepare_ip_adapter_image_embeds(their_picture(), None, "cpu", 1, True)
    for text, answer, likeness in zip(PROMPTS, answers, seen.flip(0), strict=True):
        said = family.told(theirs, text)
        said = {"encoder_hidden_states": said["encoder_hidden_states"].expand(2, -1, -1),
                "added_cond_kwargs": {key: value.expand(2, -1) for key, value in
                                      said.get("added_cond_kwargs", {}).items()}}  # fmt: skip
        said["added_cond_kwargs"]["image_embeds"] = [likeness[None].expand(2, *likeness.shape)]
        wanted = theirs.unet(z_t, (t * 999).round().long(), **said).sample
        # Of the largest value, some 4: single precision rounds otherwise on every kind of CPU.
        assert (answer - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert not torch.allclose(*answers, atol=1e-3)


def test_eps_is_the_pipelines_own(family: Family) -> None:
    check_eps(family)


@torch.no_grad()
def test_our_ddim_gives_the_pipelines_picture(family: Family) -> None:
    prior, shot, theirs = family.ours(), some_shot(30), family.theirs
    start = torch.randn(1, 4, 8, 8, generator=rng(5))
    picture = theirs(PROMPTS[0], ip_adapter_image=their_picture(), latents=start.clone(), height=16,
                     width=16, num_inference_steps=5, guidance_scale=3.0,
                     output_type="pt").images  # fmt: skip
    score = cfg(prior, Sentence(prior, PROMPTS[0]), Sentence(prior, ""), 3.0)
    times = [int(i) / 999 for i in theirs.scheduler.timesteps] + [0.0]
    z = diffusion.ddim(prior.schedule, lambda z_t, t: score(z_t, t, shot), start, times)
    ours = prior.decode(z).clamp(0, 1).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, picture, atol=1e-4, rtol=0)


def test_the_picture_counts_as_much_as_its_strength(family: Family) -> None:
    z_t, t = torch.randn(1, 4, 8, 8, generator=rng(4)), torch.tensor([0.4])
    said: list[Tensor] = []
    for strength in (0.0, 1.0):
        prior = family.ours(strength)
        assert not any(p.requires_grad for p in prior.network.parameters())
        with torch.no_grad():
            at = prior.schedule.snap(t)
            said += prior.eps(z_t, at, Sentence(prior, "a frog")(some_shot(0)))
    bare = (sdxl if family.wide else stable_diffusion)(family.folder, dtype=torch.float32)
    with torch.no_grad():
        (none,) = bare.eps(z_t, bare.schedule.snap(t), Sentence(bare, "a frog")(some_shot(0)))
    torch.testing.assert_close(said[0], none, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(said[1], none, atol=1e-2)


def test_it_is_named_with_its_picture_on_the_command_line(family: Family, tmp_path: Path) -> None:
    name = f"{family.folder}+{family.file}"
    with pytest.raises(BadInput, match="it is told a picture beside the words"):
        source_of(name, "cpu").check("a frog")
    save_png(tmp_path / "photo.png", LEVELS / 255)
    source = source_of(f"{name}+{tmp_path / 'photo.png'}", "cpu")
    source.check("a frog")
    prior = replace(source, dtype="float32").load("cpu")
    told, meant = (p.embed(Prompt("a frog"))["likeness"] for p in (prior, family.ours()))
    torch.testing.assert_close(told, meant, atol=1e-5, rtol=1e-5)
    with pytest.raises(BadInput, match="it would follow two pictures"):
        source_of(f"{name}+{family.file}+{tmp_path / 'photo.png'}", "cpu").check("a frog")


def test_what_is_no_ip_adapter_or_anothers_is_refused(family: Family, tmp_path: Path) -> None:
    prior = family.ours()
    with pytest.raises(ValueError, match="it follows a picture of its own"):
        ip_adapter(prior, family.file)
    state = load_file(family.file)
    face = {f"image_proj.perceiver_resampler.{i}": torch.zeros(1) for i in range(2)}
    save_file(face, tmp_path / "face.safetensors")
    assert is_ip_adapter(tmp_path / "face.safetensors")
    fresh = (sdxl if family.wide else stable_diffusion)(family.folder, dtype=torch.float32)
    with pytest.raises(ValueError, match="no IP-Adapter that is known here"):
        ip_adapter(fresh, tmp_path / "face.safetensors")
    wrong = {key: value[:-1] if "to_k_ip" in key else value for key, value in state.items()}
    save_file(wrong, family.file.with_name("wrong.safetensors"))
    with pytest.raises(ValueError, match="was made for another model"):
        ip_adapter(fresh, family.file.with_name("wrong.safetensors"))


def test_other_colours_are_caught(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEAN", (0.5, 0.5, 0.5))
    with pytest.raises(AssertionError):
        check_eps(family)
