"""dreamlift/toybox/dataset.py: what other tools read agrees with what was drawn."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dreamlift.cameras import Cameras
from dreamlift.errors import BadInput
from dreamlift.io.images import load_image
from dreamlift.io.meshes import read_mesh
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh
from dreamlift.toybox.dataset import Dataset
from dreamlift.words import held, parse

SMALL = Dataset(seed=2, views=3, size=48)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "out"
    SMALL.write(out, 2)
    return out


def said(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "transforms.json").read_text())


def cameras(told: dict[str, Any]) -> Cameras:
    """The cameras, as another tool makes them of transforms.json: by NeRF's own convention."""
    poses = torch.tensor([frame["transform_matrix"] for frame in told["frames"]])
    right, up, back, position = poses[:, :3].unbind(-1)
    rotation = torch.stack([right, -up, -back], 1)
    world_to_camera = torch.eye(4).repeat(len(poses), 1, 1)
    world_to_camera[:, :3, :3] = rotation
    world_to_camera[:, :3, 3] = -torch.einsum("bij,bj->bi", rotation, position)
    f = 0.5 * told["w"] / torch.tan(torch.tensor(told["camera_angle_x"]) / 2)
    K = torch.tensor([[float(f), 0, told["cx"]], [0, float(f), told["cy"]], [0, 0, 1]])
    return Cameras(world_to_camera, K.repeat(len(poses), 1, 1), told["h"], told["w"])


@pytest.mark.seconds
def test_the_mesh_through_the_cameras_covers_the_pictures(written: Path) -> None:
    for folder in sorted(written.glob("0*")):
        told = said(folder)
        alpha = Mesh(read_mesh(folder / told["mesh"])).render(Shot(cameras(told))).alpha[..., 0]
        for mask, frame in zip(alpha > 0.5, told["frames"], strict=True):
            picture = load_image(folder / frame["file_path"])
            assert picture.shape == (48, 48, 4)
            seen = picture[..., 3] > 0.5
            assert (seen & mask).sum() / (seen | mask).sum() > 0.9
            assert 0.05 < seen.float().mean() < 0.9


@pytest.mark.seconds
def test_captions_and_parts_name_the_object(written: Path) -> None:
    for folder in sorted(written.glob("0*")):
        told = said(folder)
        graph = parse(told["captions"][0])
        assert [thing.noun for thing in graph.things] == [
            t["noun"] for t in told["graph"]["things"]
        ]
        assert all(parse(caption).things == graph.things for caption in told["captions"])
        assert [part["name"] for part in told["parts"]] == [
            p.name for p in read_mesh(folder / "mesh.glb")
        ]
        for frame in told["frames"]:
            assert frame["caption"].startswith(told["captions"][0])
            assert parse(frame["caption"]).view is not None
        assert not any(held(graph.subject.noun, other.noun) for other in graph.things[1:])


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


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(BadInput, match=r"is not empty: it holds thesis\.tex\. Nothing was changed"):
        SMALL.write(tmp_path, 1)
    with pytest.raises(BadInput, match=r"Cannot write to .*: Not a directory"):
        SMALL.write(tmp_path / "thesis.tex" / "x", 1)
    (tmp_path / "thesis.tex").unlink()
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(BadInput, match="is damaged"):
        SMALL.write(tmp_path, 1)


def test_numbers_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="at least 1 object; 0 were asked for"):
        SMALL.write(tmp_path, 0)
    for change in ({"views": 0}, {"size": 8}, {"seed": -1}):
        with pytest.raises(BadInput, match=f"The {next(iter(change))} must be"):
            Dataset(**change)
