"""Posed photographs as people's tools leave them: splits, masks, byte order marks, names twice."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_photographs import H, W, colmap, nerf, pictures, some, write

from dreamlift.errors import BadInput
from dreamlift.io.images import save_png
from dreamlift.photographs import develop, read_album

NAMES = [f"images/{i}.png" for i in range(6)]


def split(folder: Path, **lists: object) -> list[bool | None]:
    """Six photographs with lists, their frames named in another way than there."""
    said = nerf(some(6), **lists)
    for frame in said["frames"]:
        frame["file_path"] = f"./images/../images/{frame['file_path']}"
    (folder / "images").mkdir(parents=True)
    pictures(folder / "images", 6)
    album = read_album(write(folder, said), hold_out=0)
    return [photo.held_out for photo in album.photos]


def test_a_split_is_of_files_however_they_are_named(tmp_path: Path) -> None:
    ours = [False] * 4 + [True, True]
    assert split(tmp_path / "a", train_filenames=NAMES[:4], test_filenames=NAMES[4:]) == ours
    stems = [name.removesuffix(".png") for name in NAMES]
    assert split(tmp_path / "b", train_filenames=stems[:4], test_filenames=stems[4:]) == ours
    # Without a list of what is learned from it is all the others.
    assert split(tmp_path / "c", test_filenames=NAMES[4:]) == ours
    assert split(tmp_path / "d", train_filenames=None, val_filenames=NAMES[4:]) == ours
    assert split(tmp_path / "e", train_filenames=None) == [False] * 6


def test_photographs_in_no_list_are_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    pictures(tmp_path / "images", 6)
    said = nerf(some(6), train_filenames=NAMES[:3], val_filenames=[], test_filenames=NAMES[5:])
    for frame in said["frames"]:
        frame["file_path"] = f"images/{frame['file_path']}"
    album = read_album(write(tmp_path, said))
    assert [photo.name for photo in album.photos] == [*NAMES[:3], NAMES[5]]
    lists = "train_filenames, val_filenames, test_filenames"
    assert album.left_out == tuple(f"images/{i}.png: in none of {lists}" for i in (3, 4))


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (5, "its test_filenames is 5, no list of names"),
        ([None], r"its test_filenames is \[None\], no list of names"),
        ("3.png", "its test_filenames is 3.png, no list of names"),
        (["9.png"], "no picture of its test_filenames is in .*, 9.png for one"),
        (["../9.png"], "which lies outside of it"),
        ([""], "which is no file's name"),
    ],
)
def test_a_split_that_cannot_be_meant_is_refused(tmp_path: Path, names: object, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        split(tmp_path, train_filenames=NAMES[:3], test_filenames=names)


def test_a_name_that_is_too_long_is_no_picture(tmp_path: Path) -> None:
    said = nerf(some(5))
    said["frames"][4]["file_path"] = "x" * 300
    pictures(write(tmp_path, said))
    (why,) = read_album(tmp_path).left_out
    assert why.endswith(f"x: no such picture in {tmp_path}")


def masked(folder: Path, levels: np.ndarray) -> Path:
    said = nerf(some())
    said["frames"][1]["mask_path"] = "mask.png"
    pictures(write(folder, said))
    Image.fromarray(levels).save(folder / "mask.png")
    return folder


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_white_in_a_mask_is_the_greatest_value(tmp_path: Path, white: int) -> None:
    levels = np.zeros((H, W), np.uint8 if white < 256 else np.uint16)
    levels[:, 5:9] = white
    known = develop(read_album(masked(tmp_path, levels))).known
    assert torch.equal(known[1, ..., 0], torch.from_numpy(levels > 0).float())
    assert bool((known[0] == 1).all())


def test_a_mask_that_hides_everything_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = masked(tmp_path, np.zeros((H, W), np.uint8))
    with pytest.raises(BadInput, match=r"mask.png leaves no pixel of .*1.png to be believed: a m"):
        develop(read_album(folder))


@pytest.mark.parametrize("kind", ["nerf", "colmap"])
def test_a_byte_order_mark_says_nothing(tmp_path: Path, kind: str) -> None:
    if kind == "nerf":
        pictures(write(tmp_path, nerf(some())))
        files = [tmp_path / "transforms.json"]
    else:
        pictures(colmap(tmp_path, some()) / "images")
        files = [*(tmp_path / "sparse" / "0").iterdir()]
    for file in files:
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(read_album(tmp_path).photos) == 4


def test_one_photograph_from_several_places_is_refused(tmp_path: Path) -> None:
    said = nerf(some(5))
    said["frames"][4]["file_path"] = "./1"
    pictures(write(tmp_path, said))
    why = r"transforms.json names the picture ./1 more than once, of unlike poses"
    with pytest.raises(BadInput, match=why):
        read_album(tmp_path)


def test_a_photograph_that_is_named_again_counts_once(tmp_path: Path) -> None:
    """Else it would be learned from and held out."""
    said = nerf(some())
    said["frames"] = [frame for frame in said["frames"] for _ in range(2)]
    pictures(write(tmp_path, said))
    album = read_album(tmp_path, hold_out=4)
    assert [(photo.name, photo.held_out) for photo in album.photos] == [
        ("0.png", True), ("1.png", False), ("2.png", False), ("3.png", False),
    ]  # fmt: skip
    assert album.left_out[0] == "0.png: named again, of the same pose" and len(album.left_out) == 4


def test_sixteen_bits_of_grey_are_learned_from_as_eight_are(tmp_path: Path) -> None:
    pictures(write(tmp_path, nerf(some())))
    grey = torch.linspace(0, 1, H)[:, None, None].expand(H, W, 1)
    for i in range(2):
        save_png(tmp_path / f"{i}.png", grey)
    levels = (grey[..., 0] * 65535).round().numpy().astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "1.png")
    images = develop(read_album(tmp_path)).images
    torch.testing.assert_close(images[1], images[0], atol=0.002, rtol=0)
