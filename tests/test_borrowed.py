"""What is borrowed from others beside whole pipelines: CLIP to compare with, and LoRA files."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines
import torch
from conftest import rng
from safetensors.torch import save_file
from test_scores import some_shot
from torch import Tensor

from dreamlift.guidance.prompts import Sentence
from dreamlift.prior import Aligner, Prompt
from dreamlift.priors.aligner import clip_aligner
from dreamlift.priors.latent import stable_diffusion
from dreamlift.priors.loras import merge_lora
from dreamlift.priors.sdxl import sdxl
from dreamlift.priors.source import Source, source_of

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("clip")
    return folder, tiny_pipelines.clip(folder)


def test_clip_compares_as_transformers_does(clip: tuple[Path, Any]) -> None:
    folder, theirs = clip
    ours = clip_aligner(folder, dtype=torch.float32)
    assert isinstance(ours, Aligner)
    texts = ["a frog", "a red hat, on a pig"]
    x = torch.rand(3, 21, 21, 3, generator=rng(1))
    said = tiny_pipelines.clip_tokenizer()(
        texts, padding="max_length", max_length=77, return_tensors="pt"
    )
    mean, std = torch.tensor([0.48, 0.46, 0.41]), torch.tensor([0.27, 0.26, 0.28])
    with torch.no_grad():
        out = theirs(**said, pixel_values=((x - mean) / std).permute(0, 3, 1, 2))
    torch.testing.assert_close(ours.embed_image(x), out.image_embeds, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.embed_text(texts), out.text_embeds, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(*ours.embed_text(texts), atol=1e-3)
    assert ours.embed_text(["a frog " * 40]).shape == (1, 12)


def test_clips_gradient_reaches_the_picture(clip: tuple[Path, Any]) -> None:
    ours = clip_aligner(clip[0], dtype=torch.float32)
    x = torch.rand(1, 32, 32, 3, generator=rng(2)).requires_grad_()
    (ours.embed_image(x) @ ours.embed_text(["a frog"]).T).sum().backward()
    assert x.grad is not None and x.grad.abs().amax((0, 3)).min() > 0
    assert not any(p.requires_grad for p in ours.model.parameters())


def lora(networks: dict[str, Any], kohya: bool) -> dict[str, Tensor]:
    """Random low-rank changes of the attentions' queries, of rank 2 and alpha 1."""
    state: dict[str, Tensor] = {}
    for prefix, network in networks.items():
        for path, module in network.named_modules():
            if not path.endswith(("attn2.to_q", "self_attn.q_proj", "self_attn.out_proj")):
                continue
            down = torch.randn(2, module.in_features, generator=rng(3))
            up = torch.randn(module.out_features, 2, generator=rng(4))
            # As the files have it, whatever today's class is like.
            start = "" if prefix == "unet" else "text_model."
            name = start + path.removeprefix(start)
            if kohya:
                start = {"unet": "lora_unet", "text_encoder": "lora_te"}[prefix]
                key = f"{start}_{name.replace('.', '_')}"
                state |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
                state[f"{key}.alpha"] = torch.tensor(1.0)
            else:
                state |= {f"{prefix}.{name}.lora_A.weight": down}
                state |= {f"{prefix}.{name}.lora_B.weight": up}
    return state


@pytest.mark.parametrize("kind", ["kohya", "diffusers", "xl"])
def test_a_lora_changes_a_prior_as_it_changes_the_pipeline(tmp_path: Path, kind: str) -> None:
    wide, kohya = kind == "xl", kind == "kohya"
    make = tiny_pipelines.sdxl if wide else tiny_pipelines.stable_diffusion
    theirs = make(tmp_path / "prior")
    names = ["unet", "text_encoder", *(["text_encoder_2"] if wide else [])]
    file = tmp_path / "style.safetensors"
    save_file(lora({name: getattr(theirs, name) for name in names}, kohya), file)
    ours = (sdxl if wide else stable_diffusion)(tmp_path / "prior", dtype=torch.float32)
    shot, z_t, t = some_shot(20), torch.randn(1, 4, 8, 8, generator=rng(5)), torch.tensor([0.3])
    t = ours.schedule.snap(t)
    with torch.no_grad():
        (before,) = ours.eps(z_t, t, Sentence(ours, "a frog")(shot))
    merge_lora(ours, file, 0.7)
    named = replace(source_of(f"{tmp_path / 'prior'}+{file}", "cpu"), dtype="float32")
    whole = named.load("cpu")
    with torch.no_grad():
        (full,) = whole.eps(z_t, t, Sentence(whole, "a frog")(shot))
    theirs.load_lora_weights(str(file), adapter_name="style")
    theirs.set_adapters(["style"], [0.7])
    with torch.no_grad():
        (after,) = ours.eps(z_t, t, Sentence(ours, "a frog")(shot))
        said = theirs.encode_prompt("a frog", device="cpu", num_images_per_prompt=1,
                                    do_classifier_free_guidance=False)  # fmt: skip
        more: dict[str, Any] = {}
        if wide:
            ids = torch.tensor([[16.0, 16, 0, 0, 16, 16]])
            more = {"added_cond_kwargs": {"text_embeds": said[2], "time_ids": ids}}
        wanted = theirs.unet(z_t, (t * 999).round().long(), said[0], **more).sample
    torch.testing.assert_close(after, wanted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(full, before, atol=1e-2) and not torch.equal(full, after)
    assert not torch.allclose(after, before, atol=1e-2)
    assert not any(p.requires_grad for p in ours.network.parameters())


def test_of_two_loras_both_change_a_prior(tmp_path: Path) -> None:
    """The weights' changes add up, whether they share layers or not; no low rank stays behind."""
    theirs = tiny_pipelines.stable_diffusion(tmp_path / "prior")
    state = lora({"unet": theirs.unet, "text_encoder": theirs.text_encoder}, kohya=False)
    save_file(state, tmp_path / "a.safetensors")
    save_file(
        {key: 0.3 - 2 * value.flip(0) for key, value in state.items()}, tmp_path / "b.safetensors"
    )
    for where in ("down_blocks", "up_blocks"):
        part = {key: value for key, value in state.items() if f"unet.{where}" in key}
        save_file(part, tmp_path / f"{where}.safetensors")

    def weights(*names: str) -> dict[str, Tensor]:
        ours = stable_diffusion(tmp_path / "prior", dtype=torch.float32)
        for name in names:
            merge_lora(ours, tmp_path / f"{name}.safetensors")
        assert not any("lora" in name for name, _ in ours.network.named_parameters())
        words: Any = ours.tells
        network = {f"unet.{k}": v for k, v in ours.network.named_parameters()}
        return network | dict(words.text.changed().encoder.named_parameters())

    plain = weights()
    for pair in (("a", "b"), ("b", "a"), ("down_blocks", "up_blocks")):
        both, first, second = weights(*pair), weights(pair[0]), weights(pair[1])
        assert plain.keys() == both.keys()
        for name, value in plain.items():
            torch.testing.assert_close(both[name], first[name] + second[name] - value)
        for one in (first, second):
            assert any(not torch.equal(both[name], one[name]) for name in plain)


@pytest.mark.parametrize("text", [False, True])
def test_embeddings_that_are_kept_go_with_a_lora(
    tmp_path: Path, text: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without the text encoder, which the LoRA may have changed elsewhere."""
    monkeypatch.setenv("DREAMLIFT_CACHE", str(tmp_path / "cache"))
    theirs = tiny_pipelines.stable_diffusion(tmp_path / "prior")
    file = tmp_path / "style.safetensors"
    names = ["unet", *(["text_encoder"] if text else [])]
    save_file(lora({name: getattr(theirs, name) for name in names}, False), file)

    def source() -> Source:
        named = source_of(f"{tmp_path / 'prior'}+{file}", "cpu")
        return replace(named, dtype="float32")

    source().reader().read(["a frog"])
    told = source().load("cpu").embed(Prompt("a frog"))["tokens"]
    shutil.rmtree(tmp_path / "prior" / "text_encoder")
    source().refuse_unread(["a frog"])
    assert torch.equal(source().load("cpu").embed(Prompt("a frog"))["tokens"], told)


def test_a_file_that_is_no_lora_or_anothers_is_refused(tmp_path: Path) -> None:
    theirs = tiny_pipelines.stable_diffusion(tmp_path / "prior")
    ours = stable_diffusion(tmp_path / "prior", dtype=torch.float32)
    before = ours.embed(Prompt("a frog"))["tokens"]
    save_file({"weight": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="holds no LoRA: none of its 1 tensors"):
        merge_lora(ours, tmp_path / "a.safetensors")
    state = lora({"unet": theirs.unet}, kohya=False)
    state = {key: torch.zeros(2, 7) if "lora_A" in key else value for key, value in state.items()}
    save_file(state, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match="was made for another model"):
        merge_lora(ours, tmp_path / "b.safetensors")
    torch.testing.assert_close(ours.embed(Prompt("a frog"))["tokens"], before)
