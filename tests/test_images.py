"""Pictures, sheets of them and films, out and in again; PIL is the second opinion."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import rng
from PIL import Image

from dreamlift.errors import BadInput
from dreamlift.io import images
from dreamlift.io.images import contact_sheet, from_pil, load_image, noted, save_png, strip
from dreamlift.io.video import save_mp4


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_come_back_to_the_level(tmp_path: Path, channels: int):
    image = (torch.rand(6, 9, channels, generator=rng(1)) * 255).round() / 255
    save_png(tmp_path / "a.png", image)
    again = load_image(tmp_path / "a.png")
    torch.testing.assert_close(again, image.expand(6, 9, max(channels, 3)), atol=1e-6, rtol=0)


def test_pictures_that_are_none_are_refused(tmp_path: Path):
    (tmp_path / "a.png").write_text("no picture")
    for name, said in [("a.png", "not a picture"), ("b.png", "Cannot read")]:
        with pytest.raises(BadInput, match=said):
            load_image(tmp_path / name)
    with pytest.raises(ValueError, match="not 2"):
        save_png(tmp_path / "c.png", torch.zeros(3, 3, 2))


RAMP = np.linspace(0, 65535, 48).round()[:, None] * np.ones((1, 7))
DEEP = {
    "16.png": RAMP.astype(np.uint16),
    "16.tif": RAMP.astype(np.uint16),
    "32.tif": RAMP.astype(np.int32),
    "float.tif": (RAMP / 65535).astype(np.float32),
}


@pytest.mark.parametrize("name", DEEP)
def test_grey_of_more_than_eight_bits_keeps_its_range(tmp_path: Path, name: str):
    Image.fromarray(DEEP[name]).save(tmp_path / name)
    image = load_image(tmp_path / name)
    wanted = torch.from_numpy(RAMP / 65535).float()[..., None].expand(48, 7, 3)
    torch.testing.assert_close(image, wanted, atol=1e-6, rtol=0)


def test_one_level_of_sixteen_bits_may_be_clear(tmp_path: Path):
    levels = np.array([[0, 300, 65535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png", transparency=300)
    image = load_image(tmp_path / "a.png")
    assert image[0, :, 3].tolist() == [1, 0, 1]
    assert image[0, :, 0].tolist() == pytest.approx([0, 300 / 65535, 1])


DIM = {
    "bytes.tif": np.array([[0, 200]], np.int32),  # is 255 white, or 65535?
    "minus.tif": np.array([[-1, 40000]], np.int32),
    "more.tif": np.array([[0, 70000]], np.int32),
    "light.tif": np.array([[0, 1.5]], np.float32),
    "nan.tif": np.array([[0, np.nan]], np.float32),
}


@pytest.mark.parametrize("name", DIM)
def test_numbers_that_do_not_say_what_is_white_are_refused(tmp_path: Path, name: str):
    Image.fromarray(DIM[name]).save(tmp_path / name)
    with pytest.raises(BadInput, match=f"{name} holds numbers of 32 bits from .*8 or 16 bits"):
        load_image(tmp_path / name)


def test_pictures_of_every_mode_that_has_colours_are_told_alike():
    """Of Pillow's modes with red, white and what is clear: three channels, or four."""
    picture = Image.new("RGBA", (2, 1), (255, 255, 255, 0))
    picture.putpixel((0, 0), (255, 0, 0, 255))
    palette = picture.quantize(4)  # its colours have alpha
    for one in (palette, *(picture.convert(mode) for mode in ("RGBA", "RGBa", "RGB", "CMYK"))):
        image = from_pil(one, name="a")
        assert image.shape[2] == (3 if one.mode in ("RGB", "CMYK") else 4)
        assert image[0, 0, :3].tolist() == [1, 0, 0]
    bare = from_pil(Image.new("P", (2, 1)), name="a")
    assert bare.shape == (1, 2, 3)
    assert from_pil(picture.convert("LA"), name="a")[0, :, 3].tolist() == [1, 0]


def header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and no more."""
    said = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + said + struct.pack(">I", zlib.crc32(said))


@pytest.mark.parametrize("side", [8200, 13000, 20000])  # the latter two are too much for Pillow
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, side: int):
    (tmp_path / "a.png").write_bytes(header(side, side) + struct.pack(">I", 9) + b"IDAT" + bytes(9))
    with pytest.raises(BadInput, match=r"a.png has more than the 67,108,864 pixels .* smaller"):
        load_image(tmp_path / "a.png")


def test_as_many_pixels_as_are_allowed_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_png(tmp_path / "a.png", torch.zeros(6, 7, 3))
    monkeypatch.setattr(images, "PIXELS", 42)
    assert load_image(tmp_path / "a.png").shape == (6, 7, 3)
    monkeypatch.setattr(images, "PIXELS", 41)
    with pytest.raises(BadInput, match="more than the 41 pixels"):
        load_image(tmp_path / "a.png")


def test_a_note_is_kept_and_others_files_have_none(tmp_path: Path):
    save_png(tmp_path / "a.png", torch.zeros(2, 3, 3), note="of ours")
    Image.new("RGB", (3, 2)).save(tmp_path / "b.png")
    for name, note in (("a.png", "of ours"), ("b.png", "")):
        with Image.open(tmp_path / name) as picture:
            assert noted(picture) == note


def test_a_sheet_has_its_pictures_in_reading_order():
    images = torch.arange(5.0)[:, None, None, None].expand(5, 8, 10, 3) / 10
    sheet = contact_sheet(images, columns=3, gap=2)
    assert sheet.shape == (2 * 10 + 2, 3 * 12 + 2, 3)
    centres = [
        sheet[2 + 4 + 10 * row, 2 + 5 + 12 * column, 0] for row in (0, 1) for column in range(3)
    ]
    levels = [round(float(c) * 10) for c in centres]
    assert levels == [0, 1, 2, 3, 4, 10]  # white where there is no sixth
    assert strip(images).shape == (8, 50, 3)


def test_labels_stand_under_their_pictures():
    images = torch.zeros(2, 40, 60, 3)
    plain, labelled = (
        contact_sheet(images, columns=2),
        contact_sheet(images, columns=2, labels=["a", "b"]),
    )
    assert labelled.shape[0] > plain.shape[0]
    ink = (labelled[46:] < 0.5).any(-1)
    assert bool(ink[:, :66].any()) and bool(ink[:, 66:].any())
    with pytest.raises(ValueError, match="2 pictures need 2 labels"):
        contact_sheet(images, columns=2, labels=["a"])


@pytest.mark.parametrize("label", ["a purple frog on top of an orange cube", "prolificdreamer"])
def test_a_label_stays_under_its_picture(label: str):
    sheet = contact_sheet(torch.ones(2, 64, 64, 3), columns=2, gap=4, labels=[label, ""])
    ink = (sheet < 0.5).any(-1)
    rows, columns = ink.nonzero().unbind(1)
    assert int(columns.min()) >= 4 and int(columns.max()) < 4 + 64
    assert int(rows.min()) >= 4 + 64 and int(rows.max()) < len(sheet) - 4


def test_a_film_has_its_frames_in_a_format_browsers_play(tmp_path: Path):
    import av

    frames = [torch.full((32, 48, 3), k / 4) for k in range(5)]
    save_mp4(tmp_path / "a.mp4", frames, fps=12)
    with av.open(str(tmp_path / "a.mp4")) as film:
        (stream,) = film.streams.video
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, float(stream.average_rate)) == (48, 32, 12.0)
        levels = [frame.to_ndarray(format="rgb24").mean() / 255 for frame in film.decode(video=0)]
        said = stream.codec_context
        assert (said.colorspace, said.color_range) == (6, 1)  # BT.601; in HD untold is BT.709
        assert (said.color_primaries, said.color_trc) == (1, 13)
    assert levels == pytest.approx([0, 0.25, 0.5, 0.75, 1.0], abs=0.02)
    assert (tmp_path / "a.mp4").read_bytes().find(b"moov") < 100  # the index comes first


def test_a_film_is_the_same_on_any_number_of_cores_and_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The encoder notes its threads in the film; a folder may be called like a protocol."""
    monkeypatch.chdir(tmp_path)
    save_mp4(Path("run-12:30/a.mp4"), [torch.full((256, 256, 3), k / 4) for k in range(3)])
    assert b" threads=1 lookahead_threads=1 " in Path("run-12:30/a.mp4").read_bytes()


def test_films_that_cannot_be_made_leave_nothing(tmp_path: Path):
    for frames, said in [([torch.zeros(3, 4, 3)], "even"), ([], "one frame")]:
        with pytest.raises(ValueError, match=said):
            save_mp4(tmp_path / "a.mp4", frames)
    assert list(tmp_path.iterdir()) == []


def test_pil_reads_our_png(tmp_path: Path):
    image = torch.zeros(2, 3, 3)
    image[1, 2, 0] = 1.0
    save_png(tmp_path / "a.png", image)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.getpixel((2, 1)) == (255, 0, 0)
        assert picture.getpixel((0, 0)) == (0, 0, 0)
