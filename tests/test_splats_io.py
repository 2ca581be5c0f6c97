"""Files of Gaussians: round trips, other people's files, hostile files, and axes."""

import gzip
import math
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import rng, shared_data
from crowd import crowd, single
from plyfile import PlyData, PlyElement
from test_splat import golden

from dreamlift.errors import BadInput
from dreamlift.geometry.gaussians import Gaussians, base_colors, covariances, rotations
from dreamlift.geometry.turning import turned
from dreamlift.io.splats import read_splats, write_splats
from dreamlift.likeness import psnr
from dreamlift.render.splat import composite, project

FIELDS = ("means", "quaternions", "log_scales", "opacity_logits", "harmonics")


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_ply_keeps_every_bit(tmp_path: Path, degree: int) -> None:
    g = single(crowd(7, degree=degree))
    write_splats(tmp_path / "a.ply", g, up="z")
    again = read_splats(tmp_path / "a.ply", up="z")
    assert all(torch.equal(getattr(again, name), getattr(g, name)) for name in FIELDS)


def test_the_ply_is_inrias_by_another_reader(tmp_path: Path) -> None:
    """Columns in INRIA's order; f_rest is channel by channel, as save_ply writes it."""
    g = single(crowd(5))
    write_splats(tmp_path / "a.ply", g, up="z")
    table = PlyData.read(str(tmp_path / "a.ply"))["vertex"]
    names = [p.name for p in table.properties]
    assert names[:9] == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    assert names[9:54] == [f"f_rest_{k}" for k in range(45)]
    assert names[54:] == [
        "opacity",
        *(f"scale_{k}" for k in range(3)),
        *(f"rot_{k}" for k in range(4)),
    ]
    assert np.array_equal(table["f_rest_17"], g.harmonics[:, 3, 1].numpy())  # 15 + 2: green
    assert np.array_equal(table["rot_0"], g.quaternions[:, 0].numpy())


def test_a_ply_of_doubles_in_another_order_and_endian_is_read(tmp_path: Path) -> None:
    g = single(crowd(4, degree=0))
    columns = {"opacity": g.opacity_logits, "extra": torch.zeros(4)}
    columns |= {f"rot_{k}": g.quaternions[:, k] for k in range(4)}
    columns |= {f"f_dc_{k}": g.harmonics[:, 0, k] for k in range(3)}
    columns |= {name: g.means[:, k] for k, name in enumerate("xyz")}
    columns |= {f"scale_{k}": g.log_scales[:, k] for k in range(3)}
    table = np.zeros(4, [(name, ">f8") for name in columns])
    for name, column in columns.items():
        table[name] = column.numpy()
    file = PlyData([PlyElement.describe(table, "vertex")], byte_order=">")
    file.write(str(tmp_path / "b.ply"))
    again = read_splats(tmp_path / "b.ply", up="z")
    assert all(torch.equal(getattr(again, name), getattr(g, name)) for name in FIELDS)


def test_a_splat_file_keeps_what_its_bytes_can(tmp_path: Path) -> None:
    g = single(crowd(40, degree=0))
    write_splats(tmp_path / "a.splat", g, up="z")
    assert (tmp_path / "a.splat").stat().st_size == 40 * 32
    again = read_splats(tmp_path / "a.splat", up="z")
    importance = again.opacity_logits.sigmoid() * again.log_scales.sum(-1).exp()
    assert (importance.diff() <= 0.02 * importance[:-1]).all()
    order = torch.cdist(again.means, g.means).argmin(1)
    _alike(again, g[order], scale=1e-6, mean=0.0, turn=0.03)


def test_an_spz_file_keeps_what_its_bytes_can(tmp_path: Path) -> None:
    g = single(crowd(60))
    write_splats(tmp_path / "a.spz", g, up="z")
    again = read_splats(tmp_path / "a.spz", up="z")
    _alike(again, g, scale=1 / 31, mean=0.5 / 4096 + 1e-6, turn=0.005, color=0.0037)
    expected = g.harmonics[:, 1:].clamp(-1, 127 / 128)
    step = torch.tensor([8.0] * 3 + [16.0] * 12)[:, None] / 256
    assert ((again.harmonics[:, 1:] - expected).abs() <= step + 1e-6).all()


def _alike(
    a: Gaussians,
    b: Gaussians,
    *,
    scale: float,
    mean: float,
    turn: float,
    color: float = 0.501 / 255,
) -> None:
    torch.testing.assert_close(a.means, b.means, atol=mean, rtol=0)
    torch.testing.assert_close(a.log_scales, b.log_scales, atol=scale, rtol=0)
    torch.testing.assert_close(
        rotations(a.quaternions), rotations(b.quaternions), atol=turn, rtol=0
    )
    torch.testing.assert_close(
        a.opacity_logits.sigmoid(), b.opacity_logits.sigmoid(), atol=0.501 / 255, rtol=0
    )
    clean = base_colors(b).clamp(0, 1)
    torch.testing.assert_close(base_colors(a).clamp(0, 1), clean, atol=color, rtol=0)


@pytest.mark.parametrize("suffix", ["ply", "splat", "spz"])
@pytest.mark.parametrize("up", [None, "y", "-y"])
def test_what_is_written_standing_is_read_standing(
    tmp_path: Path, suffix: str, up: str | None
) -> None:
    g = single(crowd(30, degree=0))
    path = tmp_path / f"a.{suffix}"
    write_splats(path, g, up=up)  # pyright: ignore[reportArgumentType]
    again = read_splats(path, up=up)  # pyright: ignore[reportArgumentType]
    order = torch.cdist(again.means, g.means).argmin(1)
    torch.testing.assert_close(again.means, g.means[order], atol=2e-4, rtol=0)
    error = covariances(again) - covariances(g[order])
    assert error.norm() < 0.1 * covariances(g).norm()
    raw = read_splats(path, up="z").means
    top = raw[again.means[:, 2].argmax()]
    down = up == "-y" or (up is None and suffix != "spz")
    assert int(raw[:, 1].argmin() if down else raw[:, 1].argmax()) == int(
        again.means[:, 2].argmax()
    )
    assert top[2] == pytest.approx(float(again.means[again.means[:, 2].argmax(), 0]), abs=2e-4)


def test_turned_colours_come_back_from_a_standing_ply(tmp_path: Path) -> None:
    g = single(crowd(9))
    write_splats(tmp_path / "a.ply", g)
    again = read_splats(tmp_path / "a.ply")
    torch.testing.assert_close(again.harmonics, g.harmonics, atol=1e-5, rtol=0)
    torch.testing.assert_close(covariances(again), covariances(g), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["minimal.splat", "minimal-raw.spz", "minimal-v2.spz", "minimal-v3.spz"]
)
def test_another_programs_files_are_read(name: str) -> None:
    """Four round Gaussians at the corners of a unit square, deviation .1, opacity .9."""
    g = read_splats(shared_data("data", "reference", "splat_transform", name), up="z")
    square = torch.tensor([[-1.0, 0, -1], [0, 0, -1], [-1, 0, 0], [0, 0, 0]])
    if name == "minimal-v3.spz":  # from COLMAP's axes to SPZ's: y and z turned over
        square = square * torch.tensor([1.0, -1, -1])
    torch.testing.assert_close(g.means, square)
    torch.testing.assert_close(g.log_scales, torch.full((4, 3), math.log(0.1)), atol=0.02, rtol=0)
    torch.testing.assert_close(
        g.opacity_logits.sigmoid(), torch.full((4,), 0.9), atol=0.003, rtol=0
    )
    red, green, blue = base_colors(g).T
    assert red[0] == red[2] < red[1] == red[3] and green[0] == green[1] < green[2] == green[3]
    assert (blue - 0.5).abs().max() < 0.01


def test_a_format_that_is_not_known_is_refused_with_its_name() -> None:
    folder = shared_data("data", "reference", "splat_transform")
    with pytest.raises(BadInput, match="version 4; versions 2 and 3"):
        read_splats(folder / "minimal-v4.spz")
    with pytest.raises(BadInput, match=r"ksplat is no file of Gaussians: .ply, .splat, .spz are"):
        read_splats(folder / "minimal.ksplat")


@pytest.mark.parametrize("suffix, least", [("ply", 46), ("splat", 44), ("spz", 40)])
def test_the_golden_scene_survives_every_format(tmp_path: Path, suffix: str, least: float) -> None:
    g, cameras, picture = golden()
    write_splats(tmp_path / f"a.{suffix}", g)
    again = read_splats(tmp_path / f"a.{suffix}")
    drawn = composite(project(again, cameras), cameras.height, cameras.width)
    assert psnr(drawn[..., :3], picture) >= least


def test_a_half_turn_about_z_twice_is_none() -> None:
    g = crowd(5)
    half = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))
    again = turned(turned(g, half), half)
    torch.testing.assert_close(again.harmonics, g.harmonics)
    torch.testing.assert_close(covariances(again), covariances(g))


def _ply(
    *, n: object = 1, form: str = "binary_little_endian", body: bytes = b"", more: str = ""
) -> bytes:
    names = [
        "x",
        "y",
        "z",
        "f_dc_0",
        "f_dc_1",
        "f_dc_2",
        "opacity",
        "scale_0",
        "scale_1",
        "scale_2",
    ]
    names += [f"rot_{k}" for k in range(4)]
    head = f"ply\nformat {form} 1.0\nelement vertex {n}\n" + more
    whole = head + "".join(f"property float {name}\n" for name in names) + "end_header\n"
    return whole.encode("latin-1") + body


_ROW = struct.pack("<14f", *[0.1] * 14)
HOSTILE = {
    "empty.ply": (b"", "header of a PLY"),
    "no_end.ply": (b"ply\nformat ascii 1.0\n", "header of a PLY"),
    "text.ply": (_ply(form="ascii"), "format is ascii"),
    "short.ply": (_ply(n=1000, body=_ROW), "1000 Gaussians of 56 bytes and ends after 1"),
    "huge.ply": (_ply(n=10**18, body=_ROW), "ends after 1"),
    "minus.ply": (_ply(n=-5, body=_ROW), "not `vertex` with a count"),
    "none.ply": (_ply(n=0), "no Gaussians in it"),
    "nan.ply": (_ply(body=struct.pack("<14f", math.nan, *[0.1] * 13)), "means are not finite"),
    "list.ply": (_ply(more="property list uchar int a\n", body=_ROW), "property list uchar int a"),
    "twice.ply": (_ply(more="property float x\n", body=_ROW * 2), "names a property twice"),
    "rest.ply": (_ply(more="property float f_rest_0\n", body=_ROW * 2), "it has 1 numbers f_rest"),
    "zero.ply": (_ply(body=struct.pack("<14f", *[0.1] * 10, 0, 0, 0, 0)), "quaternion of zeros"),
    "mesh.ply": (b"ply\nformat binary_little_endian 1.0\nelement vertex 0\nproperty float x\n"
                 b"end_header\n", "have no y, z, f_dc_0"),
    "packed.ply": (b"ply\nformat binary_little_endian 1.0\nelement vertex 0\nproperty uint "
                   b"packed_position\nend_header\n", "is compressed"),
    "chunk.ply": (b"ply\nformat binary_little_endian 1.0\nelement chunk 1\nproperty float min_x\n"
                  b"element vertex 1\nproperty uint packed_position\nend_header\n" + bytes(8),
                  "is compressed"),
    "blank.ply": (_ply(n=2, body=_ROW, more="\x85\n"), "its header says"),
    "odd.splat": (b"\0" * 33, "33 bytes, which is no multiple of 32"),
    "flat.splat": (b"\0" * 32, "deviation of it is not above 0"),
    "empty.splat": (b"", "no Gaussians in it"),
    "noise.spz": (b"hello", "neither SPZ nor gzip"),
    "other.spz": (gzip.compress(b"hello"), "header of an SPZ"),
    "cut.spz": (gzip.compress(b"NGSP" + bytes(2000))[:-9], "end early"),
    "many.spz": (gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", 3, 2**31, 0, 12, 0, 0)), "claims"),
    "deep.spz": (gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", 3, 1, 9, 12, 0, 0)), "degree 9"),
    "thin.spz": (gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", 3, 1, 3, 12, 0, 0)), "it has 16"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_its_name_and_a_reason(tmp_path: Path, name: str) -> None:
    content, reason = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=reason) as told:
        read_splats(tmp_path / name)
    assert name in str(told.value)


def test_a_comment_in_any_script_is_one_line(tmp_path: Path) -> None:
    """In Latin-1 the second byte of that letter is NEL, at which Python's texts have a new line."""
    write_splats(tmp_path / "a.ply", single(crowd(3)))
    content = (tmp_path / "a.ply").read_bytes()
    noted = content.replace(b"element", "comment by \u00c5sa\nelement".encode(), 1)
    (tmp_path / "b.ply").write_bytes(noted)
    a, b = (read_splats(tmp_path / name) for name in ("a.ply", "b.ply"))
    assert torch.equal(a.means, b.means)


def test_what_is_not_there_and_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        read_splats(tmp_path / "a.ply")
    g = single(crowd(3))
    with pytest.raises(BadInput, match="2 of its means are not finite"):
        bad = g.means.clone()
        bad[1:, 0] = torch.inf
        write_splats(tmp_path / "a.ply", replace(g, means=bad))
    with pytest.raises(BadInput, match="within 2048 units"):
        write_splats(tmp_path / "a.spz", replace(g, means=g.means + 3000))
    assert not [*tmp_path.iterdir()]


def test_random_bytes_are_refused_or_read_but_never_crash(tmp_path: Path) -> None:
    """Every byte of valid small files, changed one at a time."""
    g = single(crowd(2, degree=1))
    for suffix in ("ply", "splat", "spz"):
        path = tmp_path / f"a.{suffix}"
        write_splats(path, g)
        content = path.read_bytes()
        for at in torch.randint(len(content), (60,), generator=rng()).tolist():
            changed = bytearray(content)
            changed[at] ^= 0x5A
            path.write_bytes(bytes(changed))
            try:
                assert read_splats(path).means.isfinite().all()
            except BadInput:
                pass
