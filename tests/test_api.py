"""dreamlift/api.py: whole runs, by the oracle in place of a network."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_prior import FINISH, load_oracle, numbers, save_words

import dreamlift
from dreamlift.api import (
    Request,
    carry_on,
    degenerate,
    export_again,
    finished,
    generate,
    make,
    recipe_of,
    request,
    resume,
    start,
)
from dreamlift.cameras import turntable
from dreamlift.convert.finish import Finish
from dreamlift.errors import BadInput
from dreamlift.export import FILES, Asset
from dreamlift.fit import Moment
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.grammar import parse
from dreamlift.observers import log
from dreamlift.priors.source import Source
from dreamlift.recipes import Name
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh
from dreamlift.toybox.scenes import toy_scene


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prior's folder; the oracle is loaded in its place, and runs go to a folder of the test."""
    monkeypatch.setattr(Source, "load", load_oracle)
    monkeypatch.chdir(tmp_path)
    return save_words(tmp_path / "words")


def no_prior(source: Source, device: str) -> None:
    raise AssertionError("the prior was loaded")


def quick(words: Path, out: Path | None = None, **changed: object) -> Asset:
    numbered = replace(numbers(), **changed)
    return make(numbered, prior=words, out=out, finish=FINISH, observers=[log])


def scene_of(folder: Path) -> dict[str, bytes]:
    state = Run(folder).load() or {}
    return {name: value.numpy().tobytes() for name, value in state["scene"].items()}


@pytest.mark.seconds
def test_the_object_is_what_the_prior_has_in_mind(words: Path) -> None:
    asset = quick(words, steps=80, size=32, samples=32, init="fog")
    truth = toy_scene(parse("a yellow cone"), 0)
    shot = Shot(turntable(3, elevation=25.0, offset=40.0, size=48))
    with torch.no_grad():
        found, true = (scene.render(shot).alpha > 0.5 for scene in (Mesh(asset.parts()), truth))
    assert (found & true).sum() / (found | true).sum() > 0.8


@pytest.mark.seconds
def test_a_run_holds_the_files_and_the_settings(words: Path) -> None:
    asset = quick(words, seed=3)
    assert asset.folder.parent == Path("runs/dreamfusion")
    assert asset.folder.name.startswith("a-cone-")
    assert all((asset.folder / name).stat().st_size > 0 for name in FILES)
    config = json.loads((asset.folder / "config.json").read_text())
    assert (config["recipe"], config["prompt"], config["seed"]) == ("dreamfusion", "a cone", 3)
    assert config["prior"]["name"] == str(words) and len(config["prior"]["sha256"]) == 16
    assert config["finish"]["faces"] == 600 and config["device"] == "cpu"
    lines = (asset.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(8))


@pytest.mark.seconds
def test_a_finished_run_is_not_run_again(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = quick(words)
    monkeypatch.setattr(Source, "load", no_prior)
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    assert quick(words) == first
    assert degenerate(Run(first.folder)) is None
    assert resume(first.folder) == first
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before


@pytest.mark.seconds
def test_a_lost_file_is_made_again_without_a_step(words: Path) -> None:
    asset = quick(words)
    before, metrics = asset.glb.read_bytes(), (asset.folder / "metrics.jsonl").read_bytes()
    asset.glb.unlink()
    assert finished(Run(asset.folder)) is None
    resume(asset.folder, observers=())
    assert asset.glb.read_bytes() == before
    assert (asset.folder / "metrics.jsonl").read_bytes() == metrics


@pytest.mark.seconds
def test_an_interrupted_run_says_how_to_continue_and_ends_with_the_same_bits(
    words: Path, tmp_path: Path
) -> None:
    whole = quick(words, tmp_path / "whole")

    def press(moment: Moment) -> None:
        if moment.step.index == 3:
            os.kill(os.getpid(), signal.SIGINT)

    run = start(request(numbers(), prior=words, finish=FINISH), tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt, match=f"dreamlift resume {run.path}$"):
        carry_on(run, [log, press])
    assert (run.load() or {})["step"] == 4
    asset = resume(run.path, observers=[log])
    assert scene_of(asset.folder) == scene_of(whole.folder)
    assert asset.glb.read_bytes() == whole.glb.read_bytes()
    metrics = [(folder / "metrics.jsonl").read_text() for folder in (asset.folder, whole.folder)]
    assert metrics[0] == metrics[1]


@pytest.mark.seconds
def test_an_empty_field_is_said_to_be_degenerate_and_leaves_no_mesh(words: Path) -> None:
    with pytest.raises(DegenerateError, match="degenerate object: empty"):
        quick(words, words.parent / "empty", steps=40, opacity=1e6, lr=(0.5, 0.5))
    left = {path.name for path in (words.parent / "empty").iterdir()}
    assert left - {".lock"} == {
        "config.json",
        "metrics.jsonl",
        "checkpoint.safetensors",
        "remedies.json",
        "report.json",
    }
    run = Run(words.parent / "empty")
    assert finished(run) is None
    assert (degenerate(run) or "").startswith("degenerate object: empty")


def test_a_request_survives_its_config_file(words: Path) -> None:
    asked = request(recipe_of("dreamfusion", "full", "a cone", 7), prior=words, finish=FINISH)
    assert asked.recipe.steps == 1500
    run = start(asked)
    assert Request.of(Run.open(run.path)) == asked


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("steps", "many", "its steps is 'many', not int"),
        ("t_start", [0.1], "its t_start is [0.1], not tuple[float, float]"),
        ("init", "cube", "its init is 'cube', not Literal['fog', 'blob']"),
        ("recipe", "magic4d", "there is no recipe 'magic4d'"),
        ("wings", 2, "it has wings, which this version does not know"),
        ("clamp", None, "it lacks clamp"),
        ("finish", None, "it lacks finish"),
        ("prior", "oracle", "'oracle' stands where there should be name, sha256, dtype"),
    ],
)
def test_an_edited_config_is_refused(words: Path, key: str, value: object, said: str) -> None:
    run = start(request(numbers(), prior=words))
    file = run.path / "config.json"
    config = json.loads(file.read_text())
    config[key] = value
    if value is None:
        del config[key]
    file.write_text(json.dumps(config))
    with pytest.raises(BadInput) as caught:
        resume(run.path)
    assert str(caught.value) == (
        f"{file} cannot be continued: {said}. It was edited, or made by another version; start "
        "again in another folder."
    )


def test_an_edited_finish_is_refused_before_a_step(words: Path) -> None:
    run = start(request(numbers(), prior=words))
    file = run.path / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"finish": config["finish"] | {"faces": -4}}))
    with pytest.raises(BadInput, match="The faces must be 100 to 2000000; -4 was asked for"):
        resume(run.path)
    assert not (run.path / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"steps": 0}, "The steps must be 1 to 10000000; 0 was asked for."),
        ({"steps": -5}, "The steps must be 1 to 10000000; -5 was asked for."),
        ({"batch": 0}, "The batch must be 1 to 1024; 0 was asked for."),
        ({"seed": -1}, "The seed must be 0 to 4611686018427387904; -1 was asked for."),
        ({"scale": float("nan")}, "The scale must be 0 to 10000000; nan was asked for."),
        ({"lr": (0.1, 0.0)}, "The lr must be above 0; 0.1 0 was asked for."),
        (
            {"t_end": (0.6, 0.05)},
            "The t_end must be two noise levels from 0 to 1, the lower first; 0.6 0.05 was asked "
            "for.",
        ),
    ],
)
def test_numbers_out_of_range_are_refused(
    words: Path, changed: dict[str, object], said: str
) -> None:
    with pytest.raises(BadInput) as caught:
        request(replace(numbers(), **changed), prior=words)
    assert str(caught.value) == said
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("finish", "said"),
    [
        (Finish(resolution=4), "The resolution must be 16 to 512; 4 was asked for."),
        (Finish(size=31), "The size of a film must be even; 31 was asked for."),
    ],
)
def test_a_finish_out_of_range_is_refused(words: Path, finish: Finish, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        request(numbers(), prior=words, finish=finish)
    assert str(caught.value) == said


def test_a_run_is_not_continued_with_other_weights(tmp_path: Path) -> None:
    words = save_words(tmp_path / "words")
    run = start(request(numbers(), prior=words), tmp_path / "run")
    (words / "unet" / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="has other weights than the run was started with"):
        resume(run.path)


@pytest.mark.seconds
def test_another_torch_is_remarked_on(words: Path, caplog: pytest.LogCaptureFixture) -> None:
    asset = quick(words)
    asset.glb.unlink()
    file = asset.folder / "config.json"
    config = json.loads(file.read_text())
    config["versions"]["torch"] = "1.0"
    file.write_text(json.dumps(config))
    resume(asset.folder, observers=())
    assert "The run was started with torch 1.0" in caplog.text


@pytest.mark.seconds
def test_a_finished_run_is_brought_out_again_as_asked(words: Path, tmp_path: Path) -> None:
    asset = quick(words)
    copied = export_again(asset.folder, tmp_path / "same.glb", FINISH)
    assert copied.read_bytes() == asset.glb.read_bytes()
    fewer = export_again(asset.folder, tmp_path / "fewer.obj", replace(FINISH, faces=150))
    assert 0 < fewer.read_text().count("\nf ") <= 150
    with pytest.raises(BadInput, match="exists; nothing was changed"):
        export_again(asset.folder, tmp_path / "same.glb", FINISH)
    (tmp_path / "mine.png").write_text("mine")  # where an OBJ's texture would go
    with pytest.raises(BadInput, match=r"mine\.png exists; nothing was changed"):
        export_again(asset.folder, tmp_path / "mine.obj", FINISH)
    assert (tmp_path / "mine.png").read_text() == "mine"
    with pytest.raises(BadInput, match=r"^\.: save as"):
        export_again(asset.folder, Path("."), FINISH)
    asset.glb.write_bytes(b"")
    with pytest.raises(BadInput, match=r"asset\.glb"):
        export_again(asset.folder, tmp_path / "empty.glb", FINISH)
    assert not (tmp_path / "empty.glb").exists()
    with pytest.raises(BadInput, match=r"save as \.glb"):
        export_again(asset.folder, tmp_path / "same.doc", FINISH)


@pytest.mark.seconds
def test_a_finished_run_whose_checkpoint_is_gone_is_not_sent_round_in_a_circle(
    words: Path, tmp_path: Path
) -> None:
    asset = quick(words)
    finer = replace(FINISH, resolution=40)
    state = Run(asset.folder).checkpoint
    state.write_bytes(state.read_bytes()[:-3])
    for _ in ("damaged", "gone"):
        with pytest.raises(BadInput, match="is damaged or gone, and other numbers need") as caught:
            export_again(asset.folder, tmp_path / "finer.glb", finer)
        said = str(caught.value)
        assert "Delete" not in said and "resume` that" in said and "copy config.json" in said
        state.unlink(missing_ok=True)
    assert export_again(asset.folder, tmp_path / "same.glb", FINISH).is_file()
    again = tmp_path / "again"
    again.mkdir()
    (again / "config.json").write_bytes((asset.folder / "config.json").read_bytes())
    assert resume(again, observers=()).glb.read_bytes() == asset.glb.read_bytes()
    assert export_again(again, tmp_path / "finer.glb", finer).is_file()


def test_an_unfinished_run_is_not_brought_out(words: Path, tmp_path: Path) -> None:
    run = start(request(numbers(), prior=words))
    with pytest.raises(BadInput, match=r"has not begun its steps\. Finish it first: dreamlift"):
        export_again(run.path, tmp_path / "a.glb", FINISH)


def test_generate_is_lazy_and_public(words: Path, tmp_path: Path) -> None:
    assert len(dir(dreamlift)) - 1 <= 15  # beside __version__
    assert dreamlift.generate is generate
    out = tmp_path / "x"
    asset = dreamlift.generate("a cone", prior=words, steps=1, out=out, finish=FINISH, observers=())
    assert isinstance(asset, dreamlift.Asset)
    assert asset.save(tmp_path / "x.glb").read_bytes()[:4] == b"glTF"
    config = Run.open(out).config
    assert (config["steps"], config["batch"]) == (1, DreamFusion("").batch)


WRONG = """
from dreamlift.convert.finish import Finish
from dreamlift.errors import BadInput
import dreamlift
for wrong in ({"recipe": "dreamfuson"}, {"preset": "papr"}, {"prompt": None}, {"steps": "10"},
              {"steps": 1.5}, {"seed": True}, {"pilot": 2.5}, {"finish": Finish(24.5)},
              {"finish": "fine"}, {"remedies": "no"}, {"previews": 2.5}, {"device": None}):
    try:
        dreamlift.generate(**{"prompt": "a red cube", **wrong})
    except BadInput as error:
        print(str(error).partition(" All: ")[0])
"""


def test_what_is_no_number_or_name_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    """In a process of its own: here, types are checked as tests run."""
    ran = subprocess.run(
        [sys.executable, "-c", WRONG], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == [
        "There is no recipe 'dreamfuson'. Did you mean 'dreamfusion'?",
        "There is no preset 'papr'. Did you mean 'paper'?",
        "dreamfusion cannot be made: its prompt is None, not str.",
        "dreamfusion cannot be made: its steps is '10', not int.",
        "dreamfusion cannot be made: its steps is 1.5, not int.",
        "dreamfusion cannot be made: its seed is True, not int.",
        "dreamfusion cannot be made: its pilot is 2.5, not int.",
        "The resolution is a whole number; 24.5 was asked for.",
        "`finish` is of type Finish; 'fine' was given.",
        "`remedies` is of type bool; 'no' was given.",
        "`previews` is of type int; 2.5 was given.",
        "`device` is of type str; None was given.",
    ]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("recipe", ["csd", "nfsd"])
def test_a_prompt_of_bad_pictures_is_checked_before_any_work(recipe: Name) -> None:
    with pytest.raises(BadInput, match="What --bad says cannot be told. The embedded world does"):
        request(recipe_of(recipe, "paper", "a red cube"))
