"""dreamlift/toybox/dataset.py: what other tools read agrees with what was drawn."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import rng
from PIL import Image
from toys import field

from dreamlift.captures import read_capture
from dreamlift.errors import BadInput
from dreamlift.geometry.points import scatter
from dreamlift.grammar import parse
from dreamlift.io.images import load_image
from dreamlift.io.meshes import read_mesh
from dreamlift.phrases import phrase
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh
from dreamlift.toybox.compose import build
from dreamlift.toybox.dataset import Dataset, meant, pieces, scene_of
from dreamlift.toybox.lists import category
from dreamlift.toybox.meaning import BUILT
from dreamlift.toybox.mesh import mesh
from dreamlift.toybox.scenes import toy_scene
from dreamlift.words import NOUNS, PATTERNS, held

SMALL = Dataset(seed=2, views=3, size=48, grid=12, points=300)
SAID = ("a frog on stilts", "a small red cube on top of a blue ball")
GIVEN = replace(SMALL, captions=SAID, views=1, size=16, outputs=("images", "points", "mesh", "sdf"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "out"
    SMALL.write(out, 2)
    return out


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("given") / "out"
    GIVEN.write(out, 3)
    return out


def said(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "transforms.json").read_text())


def index(out: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (out / "captions.jsonl").read_text().splitlines()]


@pytest.mark.seconds
def test_the_mesh_through_the_cameras_covers_the_pictures(written: Path) -> None:
    for folder in sorted(written.glob("0*")):
        told, cameras = said(folder), read_capture(folder).cameras
        alpha = Mesh(read_mesh(folder / told["mesh"])).render(Shot(cameras)).alpha[..., 0]
        for mask, frame in zip(alpha > 0.5, told["frames"], strict=True):
            picture = load_image(folder / frame["file_path"])
            assert picture.shape == (48, 48, 4)
            seen = picture[..., 3] > 0.5
            assert (seen & mask).sum() / (seen | mask).sum() > 0.9
            assert 0.05 < seen.float().mean() < 0.9


@pytest.mark.seconds
def test_captions_and_parts_name_the_object(written: Path) -> None:
    assert [row["scene"] for row in index(written)] == [
        "000000/transforms.json",
        "000001/transforms.json",
    ]
    for row in index(written):
        folder = written / row["name"]
        told = said(folder)
        assert row["caption"] == told["caption"] == told["captions"][0]
        graph = parse(told["caption"])
        assert [thing.noun for thing in graph.things] == [
            t["noun"] for t in told["graph"]["things"]
        ]
        assert all(parse(caption).things == graph.things for caption in told["captions"])
        assert [part["name"] for part in told["parts"]] == [
            p.name for p in read_mesh(written / row["path"])
        ]
        for frame in told["frames"]:
            assert frame["caption"].startswith(told["captions"][0])
            assert parse(frame["caption"]).view is not None
        assert not any(held(graph.subject.noun, other.noun) for other in graph.things[1:])
        assert row["held_out"] is False


@pytest.mark.seconds
def test_the_seed_and_the_caption_are_the_scene(written: Path) -> None:
    """Pixels, points and samples are those of a toy that anybody can build again."""
    told = said(written / "000001")
    scene = toy_scene(parse(told["caption"]), told["seed"])
    capture = read_capture(written / "000001")
    seen = scene.render(Shot(capture.cameras))
    assert seen.depth is not None and capture.depth is not None and capture.part is not None
    inside = capture.part >= 0
    assert torch.equal(inside, seen.aux.coverage >= 0.5)
    assert torch.equal(capture.part[inside], seen.aux.part.long()[inside])
    along = (capture.cameras.rays()[1] * capture.cameras.world_to_camera[:, None, None, 2, :3]).sum(
        -1
    )
    assert float((seen.aux.depth * along - capture.depth)[inside].abs().max()) < 1e-4
    with np.load(written / "000001" / "sdf.npz") as file:
        line = torch.linspace(float(file["bounds"][0, 0]), float(file["bounds"][1, 0]), 12)
        spots = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
        sdf = torch.from_numpy(file["sdf"]).reshape(-1)
    torch.testing.assert_close(field(scene.built.solids, spots), sdf, atol=1e-6, rtol=0)


@pytest.mark.seconds
def test_trimesh_finds_named_coloured_parts_that_stand_upright(given: Path) -> None:
    import trimesh

    told = said(given / "000001")  # a small red cube on a blue ball
    scene = trimesh.load_scene(given / "000001" / "mesh.glb", process=False)
    assert set(scene.graph.nodes_geometry) == {part["name"] for part in told["parts"]}
    cube, ball = (scene.geometry[scene.graph[name][1]] for name in ("cube", "ball"))
    assert cube.vertices[:, 1].mean() > ball.vertices[:, 1].max() - 0.1  # +y is up in glTF
    assert ball.is_watertight and ball.volume > 0
    for shape, part in zip((cube, ball), told["parts"], strict=True):
        linear = shape.visual.material.main_color[:3] / 255
        srgb = 1.055 * linear ** (1 / 2.4) - 0.055
        np.testing.assert_allclose(srgb, part["color"], atol=0.03)
    points = trimesh.load(given / "000001" / "points.ply")
    assert points.vertices.shape == (300, 3)
    low, high = scene.bounds
    inner = (points.vertices[:, [1, 2, 0]] > low - 0.01) & (
        points.vertices[:, [1, 2, 0]] < high + 0.01
    )
    assert inner.all()


@pytest.mark.seconds
def test_transparent_pixels_hold_straight_colours(written: Path) -> None:
    """On an edge, half covered, the colour is the object's and not half of it."""
    with Image.open(written / "000000" / "images" / "000.png") as picture:
        assert picture.mode == "RGBA"
    pixels = load_image(written / "000000" / "images" / "000.png")
    edge = pixels[(pixels[..., 3] > 0.2) & (pixels[..., 3] < 0.6)]
    inside = pixels[pixels[..., 3] > 0.99]
    assert edge[:, :3].amax(-1).mean() > 0.6 * inside[:, :3].amax(-1).mean()


@pytest.mark.seconds
def test_more_objects_are_added_and_the_first_are_kept(written: Path, tmp_path: Path) -> None:
    files = {path: path.read_bytes() for path in written.rglob("*") if path.is_file()}
    again = tmp_path / "again"
    SMALL.write(again, 1)
    (again / ".000001.tmp").mkdir()  # as a kill leaves it
    seen: list[int] = []
    SMALL.write(again, 2, seen.append)
    assert seen == [1, 2]
    assert {again / path.relative_to(written): text for path, text in files.items()} == {
        path: path.read_bytes() for path in again.rglob("*") if path.is_file()
    }


@pytest.mark.seconds
def test_given_captions_are_drawn_in_turn_with_other_seeds(given: Path) -> None:
    rows = index(given)
    assert [row["caption"] for row in rows] == [SAID[0], SAID[1], SAID[0]]
    assert [row["held_out"] for row in rows] == [True, False, True]
    assert len({row["seed"] for row in rows}) == 3
    assert sorted(p.name for p in (given / "000002").iterdir()) == [
        "images",
        "mesh.glb",
        "points.ply",
        "sdf.npz",
        "transforms.json",
    ]
    other = replace(GIVEN, captions=("a frog on stilts", "a cone"))
    with pytest.raises(BadInput, match="000001 is 'a small red cube .*', where 'a cone' is asked"):
        other.write(given, 3)


CANNOT = {
    "a dog on a xylophone": "does not know the word 'xylophone'",
    "a ball wearing a table": "cannot be drawn. There is no picture",
    "a red": "needs a noun",
    "a cube, back view": "from every side",
    "an untextured cube": "leave out the view and `untextured`",
}


@pytest.mark.parametrize("caption", CANNOT)
def test_captions_that_cannot_be_drawn_are_refused_at_once(caption: str) -> None:
    with pytest.raises(BadInput, match=CANNOT[caption]):
        replace(GIVEN, captions=("a cube", caption))


@pytest.mark.seconds
def test_the_whole_world_is_drawn_without_what_is_held_out() -> None:
    rng = random.Random(0)
    graphs = [scene_of(rng) for _ in range(1500)]
    nouns = {thing.noun for graph in graphs for thing in graph.things}
    assert len(nouns & set(NOUNS)) > 60
    assert {k.relation for graph in graphs for k in graph.links} >= {"on top of", "next to"}
    for graph in graphs:
        assert category(phrase(graph)) != "held-out pair", "neither said nor built"
        assert parse(phrase(graph)) == graph
        for link in graph.links:
            subject = graph.things[link.subject]
            assert link.relation not in BUILT or not (subject.colour or subject.pattern)
    for graph in graphs[:12]:
        assert build(graph, 1).parts


def test_numbers_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="count must be 1 to 1000000; 0 was asked for"):
        SMALL.write(tmp_path / "out", 0)
    assert not (tmp_path / "out").exists()
    for change in ({"views": 0}, {"size": 8}, {"seed": -1}, {"grid": 4}, {"points": 0}):
        with pytest.raises(BadInput, match=f"The {next(iter(change))} must be"):
            Dataset(**change)
    with pytest.raises(BadInput, match="Nothing would be written"):
        Dataset(outputs=())
    assert meant("a frog on stilts").things[1].noun == "stilts"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_patterned_part_has_the_mean_of_its_colours(pattern: str) -> None:
    """As a mesh's has: what is written beside its name is what its points show."""
    scene = toy_scene(parse(f"a {pattern} mug"), 3)
    fine = mesh(scene.built, scene.coat, resolution=96)
    body = max(range(len(fine)), key=lambda k: len(fine[k].faces))
    spots = scatter(fine, 4000, rng())
    mean = spots.color[spots.part == body].mean(0)
    said = torch.tensor(pieces(scene)[body].color)
    torch.testing.assert_close(said, mean, atol=0.05, rtol=0)
