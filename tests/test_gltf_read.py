"""io/gltf_read.py and its rooms: other people's glTF is read right, or refused by name and soon."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gltf_drafts import CORNERS, SQUARE, Draft, picture

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import face_cross, vertex_normals
from dreamlift.io.gltf_read import read_gltf

# -- what is wrong is said ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["[1,2]", "5", "null", "[" * 100_000, '{"a":' * 50_000])
def test_other_json_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.gltf").write_text(text)
    with pytest.raises(BadInput, match=r"odd\.gltf is not a glTF file"):
        read_gltf(tmp_path / "odd.gltf")


def broken() -> dict[str, tuple[str, Draft]]:
    """What is wrong in a document, and what is said of it."""
    cases: dict[str, tuple[str, Draft]] = {}

    def case(said: str) -> Draft:
        cases[said] = said, Draft(uv=CORNERS)
        return cases[said][1]

    case(r"materials\[0\] is None, no object").material(None)
    case(r"not valid glTF \(\w+Error").material({"pbrMetallicRoughness": [3]})
    case("factors are not numbers").material({"pbrMetallicRoughness": {"baseColorFactor": [1]}})
    case("its meshes are no list").json["meshes"] = "x"
    case(r"names meshes\[-1\] and has 1").json["nodes"] = [{"mesh": -1}]
    case(r"names meshes\[7\] and has 1").json["nodes"] = [{"mesh": 7}]
    case("not valid glTF .TypeError").json["nodes"] = 5
    case("NoneType").json["extensionsRequired"] = None
    case("place is NaN or infinity").json["nodes"] = [{"mesh": 0, "translation": [1e39, 0, 0]}]
    case("NORMAL is 3 x 3 numbers for 4").json["accessors"][1]["count"] = 3
    case("-1 values of 12 bytes").json["accessors"][0]["count"] = -1
    case("from -4 on").json["accessors"][0]["byteOffset"] = -4
    case("one every 1 bytes").json["bufferViews"][0]["byteStride"] = 1
    case("48 bytes from -8 on").json["bufferViews"][0]["byteOffset"] = -8
    case("requires ACME_quads").json["extensionsRequired"] = ["ACME_quads"]
    nothing = case("1000000000 values and no bufferView").json["accessors"][0]
    nothing["count"] = 10**9
    del nothing["bufferView"]
    draft = case("vertex 9 of 4")
    draft.primitive["indices"] = draft.values(np.array([0, 1, 9], "<u4"))
    draft = case("POSITION holds NaN")
    draft.primitive["attributes"]["POSITION"] = draft.values(SQUARE * np.float32(np.nan))
    draft = case("compressed .KHR_draco_mesh_compression")
    draft.primitive["extensions"] = {"KHR_draco_mesh_compression": {}}
    del draft.json["accessors"][0]["bufferView"]
    draft = case(r"texture is KHR_texture_basisu only.*PNG, JPEG or WebP").painted(picture(2, 2))
    draft.json["textures"] = [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]
    return cases


@pytest.mark.parametrize("key", broken())
def test_what_is_wrong_inside_is_said_of_the_file(tmp_path: Path, key: str) -> None:
    said, draft = broken()[key]
    with pytest.raises(BadInput, match=rf"a\.glb cannot be read: .*({said})"):
        draft.read(tmp_path)


@pytest.mark.parametrize(("name", "read"), [(5, ""), (None, ""), ("\ud800x", "?x"), ("leg", "leg")])
def test_a_name_is_text_that_can_be_written(tmp_path: Path, name: Any, read: str) -> None:
    draft = Draft()
    draft.json["nodes"][0]["name"] = name
    (part,) = draft.read(tmp_path)
    assert part.name == read


# -- neither time nor memory without end ----------------------------------------------------------


@pytest.mark.parametrize("last", [{"mesh": 0}, {}])
def test_a_node_has_one_parent(tmp_path: Path, last: dict[str, Any]) -> None:
    """Each of these shows the next one twice: there are 2^60 ways to the last."""
    draft = Draft()
    draft.json["nodes"] = [*({"children": [i + 1, i + 1]} for i in range(60)), last]
    with pytest.raises(BadInput, match=r"nodes\[60\] has two parents"):
        draft.read(tmp_path)


def test_a_parent_that_is_not_shown_is_none(tmp_path: Path) -> None:
    """Kenney's files have such: the scene begins below it."""
    draft = Draft()
    draft.json["nodes"] = [{"children": [1], "scale": [5, 5, 5]}, {"mesh": 0}]
    draft.json["scenes"] = [{"nodes": [1]}]
    (part,) = draft.read(tmp_path)
    assert float(part.vertices.max()) == 1


def test_a_buffer_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = Draft()
    positions = [draft.values(SQUARE + k) for k in range(30)]
    draft.json["meshes"] = [{"primitives": [{"attributes": {"POSITION": k}} for k in positions]}]
    uri = "data:application/octet-stream;base64," + base64.b64encode(draft.content).decode()
    draft.json["buffers"] = [{"uri": uri.rstrip("="), "byteLength": len(draft.content)}]
    (tmp_path / "a.gltf").write_text(json.dumps(draft.json))
    decoded = list[int]()
    plain = base64.b64decode
    monkeypatch.setattr(base64, "b64decode", lambda text: decoded.append(1) or plain(text))
    assert len(read_gltf(tmp_path / "a.gltf")) == 30
    assert len(decoded) == 1


def test_parts_of_a_shared_accessor_take_what_they_use(tmp_path: Path) -> None:
    """200 primitives of 300,000 vertices were 4 GB when each of them took all."""
    n, k = 40_000, 20
    points = np.random.default_rng(0).standard_normal((n, 3)).astype("<f4")
    draft = Draft()
    shared = draft.values(points)
    uses = [np.arange(30, dtype="<u4") * 7 + 2000 * i for i in range(k)]
    draft.json["meshes"][0]["primitives"] = [
        {"attributes": {"POSITION": shared, "NORMAL": shared}, "indices": draft.values(use)}
        for use in uses
    ]
    parts = draft.read(tmp_path)
    assert {part.vertices.shape for part in parts} == {(30, 3)}
    for part, use in zip(parts, uses, strict=True):
        np.testing.assert_array_equal(part.vertices[part.faces.reshape(-1)], points[use])
        assert part.vertices.untyped_storage().nbytes() == 30 * 12


def test_a_part_keeps_the_vertices_that_its_faces_use(tmp_path: Path) -> None:
    draft = Draft(uv=CORNERS)
    draft.primitive["indices"] = draft.values(np.array([3, 1, 2, 3, 2, 1, 3], "<u4"))
    (part,) = draft.read(tmp_path)
    np.testing.assert_array_equal(part.vertices, SQUARE[1:])
    assert part.faces.tolist() == [[2, 0, 1], [2, 1, 0]]


def test_a_mesh_shown_too_often_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamlift.io.gltf_read.MOST", 20)
    draft = Draft()
    draft.json["nodes"] = [{"mesh": 0}] * 10
    assert len(draft.read(tmp_path)) == 10
    draft.json["nodes"] = [{"mesh": 0}] * 11
    with pytest.raises(BadInput, match=r"a\.glb.*more than 20 triangles.*simplify"):
        draft.read(tmp_path)


# -- shapes ---------------------------------------------------------------------------------------


def test_faces_without_normals_are_flat(tmp_path: Path) -> None:
    """A cube of eight shared corners: glTF wants its faces flat, not round."""
    draft = Draft()
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], "<f4")
    faces = [0, 1, 3, 0, 3, 2, 4, 6, 7, 4, 7, 5, 0, 4, 5, 0, 5, 1]
    faces += [2, 3, 7, 2, 7, 6, 0, 2, 6, 0, 6, 4, 1, 5, 7, 1, 7, 3]
    draft.primitive["attributes"] = {"POSITION": draft.values(corners)}
    draft.primitive["indices"] = draft.values(np.array(faces, "<u4"))
    (part,) = draft.read(tmp_path)
    assert part.normals is None and len(part.vertices) == 36
    np.testing.assert_array_equal(part.vertices[part.faces].reshape(-1, 3), corners[faces])
    normals = vertex_normals(part.vertices, part.faces)[part.faces]
    flat = face_cross(part.vertices, part.faces)
    torch.testing.assert_close(normals, flat[:, None].expand(-1, 3, -1))


@pytest.mark.parametrize("required", [False, True])
def test_instances_of_a_node_are_all_shown(tmp_path: Path, required: bool) -> None:
    draft, half = Draft(), 0.5**0.5
    moves = np.array([[0, 0, 0], [3, 0, 0], [6, 0, 0]], "<f4")
    turns = np.array([[0, 0, 0, 1], [0, half, 0, half], [0, 0, 0, 1]], "<f4")
    sizes = np.array([[1, 1, 1], [1, 1, 1], [-2, 1, 1]], "<f4")
    arrays = {"TRANSLATION": moves, "ROTATION": turns, "SCALE": sizes}
    named = {key: draft.values(array) for key, array in arrays.items()}
    more = {"EXT_mesh_gpu_instancing": {"attributes": named}}
    draft.json["nodes"] = [{"mesh": 0, "translation": [0, 10, 0], "extensions": more}]
    draft.json["extensionsRequired"] = ["EXT_mesh_gpu_instancing"] * required
    (part,) = draft.read(tmp_path)
    x, y, z = torch.from_numpy(SQUARE).unbind(-1)
    expected = torch.cat(
        [
            torch.stack([x, y + 10, z], -1),
            torch.stack([z + 3, y + 10, -x], -1),  # a quarter turn about y
            torch.stack([6 - 2 * x, y + 10, z], -1),
        ]
    )
    torch.testing.assert_close(part.vertices, expected)
    assert part.normals is not None and part.faces.shape == (6, 3)
    # None is inside out, the mirrored one neither.
    torch.testing.assert_close(vertex_normals(part.vertices, part.faces), part.normals)


# -- materials and pictures -----------------------------------------------------------------------

OLD = "KHR_materials_pbrSpecularGlossiness"


def test_metallic_roughness_goes_before_specular_and_glossiness(tmp_path: Path) -> None:
    both: dict[str, Any] = {
        "pbrMetallicRoughness": {"baseColorFactor": [0, 1, 0, 1]},
        "extensions": {OLD: {"diffuseFactor": [1, 0, 0, 1]}},
    }
    both["pbrMetallicRoughness"]["roughnessFactor"] = 7  # factors go from 0 to 1
    (part,) = Draft().material(both).read(tmp_path)
    assert part.material.roughness == 1
    assert part.colors is not None and part.colors[0].tolist() == pytest.approx([0, 1, 0])


@pytest.mark.parametrize("required", [False, True])
def test_webp_is_read(tmp_path: Path, required: bool) -> None:
    texels, of = picture(6, 4), {"EXT_texture_webp": {"source": 0}}
    draft = Draft(uv=CORNERS).painted(texels, form="WEBP", extensions=of)
    draft.json["extensionsRequired"] = ["EXT_texture_webp"] * required
    (part,) = draft.read(tmp_path)
    assert part.texture is not None
    np.testing.assert_array_equal((part.texture * 255).round(), texels)


def test_a_texture_without_a_picture_is_none(tmp_path: Path) -> None:
    (part,) = Draft(uv=CORNERS).painted(picture(2, 2), name="to come").read(tmp_path)
    assert part.texture is None


LEFT_OUT = [f"KHR_materials_{x}" for x in ("ior", "emissive_strength", "clearcoat", "variants")]


@pytest.mark.parametrize("name", [*LEFT_OUT, "KHR_lights_punctual"])
def test_what_is_left_out_may_be_required(tmp_path: Path, name: str) -> None:
    draft = Draft()
    draft.json["extensionsRequired"] = [name]
    (part,) = draft.read(tmp_path)
    assert len(part.faces) == 2
