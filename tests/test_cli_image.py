"""`dreamlift image` draws one strip, once."""

from pathlib import Path

from test_cli import Dreamlift, dreamlift

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
