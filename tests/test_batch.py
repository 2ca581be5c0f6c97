"""`dreamlift batch`: each device takes the next prompt; one that fails leaves the others alone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from test_cli import QUICK, Dreamlift, dreamlift

from dreamlift import batch
from dreamlift.run import Run

__all__ = ["dreamlift"]

FAKE = """
import json, sys, time
prompt, device, file = sys.argv[1:4]
start = time.time()
print("said of", prompt)
try:
    time.sleep(30 if prompt == "slow" else 0.3)
except KeyboardInterrupt:
    sys.exit(130)
with open(file, "a") as out:
    out.write(json.dumps([prompt, device, start, time.time()]) + "\\n")
sys.exit(prompt == "bad")
"""


def played(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command that sleeps in place of `generate`, and the file it writes to."""
    script, diary = folder / "fake.py", folder / "diary"
    script.write_text(FAKE)

    def command(prompt: str, device: str, place: Path, flags: Sequence[str]) -> list[str]:
        return [sys.executable, str(script), prompt, device, str(diary)]

    monkeypatch.setattr(batch, "command", command)
    monkeypatch.setattr(batch, "refuse", lambda *_: None)
    monkeypatch.setattr(batch, "made", lambda folder: True)
    monkeypatch.setattr("dreamlift.priors.source.device_named", lambda name: name)
    return diary


def check_devices(dreamlift: Dreamlift, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every prompt once; never two at a time on one device; both devices at work at once."""
    diary = played(folder, monkeypatch)
    (folder / "p.txt").write_text("a cone\na cube\n\nbad\na ball\na cone\n")
    ended = dreamlift("batch", "p.txt", "--devices", "one", "two")
    rows = [json.loads(line) for line in diary.read_text().splitlines()]
    assert sorted(row[0] for row in rows) == ["a ball", "a cone", "a cube", "bad"]
    assert {row[1] for row in rows} == {"one", "two"}
    for device in ("one", "two"):
        spans = sorted(row[2:] for row in rows if row[1] == device)
        assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False))
    spans = sorted(row[2:] for row in rows)
    assert any(b[0] < a[1] for a, b in zip(spans, spans[1:], strict=False)), "one after another"
    assert ended.code == 1
    assert [Path(line).name.rpartition("-")[0] for line in ended.out] == [
        "a-cone", "a-cube", "a-ball",
    ]  # fmt: skip
    assert "'bad' was not made: see " in ended.err
    [said] = (folder / "runs" / "batch" / "p").glob("bad-*.log")
    assert said.read_text() == "said of bad\n"


def test_each_device_takes_the_next_prompt(
    dreamlift: Dreamlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_devices(dreamlift, tmp_path, monkeypatch)


def test_what_is_asked_is_generate_on_the_device() -> None:
    words = batch.command("a cone", "cuda:1", Path("out/x"), ["--recipe", "sjc"])
    assert words[1:] == ["-m", "dreamlift", "generate", "a cone", "--recipe", "sjc",
                         "--device", "cuda:1", "--out", "out/x"]  # fmt: skip
    first, other = (batch.place(Path("out"), p) for p in ("a cone!", "a cone?"))
    assert first != other and first.name.startswith("a-cone-")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--flags=--out here",), "--out is not for --flags"),
        (("--flags=--device=cpu",), "--device=cpu is not for --flags"),
        (("--devices", "cuda:77"), "There is no device 'cuda:77' here"),
        (("--flags=--stepz 3",), "--flags '--stepz 3': Unrecognized options: --stepz, 3.\n"),
        (("--flags=--steps x",), "Error parsing --steps: invalid literal for int()"),
        (("--flags=--steps 0",), "'a cone' cannot be made. The steps must be 1 to 10000000"),
        (("--flags=--help",), "--help makes nothing"),
        (("--flags", "--recipe sjc --steps 0"), "'a cone' cannot be made. The steps must be 1"),
        (("--flags=--explain",), "--explain makes nothing"),
        (("--flags=--prior sd21",), "The prior sd21 is not on this machine"),
        (("--flags=--prior wrods",), "wrods is no prior"),
        (("--flags=--prior words --previews 5 --recipe clip_mesh",), "no diffusion prior"),
        (("--flags=--recipe 'sjc",), "cannot be read: no closing quotation."),
        (("--flags=--prior words", "--out", "p.txt"), "Cannot write to p.txt: File exists."),
        (("--flags=--prior words", "--out", "/proc/here"), "Cannot write to /proc/here: "),
    ],
)
def test_bad_input_is_refused_before_any_work(
    more: Sequence[str],
    said: str,
    dreamlift: Dreamlift,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch.Work, "on", lambda self, devices: pytest.fail("work was begun"))
    (tmp_path / "p.txt").write_text("a cone\n")
    ended = dreamlift("batch", "p.txt", *more)
    assert ended.code == 2 and said in ended.err and ended.err.startswith("dreamlift: ")
    assert "dreamlift batch" not in ended.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("--help", "p.txt holds '--help', which begins with - as a flag does."),
        ("- a cube", "p.txt holds '- a cube', which begins with -"),
        ("a cuube", "'a cuube' cannot be made. "),
    ],
)
def test_a_line_that_cannot_be_made_is_refused_before_any_work(
    prompt: str, said: str, dreamlift: Dreamlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch.Work, "on", lambda self, devices: pytest.fail("work was begun"))
    (tmp_path / "p.txt").write_text(f"a cone\n{prompt}\n")
    ended = dreamlift("batch", "p.txt", "--flags=--prior words")
    assert ended.code == 2 and said in ended.err and not ended.out
    assert not (tmp_path / "runs").exists()


def test_flags_are_said_as_the_help_says(
    dreamlift: Dreamlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With = after --flags; other settings than a run's there are refused before any work."""
    begun: list[Sequence[str]] = []
    monkeypatch.setattr(batch.Work, "on", lambda self, devices: begun.append(self.flags))
    (tmp_path / "p.txt").write_text("a cone\n")
    words = "--recipe sjc --preset paper --prior words"
    assert dreamlift("batch", "p.txt", "--devices", "cpu", f"--flags={words}").code == 1
    assert begun == [words.split()]
    folder = batch.place(tmp_path / "runs" / "batch" / "p", "a cone")
    Run.create(folder, {"recipe": "sjc", "steps": 7})
    ended = dreamlift("batch", "p.txt", "--devices", "cpu", f"--flags={words}")
    assert ended.code == 2 and "holds a run with other settings" in ended.err
    assert len(begun) == 1
    docs = (Path(__file__).parents[1] / "docs" / "priors.md").read_text()
    assert '--flags="--prior sd21 --preset paper"' in docs and '--flags "' not in docs


def test_what_ends_well_but_made_nothing_is_not_done(
    dreamlift: Dreamlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = batch.made
    played(tmp_path, monkeypatch)
    monkeypatch.setattr(batch, "made", finished)
    (tmp_path / "p.txt").write_text("a cone\n")
    ended = dreamlift("batch", "p.txt")
    assert ended.code == 1 and not ended.out
    assert "a cone: ended, but its run is not finished" in ended.err
    assert "'a cone' was not made: see " in ended.err


def test_a_log_is_written_on(
    dreamlift: Dreamlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another batch's process may be at it still."""
    played(tmp_path, monkeypatch)
    (tmp_path / "p.txt").write_text("a cone\n")
    log = batch.place(tmp_path / "runs" / "batch" / "p", "a cone").with_suffix(".log")
    log.parent.mkdir(parents=True)
    log.write_text("said before\n")
    assert dreamlift("batch", "p.txt").code == 0
    assert log.read_text() == "said before\nsaid of a cone\n"


def test_what_cannot_be_begun_leaves_the_others_alone(
    dreamlift: Dreamlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(tmp_path, monkeypatch)
    (tmp_path / "p.txt").write_text("a cone\na cube\n")
    log = batch.place(tmp_path / "runs" / "batch" / "p", "a cone").with_suffix(".log")
    log.mkdir(parents=True)
    ended = dreamlift("batch", "p.txt")
    assert ended.code == 1 and "a cone: not begun: " in ended.err
    assert [Path(line).name[:6] for line in ended.out] == ["a-cube"]


@pytest.mark.seconds
def test_a_finished_run_is_done(dreamlift: Dreamlift, tmp_path: Path) -> None:
    assert dreamlift("generate", "a cone", "--prior", "words", *QUICK, "--out", "x").code == 0
    assert batch.made(tmp_path / "x")
    (tmp_path / "x" / "report.json").unlink()
    assert not batch.made(tmp_path / "x") and not batch.made(tmp_path / "y")


def test_what_is_no_list_of_prompts_is_told(dreamlift: Dreamlift, tmp_path: Path) -> None:
    wanted = "A text file was expected, a prompt on each line."
    (tmp_path / "prompts.txt").write_text("\n \n")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "list").mkdir()
    for name, said in (
        ("prompt.txt", f"There is no file prompt.txt. {wanted} Nearest: prompts.txt."),
        ("elsewhere/a.txt", f"There is no file elsewhere/a.txt. {wanted}"),
        ("prompts.txt", f"prompts.txt holds no prompts. {wanted}"),
        ("photo.png", f"photo.png holds no text in UTF-8. {wanted}"),
        ("list", f"list cannot be read: Is a directory. {wanted}"),
    ):
        ended = dreamlift("batch", name)
        assert ended.code == 2 and ended.err == f"dreamlift: {said}\n"
    assert not (tmp_path / "runs").exists()


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("number", "said", "code"),
    [
        (signal.SIGINT, "Interrupted; nothing is lost, and the same command goes on", 130),
        (signal.SIGTERM, "Stopped, and the same command goes on", -15),
    ],
)
def test_what_stops_it_reaches_every_process_once(
    number: int, said: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "p.txt").write_text("slow\na cone\n")
    (tmp_path / "fake.py").write_text(FAKE)
    script = (
        "import sys; from dreamlift import batch, cli\n"
        "batch.command = lambda p, d, *_: [sys.executable, 'fake.py', p, d, 'diary']\n"
        "batch.refuse = lambda *_: None\n"
        "sys.exit(cli.main(['batch', 'p.txt', '--devices', 'cpu', 'cpu']))"
    )
    path = os.pathsep.join([str(Path(__file__).parents[1])])
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    until = time.monotonic() + 60
    while not (tmp_path / "diary").exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(number)
    err = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 130 and said in err
    assert f"slow: exit code {code}" in err


def test_one_after_another_is_caught(
    dreamlift: Dreamlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = batch.Work.on
    monkeypatch.setattr(batch.Work, "on", lambda self, devices: right(self, devices[:1]))
    with pytest.raises(AssertionError):
        check_devices(dreamlift, tmp_path, monkeypatch)
