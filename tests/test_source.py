"""dreamlift/priors/source.py: what is refused before a prior is loaded, and what is loaded."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_prior import save, save_words

from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import sided
from dreamlift.prior import Prior, Prompt
from dreamlift.priors.source import Source, device_named, source_of
from dreamlift.untextured import untextured
from dreamlift.words import CONTEXT, split


@pytest.fixture
def words(tmp_path: Path) -> Path:
    return save_words(tmp_path / "words")


def test_the_hash_is_of_the_names_and_bytes_that_decide(words: Path) -> None:
    first = source_of(words, "cpu")
    assert source_of(words, "cpu") == first and len(first.sha256) == 16
    (words / "README.md").write_text("a card decides nothing")
    assert source_of(words, "cpu") == first
    hashes = {first.sha256}
    for name, text in (("unet/config.json", "1"), ("tower/config.json", "1"), ("unet/1", "")):
        (words / name).write_text(text)
        hashes.add(source_of(words, "cpu").sha256)
    assert len(hashes) == 4


def test_a_relative_folder_is_found_from_elsewhere(
    words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(words.parent)
    assert source_of("words", "cpu").name == str(words)


def test_the_embedded_prior_is_known_by_its_name_wherever_it_lies(
    words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamlift.priors.source.WEIGHTS", words)
    source = source_of("embedded", "cpu")
    assert source.name == "embedded" and source.folder == words
    (words / "vocabulary.json").unlink()
    with pytest.raises(BadInput) as caught:
        source_of("embedded", "cpu")
    assert str(caught.value) == (
        f"The embedded prior's weights are not in {words}: vocabulary.json is missing. Install "
        "the package again, or train them with `dreamlift train text-to-image`."
    )


@pytest.mark.weights
@pytest.mark.parametrize("name", ["text-to-image", "whole"])
def test_each_of_the_two_that_ship_inside_has_a_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(name, "cpu")
    assert source.name == name and source.folder.name == name
    assert (source.sha256 == source_of("embedded", "cpu").sha256) is (name == "text-to-image")
    with pytest.raises(BadInput, match=rf"Did you mean {name}\?"):
        source_of(f"{name}s", "cpu")
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert source_of(name, "cpu") == source
    assert f"the {name} that ships inside; the folder is ./{name}" in caplog.text


@pytest.mark.weights
def test_a_prompt_is_as_long_as_what_is_read_of_it() -> None:
    """Words that came late are said in more."""
    things = ("huge red striped teddy bear", "tiny blue striped gingerbread man")
    prompt = f"{things[0]} on {things[1]} on big green striped castle tower on large pink cube"
    assert len(split(f"{prompt}, left side view")) <= CONTEXT
    with pytest.raises(BadInput, match="too long: with the words for a view it has 3"):
        source_of("whole", "cpu").check(prompt)


def test_what_passes_the_check_fits_the_tower_from_every_side(words: Path) -> None:
    """The longest prompts that pass, said from each side, have no more words than the tower."""
    source = source_of(words, "cpu")
    for filler in ("a ", "a small ", "highly detailed "):
        passed = [f"{filler * n}cone" for n in range(40) if _passes(source, f"{filler * n}cone")]
        prompt = max(passed, key=len)
        said = [*sided(prompt).values(), *sided(untextured(prompt)).values()]
        assert CONTEXT - 1 <= max(len(split(text)) for text in said) <= CONTEXT


def _passes(source: Source, prompt: str) -> bool:
    try:
        source.check(prompt)
    except BadInput:
        return False
    return True


def test_punctuation_is_no_obstacle_and_other_letters_are(words: Path) -> None:
    source = source_of(words, "cpu")
    source.check("a \N{LEFT DOUBLE QUOTATION MARK}frog\N{RIGHT DOUBLE QUOTATION MARK} on stilts!")
    for prompt in ("a fr\N{LATIN SMALL LETTER O WITH DIAERESIS}g", "a frog\N{SUPERSCRIPT TWO}"):
        with pytest.raises(BadInput, match="which the embedded prior cannot read"):
            source.check(prompt)


def test_devices_are_those_that_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_named("auto") == device_named("cpu") == "cpu"
    with pytest.raises(BadInput) as caught:
        device_named("cuda")
    assert str(caught.value) == (
        "There is no device 'cuda' here: torch sees no CUDA device. Choose auto or cpu."
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [device_named(name) for name in ("auto", "cuda:1")] == ["cuda", "cuda:1"]
    for name in ("cuda:2", "cuda:", "cuda:x", "cpu:0", "mps", ""):
        with pytest.raises(BadInput, match="There is no device"):
            device_named(name)


@pytest.mark.weights
def test_a_prior_is_loaded_from_its_folder_in_its_dtype(tmp_path: Path) -> None:
    source = source_of(save(tmp_path / "prior"), "cpu")
    prior = replace(source, dtype="float32").load("cpu")
    assert isinstance(prior, Prior) and prior.size == 64
    said = prior.embed(Prompt("a frog on stilts"))
    assert said["tokens"].shape == (CONTEXT, 256) and int(said["mask"].sum()) == 4


@pytest.mark.weights
def test_a_prior_that_is_broken_is_bad_input(tmp_path: Path) -> None:
    folder = save(tmp_path / "prior")
    for name in ("unet/diffusion_pytorch_model.safetensors", "tower/model.safetensors"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-99])
        with pytest.raises(BadInput, match=f"The prior in {folder} cannot be loaded: "):
            source_of(folder, "cpu").load("cpu")
        (folder / name).write_bytes(whole)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a mug", "'mug', but has never seen such an object. Nearest it has seen: "),
        ("a cone in a cube", "'in', but has never seen such a relation. Nearest it has seen: on "),
        ("a striped cone", "'striped', but has never seen such a pattern. Nearest it has seen: ra"),
    ],
)
def test_what_the_weights_have_not_seen_is_refused(words: Path, prompt: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        source_of(words, "cpu").check(prompt)
