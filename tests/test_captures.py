"""captures.py: what is captured is true of a known scene, and comes back from the disk."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dreamlift.cameras import Cameras, orbit
from dreamlift.captures import (
    TRANSFORMS,
    Capture,
    Piece,
    capture,
    line,
    read_capture,
    surround,
    write_capture,
)
from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface
from dreamlift.lights import Light
from dreamlift.render.raycast import Fragments
from dreamlift.scenes.mesh import Mesh

RED, BLUE = torch.tensor([0.8, 0.2, 0.1]), torch.tensor([0.1, 0.3, 0.9])


def sheet(x: float, low: float, high: float, color: torch.Tensor, name: str) -> Surface:
    """A square in the plane of x that faces the front, y and z from low to high."""
    corners = torch.tensor([[x, low, low], [x, high, low], [x, high, high], [x, low, high]])
    return Surface(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), color.expand(4, 3), name=name)


def parts(fragments: Fragments) -> torch.Tensor:
    return fragments.part


def taken(size: int = 24) -> Capture:
    """A small blue sheet before a large red one, from the front and from above its left."""
    scene = Mesh(
        [sheet(0.0, -0.8, 0.8, RED, "back"), sheet(0.4, 0.1, 0.5, BLUE, "front")], samples=1
    )
    cameras = orbit(torch.tensor([0.0, 50.0]), torch.tensor([0.0, 30.0]), size=size)
    third = torch.full((2,), 0.3)
    light = Light(torch.tensor([[5.0, 0.0, 0.0]]).expand(2, 3), third, 1 - third, third < 0)
    made = capture(scene, parts, cameras, light, fine=3)
    pieces = [Piece("back", (0.8, 0.2, 0.1)), Piece("front", (0.1, 0.3, 0.9), 1)]
    return replace(made, captions=("two sheets", "sheets"), parts=pieces, about={"seed": 7})


def test_depth_is_along_the_cameras_z() -> None:
    """A plane across the view has one depth from edge to edge, which no ray's length has."""
    made = taken()
    assert made.depth is not None and made.part is not None and made.normal is not None
    front, depth = made.part[0], made.depth[0]
    assert depth[front == 0].tolist() == pytest.approx([4.0] * int((front == 0).sum()), abs=1e-5)
    assert depth[front == 1].tolist() == pytest.approx([3.6] * int((front == 1).sum()), abs=1e-5)
    assert bool((depth[front < 0] == 0).all()) and bool((made.normal[0][front < 0] == 0).all())
    torch.testing.assert_close(
        made.normal[0][front >= 0], torch.tensor([[1.0, 0, 0]]).expand(int((front >= 0).sum()), 3)
    )
    # The small sheet stands on the object's left, which is the picture's right, and high.
    rows, columns = (front == 1).nonzero().float().mean(0).tolist()
    assert rows < 11 and columns > 12


def test_a_point_of_a_depth_picture_lies_on_its_sheet() -> None:
    made = taken()
    cameras = made.cameras
    assert made.depth is not None and made.part is not None
    origin, ray = cameras.rays()
    along = (ray * cameras.world_to_camera[:, None, None, 2, :3]).sum(-1)
    point = origin + (made.depth / along)[..., None] * ray
    for number, x in ((0, 0.0), (1, 0.4)):
        here = point[1][made.part[1] == number]
        assert len(here) > 3 and float((here[:, 0] - x).abs().max()) < 1e-5


def test_images_are_lit_and_albedo_is_not() -> None:
    made = taken()
    assert made.images is not None and made.albedo is not None
    row, column = 17, 6  # 5.5 and -5.5 pixels off the middle, of 1.25 / 12 world units each
    torch.testing.assert_close(made.albedo[0, row, column], RED)
    cosine = 5 / torch.tensor([5.0, 5.5 * 1.25 / 12, 5.5 * 1.25 / 12]).norm()
    lit = made.images[0, row, column] / RED
    assert lit.tolist() == pytest.approx([0.3 + 0.7 * float(cosine)] * 3, abs=1e-3)


def test_a_capture_comes_back_from_the_disk(tmp_path: Path) -> None:
    made = taken()
    write_capture(tmp_path, made)
    again = read_capture(tmp_path)
    assert (again.captions, list(again.parts)) == (("two sheets", "sheets"), list(made.parts))
    assert again.about["seed"] == 7
    torch.testing.assert_close(again.cameras.world_to_camera, made.cameras.world_to_camera)
    torch.testing.assert_close(again.cameras.K, made.cameras.K)
    torch.testing.assert_close(again.light.position, made.light.position)
    assert again.part is not None and made.part is not None and torch.equal(again.part, made.part)
    for name, tolerance in (
        ("alpha", 0.5 / 255), ("images", 1 / 255), ("albedo", 1 / 255), ("depth", 0.51e-4),
        ("normal", 0.01),
    ):  # fmt: skip
        a, b = getattr(made, name), getattr(again, name)
        assert float((a - b).abs().max()) <= tolerance + 1e-6, name


def test_another_tool_reads_the_same_cameras_and_numbers(tmp_path: Path) -> None:
    """By NeRF's convention, and with nothing but Pillow and json."""
    made = taken()
    write_capture(tmp_path, made)
    said: dict[str, Any] = json.loads((tmp_path / TRANSFORMS).read_text())
    poses = torch.tensor([frame["transform_matrix"] for frame in said["frames"]])
    right, up, back, position = poses[:, :3].unbind(-1)
    world_to_camera = torch.eye(4).repeat(2, 1, 1)
    world_to_camera[:, :3, :3] = torch.stack([right, -up, -back], 1)
    world_to_camera[:, :3, 3] = -torch.einsum("bij,bj->bi", world_to_camera[:, :3, :3], position)
    torch.testing.assert_close(world_to_camera, made.cameras.world_to_camera)
    f = 0.5 * said["w"] / torch.tan(torch.tensor(said["camera_angle_x"]) / 2)
    assert float(f) == pytest.approx(said["fl_x"], rel=1e-5)
    with Image.open(tmp_path / said["frames"][0]["depth_file_path"]) as picture:
        levels = {picture.getpixel((x, 9)) for x in range(24)}
    assert levels == {0, 36000, 40000}
    with Image.open(tmp_path / said["frames"][0]["part_file_path"]) as picture:
        counted = {picture.getpixel((x, y)) for x in range(24) for y in range(24)}
    assert counted == {0, 1, 2} and [p["id"] for p in said["parts"]] == [1, 2]


def test_only_what_is_kept_is_written(tmp_path: Path) -> None:
    made = taken()
    write_capture(tmp_path, made, ("depth",))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["depth", TRANSFORMS]
    again = read_capture(tmp_path)
    assert again.images is None and again.alpha is None and again.part is None
    assert again.depth is not None
    with pytest.raises(ValueError, match="no images to write"):
        write_capture(tmp_path, replace(made, images=None), ("images",))


def test_the_line_of_an_index_tells_what_and_where(tmp_path: Path) -> None:
    folder = tmp_path / "000004"
    about = {"seed": 7, "mesh": "mesh.glb", "held_out": True}
    write_capture(folder, replace(taken(), about=about), ("depth",))
    assert line(folder) == {
        "path": "000004/mesh.glb",
        "placed": True,
        "name": "000004",
        "scene": "000004/transforms.json",
        "caption": "two sheets",
        "captions": ["two sheets", "sheets"],
        "seed": 7,
        "held_out": True,
    }


def test_captures_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_capture(tmp_path)
    for text, said in (
        ("{", "cannot be read"),
        ("[]", "a caption and frames were expected"),
        ('{"caption": "x", "frames": []}', "tells no capture"),
    ):
        (tmp_path / TRANSFORMS).write_text(text)
        with pytest.raises(BadInput, match=said):
            read_capture(tmp_path)
    write_capture(tmp_path, taken())
    (tmp_path / "part" / "001.png").unlink()
    with pytest.raises(BadInput, match=r"part/001\.png"):
        read_capture(tmp_path)


def test_cameras_stand_evenly_around_at_their_heights() -> None:
    cameras, light = surround(5, 32, (-10.0, 60.0), random.Random(3))
    turns = (cameras.azimuth - cameras.azimuth.roll(1)) % 360
    assert turns.tolist() == pytest.approx([72.0] * 5, abs=1e-3)
    assert bool(((cameras.elevation > -10) & (cameras.elevation < 60)).all())
    assert float(cameras.elevation.std()) > 3
    assert isinstance(cameras, Cameras) and len(light) == 5
    assert bool((light.position == light.position[0]).all())
