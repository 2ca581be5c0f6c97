"""`dreamlift image`: one strip, and what it refuses before any work."""

from pathlib import Path

import pytest
from test_cli import Dreamlift, dreamlift

from dreamlift.priors.source import Source

__all__ = ["dreamlift"]


def test_image_draws_a_strip_once(dreamlift: Dreamlift) -> None:
    words = ("image", "a cone", "--prior", "words", "--steps", "4", "--seed", "2")
    ended = dreamlift(*words)
    assert (ended.code, ended.out) == (0, ["image-a-cone-2.png"])
    assert Path(ended.out[0]).read_bytes()[1:4] == b"PNG"
    assert "exists; nothing was changed" in dreamlift(*words).err
    assert dreamlift("image", "a xylophone", "--prior", "words").code == 2
    for wrong in (("--out", "a.jpg"), ("--scale", "nan"), ("--steps", "0")):
        assert dreamlift("image", "a cone", "--prior", "words", *wrong).code == 2


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
