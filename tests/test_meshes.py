"""learn/meshes.py: the same data of any mesh files, and clear words for those that give none."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import shared_data

from dreamlift.captures import Capture, read_capture, surround
from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface
from dreamlift.io.gltf import write_glb
from dreamlift.io.images import save_png
from dreamlift.learn.meshes import MESH_OUTPUTS, MeshDataset, Shelf
from dreamlift.toybox.dataset import Dataset

TINY = MeshDataset(seed=4, views=2, size=20, points=200)


def square(x: float, color: list[float], name: str, *, side: float = 1.0) -> Surface:
    """A sheet that faces the front, from 0 to `side` in y and z."""
    corners = torch.tensor([[x, 0, 0], [x, side, 0], [x, side, side], [x, 0, side]])
    colors = torch.tensor(color, dtype=torch.float32).expand(4, 3)
    return Surface(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), colors=colors, name=name)


def shelf(folder: Path, *lines: dict[str, Any]) -> Shelf:
    (folder / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Shelf(folder)


def looked(folder: Shelf, k: int = 0, *, views: int = 2, size: int = 20) -> Capture:
    cameras, light = surround(views, size, (0.0, 40.0), random.Random(1))
    return folder.capture(folder.entries[k], cameras, light)


# -- there and back -------------------------------------------------------------------------------


@pytest.mark.seconds
def test_an_exported_scene_comes_back_as_it_was_traced(tmp_path: Path) -> None:
    """Its mesh, read and cast, against the tracer of its distances, with the same parts.

    Tolerances: silhouettes overlap by 98 %, parts agree in 98 % of the pixels; in the middle depth
    is off by less than .001 world units and a normal by less than 2 degrees; pictures differ by
    less than .006 on average.
    """
    captions = ("a green frog wearing a rainbow hat", "a small mug next to a large pumpkin")
    Dataset(seed=1, views=2, size=64, captions=captions, outputs=(
        "images", "albedo", "depth", "normal", "part", "mesh",
    )).write(tmp_path / "out", 2)  # fmt: skip
    folder = Shelf(tmp_path / "out")
    assert [entry.captions[0] for entry in folder.entries] == list(captions)
    for entry in folder.entries:
        traced = read_capture(tmp_path / "out" / entry.more["name"])
        cast = folder.capture(entry, traced.cameras, traced.light)
        assert tuple(cast.captions) == tuple(traced.captions)
        assert [p.name for p in cast.parts] == [p.name for p in traced.parts]
        for ours, theirs in zip(cast.parts, traced.parts, strict=True):
            if "hat" not in ours.name:  # a rainbow has no one colour
                assert ours.color == pytest.approx(theirs.color, abs=0.01)
        agree(traced, cast)


def agree(traced: Capture, cast: Capture) -> None:
    for name in ("alpha", "images", "albedo"):
        a, b = getattr(traced, name), getattr(cast, name)
        assert float((a - b).abs().mean()) < 0.006, name
    assert traced.part is not None and cast.part is not None
    assert traced.depth is not None and cast.depth is not None
    assert traced.normal is not None and cast.normal is not None
    a, b = traced.part >= 0, cast.part >= 0
    assert (a & b).sum() / (a | b).sum() > 0.98
    assert (traced.part == cast.part)[a & b].float().mean() > 0.98
    same = (traced.part == cast.part) & a
    assert float((traced.depth - cast.depth)[same].abs().median()) < 0.001
    cosine = (traced.normal * cast.normal).sum(-1)[same].clamp(-1, 1)
    assert float(cosine.acos().rad2deg().median()) < 2.0


def test_an_exported_scene_is_not_moved_and_another_is(tmp_path: Path) -> None:
    write_glb(tmp_path / "a.glb", [square(0.2, [1, 0, 0], "sheet", side=0.5)])
    line = {"path": "a.glb", "caption": "a sheet"}
    folder = shelf(tmp_path, line, {**line, "placed": True})
    moved, placed = (folder.load(entry) for entry in folder.entries)
    assert (placed.scale, placed.offset) == (1.0, (0.0, 0.0, 0.0))
    torch.testing.assert_close(
        placed.parts[0].vertices, square(0.2, [1, 0, 0], "", side=0.5).vertices
    )
    corner = moved.parts[0].vertices
    assert float(corner.norm(dim=-1).max()) == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(corner.mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    again = placed.parts[0].vertices * moved.scale + torch.tensor(moved.offset)
    torch.testing.assert_close(again, corner, atol=1e-6, rtol=0)


# -- what files say -------------------------------------------------------------------------------


def test_parts_have_names_of_their_own_and_mean_colours(tmp_path: Path) -> None:
    parts = [
        square(0.0, [0.2, 0.4, 0.6], "wheel"),
        square(0.3, [1.0, 0.0, 0.0], "wheel"),
        square(0.6, [0.0, 1.0, 0.0], ""),
    ]
    write_glb(tmp_path / "a.glb", parts)
    made = looked(shelf(tmp_path, {"path": "a.glb", "caption": " wheels ", "captions": ["two"]}))
    assert [p.name for p in made.parts] == ["wheel", "wheel 2", "part 2"]
    assert made.parts[0].color == pytest.approx((0.2, 0.4, 0.6), abs=1e-3)
    assert made.captions == ("wheels", "two")


def test_strays_do_not_decide_the_size_nor_up_the_place(tmp_path: Path) -> None:
    """Vertices that no face uses are left out; a file may say that its z is up."""
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 0 1 0\nv 0 1 2\nv 0 0 2\nf 1 2 3\nf 1 3 4\n")
    line = {"path": "a.obj", "caption": "a door"}
    standing = shelf(tmp_path, {**line, "up": "z"}, line)
    up, lying = (standing.load(entry).parts[0].vertices for entry in standing.entries)
    assert up.shape == (4, 3)
    size = up.amax(0) - up.amin(0)
    assert float(size[2] / size[1]) == pytest.approx(2.0)
    sheet = square(0.0, [0.2, 0.4, 0.6], "sheet")
    assert sheet.colors is not None
    far = torch.tensor([[90.0, 90.0, 90.0]])
    stray = replace(
        sheet,
        vertices=torch.cat([far, sheet.vertices]),
        faces=sheet.faces + 1,
        colors=torch.cat([far * 0, sheet.colors]),
    )
    write_glb(tmp_path / "b.glb", [stray])
    found = shelf(tmp_path, {"path": "b.glb", "caption": "a sheet"})
    (part,) = found.load(found.entries[0]).parts
    assert part.vertices.shape == (4, 3) and part.colors is not None
    assert float(part.vertices.norm(dim=-1).min()) > 0.99  # all four corners are far out
    torch.testing.assert_close(part.colors, sheet.colors)
    flat = lying.amax(0) - lying.amin(0)  # the file's z is to the front
    assert float(flat[0] / flat[2]) == pytest.approx(2.0)


def test_a_textured_obj_shows_its_picture(tmp_path: Path) -> None:
    """A picture of blue above and yellow below, whose name has a blank."""
    picture = torch.tensor([[[0.0, 0, 1]], [[1, 1, 0]]]).repeat(1, 2, 1)
    save_png(tmp_path / "my paint.png", picture.repeat_interleave(8, 0).repeat_interleave(8, 1))
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd my paint.png\n")
    (tmp_path / "a.obj").write_text(
        "mtllib a.mtl\nusemtl m\nv -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\n"
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
    )
    folder = shelf(tmp_path, {"path": "a.obj", "caption": "a flag"})
    cameras, light = surround(1, 24, (0.0, 1.0), random.Random(1))
    front = folder.capture(folder.entries[0], cameras, light)
    assert front.albedo is not None and front.alpha is not None
    upper, lower = front.albedo[0, :9], front.albedo[0, 15:]
    for half, want in ((upper, (0.0, 0.0, 1.0)), (lower, (1.0, 1.0, 0.0))):
        covered = half[half.sum(-1) > 0.9]
        assert len(covered) > 5
        assert covered.median(0).values.tolist() == pytest.approx(want, abs=0.05)
    (tmp_path / "my paint.png").unlink()
    with pytest.raises(
        BadInput, match=r"a\.obj takes its colours from my paint\.png, which is not"
    ):
        folder.load(folder.entries[0])
    (tmp_path / "a.mtl").unlink()
    with pytest.raises(BadInput, match=r"from a\.mtl, which is not there\. Bring it"):
        folder.load(folder.entries[0])


def test_paths_may_begin_with_the_folder_and_may_not_leave_it(tmp_path: Path) -> None:
    folder = tmp_path / "meshes"
    (folder / "deep").mkdir(parents=True)
    write_glb(folder / "deep" / "a.glb", [square(0.0, [1, 0, 0], "sheet")])
    write_glb(tmp_path / "b.glb", [square(0.0, [1, 0, 0], "sheet")])
    paths = ("deep/a.glb", "meshes/deep/a.glb", "../b.glb", str(tmp_path / "b.glb"))
    found = shelf(folder, *[{"path": path, "caption": "x"} for path in paths])
    assert len({found.load(entry).parts[0].name for entry in found.entries[:2]}) == 1
    for entry in found.entries[2:]:
        with pytest.raises(BadInput, match=r"b\.glb lies outside of .*meshes\. Copy it there"):
            found.load(entry)
    write_glb(folder / "c.glb", [square(0.0, [1, 0, 0], "sheet")])
    assert found.unlisted() == [folder / "c.glb"]


LINES = {
    "": "is empty",
    "{": "line 1 is no JSON",
    '["a.glb"]': "a JSON object was expected",
    '{"caption": "x"}': "line 1 has no path",
    '{"path": "a.glb", "caption": " "}': "line 1 has no caption",
    '{"path": "a.glb", "caption": "x", "captions": "y"}': "a list of texts was expected",
    '{"path": "a.glb", "caption": "x", "up": "x"}': 'its up is \'x\'; "y" or "z" was expected',
}


@pytest.mark.parametrize("text", LINES)
def test_indices_that_say_nothing_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match=r'A folder of meshes needs it: .*"caption": "a red chair"'):
        Shelf(tmp_path)
    (tmp_path / "captions.jsonl").write_text(text + "\n")
    with pytest.raises(BadInput, match=LINES[text]):
        Shelf(tmp_path)


BROKEN = {
    "nan.obj": ("v 0 0 0\nv 0 1 nan\nv 1 1 0\nf 1 2 3\n", "cannot be read"),
    "huge.obj": ("v 0 0 0\nv 0 1e300 0\nv 1 1 0\nf 1 2 3\n", "NaN or infinity"),
    "point.obj": ("v 2 2 2\nv 2 2 2\nv 2 2 2\nf 1 2 3\n", "all of it is one point"),
    "beyond.off": ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "cannot be read"),
    "text.glb": ("glTF is a nice format", "not a glTF file"),
    "gone.glb": (None, "does not exist"),
    "cloud.obj": ("v 0 0 0\nv 1 0 0\n", "no triangles"),
    "scan.xyz": ("0 0 0\n", "no mesh file that can be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_cannot_be_read_are_refused_by_name_and_reason(
    tmp_path: Path, name: str
) -> None:
    text, said = BROKEN[name]
    if text is not None:
        (tmp_path / name).write_text(text)
    folder = shelf(tmp_path, {"path": name, "caption": "x"})
    with pytest.raises(BadInput, match=f"{name}.*{said}"):
        folder.load(folder.entries[0])


def test_a_line_of_no_area_is_left_out_and_the_others_are_written(tmp_path: Path) -> None:
    (tmp_path / "line.obj").write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    (tmp_path / "face.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    lines = [{"path": f"{name}.obj", "caption": f"a {name}"} for name in ("line", "face")]
    made = MeshDataset(outputs=("points", "mesh"), points=16)
    (left,) = made.write(shelf(tmp_path, *lines), tmp_path / "out")
    assert left[0] == "line.obj" and "none of its triangles has an area" in left[1]
    assert (tmp_path / "out/000001/mesh.glb").exists()


def test_captions_may_hold_any_letters_and_begin_with_a_mark(tmp_path: Path) -> None:
    """Unicode's own ends of lines are letters in JSON."""
    write_glb(tmp_path / "a.glb", [square(0.0, [1.0, 0, 0], "sheet")])
    text = (
        '{"path": "a.glb", "caption": "a\u2028red\u0085sheet"}\r\n{"path": "a.glb", "caption": "b"}'
    )
    (tmp_path / "captions.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\n\n")
    folder = Shelf(tmp_path)
    assert [entry.captions for entry in folder.entries] == [("a\u2028red\u0085sheet",), ("b",)]


# -- to the disk ----------------------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path) -> Shelf:
    """Two sheets, with a file that is cut short between them."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, color in (("a", [0.9, 0.1, 0.1]), ("b", [0.1, 0.9, 0.1]), ("c", [0.1, 0.1, 0.9])):
        write_glb(folder / f"{name}.glb", [square(0.0, color, "sheet")])
    (folder / "b.glb").write_bytes((folder / "b.glb").read_bytes()[:300])
    rows = [{"path": f"{x}.glb", "caption": f"sheet {x}", "license": "CC0-1.0"} for x in "abc"]
    return shelf(folder, *rows)


def test_a_folder_is_written_without_what_is_refused(mixed: Shelf, tmp_path: Path) -> None:
    out, seen = tmp_path / "out", list[int]()
    ((name, why),) = TINY.write(mixed, out, progress=seen.append)
    assert name == "b.glb" and "b.glb" in why and "cut short" in why
    assert seen == [1, 2, 3]
    rows = [json.loads(text) for text in (out / "captions.jsonl").read_text().splitlines()]
    assert [row["caption"] for row in rows] == ["sheet a", "sheet c"]
    assert rows[1]["source"] == {"path": "c.glb", "up": "y", "license": "CC0-1.0"}
    assert sorted(p.name for p in (out / "000002").iterdir()) == [
        "albedo", "depth", "images", "mesh.glb", "normal", "part", "points.ply", "transforms.json",
    ]  # fmt: skip
    made = read_capture(out / "000002")
    again = Shelf(out).capture(Shelf(out).entries[1], made.cameras, made.light)
    assert made.images is not None and again.images is not None
    assert float((made.images - again.images).abs().max()) < 0.02
    assert TINY.write(mixed, out)[0][0] == "b.glb"  # what is there stays, what fails fails again


def test_lists_that_changed_and_wrong_wishes_are_refused(mixed: Shelf, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="4 objects were asked for; .* lists 3"):
        TINY.write(mixed, tmp_path / "out", 4)
    with pytest.raises(BadInput, match="has no sdf"):
        replace(TINY, outputs=("mesh", "sdf"))
    with pytest.raises(BadInput, match="Nothing would be written"):
        replace(TINY, outputs=())
    assert not (tmp_path / "out").exists() and "sdf" not in MESH_OUTPUTS
    light = replace(TINY, outputs=("mesh",))
    light.write(mixed, tmp_path / "out", 1)
    mixed.entries.reverse()
    with pytest.raises(BadInput, match=r"000000 is of 'a\.glb', where .* lists 'c\.glb'"):
        light.write(mixed, tmp_path / "out", 2)


# -- other people's objects -----------------------------------------------------------------------

OTHERS = {
    "kaykit_city/car_sedan.gltf": "sedan car",  # one picture for all
    "kaykit_furniture/lamp_table.gltf": "table lamp",
    "kaykit_medieval_recolour/building_home_A_red.gltf": "home red building",
    "kenney_kits_platformer/character.glb": "character",
    "kenney_kits_racing/vehicle-truck-red.glb": "truck red vehicle",  # nodes; the picture is moved
    "kenney_market/ambulance.glb": "ambulance",  # 27 parts of one colour each
}


@pytest.mark.seconds
@pytest.mark.parametrize(("name", "caption"), OTHERS.items())
def test_other_peoples_objects_are_seen_with_their_captions(name: str, caption: str) -> None:
    folder = Shelf(shared_data("data", "meshes"))
    (entry,) = [e for e in folder.entries if e.name.endswith(name)]
    cameras, light = surround(2, 40, (10.0, 40.0), random.Random(2))
    made = folder.capture(entry, cameras, light)
    assert made.alpha is not None and made.albedo is not None and made.part is not None
    assert 0.03 < float(made.alpha.mean()) < 0.7
    assert float(made.albedo[made.alpha[..., 0] > 0.99].std()) > 0.05
    assert int(made.part.max()) < len(made.parts)
    assert made.captions[0] == caption
    assert "CC0" in made.about["source"]["license"]


@pytest.mark.seconds
def test_compressed_files_are_passed_over_among_others(tmp_path: Path) -> None:
    meshes = shared_data("data", "meshes")
    (tmp_path / "meshes").symlink_to(meshes)
    paths = ("meshes/kenney_market_draco/croissant.gltf", "meshes/kenney_market/croissant.glb")
    folder = shelf(tmp_path, *[{"path": path, "caption": "a croissant"} for path in paths])
    ((name, why),) = replace(TINY, outputs=("images",)).write(folder, tmp_path / "out")
    assert name == paths[0] and "compressed (KHR_draco_mesh_compression)" in why
    assert "without compression" in why
    assert read_capture(tmp_path / "out" / "000001").captions == ("a croissant",)
