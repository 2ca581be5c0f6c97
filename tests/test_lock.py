"""dreamlift/io/lock.py: one at a time in a run's folder, and no lock outlives its process."""

import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_prior import FINISH, load_oracle, numbers, save_words

from dreamlift.api import Request, carry_on, make, request, resume, start
from dreamlift.cli import main
from dreamlift.errors import BadInput
from dreamlift.fit import Moment
from dreamlift.io.lock import LOCK, alone
from dreamlift.priors.source import Source
from dreamlift.run import Run

HOLDER = """
import sys
from pathlib import Path
from dreamlift.io.lock import alone
with alone(Path(sys.argv[1])):
    print("inside", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(folder: Path) -> Generator[subprocess.Popen[bytes]]:
    """Another process, inside `folder` until its stdin ends or it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"inside\n"
        yield process


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A run of a tenth of a second, by the oracle."""
    monkeypatch.setattr(Source, "load", load_oracle)
    return request(numbers(), prior=save_words(tmp_path / "words"), finish=FINISH)


def test_a_folder_is_had_by_one_at_a_time(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    for _ in range(2):
        with alone(here), alone(there):
            with pytest.raises(BadInput, match="Another process is working in .*here"), alone(here):
                pytest.fail("two are inside")
        with pytest.raises(RuntimeError, match="mine"), alone(here):
            raise RuntimeError("mine")


def test_a_folder_that_cannot_be_locked_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"file is a file\. Name a folder\."):
        with alone(tmp_path / "file"):
            pytest.fail("it is no folder")


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    with held(tmp_path) as process:
        with pytest.raises(BadInput, match="Another process"), alone(tmp_path):
            pytest.fail("two are inside")
        process.kill()
        assert process.wait(timeout=60) == -signal.SIGKILL
        with alone(tmp_path):
            pass


def test_two_that_begin_the_same_run_at_once_are_told_apart(asked: Request, tmp_path: Path) -> None:
    with held(tmp_path / "run"), pytest.raises(BadInput, match="Another process is working in"):
        start(asked, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]
    assert Request.of(start(asked, tmp_path / "run")) == asked


def test_no_lock_is_left_in_a_folder_of_something_else(asked: Request, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    with pytest.raises(BadInput, match=r"not empty: it holds thesis\.tex"):
        start(asked, tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["thesis.tex"]


def test_a_second_process_is_refused_before_it_does_anything(
    asked: Request,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = start(asked, tmp_path / "run")
    with held(run.path):
        with monkeypatch.context() as patched:
            patched.setattr(Source, "load", lambda *_: pytest.fail("the prior was loaded"))
            before = {path: path.read_bytes() for path in run.path.iterdir()}
            with pytest.raises(BadInput, match="Another process is working in"):
                make(asked.recipe, prior=asked.prior.name, out=run.path, finish=FINISH)
            assert main(["resume", str(run.path)]) == 2
        assert capfd.readouterr().err == (
            f"dreamlift: Another process is working in {run.path}. Wait until it ends or stop it, "
            "or choose another folder.\n"
        )
        assert {path: path.read_bytes() for path in run.path.iterdir()} == before
    assert resume(run.path, observers=()).report is not None


@pytest.mark.seconds
def test_a_run_keeps_others_out_until_its_end_and_not_after(asked: Request, tmp_path: Path) -> None:
    run = start(asked, tmp_path / "run")
    refused: list[int] = []

    def intrude(moment: Moment) -> None:
        with pytest.raises(BadInput, match="Another process"):
            carry_on(Run.open(run.path), ())
        refused.append(moment.step.index)

    asset = carry_on(run, [intrude])
    assert refused == list(range(asked.recipe.steps))
    with held(run.path):
        assert resume(run.path) == asset  # nothing is left to do, so nobody is in the way


def test_a_run_that_fails_lets_go(asked: Request, tmp_path: Path) -> None:
    run = start(asked, tmp_path / "run")

    def fail(moment: Moment) -> None:
        raise RuntimeError(f"step {moment.step.index}")

    with pytest.raises(RuntimeError, match="step 0"):
        carry_on(run, [fail])
    with alone(run.path):
        pass
