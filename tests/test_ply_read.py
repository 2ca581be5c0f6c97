"""PLY, OFF and STL of others: legal files are read, damaged ones refused by name and reason."""

import struct
from pathlib import Path

import pytest
import torch

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface, area
from dreamlift.io.images import save_png
from dreamlift.io.meshes import absent, read_mesh

AXES = "property float x\nproperty float y\nproperty float z\n"
LIST = "property list uchar int vertex_indices\n"
CORNERS = ("0 0 0", "1 0 0", "1 1 0", "0 1 0")
RGB = "property uchar red\nproperty uchar green\nproperty uchar blue\n"


def ply(
    faces: str, *, vertex: str = AXES, face: str = LIST, rows: tuple[str, ...] = CORNERS
) -> str:
    """A PLY file as text."""
    count = faces.count("\n")
    return (
        f"ply\nformat ascii 1.0\nelement vertex {len(rows)}\n{vertex}element face {count}\n{face}"
        f"end_header\n{''.join(row + chr(10) for row in rows)}{faces}"
    )


def read(folder: Path, name: str, content: str | bytes) -> tuple[Surface, ...]:
    content = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(content)
    return read_mesh(folder / name, up="z")


def size(part: Surface) -> float:
    return float(area(part.vertices, part.faces).sum())


def colors(part: Surface) -> list[list[float]]:
    """Of each triangle, in the middle."""
    assert part.colors is not None
    return [[round(x, 3) for x in row] for row in part.colors[part.faces].mean(1).tolist()]


@pytest.mark.parametrize("end", ["little", "big"])
@pytest.mark.parametrize("mixed", [False, True])
def test_binary_ply_is_read_with_triangles_and_quads_mixed(
    tmp_path: Path, end: str, mixed: bool
) -> None:
    head = ply("x\nx\n", rows=(), face=f"property uchar flag\n{LIST}{RGB}").replace(
        "element vertex 0", "element vertex 4"
    )
    head = head.replace("ascii", f"binary_{end}_endian").removesuffix("x\nx\n")
    order = "<" if end == "little" else ">"
    places = b"".join(struct.pack(f"{order}3f", *map(float, row.split())) for row in CORNERS)
    faces = [(0, 1, 2, 3), (0, 2, 3)] if mixed else [(0, 1, 2), (0, 2, 3)]
    rows = [
        struct.pack(f"{order}BB{len(f)}i3B", 7, len(f), *f, *color)
        for f, color in zip(faces, [(255, 0, 0), (0, 51, 255)], strict=True)
    ]
    whole = head.encode() + places + b"".join(rows)
    (part,) = read(tmp_path, "a.ply", whole)
    assert size(part) == pytest.approx(1.5 if mixed else 1.0)
    assert colors(part) == [[1, 0, 0]] * (1 + mixed) + [[0, 0.2, 1]]
    with pytest.raises(BadInput, match=r"a\.ply cannot be read: it ends before the last .* face"):
        read(tmp_path, "a.ply", whole[:-1])
    with pytest.raises(BadInput, match=r"a\.ply cannot be read: it ends before the last .* vertex"):
        read(tmp_path, "a.ply", whole.replace(b"vertex 4", b"vertex 4000000000"))


def test_text_ply_mixes_polygons_of_colours_too(tmp_path: Path) -> None:
    text = ply("3 0 1 2 255 0 0\n4 0 1 2 3 0 255 0\n", face=LIST + RGB)
    (part,) = read(tmp_path, "a.ply", text)
    assert colors(part) == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    notch = ("0 0 0", "2 0 0", "2 2 0", "1 .2 0", "0 2 0")
    (part,) = read(tmp_path, "a.ply", ply("5 2 3 4 0 1\n", rows=notch))
    assert size(part) == pytest.approx(2.2)


COLORS = {
    "ushort red green blue": "65535 32768 0",
    "uchar diffuse_red diffuse_green diffuse_blue": "255 128 0",
    "uchar r g b": "255 128 0",
    "float red green blue": "1 .5 0",
    "float r g b": "255 127.5 0",
    "int red green blue": "255 128 0",
}


@pytest.mark.parametrize("said", COLORS)
def test_colours_of_vertices_have_the_range_of_their_type(tmp_path: Path, said: str) -> None:
    kind, *names = said.split()
    vertex = AXES + "".join(f"property {kind} {name}\n" for name in names)
    rows = tuple(f"{row} {COLORS[said]}" for row in CORNERS)
    (part,) = read(tmp_path, "a.ply", ply("3 0 1 2\n", vertex=vertex, rows=rows))
    assert colors(part)[0] == pytest.approx([1.0, 0.5, 0.0], abs=3e-3)


def test_strips_turn_every_other_triangle_around(tmp_path: Path) -> None:
    strips = ply("6 0 1 3 2 -1 0\n").replace("face", "tristrips")
    (part,) = read(tmp_path, "a.ply", strips)
    assert part.faces.tolist() == [[0, 1, 3], [2, 3, 1]] and size(part) == pytest.approx(1.0)
    assert part.normals is not None and part.normals.tolist() == [[0, 0, 1]] * 4


def test_a_ply_shows_its_picture_and_misses_it(tmp_path: Path) -> None:
    save_png(tmp_path / "a b.png", torch.rand(4, 4, 3, generator=torch.Generator().manual_seed(0)))
    face = LIST + "property list uchar float texcoord\nproperty int texnumber\n"
    text = ply("4 0 1 2 3 8 0 0 1 0 1 1 0 1 0\n3 0 1 2 6 .5 0 1 0 1 1 0\n", face=face)
    text = text.replace("1.0\n", "1.0\ncomment TextureFile a b.png\n", 1)
    (part,) = read(tmp_path, "a.ply", text)
    assert part.texture is not None and part.uv is not None
    assert part.uv[part.faces[2]].tolist() == [[0.5, 0], [1, 0], [1, 1]]
    assert len(part.vertices) == 5 and absent(tmp_path / "a.ply") == []
    with pytest.raises(BadInput, match=r"pictures \[0.*, 1.*\] of 2; one is read"):
        two = text.replace("a b.png\n", "a b.png\ncomment TextureFile c.png\n")
        read(tmp_path, "a.ply", two.replace("1 1 0\n", "1 1 1\n"))
    (tmp_path / "a b.png").unlink()
    (part,) = read(tmp_path, "a.ply", text)
    assert part.texture is None and absent(tmp_path / "a.ply") == ["a b.png"]


BROKEN = {
    "a.ply|format": (ply("3 0 1 2\n").replace("format", "forma9t"), "header says 'forma9t"),
    "a.ply|list": (ply("3 0 1 2\n").replace("property list", "roperty list"), "'roperty list"),
    "a.ply|short": (ply("3 0 1 2\n").replace("1 0 0", "1 0"), "row 1 .* has 2 values; 3 were"),
    "a.ply|long": (ply("9 0 1 2\n"), "row 0 of its face has 4 values; 10 were expected"),
    "a.ply|minus": (ply("3 0 1 -1\n"), "names vertex -1, where there are 0 to 3"),
    "a.ply|nan": (ply("3 0 1 nan\n"), "no whole number"),
    "a.ply|word": (ply("3 0 1 x\n"), "could not convert"),
    "a.ply|places": (ply("3 0 1 2\n", vertex=AXES.replace("x", "w")), "no x, y and z"),
    "a.ply|twice": (ply("3 0 1 2\n", vertex=AXES.replace(" y", " x")), "a name twice"),
    "a.ply|none": (ply(""), "no triangles"),
    "a.ply|text": ("plywood", "does not begin as PLY"),
    "a.off|map": ("OFF\n3 1 0\n0 0 0\n1 0 0\n1 1 0\n3 0 1 2 7\n", "colour of a map, 7"),
    "a.off|cut": ("OFF\n3 2 0\n0 0 0\n1 0 0\n1 1 0\n3 0 1 2\n", "are not all there"),
    "a.off|wide": ("OFF\n3 1 0\n0 0 0 1\n1 0 0 1\n1 1 0 1\n3 0 1 2\n", "announces 3"),
    "a.off|4": ("4OFF\n3 1 0\n0 0 0 1\n1 0 0 1\n1 1 0 1\n3 0 1 2\n", "three dimensions"),
    "a.off|empty": ("", "numbers of its vertices and faces"),
    "a.stl|cut": ("x".ljust(80) + "\2\0\0\0" + 70 * "\0", "ends before the last of its 2 tri"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_damaged_is_refused_with_the_reason(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content, said = BROKEN[name]
    file = name.partition("|")[0]
    with pytest.raises(BadInput, match=f"{file} cannot be read: .*{said}"):
        read(tmp_path, file, content)
    assert capfd.readouterr() == ("", "")


SQUARE = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"
OFFS = {
    "comments": "OFF\n4 2 0\n0 0 0 # c\n1 0 0\n\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n",
    "one line": f"OFF 4 1 0\n{SQUARE}4 0 1 2 3\n",
    "glued": f"OFF4 2\n{SQUARE}3 0 1 2\n3 0 2 3\n",
    "no header": f"4 2 0\n{SQUARE}3 0 1 2\n3 0 2 3\n",
    "concave": "OFF\n4 1 0\n0 0 0\n2 0 0\n.5 .5 0\n0 2 0\n4 1 2 3 0\n",
}


@pytest.mark.parametrize("name", OFFS)
def test_off_is_read_however_it_is_laid_out(tmp_path: Path, name: str) -> None:
    (part,) = read(tmp_path, "a.off", OFFS[name])
    assert size(part) == pytest.approx(1.0) and part.colors is None


def test_off_has_colours_and_normals(tmp_path: Path) -> None:
    rows = ["0 0 0 {} 255 0 0 255", "1 0 0 {} 0 255 0 255", "1 1 0 {} 0 51 255 255"]
    for head, normal in (("COFF", ""), ("CNOFF", "0 1 0")):
        text = "\n".join([head, "3 1 0", *rows, "3 0 1 2 9 9 9", ""]).replace("{}", normal)
        (part,) = read(tmp_path, "a.off", text)
        assert part.colors is not None and part.normals is not None
        assert part.colors[:, 0].tolist() == [1, 0, 0]
        assert float(part.colors[2, 1]) == pytest.approx(0.2)
        assert part.normals[0].tolist() == ([0, 1, 0] if normal else [0, 0, 1])
    (part,) = read(tmp_path, "a.off", f"OFF\n4 2 0\n{SQUARE}3 0 1 2 1.0 0.0 0.0\n3 0 2 3 0 .5 0\n")
    assert colors(part) == [[1, 0, 0], [0, 0.5, 0]]
    (part,) = read(tmp_path, "a.off", f"OFF\n4 2 0\n{SQUARE}3 0 1 2 255 0 0 255\n3 0 2 3\n")
    assert colors(part) == [[1, 0, 0], [1, 1, 1]]


def test_stl_may_have_more_bytes_than_triangles(tmp_path: Path) -> None:
    facet = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0)
    (part,) = read(tmp_path, "a.stl", b"x".ljust(80) + b"\1\0\0\0" + facet + b"\0" * 40)
    assert size(part) == pytest.approx(0.5) and part.name == "a.stl"
