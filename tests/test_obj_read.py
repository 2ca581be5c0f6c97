"""OBJ files of others: indices, polygons and colours are those that the file says."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface, area
from dreamlift.geometry.texels import sample
from dreamlift.io.gltf import write_glb
from dreamlift.io.images import save_png
from dreamlift.io.meshes import absent, read_mesh
from dreamlift.io.obj import write_obj

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
PLACES = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
WHOLE = "f 1/1 2/2 3/3 4/4\n"
COLORED = "v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 1 1 0 0 0 1\nv 0 1 0 0 0 0.5\n"


def read(folder: Path, text: str, mtl: str = "") -> tuple[Surface, ...]:
    """An OBJ as it stands. A picture is beside it: red and green above, blue and yellow below."""
    picture = torch.tensor([[[1.0, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 1, 0]]])
    for name in ("quad.png", "my tex.png"):
        save_png(folder / name, picture.repeat_interleave(8, 0).repeat_interleave(8, 1))
    (folder / "a.mtl").write_text(mtl)
    (folder / "a.obj").write_text(text)
    return read_mesh(folder / "a.obj", up="z")


def size(part: Surface) -> float:
    return float(area(part.vertices, part.faces).sum())


def shown(part: Surface) -> list[float]:
    """The colour in the middle of the first triangle."""
    weights = torch.tensor([0.4, 0.35, 0.25])
    color = torch.ones(3)
    if part.colors is not None:
        color = color * (part.colors[part.faces[0]] * weights[:, None]).sum(0)
    if part.texture is not None and part.uv is not None:
        color = (
            color
            * sample(part.texture, (part.uv[part.faces[0]] * weights[:, None]).sum(0)[None])[0]
        )
    return [round(x, 3) for x in color.tolist()]


def test_negative_indices_count_back_from_what_was_read(tmp_path: Path) -> None:
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\nf -3 -2 -1\n"
    (part,) = read(tmp_path, text + text.replace(" 0\n", " 5\n").replace("f -3", "f -3"))
    assert part.vertices[part.faces][:, :, 2].tolist() == [[0, 0, 0], [5, 5, 5]]
    (part,) = read(
        tmp_path,
        f"mtllib a.mtl\nusemtl m\n{SQUARE}{PLACES}vn 0 0 1\nf -4/-4/-1 -3/-3/-1 -2/-2/-1\n"
        "v 5 5 5\nvt 9 9\nvn 1 0 0\n",
        "newmtl m\nmap_Kd quad.png\n",
    )
    assert part.uv is not None and part.normals is not None
    assert part.uv[part.faces[0]].tolist() == [[0, 0], [1, 0], [1, 1]]
    assert part.normals.tolist() == [[0, 0, 1]] * 3


@pytest.mark.parametrize("face", ["f 0 1 2", "f 1 2 9", "f 1 2 -5", "f 1/9 2/2 3/3", "f 1 2 3.5"])
def test_indices_of_nothing_are_refused(tmp_path: Path, face: str) -> None:
    with pytest.raises(BadInput, match=r"a\.obj cannot be read: (a face names|invalid literal)"):
        read(tmp_path, f"{SQUARE}{PLACES}{face}\n")


def test_polygons_that_are_not_convex_keep_their_area(tmp_path: Path) -> None:
    (part,) = read(tmp_path, "v 0 0 0\nv 2 0 0\nv .5 .5 0\nv 0 2 0\nf 2 3 4 1\n")
    assert size(part) == pytest.approx(1.0)
    (part,) = read(tmp_path, "v 0 0 0\nv 2 0 0\nv 2 2 0\nv 1 .2 0\nv 0 2 0\nf 3 4 5 1 2\n")
    assert size(part) == pytest.approx(2.2)


def test_comments_blanks_and_continued_lines_are_understood(tmp_path: Path) -> None:
    (part,) = read(
        tmp_path,
        "# a path\\\n  v 0 0 0 # here\n\tv\t1 0 0\r\nv 1 \\\n 1 \\\n 0\nv 0 1 0\n"
        "f 1 2 3 # c 4\nf 1 2\nf\nf 1/ 3// 4\n",
    )
    assert size(part) == pytest.approx(1.0) and len(part.faces) == 2


PICTURES = {
    "plain": "quad.png",
    "options": "-s 1 1 1 -o 0 0 0 quad.png",
    "more": "-blendu on -mm 0 1 -texres 512 -clamp off quad.png",
    "windows": ".\\quad.png",
    "quoted": '"my tex.png"',
    "blank": "-s 1 1 my tex.png",
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_found_however_it_is_written(tmp_path: Path, name: str) -> None:
    text = f"mtllib a.mtl\n{SQUARE}{PLACES}usemtl m\n{WHOLE}"
    (part,) = read(tmp_path, text, f"newmtl m\nKd .1 .1 .1\nmap_Kd {PICTURES[name]}\n")
    assert shown(part) == [1, 1, 0]
    assert absent(tmp_path / "a.obj") == []


def test_a_picture_is_moved_and_scaled_as_its_options_say(tmp_path: Path) -> None:
    text = f"mtllib a.mtl\n{SQUARE}{PLACES}usemtl m\n{WHOLE}"
    (part,) = read(tmp_path, text, "newmtl m\nmap_Kd -s .5 .25 1 -o .5 .75 quad.png\n")
    assert part.uv is not None
    assert (part.uv.amin(0).tolist(), part.uv.amax(0).tolist()) == ([0.5, 0.75], [1.0, 1.0])
    assert shown(part) == [0, 1, 0]
    for option in ("-mm .5 2", "-t 1 1 1", "-clamp on", "-imfchan r"):
        with pytest.raises(BadInput, match=f"a.mtl, map_Kd {option}.*changes the picture"):
            read(tmp_path, text, f"newmtl m\nmap_Kd {option} quad.png\n")


@pytest.mark.parametrize("said", ["mtllib b.mtl a.mtl", "mtllib b.mtl\nmtllib a.mtl"])
def test_materials_stand_in_several_files(tmp_path: Path, said: str) -> None:
    (tmp_path / "b.mtl").write_text("newmtl b\nKd 0 1 0 # green\n")
    text = f"{said}\n{SQUARE}{PLACES}usemtl b\nf 1 2 3\nusemtl m\nf 1/1 3/3 4/4\n"
    green, pictured = read(tmp_path, text, "newmtl m\nmap_Kd quad.png\n")
    assert (green.name, pictured.name) == ("b", "m")
    assert shown(green) == [0, 1, 0] and shown(pictured) == [1, 0, 0]
    (tmp_path / "b.mtl").unlink()
    (tmp_path / "quad.png").unlink()
    assert absent(tmp_path / "a.obj") == ["b.mtl", "quad.png"]


def test_faces_without_texture_coordinates_are_a_part_of_their_own(tmp_path: Path) -> None:
    text = f"mtllib a.mtl\n{SQUARE}{PLACES}usemtl m\nf 1/1 2/2 3/3\nf 1 3 4\n"
    pictured, plain = read(tmp_path, text, "newmtl m\nmap_Kd quad.png\n")
    assert shown(pictured) == [1, 1, 0] and shown(plain) == [1, 1, 1]
    _, plain = read(tmp_path, text, "newmtl m\nKd 0 .5 1\nmap_Kd quad.png\n")
    assert shown(plain) == [0, 0.5, 1]


def test_vertex_colours_go_before_the_materials(tmp_path: Path) -> None:
    text = f"mtllib a.mtl\n{COLORED}usemtl m\nf 1 2 3\nusemtl n\nf 1 3 4\n"
    m, n = read(tmp_path, text, "newmtl m\nKd 1 0 0\nnewmtl n\nKd 0 1 0\n")
    assert shown(m) == [0.4, 0.35, 0.25] and shown(n) == [0.4, 0, 0.475]
    (part,) = read(tmp_path, COLORED.replace(" 0.5", " 255") + "f 1 2 4\n")
    assert part.colors is not None and float(part.colors.max()) == 1.0


def test_a_picture_goes_before_the_vertex_colours_of_others(tmp_path: Path) -> None:
    """Scanners write the picture's colours at the vertices too."""
    text = f"mtllib a.mtl\n{COLORED}{PLACES}usemtl m\n{WHOLE}"
    (part,) = read(tmp_path, text, "newmtl m\nmap_Kd quad.png\n")
    assert part.colors is None and shown(part) == [1, 1, 0]


def test_what_we_write_has_its_colours_again(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    colors = torch.tensor([[1.0, 0.2, 0.4], [0.5, 0.25, 0.1], [0.3, 0.9, 0.8]])
    corners = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    plain = Surface(corners, torch.tensor([[0, 1, 2]]), colors, name="one")
    texels = (torch.rand(4, 4, 3, generator=torch.Generator().manual_seed(1)) * 255).round() / 255
    both = replace(plain, uv=corners[:, 1:], texture=texels)
    bare = replace(plain, colors=None)
    write_obj(tmp_path / "here" / "a.obj", [plain, both, bare])
    again = read_mesh(tmp_path / "here" / "a.obj")
    assert absent(tmp_path / "here" / "a.obj") == []
    for part, other in zip(again, (plain, both, bare), strict=True):
        assert shown(part) == pytest.approx(shown(other), abs=1e-3)


def test_a_picture_that_is_none_and_a_colour_that_is_none_are_refused(tmp_path: Path) -> None:
    text = f"mtllib a.mtl\n{SQUARE}{PLACES}usemtl m\n{WHOLE}"
    with pytest.raises(BadInput, match=r"a\.mtl, Kd spectral x\.rfl: could not convert"):
        read(tmp_path, text, "newmtl m\nKd spectral x.rfl\n")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match=r"broken\.png is not a picture"):
        read(tmp_path, text, "newmtl m\nmap_Kd broken.png\n")


def test_a_material_that_says_no_colour_is_white(tmp_path: Path) -> None:
    (part,) = read(tmp_path, f"mtllib a.mtl\n{SQUARE}usemtl m\nf 1 2 3\n", "newmtl m\nNs 10\n")
    assert shown(part) == [1, 1, 1]


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_normals_of_any_length_are_directions(tmp_path: Path, scale: float) -> None:
    """Read as such, and written to a GLB, which must have them of length 1."""
    turned = f"vn 0 0 {scale}\nvn {0.6 * scale} 0 {0.8 * scale}\nvn 0 0 0\n"
    (part,) = read(tmp_path, SQUARE + turned + "f 1//1 2//2 3//1 4//3\n")
    wanted = torch.tensor([[0.0, 0, 1], [0.6, 0, 0.8], [0, 0, 1], [0, 0, 0]])
    assert part.normals is not None
    torch.testing.assert_close(part.normals, wanted)
    long = replace(part, normals=part.normals * torch.tensor([[0.1], [7.0], [1.0], [1.0]]))
    write_glb(tmp_path / "a.glb", [long])
    (again,) = read_mesh(tmp_path / "a.glb")
    assert again.normals is not None
    wanted[3] = torch.tensor([0.0, 0, 1])  # a file must say one
    torch.testing.assert_close(again.normals, wanted)
