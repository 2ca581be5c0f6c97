"""PixArt through our adapter says and makes what diffusers' own pipelines do."""

from pathlib import Path
from typing import Any

import pytest
import tiny_others
import torch
from conftest import rng
from test_latent import noisy
from test_scores import some_shot
from torch import Tensor

from dreamlift import diffusion
from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.prior import Latents, Prior, Prompt
from dreamlift.priors import opening, told
from dreamlift.priors.latent import Latent
from dreamlift.priors.pixart import pixart
from dreamlift.step import Step

pytestmark = pytest.mark.weights

PROMPTS = ("a frog, on stilts", "")
KINDS = {"alpha": (False, True), "sigma": (True, False)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Latent]]:
    root = tmp_path_factory.mktemp("pixart")
    found: dict[str, tuple[Any, Latent]] = {}
    for name, (sigma, sized) in KINDS.items():
        theirs = tiny_others.pixart(root / name, sigma=sigma, sized=sized)
        found[name] = theirs, pixart(root / name, dtype=torch.float32)
    return found


def said(theirs: Any, text: str, length: int) -> tuple[Tensor, Tensor]:
    tokens, mask, *_ = theirs.encode_prompt(text, False, device="cpu", max_sequence_length=length,
                                            clean_caption=False)  # fmt: skip
    return tokens.expand(2, -1, -1), mask.expand(2, -1)


@torch.no_grad()
def check_eps(made: dict[str, tuple[Any, Latent]], name: str) -> None:
    theirs, prior = made[name]
    z_t, t = noisy(prior)
    answers = prior.eps(z_t, t, *(Sentence(prior, text)(some_shot(3, 9)) for text in PROMPTS))
    more: dict[str, Any] = {"resolution": None, "aspect_ratio": None}
    if KINDS[name][1]:
        more = {"resolution": torch.full((2, 2), 16.0), "aspect_ratio": torch.ones(2, 1)}
    for text, answer in zip(PROMPTS, answers, strict=True):
        tokens, mask = said(theirs, text, 300 if KINDS[name][0] else 120)
        index = (t * 999).round().long()
        out = theirs.transformer(z_t, encoder_hidden_states=tokens, encoder_attention_mask=mask,
                                 timestep=index, added_cond_kwargs=more)  # fmt: skip
        assert out.sample.shape == (2, 8, 8, 8)
        torch.testing.assert_close(answer, out.sample[:, :4], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(*answers, atol=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_eps_is_the_pipelines_own(made: dict[str, tuple[Any, Latent]], name: str) -> None:
    check_eps(made, name)


@torch.no_grad()
def test_our_ddim_gives_the_pipelines_picture(made: dict[str, tuple[Any, Latent]]) -> None:
    theirs, prior = made["sigma"]
    start, shot = torch.randn(1, 4, 8, 8, generator=rng(5)), some_shot(30)
    picture = theirs(PROMPTS[0], latents=start.clone(), num_inference_steps=5, guidance_scale=3.0,
                     height=16, width=16, use_resolution_binning=False, clean_caption=False,
                     output_type="pt").images  # fmt: skip
    score = cfg(prior, Sentence(prior, PROMPTS[0]), Sentence(prior, ""), 3.0)
    times = [int(i) / 999 for i in theirs.scheduler.timesteps] + [0.0]
    z = diffusion.ddim(prior.schedule, lambda z_t, t: score(z_t, t, shot), start, times)
    ours = prior.decode(z).clamp(0, 1).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, picture, atol=1e-4, rtol=0)


def test_distillation_reaches_the_picture(made: dict[str, tuple[Any, Latent]]) -> None:
    prior = made["alpha"][1]
    assert isinstance(prior, Prior) and isinstance(prior, Latents) and prior.size == 16
    x = torch.rand(1, 12, 12, 3, generator=rng(3)).requires_grad_()
    sds = SDS(cfg(prior, Sentence(prior, "a frog"), Sentence(prior, ""), 7.5))
    sds(prior.encode(x), some_shot(20), Step(0, 1, rng(4))).backward()
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.any()


def test_of_sentences_mixed_all_words_count(made: dict[str, tuple[Any, Latent]]) -> None:
    """Where a sentence has no share, its words do not."""
    prior = made["alpha"][1]
    short, long = (prior.embed(Prompt(text)) for text in ("ab", "abcd"))
    w = torch.tensor([1.0, 0.25])
    counts = prior.condition([(short, w), (long, 1 - w)], some_shot(0, 90))["mask"].sum(1)
    assert counts.tolist() == [int(short["mask"].sum()), int(long["mask"].sum())]
    assert counts[1] == counts[0] + 2


def test_lengths_are_the_papers(made: dict[str, tuple[Any, Latent]]) -> None:
    for name, length in (("alpha", 120), ("sigma", 300)):
        with pytest.raises(BadInput, match=f"this prior reads {length}"):
            made[name][1].embed(Prompt("a frog " * 99))


def test_their_folders_are_known(tmp_path: Path) -> None:
    tiny_others.pixart(tmp_path)
    prior = opening.load(tmp_path, device="cpu", dtype=torch.float32)
    assert isinstance(prior, Latent)


def test_padding_that_is_read_is_caught(
    made: dict[str, tuple[Any, Latent]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "counted", lambda mix: torch.ones(2, 120, dtype=torch.bool))
    with pytest.raises(AssertionError):
        check_eps(made, "alpha")
