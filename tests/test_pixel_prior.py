"""A diffusers UNet as a prior: tiny, randomly initialised, saved to a folder in the real layout."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import rng
from test_scores import some_shot
from torch import Tensor, nn

from dreamlift import diffusion
from dreamlift.diffusion import add_noise, eps_from_v
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.prior import Embedding, Prior, Prompt
from dreamlift.priors import pixel, prediction
from dreamlift.priors.folder import from_folder
from dreamlift.priors.pixel import Pixel
from dreamlift.step import Step

pytestmark = pytest.mark.weights  # builds networks through diffusers

TINY: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": 6,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}
CAMERA = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 9}
COSINE = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}


class Words:
    """A text tower of five tokens of width 6: one of noise a letter, the rest padding."""

    def __init__(self, mask: bool = True) -> None:
        self.mask = mask

    def __call__(self, text: str) -> Embedding:
        if "xylophone" in text:
            raise ValueError("unknown word: xylophone")
        n = max(1, min(len(text), 5))
        tokens = torch.zeros(5, 6)
        tokens[:n] = torch.randn(n, 6, generator=rng(len(text)))
        if not self.mask:
            return {"tokens": tokens}
        return {"tokens": tokens, "mask": (torch.arange(5) < n).float()}


def save(folder: Path, scheduler: dict[str, Any], **network: Any) -> Path:
    """A folder as diffusers writes it, of a network whose last layer says something."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    torch.manual_seed(0)
    UNet2DConditionModel(**{**TINY, **network}).save_pretrained(folder / "unet")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`own`: unshuffled, v, cameras. `if`: pixels, epsilon, learned variance."""
    root = tmp_path_factory.mktemp("pixel")
    return {
        "own": save(root / "own", COSINE, in_channels=12, out_channels=12, **CAMERA),
        "if": save(root / "if", {**COSINE, "prediction_type": "epsilon"}, in_channels=3,
                   out_channels=6),
    }  # fmt: skip


def load(folder: Path, *, mask: bool = True, **options: Any) -> Pixel:
    return from_folder(folder, Words(mask), **{"dtype": torch.float32, **options})


def asked(prior: Pixel) -> list[dict[str, Any]]:
    """A list that fills with what the network is called with."""
    calls: list[dict[str, Any]] = []

    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append({"sample": args[0], "time": args[1], "tokens": args[2], **kwargs})

    prior.network.register_forward_pre_hook(record, with_kwargs=True)
    return calls


def noisy(prior: Pixel, b: int = 2) -> tuple[Tensor, Tensor]:
    z = prior.encode(torch.rand(b, prior.size, prior.size, 3, generator=rng(1)))
    t = prior.schedule.snap(torch.tensor([0.23, 0.81])[:b])
    return add_noise(prior.schedule, z, t, torch.randn(z.shape, generator=rng(2))), t


def test_both_folders_are_priors(folders: dict[str, Path]):
    for name, size, channels in (("own", 16, 12), ("if", 8, 3)):
        prior = load(folders[name])
        assert isinstance(prior, Prior)
        assert (prior.size, prior.views) == (size, 1)
        assert prior.encode(torch.zeros(2, size, size, 3)).shape == (2, channels, 8, 8)


def check_answer(folders: dict[str, Path], name: str = "own") -> None:
    """Against a plain call of the network: its table's index, its channels, eps = a v + s z_t."""
    prior = load(folders[name], mask=name == "own")
    z_t, t = noisy(prior)
    shot = some_shot(30, -100)
    told = [Sentence(prior, text)(shot) for text in ("abc", "")]
    eps = prior.eps(z_t, t, *told)
    for condition, answer in zip(told, eps, strict=True):
        index = (t * 999).round()
        out = prior.network(
            z_t, index, condition["tokens"],
            class_labels=condition.get("camera"), encoder_attention_mask=condition.get("mask"),
        ).sample  # fmt: skip
        said = out[:, : z_t.shape[1]]
        wanted = eps_from_v(prior.schedule, z_t, t, said) if name == "own" else said
        torch.testing.assert_close(answer, wanted, atol=2e-5, rtol=1e-4)
    assert not torch.allclose(*eps, atol=1e-3)


@pytest.mark.parametrize("name", ["own", "if"])
def test_eps_is_the_networks_own_answer(folders: dict[str, Path], name: str):
    check_answer(folders, name)


def test_conditions_are_one_batch(folders: dict[str, Path]):
    prior = load(folders["own"])
    calls = asked(prior)
    z_t, t = noisy(prior)
    shot = some_shot(30, -100)
    prior.eps(z_t, t, *(Sentence(prior, text)(shot) for text in ("abc", "", "abcd")))
    assert len(calls) == 1
    assert calls[0]["sample"].shape == (6, 12, 8, 8)
    torch.testing.assert_close(calls[0]["time"], (t * 999).repeat(3))


def check_camera(folders: dict[str, Path]) -> None:
    """(sin az, cos az, sin el, cos el, 1, sin and cos of 2 az, of 4 az); zeros: not told."""
    shot = some_shot(30, -100, elevation=40.0)
    az, el = torch.deg2rad(torch.tensor([30.0, -100.0])), torch.deg2rad(torch.tensor(40.0))
    numbers = torch.stack(
        [
            az.sin(), az.cos(), el.sin().expand(2), el.cos().expand(2), torch.ones(2),
            2 * az.sin() * az.cos(), 1 - 2 * az.sin() ** 2, (4 * az).sin(), (4 * az).cos(),
        ], -1,
    )  # fmt: skip
    for mode, named, null in (
        ("always", numbers, numbers),
        ("named", numbers, torch.zeros(2, 9)),
        ("never", torch.zeros(2, 9), torch.zeros(2, 9)),
    ):
        prior = load(folders["own"], cameras=mode)
        torch.testing.assert_close(Sentence(prior, "abc")(shot)["camera"], named)
        torch.testing.assert_close(Sentence(prior, "")(shot)["camera"], null)
    assert "camera" not in Sentence(load(folders["if"]), "abc")(shot)


def test_null_is_told_no_camera_unless_always(folders: dict[str, Path]):
    check_camera(folders)


def test_the_camera_reaches_the_network(folders: dict[str, Path]):
    prior = load(folders["own"])
    z_t, t = noisy(prior)
    z_t, t = z_t[:1].repeat(2, 1, 1, 1), t[:1].repeat(2)
    (eps,) = prior.eps(z_t, t, Sentence(prior, "abc")(some_shot(30, -100)))
    assert not torch.allclose(eps[0], eps[1], atol=1e-4)


def test_padding_is_not_read(folders: dict[str, Path]):
    prior = load(folders["own"])
    z_t, t = noisy(prior)
    told = dict(Sentence(prior, "abc")(some_shot(0, 90)))
    (before,) = prior.eps(z_t, t, told)
    tokens = told["tokens"].clone()
    tokens[:, 3:] = 9.0
    (after,) = prior.eps(z_t, t, {**told, "tokens": tokens})
    torch.testing.assert_close(before, after, atol=1e-5, rtol=0)


def test_sentences_are_interpolated_a_camera(folders: dict[str, Path]):
    prior = load(folders["own"])
    short, long = (prior.embed(Prompt(text)) for text in ("ab", "abcd"))
    first = torch.tensor([1.0, 0.25])
    told = prior.condition([(short, first), (long, 1 - first)], some_shot(0, 90))
    torch.testing.assert_close(told["tokens"][0], short["tokens"])
    torch.testing.assert_close(told["tokens"][1], 0.25 * short["tokens"] + 0.75 * long["tokens"])
    assert told["mask"].sum(1).tolist() == [2, 4]


def check_encoding(folders: dict[str, Path], name: str = "own") -> None:
    """Plain noise stays plain noise: lengths are kept, [0, 1] becomes [-1, 1]."""
    prior = load(folders[name])
    x = torch.rand(2, prior.size, prior.size, 3, generator=rng(3))
    z = prior.encode(x)
    torch.testing.assert_close(prior.decode(z), x)
    assert torch.equal(z.flatten().sort().values, (2 * x - 1).flatten().sort().values)
    noise = torch.randn(z.shape, generator=rng(4))
    assert (2 * prior.decode(noise) - 1).square().sum() == pytest.approx(noise.square().sum())


@pytest.mark.parametrize("name", ["own", "if"])
def test_encoding_is_orthonormal_and_inverted_by_decoding(folders: dict[str, Path], name: str):
    check_encoding(folders, name)


def check_neighbours(folders: dict[str, Path]) -> None:
    """The value at (row 5, column 2) of the picture stands at (2, 1) of z, in channel 4c + 2."""
    prior = load(folders["own"])
    x = torch.full((1, 16, 16, 3), 0.5)
    x[0, 5, 2, 1] = 1.0
    assert prior.encode(x).nonzero().tolist() == [[0, 6, 2, 1]]


def test_unshuffling_keeps_neighbours_together(folders: dict[str, Path]):
    check_neighbours(folders)


def test_pictures_of_other_sizes_are_resized_differentiably(folders: dict[str, Path]):
    """Shrinking averages areas exactly; a constant stays constant either way."""
    prior = load(folders["if"])
    x = torch.rand(1, 24, 24, 3, generator=rng(5)).requires_grad_()
    z = prior.encode(x)
    blocks = x.reshape(1, 8, 3, 8, 3, 3).mean((2, 4)).permute(0, 3, 1, 2)
    torch.testing.assert_close(z, 2 * blocks - 1)
    z.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.full_like(x, 2 / 9))
    for size in (5, 8, 13, 64):
        flat = prior.encode(torch.full((1, size, size, 3), 0.7))
        torch.testing.assert_close(flat, torch.full((1, 3, 8, 8), 0.4))


def test_pictures_that_are_not_square_are_refused(folders: dict[str, Path]):
    with pytest.raises(ValueError, match="got 8x9"):
        load(folders["if"]).encode(torch.zeros(1, 8, 9, 3))


def test_the_network_is_frozen_and_gives_no_gradient(folders: dict[str, Path]):
    prior = load(folders["own"])
    assert not isinstance(prior, nn.Module)
    assert not prior.network.training
    before = {k: v.clone() for k, v in prior.network.state_dict().items()}
    x = torch.rand(2, 16, 16, 3, generator=rng(6)).requires_grad_()
    guide = SDS(cfg(prior, Sentence(prior, "abc"), Sentence(prior, ""), 7.5, clamp=1.0))
    guide(prior.encode(x), some_shot(0, 90), Step(0, 1, rng(7))).backward()
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.any()
    for name, value in prior.network.named_parameters():
        assert not value.requires_grad and value.grad is None, name
        assert torch.equal(value, before[name])


def test_bf16_agrees_without_a_warning(folders: dict[str, Path]):
    exact, fast = load(folders["own"]), load(folders["own"], dtype=torch.bfloat16)
    z_t, t = noisy(exact)
    shot = some_shot(0, 90)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (a,), (b,) = (p.eps(z_t, t, Sentence(p, "abc")(shot)) for p in (exact, fast))
    assert b.dtype == torch.float32
    assert (a - b).square().mean().sqrt() < 0.02 * a.square().mean().sqrt()


def test_loading_logs_nothing(folders: dict[str, Path]):
    """diffusers warns by its logger, not by `warnings`, of what we do on purpose."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("diffusers").addHandler(handler)
    for folder in folders.values():
        load(folder, dtype=torch.bfloat16)
    logging.getLogger("diffusers").removeHandler(handler)
    assert said == []


def test_the_best_dtype_is_bf16_only_where_it_is_native(monkeypatch: pytest.MonkeyPatch):
    for native, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(pixel, "native_bf16", lambda native=native: native)
        assert pixel.best_dtype("cpu") == dtype
    assert pixel.best_dtype("meta") == torch.float32


def test_our_ddim_is_diffusers_ddim(folders: dict[str, Path]):
    """Ten leading steps of both, through the adapter and through the raw network, and clamped."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    prior = load(folders["own"])
    told = Sentence(prior, "abc")(some_shot(0, 90))
    for clamp in (None, 0.9):
        theirs = DDIMScheduler(
            **COSINE, clip_sample=clamp is not None, clip_sample_range=clamp or 1.0,
            set_alpha_to_one=False,
        )  # fmt: skip
        theirs.set_timesteps(10)
        start = torch.randn(2, 12, 8, 8, generator=rng(8))
        z = start
        for i in theirs.timesteps:
            with torch.no_grad():
                v = prior.network(
                    z, i.expand(2), told["tokens"], class_labels=told["camera"],
                    encoder_attention_mask=told["mask"],
                ).sample  # fmt: skip
            z = theirs.step(v, i, z, use_clipped_model_output=True).prev_sample
        times = [int(i) / 999 for i in theirs.timesteps] + [0.0]
        with torch.no_grad():
            ours = diffusion.ddim(
                prior.schedule, lambda z_t, t: prior.eps(z_t, t, told)[0], start, times, clamp=clamp
            )
        torch.testing.assert_close(ours, z, atol=5e-4, rtol=1e-3)


def test_unknown_words_are_the_towers_error(folders: dict[str, Path]):
    with pytest.raises(ValueError, match="xylophone"):
        load(folders["own"]).embed(Prompt("a xylophone"))


def test_a_folder_of_another_kind_is_refused_with_what_is_missing(tmp_path: Path):
    with pytest.raises(ValueError, match=r"unet/config\.json is missing"):
        load(tmp_path)
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"scheduler/scheduler_config\.json is missing"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ({**COSINE, "prediction_type": "sample"}, "prediction_type 'sample'"),
        ({**COSINE, "beta_schedule": "sigmoid"}, "beta_schedule is 'sigmoid'"),
    ],
)
def test_settings_we_cannot_read_are_refused(tmp_path: Path, scheduler: Any, message: str):
    with pytest.raises(ValueError, match=message):
        load(save(tmp_path, scheduler))


def test_another_camera_embedding_is_refused(tmp_path: Path):
    other = {**CAMERA, "projection_class_embeddings_input_dim": 16}
    with pytest.raises(ValueError, match="takes 16 numbers for a camera; ours are 9"):
        load(save(tmp_path, COSINE, **other))


def reshaped(z: Tensor, factor: int) -> Tensor:
    b, c, h, w = z.shape
    return z.reshape(b, c * factor**2, h // factor, w // factor)


def swapped(self: Pixel, z_t: Tensor, t: Tensor, *conditions: Any) -> tuple[Tensor, ...]:
    return EPS(self, z_t, t, *conditions)[::-1]


def by_index(self: Pixel, z_t: Tensor, t: Tensor, *conditions: Any) -> tuple[Tensor, ...]:
    """The network is told t in [0, 1], as if it were trained on that."""
    self.clock = 1.0
    return EPS(self, z_t, t, *conditions)


EPS, NUMBERS, ENCODE = Pixel.eps, pixel.camera_numbers, Pixel.encode
BUGS: dict[str, tuple[Any, str, Any, Any]] = {
    "v taken for eps": (prediction, "eps_from_v", lambda schedule, z_t, t, v: v, check_answer),
    "answers swapped": (Pixel, "eps", swapped, check_answer),
    "t not scaled": (Pixel, "eps", by_index, check_answer),
    "sin for cos": (
        pixel, "camera_numbers", lambda c: NUMBERS(c)[:, [1, 0, 3, 2, 4, 5, 6, 7, 8]], check_camera,
    ),
    "no way to say none": (pixel, "camera_numbers", lambda c: 0 * NUMBERS(c), check_camera),
    "range [0, 1]": (Pixel, "encode", lambda self, x: (ENCODE(self, x) + 1) / 2, check_encoding),
    "reshaped, not unshuffled": (pixel.F, "pixel_unshuffle", reshaped, check_neighbours),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_planted_in_the_adapter_is_caught(
    folders: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
):
    holder, attribute, wrong, check = BUGS[name]
    check(folders)
    monkeypatch.setattr(holder, attribute, wrong)
    with pytest.raises(AssertionError):
        check(folders)
