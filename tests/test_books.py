"""Embeddings on the disk: read once, here or elsewhere, and never for other weights."""

import gc
import json
import shutil
import socket
import weakref
from pathlib import Path
from typing import Any, get_args

import pytest
import tiny_others
import tiny_pipelines
import torch
from conftest import rng
from safetensors import safe_open
from test_recipes import short

from dreamlift.cli import main
from dreamlift.embed import embed, sentences_of
from dreamlift.errors import BadInput
from dreamlift.export import FILES
from dreamlift.offers import Compared
from dreamlift.prior import Embedding, Prompt
from dreamlift.priors import encoders
from dreamlift.priors.books import Reader, Shelf, adopt, opened
from dreamlift.priors.encoders import Later
from dreamlift.priors.oracle import Oracle
from dreamlift.priors.source import rehearse, source_of, speech
from dreamlift.recipes import Name
from dreamlift.run import Run

READER = Reader("SomePipeline", "words", "network")
QUICK = (
    "--steps 3 --size 16 --samples 24 --init blob --device cpu --finish.resolution 32 "
    "--finish.faces 600 --finish.texture 64 --finish.frames 2 --finish.size 16"
).split()


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library and a folder of our own, and no network."""

    def no_socket(*_: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setenv("DREAMLIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket.socket, "connect", no_socket)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "embeddings"


def said(seed: int, dtype: torch.dtype = torch.bfloat16) -> Embedding:
    tokens = torch.randn(5, 3, generator=rng(seed)).to(dtype)
    return {"tokens": tokens, "pooled": torch.randn(4, generator=rng(seed))}


class Counted:
    """A text encoder that counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str) -> Embedding:
        self.asked.append(text)
        return said(len(text))


def test_a_book_gives_back_the_same_bits(library: Path) -> None:
    texts = {"": said(1), "a caf\N{LATIN SMALL LETTER E WITH ACUTE}, front view": said(2)}
    shelf = Shelf(READER, torch.bfloat16)
    file = shelf.add(texts)
    assert file is not None and file.parent == library
    for again in (shelf, Shelf(READER, torch.bfloat16)):
        for text, wanted in texts.items():
            found = again.find(text)
            assert found is not None and found.keys() == wanted.keys()
            for key in wanted:
                assert found[key].dtype == wanted[key].dtype and found[key].equal(wanted[key])
        assert again.missing(["a", "", "a", "b"]) == ["a", "b"] and again.find("a") is None


def test_other_weights_another_kind_and_another_precision_are_not_read() -> None:
    Shelf(READER, torch.bfloat16).add({"a": said(1)})
    for reader, dtype, there in (
        (Reader("SomePipeline", "words", "another UNet"), torch.bfloat16, True),
        (
            Reader("SomePipeline", "", "network"),
            torch.float32,
            True,
        ),  # no text encoder: any will do
        (Reader("SomePipeline", "other", "network"), torch.bfloat16, False),
        (Reader("SomePipeline", "", "another UNet"), torch.bfloat16, False),
        (Reader("OtherPipeline", "words", "network"), torch.bfloat16, False),
        (READER, torch.float32, False),
    ):
        assert (Shelf(reader, dtype).find("a") is not None) == there, reader


def test_a_file_that_is_damaged_is_passed_over_and_refused_where_it_was_named(
    library: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(READER, torch.bfloat16)
    file = shelf.add({"a": said(1)})
    assert file is not None
    file.write_bytes(file.read_bytes()[:40])
    with caplog.at_level("WARNING", "dreamlift"):
        assert Shelf(READER, torch.bfloat16).find("a") is None
    assert "is passed over: it is damaged" in caplog.text
    for name, said_of in ((file, "it is damaged"), (library / "none", "does not exist")):
        with pytest.raises(BadInput, match=said_of):
            adopt(name)


def test_an_encoder_is_loaded_for_what_no_book_has_and_can_be_forgotten() -> None:
    encoder = Counted()
    loaded = list[int]()

    def load() -> Counted:
        loaded.append(1)
        return encoder

    later = Later(load)
    later.shelf = Shelf(READER, torch.bfloat16)
    assert not later.loaded
    first = later.read(["a", "", "a"])
    assert encoder.asked == ["a", ""] and len(loaded) == 1 and later.loaded
    later.forget()
    assert not later.loaded and later("a")["tokens"].equal(first["a"]["tokens"])
    other = Later(load)
    other.shelf = Shelf(READER, torch.bfloat16)
    assert other.read(["", "a"])["a"]["pooled"].equal(first["a"]["pooled"])
    assert len(loaded) == 1 and not other.loaded
    assert other("b").keys() == {"tokens", "pooled"} and len(loaded) == 2
    other.changed()
    other.forget()
    assert other.loaded, "what a LoRA changed would be lost"
    other("a")
    assert encoder.asked[-1] == "b", "a changed encoder's shelf is of its own weights"


class Enough(Exception):
    """All sentences are said before the first step."""


@pytest.mark.parametrize("name", get_args(Name))
def test_a_recipe_says_no_other_sentences_than_were_read(
    name: Name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe: Any = short(name)
    if isinstance(recipe, Compared):
        pytest.skip("it follows a CLIP")
    heard = set[str]()

    def listen(self: Oracle, prompt: Prompt) -> Embedding:
        heard.add(prompt.text)
        return {}

    def stop(*_: object, **__: object) -> None:
        raise Enough

    monkeypatch.setattr(Oracle, "embed", listen)
    monkeypatch.setattr(Oracle, "encode", stop)
    monkeypatch.setattr(Oracle, "condition", stop)
    try:
        recipe.run(Run(tmp_path), Oracle(lambda shot: None, std=0.1))
    except (Enough, BadInput):  # ProlificDreamer wants a network, and says so first
        pass
    assert heard <= set(sentences_of(recipe)), heard - set(sentences_of(recipe))
    assert heard or name == "prolificdreamer"


def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of text encoders as they are loaded."""
    found: list[str] = []
    network = encoders.network

    def spy(load: Any, folder: Path, part: str, *, dtype: torch.dtype) -> Any:
        found.append(part)
        return network(load, folder, part, dtype=dtype)

    monkeypatch.setattr(encoders, "network", spy)
    return found


@pytest.mark.weights
def test_without_its_text_encoder_a_pipeline_still_runs(
    tmp_path: Path,
    library: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Read on one machine, made on another, which lacks the text encoder and has an empty cache."""
    whole, mute = tmp_path / "sd", tmp_path / "mute"
    tiny_pipelines.stable_diffusion(whole)
    shutil.copytree(whole, mute)
    for part in ("text_encoder", "tokenizer"):
        shutil.rmtree(mute / part)
    prompt = "a yellow cone"
    run = ["generate", prompt, *QUICK, "--prior"]
    bad = ["--recipe", "nfsd", "--bad", "blurry"]
    assert main(["generate", prompt, *bad, "--prior", "mute"]) == 2
    assert f"--prior {mute} --also blurry --out " in " ".join(capsys.readouterr().err.split())
    assert main([*run, "mute", "--out", "b"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"no embeddings of '{prompt}' and " in said and "has no text_encoder/config.json" in said
    assert f"`dreamlift embed '{prompt}' --prior {mute} --out words.safetensors`" in said
    assert main(["embed", prompt, "a red cube", "--prior", "sd", "--out", "words.safetensors"]) == 0
    assert opened(Path("words.safetensors")).texts[0] == prompt
    shutil.rmtree(library)
    assert main([*run, "mute", "--out", "b", "--embeddings", "words.safetensors"]) == 0
    assert all((tmp_path / "b" / name).exists() for name in FILES)
    assert main(["image", "a red cube", "--steps", "2", "--prior", "mute"]) == 0
    found = loads(monkeypatch)
    assert main([*run, "sd", "--out", "a"]) == 0
    assert not found, "books have all that it says"
    files = [safe_open(tmp_path / name / "checkpoint.safetensors", "pt") for name in ("a", "b")]
    ends = [file.metadata() for file in files]  # in no order; they hold the checksum of it all
    assert ends[0] == ends[1] and "crc32" in ends[0]
    assert main(["image", "a blue cube", "--steps", "2", "--prior", "mute"]) == 2
    assert main(["image", "a blue cube", "--steps", "2", "--prior", "sd"]) == 0
    assert found == ["text_encoder"]


@pytest.mark.weights
def test_other_weights_are_read_anew_and_a_file_of_theirs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    tiny_pipelines.stable_diffusion(tmp_path / "sd")
    embed(["a cone"], "sd", Path("words.safetensors"))
    weights = tmp_path / "sd" / "text_encoder" / "model.safetensors"
    state = load_file(weights)
    key = next(key for key in sorted(state) if "layers.1" in key and "weight" in key)
    state[key] = state[key] * 2
    save_file(state, weights, {"format": "pt"})
    found = loads(monkeypatch)
    source = source_of("sd", "cpu")
    prior = source.load("cpu")
    rehearse(prior, ["a cone"])
    assert found == ["text_encoder"]
    assert main(["generate", "a cone", "--prior", "sd", "--embeddings", "words.safetensors"]) == 2
    assert "was made with other weights" in capsys.readouterr().err
    assert main(["embed", "a cone", "--prior", "sd", "--out", "words.safetensors"]) == 2
    assert main(["embed", "a cone"]) == 2


@pytest.mark.weights
@pytest.mark.parametrize("family", ["sdxl", "deepfloyd", "sd3", "flux"])
def test_every_family_reads_alone_and_finds_what_it_read(family: str, tmp_path: Path) -> None:
    getattr(tiny_pipelines, family)(tmp_path / "tiny")
    wanted = source_of("tiny", "cpu").load("cpu").embed(Prompt("a cone"))  # type: ignore[attr-defined]
    shutil.rmtree(tmp_path / "cache")
    embed(["a cone"], "tiny")
    for part in [*tmp_path.glob("tiny/text_encoder*"), *tmp_path.glob("tiny/tokenizer*")]:
        shutil.rmtree(part)
    prior: Any = source_of("tiny", "cpu").load("cpu")
    found = prior.embed(Prompt("a cone"))
    for key, value in wanted.items():
        assert found[key].equal(value), key
    with pytest.raises(BadInput, match="no embeddings of 'a cube' are"):
        prior.embed(Prompt("a cube"))


@pytest.mark.weights
def test_words_of_a_prior_of_four_views_are_read(tmp_path: Path) -> None:
    tiny_others.mvdream(tmp_path / "four")
    embed(["a cone"], str(tmp_path / "four"), tmp_path / "words.safetensors")
    assert (tmp_path / "words.safetensors").is_file()


@pytest.mark.weights
def test_the_text_encoder_is_freed_before_the_first_step(tmp_path: Path) -> None:
    tiny_pipelines.stable_diffusion(tmp_path / "sd")
    prior = source_of("sd", "cpu").load("cpu")
    later = speech(prior)
    assert later is not None
    later("a cone")
    assert later.loaded
    encoder = weakref.ref(later._encoder.encoder)  # type: ignore[union-attr]
    rehearse(prior, ["a cone", "a cube"])
    gc.collect()
    assert encoder() is None and not later.loaded
    assert json.dumps(sorted(later._said)) == '["a cone", "a cube"]'
