"""dreamlift/run.py: a run is a folder that is never torn and never overwritten."""

import json
import os
from pathlib import Path

import pytest
import torch

from dreamlift.errors import BadInput
from dreamlift.io.atomic import atomic
from dreamlift.run import Run, run_folder, slug

CONFIG = {"recipe": "tiny", "prompt": "a red cube", "settings": {"steps": 8, "range": (0.02, 0.98)}}


def test_a_new_run_holds_its_settings_and_versions(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "a" / "b", CONFIG)
    config = json.loads((run.path / "config.json").read_text())
    assert config["settings"] == {"steps": 8, "range": [0.02, 0.98]}
    assert config["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert run.settings == {key: value for key, value in config.items() if key != "versions"}
    assert Run.open(run.path) == run


def test_the_same_settings_continue_a_run(tmp_path: Path) -> None:
    run = Run.create(tmp_path, CONFIG)
    before = (tmp_path / "config.json").read_bytes()
    run.log(0, {"loss": 1.0})
    assert Run.create(tmp_path, CONFIG) == run
    assert (tmp_path / "config.json").read_bytes() == before
    assert (tmp_path / "metrics.jsonl").exists()


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    Run.create(tmp_path, CONFIG)
    before = (tmp_path / "config.json").read_bytes()
    other = {"recipe": "tiny", "prompt": "a blue cube", "settings": {"steps": 9, "lr": 0.1}}
    with pytest.raises(BadInput) as caught:
        Run.create(tmp_path, other)
    assert str(caught.value) == (
        f'{tmp_path} holds a run with other settings: prompt is "a red cube" there and "a blue '
        'cube" asked; settings.lr is absent there and 0.1 asked; settings.range is [0.02, 0.98] '
        "there and absent asked; settings.steps is 8 there and 9 asked. Ask for the same settings "
        "to continue it, or choose another folder with --out."
    )
    assert (tmp_path / "config.json").read_bytes() == before


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(BadInput, match=r"not empty: it holds thesis\.tex"):
        Run.create(tmp_path, CONFIG)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_a_kill_left_in_a_new_folder_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".config.tmp.json").write_text('{"recipe": "ti')
    (tmp_path / ".lock").touch()
    Run.create(tmp_path, CONFIG)
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", ".lock"}


def test_an_unwritable_folder_is_told_before_work_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"Cannot write to .*file/run: Not a directory\. Choose"):
        Run.create(tmp_path / "file" / "run", CONFIG)
    with pytest.raises(BadInput, match=r"file is a file\. Name a folder with --out\."):
        Run.create(tmp_path / "file", CONFIG)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match="Permission denied"):
        Run.create(tmp_path, CONFIG)


def test_open_tells_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no config"):
        Run.open(tmp_path)
    with pytest.raises(BadInput, match="does not exist"):
        Run.open(tmp_path / "nowhere")
    (tmp_path / "asset.glb").write_bytes(b"glTF")
    with pytest.raises(BadInput, match=r"asset\.glb is a file. Name the folder"):
        Run.open(tmp_path / "asset.glb")
    (tmp_path / "config.json").write_text('{"recipe": "ti')
    with pytest.raises(BadInput, match=r"config\.json is damaged"):
        Run.open(tmp_path)


def test_a_damaged_checkpoint_is_named_with_the_way_out(tmp_path: Path) -> None:
    run = Run.create(tmp_path, CONFIG) / "coarse"
    assert run.load() is None
    run.save({"x": torch.ones(9)})
    assert run.checkpoint == tmp_path / "coarse" / "checkpoint.safetensors"
    run.checkpoint.write_bytes(run.checkpoint.read_bytes()[:-3])
    with pytest.raises(BadInput, match=r"coarse/checkpoint\.safetensors is damaged.*Delete it"):
        run.load()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_what_a_run_writes_is_as_readable_as_any_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        run = Run.create(tmp_path / "run", CONFIG)
        run.save({"x": torch.ones(9)})
        run.log(0, {"loss": 1.0})
        run.rewind(0)
    finally:
        os.umask(before)
    found = {path.name: path.stat().st_mode & 0o777 for path in run.path.iterdir()}
    assert found == dict.fromkeys(["config.json", "checkpoint.safetensors", "metrics.jsonl"], 0o640)


def test_rewinding_drops_only_the_stage_s_later_lines(tmp_path: Path) -> None:
    run = Run.create(tmp_path, CONFIG)
    coarse, fine = run / "coarse", run / "fine"
    for step in range(4):
        coarse.log(step, {"loss": step / 3})
    fine.log(0, {"loss": 9.0})
    whole = (tmp_path / "metrics.jsonl").read_text()
    fine.log(1, {"loss": 8.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "fine", "st')
    fine.rewind(1)
    assert (tmp_path / "metrics.jsonl").read_text() == whole
    coarse.rewind(2)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [
        ("coarse", 0),
        ("coarse", 1),
        ("fine", 0),
    ]


def test_an_atomic_write_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "asset.glb"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic(path) as file:
        assert file.suffix == ".glb"
        assert file.parent == path.parent
        file.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with atomic(path) as file:
        file.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["asset.glb"]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("A frog on stilts!", "a-frog-on-stilts"),
        ("a small red cube is sitting on top of a cube", "a-small-red-cube-is-sitting-on-top-of-a"),
        ("forty characters are just enough for you", "forty-characters-are-just-enough-for-you"),
        ("x" * 50, "x" * 40),
        ("Crème brûlée", "creme-brulee"),
        ("青い椅子", "run"),
    ],
)  # fmt: skip
def test_slugs_are_short_and_plain(prompt: str, expected: str) -> None:
    assert slug(prompt) == expected
    assert len(slug(prompt)) <= 40


def test_a_request_has_one_folder(tmp_path: Path) -> None:
    a = run_folder(tmp_path, "dreamfusion", "a frog", {"seed": 0, "steps": 3})
    assert a == run_folder(tmp_path, "dreamfusion", "a frog", {"steps": 3, "seed": 0})
    assert a != run_folder(tmp_path, "dreamfusion", "a frog", {"seed": 1, "steps": 3})
    assert a.parent == tmp_path / "dreamfusion"
    assert a.name.startswith("a-frog-")


def test_damaged_settings_do_not_cost_what_the_run_has_made(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(BadInput, match="Bring it back, or start again in another") as said:
        Run.open(tmp_path)
    assert "Delete" not in str(said.value)
