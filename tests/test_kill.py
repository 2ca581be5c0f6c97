"""A run that is killed and continued ends with the bits of one that never was."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import av
import pytest
from killable import whole, work
from tiny import bits
from tiny_prior import save
from torch import Tensor

from dreamlift.api import carry_on
from dreamlift.export import FILES, Asset
from dreamlift.io.images import to_bytes
from dreamlift.io.video import save_mp4
from dreamlift.priors.source import Source
from dreamlift.run import Run

SCRIPT = Path(__file__).with_name("killable.py")
MOMENTS = {"step:6": 4, "write:2": 4, "rename:2": 4, "rename:1": None}
"""When to die, and how many steps the checkpoint that survives has done (None: there is none)."""
EXPORTS = ("asset.glb", "asset.mtl", "turntable.mp4", "report.json")
"""Files that are half written when a whole `generate` dies."""


def start(folder: Path, *moment: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parents[1])])
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), *moment],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
    )


def outcome(folder: Path, steps: int = 12) -> dict[str, bytes]:
    """Run (or continue) to the end here; everything that must be equal."""
    found = bits(work(folder, steps=steps))
    found["metrics"] = (folder / "metrics.jsonl").read_bytes()
    return found


@pytest.mark.seconds
def test_a_killed_run_continues_with_the_same_bits(tmp_path: Path) -> None:
    process = start(tmp_path, *MOMENTS)
    expected = outcome(tmp_path / "whole")
    ends = process.communicate(timeout=120)[0].decode().splitlines()
    assert ends == [f"{moment} {-signal.SIGKILL}" for moment in MOMENTS]
    for moment, steps in MOMENTS.items():
        checkpoint = tmp_path / moment / "only" / "checkpoint.safetensors"
        assert checkpoint.exists() == (steps is not None), moment
        assert steps is None or (Run(tmp_path / moment, "only").load() or {})["step"] == steps
        assert outcome(tmp_path / moment) == expected, moment
        assert not list((tmp_path / moment).rglob(".*.tmp*")), moment


@pytest.mark.seconds
def test_an_object_half_exported_is_exported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(tmp_path, *[f"export:{name}" for name in EXPORTS])
    monkeypatch.setattr(Source, "load", Source.load)  # `whole` replaces it
    shown: list[bytes] = []

    def filmed(path: Path, frames: Iterable[Tensor]) -> None:
        kept = list(frames)
        shown.append(b"".join(to_bytes(frame).tobytes() for frame in kept))
        save_mp4(path, kept)

    monkeypatch.setattr("dreamlift.export.save_mp4", filmed)
    expected = made(whole(tmp_path / "whole"))
    ends = process.communicate(timeout=120)[0].decode().splitlines()
    assert ends == [f"export:{name} {-signal.SIGKILL}" for name in EXPORTS]
    for name in EXPORTS:
        folder = tmp_path / f"export:{name}"
        assert not (folder / name).exists(), name
        again = made(whole(folder))
        assert [file for file in expected if again[file] != expected[file]] == [], name
        assert not list(folder.rglob(".*.tmp*")), name
    assert shown == shown[:1] * (1 + len(EXPORTS))


def made(asset: Asset) -> dict[str, bytes]:
    """All that a finished run holds, as bytes; of the film how many pictures it shows.

    x264 now and then quantises a film of one macroblock otherwise (docs/log.md); the pictures that
    it is given are compared before it has them.
    """
    assert asset.report is not None and asset.report.faces > 100
    names = {*FILES, "metrics.jsonl"} - {asset.turntable.name}
    found = {name: (asset.folder / name).read_bytes() for name in sorted(names)}
    with av.open(str(asset.turntable.absolute())) as film:
        found["pictures"] = bytes(1 for _ in film.decode(video=0))
    scene = (Run(asset.folder).load() or {})["scene"]
    return found | {name: value.numpy().tobytes() for name, value in scene.items()}


@pytest.mark.slow
def test_twenty_random_kills_change_no_bit(tmp_path: Path) -> None:
    expected = outcome(tmp_path / "whole", steps=600)
    moments = random.Random(0)
    for kill in range(20):
        folder = tmp_path / f"{kill % 4}"  # four runs, each killed five times
        before = steps_logged(folder)
        process = start(folder, "slowly")
        while process.poll() is None and steps_logged(folder) == before:
            time.sleep(0.01)
        time.sleep(moments.random())
        process.kill()
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, "the run ended before it was killed"
    for index in range(4):
        assert outcome(tmp_path / f"{index}", steps=600) == expected


@pytest.mark.slow
@pytest.mark.weights
def test_the_command_line_survives_ctrl_c_and_kill_with_the_same_bits(tmp_path: Path) -> None:
    """The real program, with an untrained prior of the real kind."""
    prior = save(tmp_path / "prior")
    words = ["a cone", "--prior", str(prior), "--steps", "60", "--init", "blob"]
    words += ["--finish.resolution", "32", "--finish.faces", "600", "--finish.frames", "2"]
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    assert ended(program("generate", *words, "--out", str(whole)))[0] == 0
    process = program("generate", *words, "--out", str(broken))
    stop(process, broken, steps=5, by=signal.SIGINT)
    code, _, said = ended(process)
    assert code == 130 and said.endswith(f"Continue with: dreamlift resume {broken}\n")
    process = program("resume", str(broken))
    stop(process, broken, steps=15, by=signal.SIGKILL)
    assert ended(process)[0] == -signal.SIGKILL
    code, out, _ = ended(program("resume", str(broken)))
    assert (code, out.splitlines()[-1]) == (0, str(broken))
    expected, found = (made(carry_on(Run(folder))) for folder in (whole, broken))
    assert [name for name in expected if found[name] != expected[name]] == []


def program(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dreamlift", *words],
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out.decode(), err.decode()


def stop(process: subprocess.Popen[bytes], folder: Path, *, steps: int, by: int) -> None:
    """Send a signal once a run has logged so many steps."""
    file = folder / "metrics.jsonl"
    while process.poll() is None:
        if file.exists() and file.read_text().count("\n") >= steps:
            process.send_signal(by)
            return
        time.sleep(0.02)


def steps_logged(folder: Path) -> str:
    """The last line of a run's metrics."""
    file = folder / "metrics.jsonl"
    return file.read_text().rpartition("\n")[0].rpartition("\n")[2] if file.exists() else ""
