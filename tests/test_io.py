"""Files out and in again; trimesh is the second opinion on what we write."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import rng, shared_data
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.placement import bounds, fitted, from_y_up, to_y_up
from dreamlift.geometry.srgb import to_linear, to_srgb
from dreamlift.io.atomic import atomic
from dreamlift.io.gltf import write_glb
from dreamlift.io.gltf_read import read_gltf
from dreamlift.io.meshes import read_mesh
from dreamlift.io.obj import obj_files, write_obj
from dreamlift.io.place import refuse_unwritable


def wedge(name: str = "wedge") -> Surface:
    """A tetrahedron without symmetry, its corners coloured."""
    return Surface(
        torch.tensor([[0.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 0.7, 0.1], [0.1, 0.2, 0.5]]),
        torch.tensor([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]),
        colors=torch.tensor([[0.9, 0.1, 0.2], [0.02, 0.5, 0.3], [0.0, 0.04, 1.0], [1.0, 1.0, 0.6]]),
        name=name,
    )


def textured() -> Surface:
    """The same with a texture of 5 x 7 random texels."""
    texels = (torch.rand(5, 7, 3, generator=rng(2)) * 255).round() / 255
    uv = torch.tensor([[0.1, 0.2], [0.8, 0.1], [0.6, 0.9], [0.3, 0.7]])
    return replace(wedge("painted"), colors=None, uv=uv, texture=texels)


def document(path: Path) -> dict[str, Any]:
    """The JSON of a GLB file."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + length])


def test_axes_turn_there_and_back():
    front, left, up = torch.eye(3)
    turned = to_y_up(torch.stack([front, left, up]))
    torch.testing.assert_close(turned, torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]))
    x = torch.randn(9, 3, generator=rng(0))
    assert torch.equal(from_y_up(to_y_up(x)), x)


def test_linear_light_is_srgb_undone():
    x = torch.linspace(0, 1, 50)[:, None]
    torch.testing.assert_close(to_srgb(to_linear(x)), x, atol=1e-6, rtol=0)
    assert float(to_linear(torch.tensor([[0.5]]))) == pytest.approx(0.21404, abs=1e-5)


@pytest.mark.parametrize("suffix", ["glb", "obj"])
def test_a_textured_part_comes_back(tmp_path: Path, suffix: str):
    write: Callable[..., None] = write_glb if suffix == "glb" else write_obj
    part, path = textured(), tmp_path / f"a.{suffix}"
    write(path, [part])
    (again,) = read_mesh(path)
    assert again.texture is not None and again.uv is not None and part.uv is not None
    assert torch.equal(again.texture, part.texture)
    torch.testing.assert_close(again.vertices[again.faces], part.vertices[part.faces])
    torch.testing.assert_close(again.uv[again.faces], part.uv[part.faces])


def test_parts_come_back_with_names_and_colours(tmp_path: Path):
    path = tmp_path / "a.glb"
    parts = [wedge("left leg"), replace(textured(), name="hat"), wedge("right leg")]
    write_glb(path, parts)
    again = read_mesh(path)
    assert [part.name for part in again] == ["left leg", "hat", "right leg"]
    for part, other in zip(parts, again, strict=True):
        assert torch.equal(part.vertices, other.vertices)
        assert torch.equal(part.faces, other.faces)
        assert (part.colors is None) == (other.colors is None)
        if part.colors is not None and other.colors is not None:
            torch.testing.assert_close(part.colors, other.colors, atol=1e-6, rtol=0)


def test_an_obj_keeps_far_places_apart_and_names_in_their_line(tmp_path: Path):
    far = torch.tensor([[123456.0, 0, 0], [123456.125, 0, 0], [123456, 1, 0], [9, 9, 9]])
    part = Surface(far, torch.tensor([[0, 1, 2]]), name="frosch\nv 9 9 9 \u86d9")
    write_obj(tmp_path / "a.obj", [part])
    (again,) = read_mesh(tmp_path / "a.obj")
    assert again.name == "frosch v 9 9 9 \u86d9"
    torch.testing.assert_close(again.vertices[again.faces[0]], far[:3], atol=0, rtol=0)


def test_several_parts_come_back_from_obj(tmp_path: Path):
    parts = [wedge("one"), textured(), replace(textured(), name="three")]
    path = tmp_path / "a.obj"
    write_obj(path, parts)
    assert all(file.exists() for file in obj_files(path, parts))
    again = read_mesh(path)
    assert len(again) == 3
    torch.testing.assert_close(bounds(again), bounds(parts), atol=1e-5, rtol=0)
    assert [part.texture is not None for part in again] == [False, True, True]
    colors = wedge().colors
    assert again[0].colors is not None and colors is not None
    shown, meant = again[0].colors[again[0].faces], colors[wedge().faces]
    torch.testing.assert_close(shown, meant, atol=1e-5, rtol=0)


def test_trimesh_reads_our_glb(tmp_path: Path):
    import trimesh

    path = tmp_path / "a.glb"
    write_glb(path, [textured()])
    mesh = trimesh.load_scene(path, process=False).geometry["painted"]
    np.testing.assert_allclose(mesh.vertices, to_y_up(textured().vertices), atol=1e-6)
    np.testing.assert_allclose(mesh.visual.uv, textured().uv, atol=1e-6)
    material = mesh.visual.material
    assert material.metallicFactor == 0 and material.roughnessFactor == 1
    texels = np.asarray(material.baseColorTexture.convert("RGB")) / 255
    np.testing.assert_allclose(texels, textured().texture, atol=1e-6)
    assert mesh.is_watertight and mesh.volume > 0


def test_a_glb_keeps_the_rules_of_the_format(tmp_path: Path):
    path = tmp_path / "a.glb"
    write_glb(path, [wedge(), textured()])
    found, size = document(path), path.stat().st_size
    assert struct.unpack_from("<4sII", path.read_bytes()) == (b"glTF", 2, size) and size % 4 == 0
    for accessor in found["accessors"]:
        view = found["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[accessor["type"]]
        assert view["byteLength"] == 4 * width * accessor["count"] and view["byteOffset"] % 4 == 0
    position = found["accessors"][found["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert position["max"] == pytest.approx([0.7, 0.5, 0.9])
    write_glb(tmp_path / "b.glb", [wedge(), textured()])
    assert (tmp_path / "b.glb").read_bytes() == path.read_bytes()


def test_vertex_colours_are_linear_in_a_glb(tmp_path: Path):
    path = tmp_path / "a.glb"
    write_glb(path, [wedge()])
    found, content = document(path), path.read_bytes()
    accessor = found["accessors"][found["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    view = found["bufferViews"][accessor["bufferView"]]
    start = len(content) - found["buffers"][0]["byteLength"] + view["byteOffset"]
    stored = np.frombuffer(content, "<f4", 12, start).reshape(4, 3)
    assert stored[1, 1] == pytest.approx(0.21404, abs=1e-5)  # of 0.5


def tree(tmp_path: Path, nodes: list[dict[str, Any]], more: dict[str, Any] | None = None) -> Path:
    """A .gltf of the wedge under other nodes, its buffer beside it."""
    write_glb(tmp_path / "a.glb", [wedge()])
    found = document(tmp_path / "a.glb")
    content = (tmp_path / "a.glb").read_bytes()
    buffer = content[-found["buffers"][0]["byteLength"] :]
    (tmp_path / "the buffer.bin").write_bytes(buffer)
    found["buffers"][0]["uri"] = "the%20buffer.bin"
    path = tmp_path / "a.gltf"
    path.write_text(
        json.dumps({**found, "nodes": nodes, "scenes": [{"nodes": [0]}], **(more or {})})
    )
    return path


def test_nodes_are_placed_by_all_above_them(tmp_path: Path):
    half = 0.5**0.5
    nodes = [
        {"children": [1], "translation": [1.0, 2.0, 3.0]},
        {"mesh": 0, "rotation": [0.0, half, 0.0, half], "scale": [2.0, 1.0, 0.5]},
    ]
    (part,) = read_gltf(tree(tmp_path, nodes))
    x, y, z = to_y_up(wedge().vertices).unbind(-1)
    expected = torch.stack([0.5 * z + 1, y + 2, -2 * x + 3], -1)  # a quarter turn about y
    torch.testing.assert_close(part.vertices, expected)


def test_a_mirrored_node_is_not_inside_out(tmp_path: Path):
    from dreamlift.geometry.mesh import vertex_normals, volumes

    matrix = torch.diag(torch.tensor([-1.0, 2.0, 1.0, 1.0]))
    matrix[0, 3] = 5.0
    nodes = [{"mesh": 0, "matrix": matrix.T.flatten().tolist()}]
    (part,) = read_gltf(tree(tmp_path, nodes))
    assert float(volumes(part.vertices, part.faces).sum()) > 0
    assert float(part.vertices[:, 0].min()) == pytest.approx(5 - 0.7)
    assert part.normals is not None
    assert bool(((part.normals * vertex_normals(part.vertices, part.faces)).sum(-1) > 0.3).all())


def test_a_texture_transform_moves_the_coordinates(tmp_path: Path):
    path = tmp_path / "a.glb"
    write_glb(path, [textured()])
    found = document(path)
    material = found["materials"][0]["pbrMetallicRoughness"]
    material["baseColorTexture"]["extensions"] = {
        "KHR_texture_transform": {"offset": [0.25, 0.5], "scale": [2.0, 3.0]}
    }
    content = path.read_bytes()
    found["buffers"][0]["uri"] = "a.bin"
    (tmp_path / "a.bin").write_bytes(content[-found["buffers"][0]["byteLength"] :])
    (tmp_path / "b.gltf").write_text(json.dumps(found))
    (part,) = read_gltf(tmp_path / "b.gltf")
    u, v = textured().uv.unbind(-1)
    expected = torch.stack([2 * u + 0.25, 1 - (3 * (1 - v) + 0.5)], -1)
    torch.testing.assert_close(part.uv, expected)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "gltf-transform"),
        ({"extensionsRequired": ["ACME_quads"]}, "requires ACME_quads"),
        ({"asset": {"version": "1.0"}}, "version 2 is read"),
        ({"meshes": []}, "not valid glTF"),
        ({"buffers": [{"uri": "gone.bin", "byteLength": 9}]}, "needs gone.bin beside it"),
        ({"nodes": [{"children": [0]}]}, "round in a circle"),
        ({"nodes": [{}]}, "no triangles"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, more: dict[str, Any], said: str):
    with pytest.raises(BadInput, match=said):
        read_mesh(tree(tmp_path, [{"mesh": 0}], more))


def test_files_that_are_no_meshes_are_refused(tmp_path: Path):
    write_glb(tmp_path / "a.glb", [wedge()])
    (tmp_path / "cut.glb").write_bytes((tmp_path / "a.glb").read_bytes()[:700])
    (tmp_path / "empty.obj").write_text("# nothing\n")
    for name, said in [
        ("cut.glb", "cut short"),
        ("absent.glb", "does not exist"),
        ("a.docx", "no mesh file"),
        ("empty.obj", "cannot be read"),
    ]:
        with pytest.raises(BadInput, match=said):
            read_mesh(tmp_path / name)


def test_draco_files_are_refused_with_the_way_out():
    with pytest.raises(BadInput, match="Draco|draco.*without compression"):
        read_mesh(shared_data("data", "meshes", "kenney_market_draco", "croissant.gltf"))


@pytest.mark.parametrize(
    "name",
    [
        "kaykit_city/car_sedan.gltf",
        "kenney_kits_racing/vehicle-truck-red.glb",
        "kenney_market/ambulance.glb",
        "pytorch3d_cow/cow.glb",
        "trimesh_models/BoxTextured.glb",
        "trimesh_models/Duck.glb",
    ],
)
def test_our_reader_agrees_with_trimesh(name: str):
    import trimesh

    path = shared_data("data", "meshes", *name.split("/"))
    scene, parts = trimesh.load_scene(path, process=False), read_mesh(path)
    assert sum(len(part.faces) for part in parts) == sum(
        len(scene.geometry[scene.graph[node][1]].faces) for node in scene.graph.nodes_geometry
    )
    low, high = bounds(parts)
    np.testing.assert_allclose(to_y_up(torch.stack([low, high])), scene.bounds, atol=1e-4)


def test_fitted_fills_a_ball():
    (part,) = fitted([wedge()], radius=0.8)
    assert float(part.vertices.norm(dim=-1).max()) == pytest.approx(0.8)
    low, high = bounds([part])
    torch.testing.assert_close(low, -high)


def test_a_surface_with_a_texture_needs_uv():
    with pytest.raises(ValueError, match="no uv"):
        replace(textured(), uv=None)


def test_a_file_is_whole_or_as_it_was(tmp_path: Path):
    path = tmp_path / "deep" / "a.txt"
    with atomic(path) as file:
        file.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic(path) as file:
        file.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def triangles(indices: list[int], mode: int) -> Tensor:
    from dreamlift.io.gltf_read import _triangles

    return _triangles(torch.tensor(indices), mode)


def test_a_name_that_no_disk_can_hold_is_refused_before_any_work(tmp_path: Path):
    """While it is written, a file has a name that is longer by five."""
    refuse_unwritable(tmp_path / f"{'a' * 246}.glb")
    for letters in (247, 252, 300):
        with pytest.raises(BadInput, match="name too long"):
            refuse_unwritable(tmp_path / "new" / f"{'a' * letters}.glb")
    with atomic(tmp_path / f"{'a' * 246}.glb") as file:
        file.write_text("it can be written")
    for folder in (Path("."), Path("/")):
        with pytest.raises(BadInput, match="is a folder. Name a file."):
            refuse_unwritable(folder)


def test_strips_and_fans_become_triangles():
    assert triangles([4, 5, 6, 7], 5).tolist() == [[4, 5, 6], [5, 7, 6]]
    assert triangles([4, 5, 6, 7], 6).tolist() == [[4, 5, 6], [4, 6, 7]]
    assert triangles([4, 5, 6, 7, 8, 9], 4).tolist() == [[4, 5, 6], [7, 8, 9]]


def test_a_colour_that_is_everywhere_is_the_materials(tmp_path: Path):
    """Programs that show no vertex colours show this; two parts that share a picture, one."""
    import trimesh

    path = tmp_path / "a.glb"
    plain = replace(wedge(), colors=torch.tensor([[0.5, 0.25, 1.0]]).expand(4, 3), name="plain")
    shared = textured()
    write_glb(path, [plain, wedge(), shared, replace(shared, name="other")])
    again = read_mesh(path)
    torch.testing.assert_close(again[0].colors, plain.colors, atol=1e-6, rtol=0)
    torch.testing.assert_close(again[1].colors, wedge().colors, atol=1e-6, rtol=0)
    found = document(path)
    assert len(found["images"]) == len(found["textures"]) == 1
    attributes = [mesh["primitives"][0]["attributes"] for mesh in found["meshes"]]
    assert ["COLOR_0" in names for names in attributes[:2]] == [False, True]
    shown = trimesh.load_scene(path, process=False).geometry["plain"].visual.material.main_color
    linear = [((x + 0.055) / 1.055) ** 2.4 for x in (0.5, 0.25, 1.0)]
    np.testing.assert_allclose(shown[:3] / 255, linear, atol=1 / 255)


def test_texture_coordinates_alone_are_no_colour(tmp_path: Path):
    """trimesh paints such files in a grey of its own."""
    (tmp_path / "a.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n"
    )
    (part,) = read_mesh(tmp_path / "a.obj")
    assert part.colors is None and part.texture is None
