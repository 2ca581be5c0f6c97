"""`dreamlift image` draws one strip, once."""

from pathlib import Path

import pytest
from test_cli import Dreamlift, dreamlift

__all__ = ["dreamlift"]


def test_image_draws_a_strip_once(dreamlift: Dreamlift) -> None:
    words = ("image", "a cone", "--prior", "words", "--steps", "4", "--seed", "2")
    ended = dreamlift(*words)
    assert (ended.code, ended.out) == (0, ["image-a-cone-2.png"])
    assert Path(ended.out[0]).read_bytes()[1:4] == b"PNG"
    assert "exists; nothing was changed" in dreamlift(*words).err
    assert dreamlift("image", "a xylophone", "--prior", "words").code == 2
    for wrong in (("--out", "a.jpg"), ("--scale", "nan"), ("--steps", "0"), ("--tries", "0")):
        assert dreamlift("image", "a cone", "--prior", "words", *wrong).code == 2
    for wrong in (("--tries", "65"), ("--tries", "2", "--optimise", "sds")):
        ended = dreamlift("image", "a cone", "--prior", "words", "--out", "b.png", *wrong)
        assert ended.code == 2 and "tries" in ended.err and not Path("b.png").exists()
    for wrong in (("--reading", "-1"), ("--reading", "2", "--optimise", "sds")):
        ended = dreamlift("image", "a cone", "--prior", "words", "--out", "b.png", *wrong)
        assert ended.code == 2 and "reading" in ended.err and not Path("b.png").exists()


def test_tries_of_what_clip_cannot_read_are_refused(dreamlift: Dreamlift) -> None:
    for flag, what in (("--tries", "Tries"), ("--reading", "Readings")):
        ended = dreamlift("image", "a dog wearing a red hat, blue scarf", flag, "2")
        assert ended.code == 2 and not list(Path().glob("*.png"))
        assert f"{what} of" in ended.err and "two things at most are read; here are 3" in ended.err


@pytest.mark.weights
def test_of_several_tries_the_best_is_drawn(dreamlift: Dreamlift) -> None:
    """Best by the embedded CLIP, which reads the embedded world's words alone."""
    words = ("image", "a red cone", "--prior", "words", "--steps", "2", "--seed", "2")
    ended = dreamlift(*words, "--tries", "3")
    assert (ended.code, ended.out) == (0, ["image-a-red-cone-2.png"])
    assert Path(ended.out[0]).read_bytes()[1:4] == b"PNG"


@pytest.mark.weights
def test_readings_lead_a_picture_elsewhere(dreamlift: Dreamlift) -> None:
    words = ("image", "a red cone", "--prior", "words", "--steps", "3", "--out")
    drawn: dict[str, bytes] = {}
    for name, more in {
        "usual": (),
        "ten": ("--reading", "10"),
        "more": ("--reading", "30"),
    }.items():
        assert dreamlift(*words, f"{name}.png", *more).code == 0
        drawn[name] = Path(f"{name}.png").read_bytes()
    assert len(set(drawn.values())) == 3
