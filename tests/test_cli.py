"""dreamlift/cli.py: exit codes, and what users are told, word for word."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tiny_prior import load_oracle, save_words

from dreamlift.cli import main
from dreamlift.export import FILES
from dreamlift.learn.loop import Stop
from dreamlift.learn.train import RECORDED
from dreamlift.priors.source import Source
from dreamlift.run import Run

QUICK = (
    "--steps 8 --size 16 --samples 24 --init blob --finish.resolution 32 --finish.faces 600 "
    "--finish.texture 64 --finish.frames 2 --finish.size 16"
).split()
"""A run of a tenth of a second."""
REPO = Path(__file__).parents[1]


class Ended(NamedTuple):
    code: int
    out: list[str]
    err: str


Dreamlift = Callable[..., Ended]


@pytest.fixture
def dreamlift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Dreamlift:
    """Run a command in a folder of the test, where `words` is a prior, played by the oracle."""
    monkeypatch.setattr(Source, "load", load_oracle)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    save_words(tmp_path / "words")

    def run(*arguments: str) -> Ended:
        capfd.readouterr()
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = int(str(stop.code))
        out, err = capfd.readouterr()
        return Ended(code, out.splitlines(), err)

    return run


def generate(run: Dreamlift, *more: str, prompt: str = "a cone") -> Ended:
    return run("generate", prompt, "--prior", "words", *QUICK, *more)


@pytest.mark.seconds
def test_generate_leaves_its_files_and_prints_the_folder_last(dreamlift: Dreamlift) -> None:
    ended = generate(dreamlift)
    assert ended.code == 0, ended.err
    folder = Path(ended.out[-1])
    assert folder.parent == Path("runs/dreamfusion")
    wanted = {*FILES, "config.json", "metrics.jsonl"}
    assert wanted <= {path.name for path in folder.iterdir()}
    assert "cutting the surface" in ended.err and "600 triangles" in ended.err
    again = generate(dreamlift)
    assert (again.code, again.out, again.err) == (0, [str(folder)], "")


@pytest.mark.seconds
def test_out_is_the_run_s_own_folder_and_a_preset_gives_the_numbers(dreamlift: Dreamlift) -> None:
    ended = generate(dreamlift, "--out", "here", "--preset", "full", "--no-clamp", "--seed", "4")
    assert (ended.code, ended.out) == (0, ["here"])
    config = Run.open(Path("here")).config
    assert (config["batch"], config["clamp"], config["seed"]) == (2, False, 4)
    assert config["finish"]["faces"] == 600


BAD = {
    "unknown word": (
        ("a hamburgr",),
        "The embedded world does not know the word 'hamburgr'. Nearest: hamburger, burger, "
        "cheeseburger. Use one of these; only a prior with an open vocabulary reads others.\n",
    ),
    "unseen word": (
        ("a cone", "--negative", "a teapot"),
        "What --negative says cannot be told. The embedded prior knows the word 'teapot', but has "
        "never seen such an object. Nearest it has seen: ",
    ),
    "empty": (("",), "The prompt is empty. Say what to make, for example 'a frog on stilts'.\n"),
    "blank": (
        (" \t ",),
        "The prompt is empty. Say what to make, for example 'a frog on stilts'.\n",
    ),
    "too long": (
        ("a very " + "small " * 40 + "cone",),
        "The prompt is too long: with the words for a view it has 47, and the embedded prior reads "
        "32. Shorten it, or use a prior with an open vocabulary.\n",
    ),
    "too long from a side": (
        ("a " * 30 + "cone",),
        "The prompt is too long: with the words for a view it has 35, and the embedded prior reads "
        "32. Shorten it, or use a prior with an open vocabulary.\n",
    ),
    "no noun": (
        ("a red",),
        "The caption 'a red' needs a noun, for example 'a red cube on top of a blue ball'.\n",
    ),
    "emoji": (
        ("a \N{FROG FACE}",),
        "The prompt holds '\\U0001f438', which the embedded prior cannot read: it knows English "
        "words in the letters a to z.\n",
    ),
    "not UTF-8": (
        ("a cone\udcff",),
        "The prompt holds '\\udcff', which the embedded prior cannot read: it knows English words "
        "in the letters a to z.\n",
    ),
    "zero steps": (
        ("a cone", "--steps", "0"),
        "The steps must be 1 to 10000000; 0 was asked for.\n",
    ),
    "negative steps": (
        ("a cone", "--steps", "-3"),
        "The steps must be 1 to 10000000; -3 was asked for.\n",
    ),
    "absent device": (
        ("a cone", "--device", "cuda:63"),
        "There is no device 'cuda:63' here: torch sees ",
    ),
    "no such device": (
        ("a cone", "--device", "tpu"),
        "There is no device 'tpu'. Choose auto, cpu, mps, cuda or cuda:N.\n",
    ),
    "no prior": (
        ("a cone", "--prior", "nowhere"),
        "nowhere is no prior: it is no folder. Say `embedded`, one of the two that it is ",
    ),
    "folder of no prior": (
        ("a cone", "--prior", "."),
        ". is no prior: it has no unet/config.json, and no model_index.json. Say `embedded`, or "
        "name a folder with unet/, scheduler/, tower/ and vocabulary.json, or a pipeline in the "
        "diffusers layout.\n",
    ),
    "odd film": (
        ("a cone", "--finish.size", "31"),
        "The size of a film must be even; 31 was asked for.\n",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_a_sentence_before_any_work(
    dreamlift: Dreamlift, case: str
) -> None:
    (prompt, *more), said = BAD[case]
    ended = dreamlift("generate", prompt, "--prior", "words", *more)
    assert (ended.code, ended.out) == (2, [])
    assert ended.err.startswith(f"dreamlift: {said}")
    assert ended.err.count("\n") == 1 and "Traceback" not in ended.err
    assert not Path("runs").exists()


MISSPELT = {
    "flag": (("generate", "a cone", "--step", "3"), "--steps INT"),
    "preset": (("generate", "a cone", "--preset", "fast"), "draft"),
    "recipe": (("generate", "a cone", "--recipe", "dreamfuse"), "dreamfusion"),
    "number": (("generate", "a cone", "--steps", "few"), "INT"),
    "no prompt": (("generate",), "What to make"),
    "command": (("generat", "a cone"), "generate, reconstruct, batch"),
    "nothing": ((), "generate"),
}


@pytest.mark.parametrize("case", MISSPELT)
def test_what_is_misspelt_is_shown_with_what_was_meant(dreamlift: Dreamlift, case: str) -> None:
    arguments, meant = MISSPELT[case]
    ended = dreamlift(*arguments)
    assert (ended.code, ended.out) == (2, [])
    assert meant in ended.err and "Traceback" not in ended.err


def test_a_folder_that_cannot_be_written_is_refused(dreamlift: Dreamlift) -> None:
    Path("file").write_text("mine")
    ended = generate(dreamlift, "--out", "file/run")
    assert ended.code == 2
    assert ended.err == (
        "dreamlift: Cannot write to file/run: Not a directory. Name a folder that can be "
        "written; what was begun in this one goes on in a copy of it.\n"
    )
    assert Path("file").read_text() == "mine"


@pytest.mark.seconds
def test_a_run_with_other_settings_is_not_touched(dreamlift: Dreamlift) -> None:
    assert generate(dreamlift, "--out", "run").code == 0
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    ended = generate(dreamlift, "--out", "run", "--seed", "1")
    assert (ended.code, ended.out) == (2, [])
    assert ended.err == (
        "dreamlift: run holds a run with other settings: seed is 0 there and 1 asked. Ask for the "
        "same settings to continue it, or choose another folder with --out.\n"
    )
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


@pytest.mark.seconds
def test_a_corrupt_checkpoint_is_refused(dreamlift: Dreamlift) -> None:
    assert generate(dreamlift, "--out", "run").code == 0
    checkpoint = Path("run/checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-99])
    Path("run/asset.glb").unlink()
    ended = dreamlift("resume", "run")
    assert ended.code == 2
    assert ended.err.startswith("dreamlift: run/checkpoint.safetensors is damaged (")
    assert ended.err.endswith(
        "Delete it to start this stage again from its first step, or bring back a copy of it.\n"
    )


@pytest.mark.parametrize("command", ["resume", "export", "evaluate"])
def test_a_folder_that_is_no_run_is_refused(dreamlift: Dreamlift, command: str) -> None:
    for folder, what in (("nowhere", "does not exist"), ("words", "is not a run: it has no ")):
        ended = dreamlift(command, folder)
        assert (ended.code, ended.out) == (2, [])
        assert ended.err.startswith(f"dreamlift: {folder} {what}")
        assert ended.err.endswith("Name the folder that `dreamlift generate` printed.\n")


@pytest.mark.seconds
def test_an_interrupted_run_ends_with_130_and_says_how_to_continue(
    dreamlift: Dreamlift, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(source: Source, device: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Source, "load", press)
    ended = generate(dreamlift, "--out", "run")
    assert (ended.code, ended.out) == (130, [])
    assert ended.err == (
        "The run is in run\n"
        "\ndreamlift: Interrupted; nothing is lost. Continue with: dreamlift resume run\n"
    )
    monkeypatch.setattr(Source, "load", load_oracle)
    ended = dreamlift("resume", "run")
    assert (ended.code, ended.out) == (0, ["run"])


@pytest.mark.seconds
def test_a_degenerate_object_fails_in_a_sentence_and_leaves_the_traceback(
    dreamlift: Dreamlift,
) -> None:
    options = ("--out", "run", "--steps", "40", "--opacity", "1e6", "--lr", "0.5", "0.5")
    ended = generate(dreamlift, *options)
    assert (ended.code, ended.out) == (1, [])
    last = ended.err.splitlines()[-1]
    assert last.startswith(
        "dreamlift: Failed: degenerate object: empty after 3 remedies. The scene is "
    )
    assert last.endswith("The traceback is in run/error.log.")
    assert "Traceback" not in ended.err
    assert "DegenerateError: degenerate object" in Path("run/error.log").read_text()
    assert not Path("run/asset.glb").exists()
    assert "Traceback" in generate(dreamlift, *options, "--debug").err


@pytest.mark.seconds
def test_a_failure_of_another_kind_names_itself(
    dreamlift: Dreamlift, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Source, device: str) -> None:
        raise RuntimeError("the lamp\nfell over.")

    monkeypatch.setattr(Source, "load", fail)
    ended = generate(dreamlift, "--out", "run")
    assert ended.code == 1
    assert ended.err == (
        "The run is in run\n"
        "dreamlift: Failed: RuntimeError: the lamp fell over. The traceback is in run/error.log.\n"
    )
    monkeypatch.setattr(Source, "load", load_oracle)
    assert generate(dreamlift, "--out", "run").code == 0
    assert not Path("run/error.log").exists()


@pytest.mark.seconds
def test_export_writes_one_file_and_replaces_none(dreamlift: Dreamlift) -> None:
    assert generate(dreamlift, "--out", "run").code == 0
    ended = dreamlift("export", "run", "--faces", "200", "--format", "obj")
    assert (ended.code, ended.out) == (0, ["run/export-32-200.obj"])
    assert 0 < Path(ended.out[0]).read_text().count("\nf ") <= 200
    again = dreamlift("export", "run", "--faces", "200", "--format", "obj")
    assert again.code == 2 and "exists; nothing was changed" in again.err
    wrong = dreamlift("export", "run", "--out", "a.obj")
    assert wrong.err == "dreamlift: a.obj is no .glb file. Say --format too, or rename it.\n"
    for form in ("stl", "ply"):
        ended = dreamlift("export", "run", "--format", form)
        assert (ended.code, ended.out) == (0, [f"run/export-32-600.{form}"]), ended.err
    for words, name in ((("--format", "png"), "-sheet-16.png"),  # not where an OBJ's texture goes
                        (("--texture", "32"), "-texture-32.glb"),
                        (("--smooth", "0.1"), "-smooth-0.1.glb"),
                        (("--format", "mp4", "--frames", "3"), "-film-3-16.mp4")):  # fmt: skip
        ended = dreamlift("export", "run", *words)
        assert (ended.code, ended.out) == (0, [f"run/export-32-600{name}"]), ended.err
    ended = dreamlift("export", "run", "--format", "splat-ply")
    assert (ended.code, ended.out) == (2, [])
    assert ended.err.startswith("dreamlift: There are no Gaussians in it to be written as splat-")


def test_train_knows_its_trainings_and_says_how_to_continue(
    dreamlift: Dreamlift, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = dreamlift("train", "text-to-imag")
    assert ended.code == 2
    assert ended.err.startswith(
        "dreamlift: There is no training 'text-to-imag'. Nearest: text-to-image."
    )
    assert dreamlift("train", "tower", "--steps", "0").code == 2

    def press(name: str, folder: Path, **said: object) -> None:
        assert (name, folder) == ("tower", Path("runs/train/tower"))
        further = said.pop("further")
        assert said == {"stop": Stop(1.5, 0.02), "steps": 2, "seed": 0}
        assert further == RECORDED
        raise KeyboardInterrupt

    monkeypatch.setattr("dreamlift.learn.train.train", press)
    ended = dreamlift("train", "tower", "--minutes", "1.5", "--stop-after", "0.02", "--steps", "2")
    assert ended.code == 130
    assert ended.err == (
        "\ndreamlift: Interrupted; the training is saved, and the same command continues it.\n"
    )


def test_evaluate_hands_on_its_files_and_what_is_degenerate(
    dreamlift: Dreamlift, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def evaluate(
        runs: tuple[Path, ...], file: Path | None, html: Path | None, *, empty: dict[Path, str]
    ) -> dict[str, object]:
        seen.append((runs, file, html, empty))
        return {"r_precision": {"color": 0.5, "geometry": 0.25}, "janus": None, "runs": []}

    monkeypatch.setattr("dreamlift.evaluate.runs.evaluate", evaluate)
    for name in ("good", "bad"):
        Run.create(Path(name), {"prompt": "a cone"})
    Path("bad/report.json").write_text('{"degenerate": "it is fog"}')
    ended = dreamlift("evaluate", "good", "bad", "--json", "scores.json")
    assert (ended.code, ended.out[-1]) == (0, "scores.json")
    assert json.loads(ended.out[0])["r_precision"] == {"color": 0.5, "geometry": 0.25}
    runs = (Path("good"), Path("bad"))
    assert seen == [(runs, Path("scores.json"), None, {Path("bad"): "it is fog"})]


def test_help_comes_without_torch() -> None:
    code = (
        "import sys; from dreamlift.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    commands = "generate,reconstruct,batch,resume,evaluate,data,image,export,train,embed,doctor"
    assert commands in ran.stdout.decode()


@pytest.mark.seconds
def test_the_program_ends_with_the_code_of_its_command(tmp_path: Path) -> None:
    path = {**os.environ, "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-m", "dreamlift", "resume", "nowhere"]
    ran = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr.startswith(b"dreamlift: nowhere does not exist.")
