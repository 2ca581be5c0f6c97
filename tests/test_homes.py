"""Where models come from: short names, the cache of Hugging Face, and what is said of the absent.

Nothing here opens a socket, and nothing is fetched.
"""

import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_prior import save_words

from dreamlift import doctor
from dreamlift.cli import main
from dreamlift.errors import BadInput
from dreamlift.priors import homes, source
from dreamlift.priors.homes import KNOWN, Absent, cached, located
from dreamlift.priors.pipelines import NETWORKS, kind, weights
from dreamlift.priors.source import source_of

REPO = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of our own, a folder of our own, and no network."""

    def no_socket(*_: Any) -> None:
        raise AssertionError("a socket was opened")

    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(socket.socket, "connect", no_socket)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hf" / "hub"


def pipeline(folder: Path, name: str = "StableDiffusionPipeline") -> Path:
    """All that is looked at before a network is loaded; the weights are one number."""
    header = b'{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(f'{{"_class_name": "{name}"}}')
    for part in ("scheduler", *NETWORKS[name]):
        (folder / part).mkdir()
        file = "scheduler_config.json" if part == "scheduler" else "config.json"
        (folder / part / file).write_text("{}")
    for part in NETWORKS[name]:
        stem = "model" if part.startswith("text") else "diffusion_pytorch_model"
        content = len(header).to_bytes(8, "little") + header + bytes(24)
        (folder / part / f"{stem}.safetensors").write_bytes(content)
    return folder


def snapshot(cache: Path, home: str, commit: str = "abc") -> Path:
    store = cache / f"models--{home.replace('/', '--')}"
    (store / "refs").mkdir(parents=True)
    (store / "refs" / "main").write_text(f"{commit}\n")
    return pipeline(store / "snapshots" / commit)


def test_the_table_is_sound() -> None:
    dead = {"stabilityai/stable-diffusion-2-1-base", "stabilityai/stable-diffusion-2-1",
            "runwayml/stable-diffusion-v1-5"}  # fmt: skip
    alive = [home for known in KNOWN.values() for home in known.homes]
    assert len(alive) == len(set(alive)) and all(map(homes.is_id, alive))
    assert dead <= {home for known in KNOWN.values() for home in known.gone}
    assert not dead & set(alive)
    assert {name for name in KNOWN if KNOWN[name].gated} >= {"if", "sd3", "flux"}
    assert KNOWN["sd21"].download == pytest.approx(5.16)
    assert KNOWN["sdxl"].download == pytest.approx(6.93, abs=0.01)


@pytest.mark.parametrize("name", KNOWN)
def test_an_absent_model_is_told_of_on_one_screen(name: str) -> None:
    with pytest.raises(Absent) as caught:
        located(name)
    said, known = str(caught.value), KNOWN[name]
    assert len(said.splitlines()) <= 20
    (command,) = re.findall(r"^  (hf download .*)$", said, re.MULTILINE)
    words = shlex.split(command)
    assert words[2] == known.homes[0] and words[-2:] == ["--local-dir", f"./{name}"]
    for part in (known.what, known.licence, f"about {known.download:.1f} GB"):
        assert part in said
    assert ("sign in, accept the licence at" in said) == known.gated
    for other in (*known.homes[1:], *known.gone):
        assert other in said


def test_the_command_that_goes_on_is_the_same_with_the_folder() -> None:
    with pytest.raises(Absent) as caught:
        located("sd21")
    prompt = "a DSLR photo of a delicious hamburger"
    for given in (("--prior", "sd21"), ("--prior=sd21",)):
        words = shlex.split(caught.value.again(["generate", prompt, *given, "--seed", "3"]))
        assert words[:3] == ["dreamlift", "generate", prompt] and words[-2:] == ["--seed", "3"]
        assert "./sd21" in " ".join(words) and "sd21" not in words


def test_without_the_model_the_command_line_says_so_and_ends_with_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command in (("generate", "a DSLR photo of a hamburger"), ("image", "a hamburger")):
        assert main([*command, "--prior", "sd21"]) == 2
        said = capsys.readouterr()
        assert not said.out
        assert said.err.startswith("dreamlift: The prior sd21 is not on this machine.")
        assert said.err.endswith(f"  {shlex.join(['dreamlift', *command])} --prior ./sd21\n")
    assert not Path("runs").exists()


@pytest.mark.seconds
def test_it_says_so_within_seconds_after_what_else_is_wrong() -> None:
    code = (
        "import sys; from dreamlift.cli import main; "
        "wrong = main(['generate', 'a', '--prior', 'if', '--steps', '0']); "
        "sys.exit((wrong, main(['generate', 'a', '--prior', 'if'])) != (2, 2))"
    )
    start = time.monotonic()
    ran = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.index(b"The steps must be 1") < ran.stderr.index(b"not on this machine")
    assert time.monotonic() - start < 30


def test_help_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["generate", "--prior", "sd21", "--help"])
    assert ended.value.code == 0 and "--prior" in capsys.readouterr().out


def test_the_cache_is_looked_into_home_by_home(empty_cache: Path) -> None:
    second = snapshot(empty_cache, KNOWN["sd21"].homes[1])
    assert located("sd21") == second
    first = snapshot(empty_cache, KNOWN["sd21"].homes[0])
    assert located("sd21") == first
    assert cached("nobody/nothing") is None


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
def test_the_cache_is_where_hugging_face_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    inside = {"HF_HUB_CACHE": ".", "HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv(variable, str(tmp_path / "there"))
    snapshot(tmp_path / "there" / inside[variable], "owner/model")
    assert located("owner/model").name == "abc"


def test_a_snapshot_that_no_branch_names_is_found(empty_cache: Path) -> None:
    folder = snapshot(empty_cache, "owner/model")
    (folder.parents[1] / "refs" / "main").unlink()
    assert located("owner/model") == folder


def test_any_id_can_be_asked_for() -> None:
    with pytest.raises(Absent, match=r"--local-dir \./dreamlike-photoreal") as caught:
        located("dreamlike-art/dreamlike-photoreal")
    assert "see https://huggingface.co/dreamlike-art/dreamlike-photoreal" in str(caught.value)


def test_a_misspelt_name_is_told_the_nearest() -> None:
    with pytest.raises(BadInput, match="Did you mean sdxl?"):
        located("sd-xl")


def test_a_folder_goes_before_a_short_name(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "sd21")
    assert located("sd21") == located("./sd21") == folder
    assert source_of("sd21", "cpu").name == str(folder)


def test_a_file_after_a_plus_changes_a_model(tmp_path: Path) -> None:
    folder, file = pipeline(tmp_path / "sd"), tmp_path / "style.safetensors"
    with pytest.raises(BadInput, match=r"style\.safetensors is no \.safetensors file"):
        source_of("sd+style.safetensors", "cpu")
    file.write_bytes(b"style")
    found = source_of("sd+style.safetensors", "cpu")
    assert (found.name, found.folder) == (f"{folder}+{file}", folder)
    file.write_bytes(b"other")
    assert source_of("sd+style.safetensors", "cpu").sha256 != found.sha256
    with pytest.raises(Absent, match="The prior sd21 is not"):
        source_of(f"sd21+{file}", "cpu")
    with pytest.raises(BadInput, match="only other people's models can"):
        source_of(f"{save_words(tmp_path / 'words')}+{file}", "cpu")


def test_a_model_in_the_cache_keeps_its_short_name(empty_cache: Path) -> None:
    folder = snapshot(empty_cache, KNOWN["sd15"].homes[0])
    found = source_of("sd15", "cpu")
    assert (found.name, found.folder, found.open) == ("sd15", folder, True)


def test_other_peoples_models_read_any_words(tmp_path: Path) -> None:
    """Letters, lengths and words that the embedded prior refuses; nothing at all is refused."""
    theirs = source_of(pipeline(tmp_path / "sd"), "cpu")
    for prompt in (
        "ein Zwiebelfrosch in Oel",
        "a caf\N{LATIN SMALL LETTER E WITH ACUTE}",
        "a DSLR photo of a quokka",
        "very " * 40 + "red cone",
    ):
        theirs.check(prompt)
        if prompt.isascii():
            with pytest.raises(BadInput):
                source_of(save_words(tmp_path / "words"), "cpu").check(prompt)
    with pytest.raises(BadInput, match="The prompt is empty"):
        theirs.check(" ")


def test_the_hash_sees_every_part_and_pieces_of_what_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pipeline(tmp_path / "sd")
    hashes = {source_of(folder, "cpu").sha256}
    (folder / "README.md").write_text("a card decides nothing")
    assert source_of(folder, "cpu").sha256 in hashes
    large = folder / "vae" / "diffusion_pytorch_model.safetensors"
    monkeypatch.setattr(source, "LARGE", 1 << 20)
    content = large.read_bytes() + bytes(8 << 20)
    for at in (None, 0, len(content) - 1, len(content) // 63 * 20):
        changed = bytearray(content)
        if at is not None:
            changed[at] ^= 1
        large.write_bytes(changed)
        hashes.add(source._hash(folder))
    (folder / "text_encoder" / "config.json").write_text('{"a": 1}')
    hashes.add(source._hash(folder))
    assert len(hashes) == 6


def test_a_pipeline_that_is_not_whole_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "sd")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(BadInput, match="sd cannot be used: .*unet has no safetensors"):
        source_of("sd", "cpu")
    folder = pipeline(tmp_path / "other")
    (folder / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    with pytest.raises(BadInput, match="holds a WanPipeline, which is not known here; known are"):
        source_of(folder, "cpu")


def test_numbers_and_bytes_are_counted_from_the_headers(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "sd")
    assert kind(folder) == "StableDiffusionPipeline"
    plain = folder / "unet" / "diffusion_pytorch_model.safetensors"
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(plain.read_bytes())
    assert weights(folder) == (18, 3 * plain.stat().st_size)


def test_the_doctor_says_what_a_model_needs(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {finding.what: finding for finding in doctor._other("if", "cpu")}
    assert not rows["if"].good and rows["if"].advice.startswith("hf download DeepFloyd/IF-I-XL")
    assert "Sign in and accept" in rows["licence"].advice
    assert "GB free" in rows[f"disk at {Path.cwd()}"].found
    assert "18.1 GB of weights" in rows["memory for it"].found.replace("36.2", "18.1")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: type("Disk", (), {"free": 1e9}))
    monkeypatch.setattr(doctor.os, "sysconf", lambda _: 1 << 15)
    rows = {finding.what: finding for finding in doctor._other("sd15", "cpu")}
    assert rows[f"disk at {Path.cwd()}"].advice == "sd15 needs 4.3 GB. Use another disk."
    assert rows["memory for it"].advice.startswith("Too large for it")
    snapshot(empty_cache, KNOWN["sd15"].homes[0])
    rows = {finding.what: finding for finding in doctor._other("sd15", "cpu")}
    assert rows["sd15"].good and "snapshots" in rows["sd15"].found
    assert rows["its weights"].found.startswith("18 numbers")
    rows = {finding.what: finding for finding in doctor._other("sd22", "cpu")}
    assert not rows["sd22"].good and "Did you mean sd" in rows["sd22"].advice


def test_the_doctor_ends_with_whether_that_model_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_render", lambda device: 7.0)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["doctor", "--prior", "sd21"]) == 1
    said = capsys.readouterr().out
    assert said.endswith("`dreamlift generate --prior sd21` cannot work yet.\n")
    assert "CreativeML Open RAIL++-M" in said
