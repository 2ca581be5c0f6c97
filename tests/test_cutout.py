"""dreamlift/io/cutout.py: which pixels are the object's, where it is put, and what is refused."""

import math
from pathlib import Path

import pytest
import torch
from conftest import rng
from PIL import Image
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.io import cutout
from dreamlift.io.images import load_image, save_png
from dreamlift.priors.opening import on_white

RED, BLUE = torch.tensor([0.9, 0.1, 0.2]), torch.tensor([0.3, 0.4, 0.8])


def disc(h: int, w: int, y: float, x: float, radius: float) -> Tensor:
    """Whether each pixel's centre is in a disc."""
    rows, columns = torch.arange(h)[:, None] + 0.5, torch.arange(w) + 0.5
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def ring(h: int = 90, w: int = 140) -> tuple[Tensor, Tensor]:
    """A red disc with a hole through which the blue background is seen; and the whole disc."""
    whole, hole = disc(h, w, 30, 50, 20), disc(h, w, 30, 50, 8)
    picture = torch.where((whole & ~hole)[..., None], RED, BLUE)
    return picture + 0.03 * torch.rand(h, w, 3, generator=rng(1)), whole


def check_plain() -> None:
    """What hangs together with the border is behind; what is enclosed stays, whatever it shows."""
    picture, whole = ring()
    behind = cutout.plain_background(picture)
    assert behind is not None and torch.equal(behind, ~whole)


def check_centred() -> None:
    """In the middle, its longer extent 80 % of the side, in its own colours and shape."""
    tall = torch.zeros(300, 200, 4)
    tall[10:250, 100:180] = torch.tensor([0.9, 0.1, 0.2, 1.0])
    for rgba in (tall, tall[::4, ::4], tall.transpose(0, 1)):
        made = cutout.centred(rgba)
        rows, columns = ((made[..., 3] > 0.5).any(axis).nonzero()[:, 0] for axis in (1, 0))
        extents = [int(each[-1] - each[0]) + 1 for each in (rows, columns)]
        middles = [float(each[-1] + each[0] + 1) / 2 for each in (rows, columns)]
        assert made.shape == (256, 256, 4)
        assert max(extents) == pytest.approx(0.8 * 256, abs=4)
        assert max(extents) / min(extents) == pytest.approx(3, rel=0.06)
        assert middles == pytest.approx([128, 128], abs=4)
        torch.testing.assert_close(made[128, 128], torch.tensor([0.9, 0.1, 0.2, 1.0]))


def check_soft(tmp_path: Path) -> None:
    """Of half-transparent pixels the colour is the object's, not darkened by what is not there."""
    alpha = disc(300, 300, 150, 150, 100).float()
    rgba = torch.cat([torch.where(alpha[..., None] > 0, RED, 0 * BLUE), alpha[..., None]], -1)
    save_png(tmp_path / "soft.png", rgba)
    made = cutout.read_cutout(tmp_path / "soft.png")
    soft = (made[..., 3] > 0.1) & (made[..., 3] < 0.9)
    assert soft.any()
    torch.testing.assert_close(made[soft][:, :3], RED.expand(int(soft.sum()), 3), atol=0.01, rtol=0)
    area = float(made[..., 3].sum())
    assert area == pytest.approx(math.pi * (0.4 * 256) ** 2, rel=0.03)


def test_what_is_behind_is_the_border_s_colour_that_hangs_together() -> None:
    check_plain()


def test_the_object_is_put_in_the_middle() -> None:
    check_centred()


def test_colours_at_soft_edges_are_the_objects(tmp_path: Path) -> None:
    check_soft(tmp_path)


def test_what_it_made_it_leaves_as_it_is(tmp_path: Path) -> None:
    picture, _ = ring()
    save_png(tmp_path / "a.png", picture)
    first = cutout.read_cutout(tmp_path / "a.png")
    save_png(tmp_path / "b.png", first)
    again = cutout.read_cutout(tmp_path / "b.png")
    torch.testing.assert_close(again, first, atol=0.002, rtol=0)
    assert cutout.digest(again) == cutout.digest(first)
    other = first.clone()
    other[128, 100, 0] += 0.02
    assert cutout.digest(other) != cutout.digest(first)


def ball(h: int, w: int, y: float, x: float, radius: float) -> Tensor:
    """A red disc that is cut out."""
    alpha = disc(h, w, y, x, radius).float()[..., None]
    return torch.cat([RED.expand(h, w, 3), alpha], -1)


def test_a_picture_of_the_final_size_is_looked_at_as_any_other(tmp_path: Path) -> None:
    """One in a corner is put in the middle, as that of 300 pixels is."""
    for size in (256, 300):
        save_png(tmp_path / f"{size}.png", ball(size, size, 30, 30, 25))
    small, large = (cutout.read_cutout(tmp_path / f"{size}.png") for size in (256, 300))
    torch.testing.assert_close(small, large, atol=0.01, rtol=0)
    assert 0.4 < float((small[..., 3] > 0.5).float().mean()) < 0.6


def test_thin_parts_do_not_move_what_was_saved(tmp_path: Path) -> None:
    """A ball on a long string: shrunk, the string is no longer opaque, and the ball off centre."""
    picture = ball(2000, 2000, 1700, 1000, 180)
    picture[100:1700, 998:1001, 3] = 1
    save_png(tmp_path / "a.png", picture)
    first = cutout.read_cutout(tmp_path / "a.png")
    assert not bool((first[:80, :, 3] > 0.5).any())
    cutout.save_cutout(tmp_path / "b.png", first)
    assert cutout.digest(cutout.read_cutout(tmp_path / "b.png")) == cutout.digest(first)
    save_png(tmp_path / "c.png", first)  # by another hand: it is centred anew
    assert cutout.digest(cutout.read_cutout(tmp_path / "c.png")) != cutout.digest(first)


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    picture, _ = ring()
    save_png(tmp_path / "a.png", picture)
    with Image.open(tmp_path / "a.png") as upright:
        told = Image.Exif()
        told[0x112] = 6  # show it turned by a quarter
        upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.png", exif=told)
    a, b = (cutout.read_cutout(tmp_path / name) for name in ("a.png", "b.png"))
    assert torch.equal(a, b)
    assert load_image(tmp_path / "b.png").shape[:2] == (140, 90)  # textures and the like: as it is
    assert torch.equal(load_image(tmp_path / "b.png", upright=True), load_image(tmp_path / "a.png"))


def test_a_picture_that_a_prior_is_told_is_turned_too(tmp_path: Path) -> None:
    square = torch.rand(8, 8, 3)
    save_png(tmp_path / "a.png", square)
    with Image.open(tmp_path / "a.png") as stored:
        told = Image.Exif()
        told[0x112] = 6
        stored.save(tmp_path / "b.png", exif=told)
    seen = on_white(tmp_path / "b.png")
    torch.testing.assert_close(seen, square.rot90(-1), atol=0.003, rtol=0)


def test_a_large_picture_is_shrunk_before_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[tuple[int, ...]]()

    def looked(rgb: Tensor) -> Tensor | None:
        seen.append(tuple(rgb.shape))
        return BEHIND(rgb)

    monkeypatch.setattr(cutout, "plain_background", looked)
    plain = torch.where(disc(1800, 3000, 900, 1400, 500)[..., None], RED, BLUE)
    save_png(tmp_path / "a.png", plain)
    with Image.open(tmp_path / "a.png") as picture:
        picture.resize((6000, 3600), Image.Resampling.NEAREST).save(tmp_path / "b.jpg", quality=95)
    a, b = (cutout.read_cutout(tmp_path / name) for name in ("a.png", "b.jpg"))
    assert seen == [(1228, 2048, 3), (1228, 2048, 3)]
    assert float((a - b).abs().mean()) < 0.01
    save_png(tmp_path / "c.png", ball(1000, 2500, 500, 900, 300))  # soft edges keep their colour
    made = cutout.read_cutout(tmp_path / "c.png")
    assert bool(((made[..., :3] - RED).abs().amax(-1) < 0.01)[made[..., 3] > 0.02].all())


BEHIND = cutout.plain_background


def test_an_opaque_alpha_says_nothing_and_the_border_is_looked_at(tmp_path: Path) -> None:
    picture, _ = ring()
    save_png(tmp_path / "a.png", picture)
    save_png(tmp_path / "b.png", torch.cat([picture, torch.ones_like(picture[..., :1])], -1))
    both = [cutout.read_cutout(tmp_path / name) for name in ("a.png", "b.png")]
    assert torch.equal(*both)


def test_pictures_without_an_object_are_refused_with_what_to_do(tmp_path: Path) -> None:
    noisy = torch.rand(40, 50, 3, generator=rng(2))
    plain = BLUE.expand(40, 50, 3)
    wide = torch.zeros(20, 2000, 4)
    wide[8:11, 5:-5] = 1
    empty = torch.cat([plain, torch.zeros(40, 50, 1)], -1)
    for name, picture, said in (
        ("noisy", noisy, "what is behind the object is not plain. Cut the object out"),
        ("plain", plain, "shows no object"),
        ("empty", empty, "shows no object"),
        ("blank", torch.zeros(256, 256, 4), "shows no object"),
        ("faint", torch.full((256, 256, 4), 0.4), "shows no object"),
        ("wide", wide, "shows an object that is too thin"),
    ):
        save_png(tmp_path / f"{name}.png", picture)
        with pytest.raises(BadInput, match=said):
            cutout.read_cutout(tmp_path / f"{name}.png")
    with pytest.raises(BadInput, match="Cannot read the picture"):
        cutout.read_cutout(tmp_path / "none.png")


def anywhere(rgb: Tensor) -> Tensor:
    """Everything of the border's colour is behind: holes are cut."""
    plain = torch.cat([rgb[0], rgb[-1]]).median(0).values
    return (rgb - plain).abs().amax(-1) < cutout.TOLERANCE


def as_it_lies(rgba: Tensor) -> Tensor:
    """Shrunk, and neither centred nor scaled."""
    flat = rgba.permute(2, 0, 1)[None]
    return torch.nn.functional.interpolate(flat, (256, 256))[0].permute(1, 2, 0)


def test_holes_that_are_cut_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutout, "plain_background", anywhere)
    with pytest.raises(AssertionError):
        check_plain()


def test_an_object_that_is_not_centred_is_caught(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cutout, "centred", as_it_lies)
    with pytest.raises(AssertionError):
        check_centred()
    with pytest.raises(AssertionError):
        check_soft(tmp_path)
