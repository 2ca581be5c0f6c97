"""dreamlift/doctor.py: the table has what matters, and advice where something is missing."""

import re
from pathlib import Path

import pytest
from tiny_prior import load_oracle, save_words

from dreamlift import doctor
from dreamlift.cli import main
from dreamlift.priors.source import Source


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = save_words(tmp_path / "weights" / "text-to-image")
    (folder / "unet" / "model.safetensors").write_bytes(bytes(2 << 20))
    monkeypatch.setattr(doctor, "WEIGHTS", folder)
    monkeypatch.setattr("dreamlift.priors.source.WEIGHTS", folder)
    monkeypatch.setattr(Source, "load", load_oracle)
    return folder


def test_a_machine_that_can_is_told_so(
    words: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (words / "README.md").write_text("# text-to-image 1.2\n\nA card.\n")
    monkeypatch.setenv("COLUMNS", "160")
    assert doctor.examine(tmp_path / "runs")
    said = capsys.readouterr().out
    assert said.endswith("`dreamlift generate` works here.\n")
    for word in (
        "torch",
        "CPU",
        "bfloat16",
        "warp-lang",
        "2 MiB, text-to-image 1.2",
    ):
        assert word in said
    assert not (tmp_path / "runs").exists()


def test_only_what_is_imported_is_recommended() -> None:
    sources = "\n".join(p.read_text() for p in Path(doctor.__file__).parent.rglob("*.py"))
    for package, _, _ in doctor.OPTIONAL:
        assert re.search(rf"^\s*(import|from) {package}\b", sources, re.MULTILINE), package


def test_memory_is_for_other_models_and_a_size(
    words: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_render", lambda device: 7.0)
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["doctor", "--prior", "whole", "--memory", "8G"]) == 0
    said = capsys.readouterr().out
    assert "Leave --memory out" in said and "`dreamlift generate --prior whole` works here." in said
    assert main(["doctor", "--memory", "8Q"]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err == "dreamlift: --memory is a size such as 8G or 6000M; '8Q' was given.\n"


def test_what_is_missing_comes_with_advice(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (words / "vocabulary.json").unlink()
    (words.parent / "file").touch()
    monkeypatch.setattr(doctor, "OPTIONAL", (("no_such_package", "usd", "watching"),))
    monkeypatch.setattr(doctor, "_render", lambda device: 7.0)
    rows = {finding.what: finding for finding in doctor.findings(words.parent / "file" / "runs")}
    assert rows["no_such_package"].advice == "Install dreamlift[usd] for watching."
    assert rows["no_such_package"].good
    assert not rows["the embedded prior"].good
    assert rows["the embedded prior"].advice.startswith("The embedded prior's weights are not in")
    assert not rows["runs"].good and "--out" in rows["runs"].advice
