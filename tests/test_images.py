"""Pictures, sheets of them and films, out and in again; PIL is the second opinion."""

from pathlib import Path

import pytest
import torch
from conftest import rng
from PIL import Image

from dreamlift.errors import BadInput
from dreamlift.io.images import contact_sheet, load_image, save_png, strip
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
    assert levels == pytest.approx([0, 0.25, 0.5, 0.75, 1.0], abs=0.02)
    assert (tmp_path / "a.mp4").read_bytes().find(b"moov") < 100  # the index comes first


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
