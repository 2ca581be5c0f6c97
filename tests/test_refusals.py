"""What cannot be done, or could not be kept, is refused in a sentence before any work."""

import errno
import os
from pathlib import Path

import pytest
from test_cli import Dreamlift, Ended, dreamlift, generate

from dreamlift.priors.source import Source
from dreamlift.run import Run

__all__ = ["dreamlift"]


def test_image_refuses_what_it_could_not_make_or_write(
    dreamlift: Dreamlift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Source, "load", lambda *_: pytest.fail("the prior was loaded"))
    wrong = (
        ("--out", "/proc/i.png"),
        ("--out", "words/vocabulary.json/i.png"),
        ("--seed", "99999999999999999999"),
        ("--seed", "-1"),
        ("--scale", "1e308"),
    )
    for words in wrong:
        for more in ((), ("--optimise", "sds")):
            ended = dreamlift("image", "a cone", "--prior", "words", *words, *more)
            assert (ended.code, ended.out, ended.err.count("\n")) == (2, [], 1), words
    ended = dreamlift("image", "a cone", "--prior", "words", "--count", "2")
    assert ended.err == "dreamlift: --count is for a guidance. Say --optimise METHOD too.\n"
    ended = dreamlift("image", "a cone", "--prior", "words", "--count", "0", "--optimise", "sds")
    assert ended.err == "dreamlift: The count must be 1 to 100; 0 was asked for.\n"


@pytest.mark.seconds
def test_a_finished_run_on_a_disk_that_is_read_only_is_named(
    dreamlift: Dreamlift, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generate(dreamlift, "--out", "run").code == 0

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    assert dreamlift("resume", "run") == Ended(0, ["run"], "")


def test_a_finished_run_without_its_state_says_how_to_make_it_again(dreamlift: Dreamlift) -> None:
    run = Run.create(Path("run"), {"recipe": "reconstruct", "scene": "field", "resolution": 65})
    (run.path / "report.json").write_text("{}")
    ended = dreamlift("export", "run", "--resolution", "20")
    assert (ended.code, ended.out) == (2, [])
    assert "in run is damaged or gone" in ended.err and "copy config.json" in ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--begin", "random"),
            "--begin random is where Gaussians begin, and a grid begins as fog",
        ),
        (("--scene", "gaussians", "--preset", "full"), "--preset full is of fields. For Gaussians"),
        (("--clip-weight", "0.2"), "--clip-weight is of --clip, which is not there. Say --clip"),
    ],
)
def test_what_a_scene_has_no_use_for_is_refused(
    dreamlift: Dreamlift, words: tuple[str, ...], said: str
) -> None:
    ended = dreamlift("reconstruct", "photographs", *words)
    assert (ended.code, ended.out) == (2, [])
    assert ended.err.startswith(f"dreamlift: {said}") and ended.err.count("\n") == 1
