"""Checkpoints in the original layout give the networks that they were written from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import ldm_names
import pytest
import tiny_pipelines
import torch
from conftest import rng
from safetensors.torch import save_file
from test_scores import some_shot
from torch import Tensor

from dreamlift.guidance.prompts import Sentence
from dreamlift.priors.latent import stable_diffusion
from dreamlift.priors.original import convert_zero123, single_file
from dreamlift.priors.source import source_of
from dreamlift.priors.zero123 import zero123
from dreamlift.schedules import Table

pytestmark = pytest.mark.weights


def stored(state: dict[str, Tensor], file: Path) -> Path:
    save_file({key: value.detach().clone().contiguous() for key, value in state.items()}, file)
    return file


def test_a_single_file_is_the_model_that_it_holds(tmp_path: Path) -> None:
    theirs = tiny_pipelines.stable_diffusion(tmp_path / "base")
    for part in (theirs.unet, theirs.vae, theirs.text_encoder):
        with torch.no_grad():
            for value in part.parameters():
                value.mul_(1.1)
    theirs.save_pretrained(tmp_path / "tuned")
    words = {k.removeprefix("text_model."): v for k, v in theirs.text_encoder.state_dict().items()}
    state = {f"cond_stage_model.transformer.text_model.{k}": v for k, v in words.items()}
    state |= ldm_names.unet(theirs.unet.state_dict()) | ldm_names.vae(theirs.vae.state_dict())
    file = stored(state, tmp_path / "tuned.safetensors")
    ours = single_file(file, tmp_path / "base", dtype=torch.float32)
    base, tuned = (stable_diffusion(tmp_path / n, dtype=torch.float32) for n in ("base", "tuned"))
    z = torch.randn(1, 4, 8, 8, generator=rng(1))
    x = torch.rand(1, 16, 16, 3, generator=rng(2))

    @torch.no_grad()
    def said(prior: Any) -> Tensor:
        t = prior.schedule.snap(torch.tensor([0.4]))
        (eps,) = prior.eps(z, t, Sentence(prior, "a frog")(some_shot(20)))
        return torch.cat([eps, prior.encode(x), prior.encode(prior.decode(z))])

    torch.testing.assert_close(said(ours), said(tuned), atol=0, rtol=0)
    assert not torch.allclose(said(ours), said(base), atol=1e-2)
    named = source_of(f"{tmp_path / 'base'}+{file}", "cpu")
    assert named.sha256 != source_of(tmp_path / "base", "cpu").sha256 and named.open
    torch.testing.assert_close(said(replace(named, dtype="float32").load("cpu")), said(tuned))
    state.pop(next(key for key in state if "middle_block.1" in key))
    with pytest.raises(ValueError, match="The file has no UNet: it lacks mid_block"):
        single_file(stored(state, file), tmp_path / "base")


@pytest.mark.parametrize("stable", [False, True])
def test_an_original_zero123_becomes_a_folder(tmp_path: Path, stable: bool) -> None:
    parts = tiny_pipelines.zero123(tmp_path / "theirs")
    eye = parts["image_encoder"]
    state = ldm_names.unet(parts["unet"].state_dict()) | ldm_names.vae(parts["vae"].state_dict())
    state |= ldm_names.eye(eye.state_dict(), 2)
    layer = parts["projection"].state_dict()
    state |= {f"cc_projection.{key}": value for key, value in layer.items()}
    state["model_ema.decay"] = torch.tensor(0.999)
    file = stored(state, tmp_path / "zero123.safetensors")
    unet = {**tiny_pipelines.UNET, "in_channels": 8, "out_channels": 4}
    vae = {key: value for key, value in parts["vae"].config.items() if key[0] != "_"}
    convert_zero123(file, tmp_path / "ours", stable=stable, unet=unet, vae=vae,
                    eye=eye.config.to_dict())  # fmt: skip
    ours, theirs = (zero123(tmp_path / n, dtype=torch.float32) for n in ("ours", "theirs"))
    for name in ("network", "eye", "projection"):
        holders = (p if name == "network" else p.tells for p in (ours, theirs))
        made, meant = (getattr(holder, name).state_dict() for holder in holders)
        assert made.keys() == meant.keys()
        assert all(torch.equal(made[key], meant[key]) for key in meant), name
    x = torch.rand(1, 16, 16, 3, generator=rng(3))
    assert torch.equal(ours.encode(x), theirs.encode(x))
    assert isinstance(ours.schedule, Table) and isinstance(theirs.schedule, Table)
    torch.testing.assert_close(ours.schedule.alpha_bar, theirs.schedule.alpha_bar)
