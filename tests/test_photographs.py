"""Folders of posed photographs: transforms.json and COLMAP, to the house's cameras."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import rng, shared_data

from dreamlift.cameras import Cameras, orbit
from dreamlift.errors import BadInput
from dreamlift.io.images import save_png
from dreamlift.photographs import develop, looked_at, read_album
from dreamlift.posed import Posed, pixels

W, H, F = 24, 18, 30.0


def some(n: int = 4) -> Cameras:
    """Upright cameras around the origin, none like another, of W x H pixels."""
    azimuth = torch.linspace(-150, 120, n, dtype=torch.float64)
    cameras = orbit(azimuth, torch.linspace(5, 40, n, dtype=torch.float64), distance=3.0)
    K = torch.tensor([[F, 0, 11.5], [0, 32.0, 9.5], [0, 0, 1]], dtype=torch.float64)
    return Cameras(cameras.world_to_camera, K.expand(n, 3, 3), H, W)


def pictures(folder: Path, n: int = 4, channels: int = 3) -> None:
    for i in range(n):
        save_png(folder / f"{i}.png", torch.rand(H, W, channels, generator=rng(i)))


def nerf(cameras: Cameras, **more: Any) -> dict[str, Any]:
    """transforms.json, by the definition: columns of camera-to-world are right, up, back."""
    frames = []
    for i, m in enumerate(torch.linalg.inv(cameras.world_to_camera)):
        right, down, into, place = m[:3].T
        rows = torch.stack([right, -down, -into, place], 1)
        last = torch.tensor([[0.0, 0, 0, 1]])
        frames.append(
            {"file_path": f"{i}.png", "transform_matrix": torch.cat([rows, last]).tolist()}
        )
    lens = {"fl_x": F, "fl_y": 32.0, "cx": 11.5, "cy": 9.5, "w": W, "h": H}
    return {**lens, **more, "frames": frames}


def write(folder: Path, said: dict[str, Any], name: str = "transforms.json") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(json.dumps(said))
    return folder


def quaternion(R: torch.Tensor) -> list[float]:
    """w, x, y, z of a rotation whose trace is not -1."""
    w = (1 + float(R.trace())) ** 0.5 / 2
    off = [R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]
    return [w, *(float(x) / (4 * w) for x in off)]


def colmap(folder: Path, cameras: Cameras, model: str = "PINHOLE") -> Path:
    """A text model: cameras.txt, images.txt and points3D.txt, as COLMAP comments them."""
    sparse = folder / "sparse" / "0"
    sparse.mkdir(parents=True)
    more = {"PINHOLE": "", "OPENCV": " 0.6 0.1 0.001 0.002", "FOV": " 0.5"}[model]
    (sparse / "cameras.txt").write_text(
        f"# Camera list\n7 {model} {W} {H} {F} 32.0 11.5 9.5{more}\n"
    )
    lines = ["# Image list with two lines of data per image:"]
    for i, m in enumerate(cameras.world_to_camera):
        numbers = [*quaternion(m[:3, :3]), *m[:3, 3].tolist()]
        lines += [
            f"{i + 3} {' '.join(map(repr, numbers))} 7 {i}.png",
            "1.5 2.5 -1" if i % 2 else "",
        ]
    (sparse / "images.txt").write_text("\n".join(lines) + "\n")
    (sparse / "points3D.txt").write_text("# Points\n1 0.1 0.2 -0.3 255 0 51 0.5 3 0 4 1\n")
    return folder


def binary(folder: Path, cameras: Cameras) -> Path:
    """The same model in COLMAP's binary layout."""
    sparse = folder / "sparse" / "0"
    sparse.mkdir(parents=True)
    data = struct.pack("<QiiQQ4d", 1, 7, 1, W, H, F, 32.0, 11.5, 9.5)
    (sparse / "cameras.bin").write_bytes(data)
    data = struct.pack("<Q", len(cameras))
    for i, m in enumerate(cameras.world_to_camera):
        data += struct.pack("<i7di", i + 3, *quaternion(m[:3, :3]), *m[:3, 3].tolist(), 7)
        data += f"{i}.png".encode() + b"\0" + struct.pack("<Q", i)
        data += struct.pack("<ddq", 1.5, 2.5, -1) * i
    (sparse / "images.bin").write_bytes(data)
    data = struct.pack("<QQ3d3BdQii", 1, 1, 0.1, 0.2, -0.3, 255, 0, 51, 0.5, 1, 3, 0)
    (sparse / "points3D.bin").write_bytes(data)
    return folder


def same_pictures(posed: Posed, cameras: Cameras) -> None:
    """A point of the data's world, taken to ours, is seen where the data's cameras see it."""
    points = torch.rand(9, 3, generator=rng(5), dtype=torch.float64) - 0.5
    moved = points @ posed.placement[:3, :3].T + posed.placement[:3, 3]
    seen, _ = posed.cameras.project(moved.float())
    wanted, _ = cameras.project(points)
    torch.testing.assert_close(seen.double(), wanted, atol=2e-3, rtol=0)


@pytest.mark.parametrize("kind", ["nerf", "text", "binary"])
def test_points_are_seen_where_the_data_s_cameras_see_them(tmp_path: Path, kind: str) -> None:
    cameras = some()
    folder = tmp_path / "data"
    if kind == "nerf":
        write(folder, nerf(cameras))
    else:
        colmap(folder, cameras) if kind == "text" else binary(folder, cameras)
    pictures(folder if kind == "nerf" else folder / "images")
    album = read_album(folder, hold_out=4)
    posed = develop(album)
    assert (posed.cameras.height, posed.cameras.width) == (H, W)
    same_pictures(posed, cameras)
    assert posed.held_out.tolist() == [True, False, False, False]
    torch.testing.assert_close(
        posed.images[2], torch.rand(H, W, 3, generator=rng(2)), atol=2e-3, rtol=0
    )
    assert bool((posed.alpha == 1).all()) and not posed.cut_out
    if kind != "nerf":  # the points came along; up was found
        assert posed.points is not None and posed.colors is not None
        at = torch.tensor([0.1, 0.2, -0.3], dtype=torch.float64)
        moved = posed.placement[:3, :3] @ at + posed.placement[:3, 3]
        torch.testing.assert_close(posed.points[0].double(), moved, atol=1e-6, rtol=0)
        assert posed.colors[0].tolist() == pytest.approx([1.0, 0.0, 0.2])
        up = -posed.cameras.world_to_camera[:, 1, :3].mean(0)
        assert torch.nn.functional.normalize(up, dim=0)[2] == pytest.approx(1.0, abs=1e-5)


def test_what_the_cameras_look_at_is_in_the_middle_and_the_ball_as_large_as_asked(
    tmp_path: Path,
) -> None:
    cameras = some()
    shift = torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64)
    moved = cameras.world_to_camera.clone()
    moved[:, :3, 3] -= moved[:, :3, :3] @ shift
    cameras = Cameras(moved, cameras.K, H, W)
    torch.testing.assert_close(looked_at(cameras), shift)
    pictures(write(tmp_path, nerf(cameras)))
    posed = develop(read_album(tmp_path), reach=0.5)
    torch.testing.assert_close(posed.cameras.distance, torch.full((4,), 1.05 / 0.5))
    same_pictures(posed, cameras)


def test_half_the_size_is_means_of_four_and_the_same_view(tmp_path: Path) -> None:
    cameras = some()
    pictures(write(tmp_path, nerf(cameras)), channels=4)
    posed = develop(read_album(tmp_path), downscale=2, reach=1)
    small = Cameras(
        cameras.world_to_camera, cameras.K / torch.tensor([[2.0], [2], [1]]), H // 2, W // 2
    )
    same_pictures(posed, small)
    whole = torch.rand(H, W, 4, generator=rng(1))
    premultiplied = whole[..., :3] * whole[..., 3:]
    assert posed.images[1, 3, 5].tolist() == pytest.approx(
        premultiplied[6:8, 10:12].mean((0, 1)).tolist(), abs=6e-3
    )
    assert posed.alpha[1, 3, 5, 0] == pytest.approx(float(whole[6:8, 10:12, 3].mean()), abs=3e-3)


def test_silhouettes_say_how_large_an_object_is(tmp_path: Path) -> None:
    """A ball of radius 0.4 at (.3, -.2, .1), drawn by its definition, fills ours."""
    centre = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
    cameras = orbit(torch.arange(8.0).double() * 45, torch.tensor([10.0, 50] * 4).double(), size=48)
    origin, ray = cameras.rays()
    away = torch.linalg.cross(ray, centre - origin).norm(dim=-1)
    for i in range(8):
        inside = (away[i] < 0.4).float()
        save_png(tmp_path / f"{i}.png", torch.stack([inside] * 4, -1))
    lens = {"fl_x": float(cameras.K[0, 0, 0]), "fl_y": float(cameras.K[0, 1, 1])}
    said = nerf(cameras, **lens, cx=24.0, cy=24.0, w=48, h=48)
    posed = develop(read_album(write(tmp_path, said), hold_out=0))
    assert posed.cut_out
    moved = posed.placement[:3, :3] @ centre + posed.placement[:3, 3]
    assert moved.norm() < 0.1
    assert 0.8 < 0.4 * float(posed.placement[0, 0]) < 1.05


def test_a_bent_lens_is_straightened_and_its_border_is_not_believed(tmp_path: Path) -> None:
    pictures(colmap(tmp_path, some(), "OPENCV") / "images")
    posed = develop(read_album(tmp_path))
    same_pictures(posed, some())
    assert 0.5 < float(posed.known.mean()) < 1.0


def test_a_mask_hides_pixels(tmp_path: Path) -> None:
    said = nerf(some())
    said["frames"][1]["mask_path"] = "mask.png"
    mask = torch.ones(H, W, 1)
    mask[:, 5:9] = 0
    pictures(write(tmp_path, said))
    save_png(tmp_path / "mask.png", mask)
    posed = develop(read_album(tmp_path))
    assert torch.equal(posed.known[1], mask) and bool((posed.known[0] == 1).all())
    draw = pixels(posed.some(torch.tensor([False, True, False, False])), torch.device("cpu"))
    drawn, values = draw(400, rng())
    columns = (11.5 - drawn.K[:, 0, 2]).round().long()
    rows = (9.5 - drawn.K[:, 1, 2]).round().long()
    assert not bool(((columns >= 5) & (columns < 9)).any()) and columns.max() == W - 1
    assert torch.equal(values[:, 0, 0, :3], posed.images[1, rows, columns])


@pytest.mark.parametrize("color", [0.0, 1.0, None])
def test_what_is_transparent_in_a_mask_is_hidden(tmp_path: Path, color: float | None) -> None:
    said = nerf(some())
    said["frames"][1]["mask_path"] = "mask.png"
    mask = torch.ones(H, W, 1)
    mask[:, 5:9] = 0
    grey = torch.ones(H, W, 3) if color is None else torch.full((H, W, 3), color)
    if color is None:  # black and white besides
        grey[:4] = 0
    pictures(write(tmp_path, said))
    save_png(tmp_path / "mask.png", torch.cat([grey, mask], -1))
    seen = mask if color is not None else mask * grey[..., :1]
    assert torch.equal(develop(read_album(tmp_path)).known[1], seen)


def test_the_data_s_own_split_is_kept(tmp_path: Path) -> None:
    said = nerf(some())
    for split, which in {"train": [0, 1, 2], "val": [3], "test": [3]}.items():
        frames = [said["frames"][i] for i in which]
        write(tmp_path, {**said, "frames": frames}, f"transforms_{split}.json")
    pictures(tmp_path)
    album = read_album(tmp_path, hold_out=2)
    assert [p.held_out for p in album.photos] == [False, False, False, True]
    names = [f"{i}.png" for i in range(4)]
    nerfstudio = {"train_filenames": names[1:], "test_filenames": names[:1]}
    other = write(tmp_path / "other", nerf(some(), **nerfstudio))
    pictures(other)
    album = read_album(other, hold_out=0)
    assert [p.held_out for p in album.photos] == [True, False, False, False]


def test_nerfstudio_s_turned_world_is_stood_up_and_its_turn_kept(tmp_path: Path) -> None:
    """Cameras in a world whose +y is down, as COLMAP likes it."""
    cameras = some()
    turn = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64)
    fallen = cameras.world_to_camera.clone()
    fallen[:, :3, :3] = fallen[:, :3, :3] @ turn
    applied = [[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]]
    said = nerf(Cameras(fallen, cameras.K, H, W), applied_transform=applied)
    pictures(write(tmp_path, said))
    album = read_album(tmp_path)
    assert album.about["applied_transform"] == applied
    posed = develop(album)
    same_pictures(posed, Cameras(fallen, cameras.K, H, W))
    up = -posed.cameras.world_to_camera[:, 1, :3].mean(0)
    assert torch.nn.functional.normalize(up, dim=0)[2] == pytest.approx(1.0, abs=1e-5)


def test_each_frame_may_have_a_lens_of_its_own(tmp_path: Path) -> None:
    said = nerf(some(), k1=0.1, k2=0.2, p1=0.3)
    said["frames"][1] |= {"fl_x": 25.0, "k1": 0.0, "k2": 0.0, "p1": 0.0, "w": 2 * W, "h": 2 * H}
    said["frames"][2] |= {"camera_model": "OPENCV_FISHEYE", "k3": 0.01, "k4": 0.02}
    pictures(write(tmp_path, said))
    first, second, third, _ = (photo.lens for photo in read_album(tmp_path).photos)
    assert (first.radial, first.tangential) == ((0.1, 0.2, 0.0), (0.3, 0.0))
    assert second.straight and (second.fx, second.cx, second.width) == (12.5, 5.75, W)
    assert third.fisheye == (0.1, 0.2, 0.01, 0.02)


def test_frames_without_pictures_are_left_out_and_said(tmp_path: Path) -> None:
    said = nerf(some(6))
    for frame in said["frames"]:
        frame["file_path"] = "./" + frame["file_path"].removesuffix(".png")  # extensions left off
    pictures(write(tmp_path, said), 5)
    save_png(tmp_path / "4.png", torch.zeros(2 * H, 2 * W, 3))
    album = read_album(tmp_path)
    assert [p.path.name for p in album.photos] == ["0.png", "1.png", "2.png", "3.png"]
    assert album.left_out == (
        f"./5: no such picture in {tmp_path}",
        f"./4: {2 * W}x{2 * H} pixels, where most have {W}x{H}",
    )
    for i in (1, 2):
        (tmp_path / f"{i}.png").unlink()
    with pytest.raises(BadInput, match="leaves 1 photographs to learn from; at least 3 .*no such"):
        read_album(tmp_path)


def broken(
    said: dict[str, Any], key: str, value: Any, *, frame: int | None = None
) -> dict[str, Any]:
    (said if frame is None else said["frames"][frame])[key] = value
    return said


SCALED = (torch.eye(4) * 2).tolist()
MIRROR = torch.diag(torch.tensor([1.0, 1, -1, 1])).tolist()
NOT = torch.full((4, 4), float("nan")).tolist()
HOSTILE = {
    "focal": (("fl_x", -3.0, None), "its focal lengths are -3 and 32 pixels; they must be above 0"),
    "text": (("fl_x", "wide", None), "its fl_x is 'wide', no number"),
    "no lens": (("k4", 0.1, None), "its k4 is not 0"),
    "model": (("camera_model", "EQUIRECTANGULAR", None), "its camera_model is EQUIRECTANGULAR"),
    "size": (("w", 0, None), "w and h are 0 and 18"),
    "shape": (("h", 99, None), "has 24x18 pixels, and its camera 24x99: another shape"),
    "frames": (("frames", [], None), "lists no frames"),
    "no frame": (("frames", [3], None), "lists frames that are no objects"),
    "scaled": (("transform_matrix", SCALED, 1), "no rotation and translation"),
    "mirrored": (("transform_matrix", MIRROR, 1), "determinant -1"),
    "NaN": (("transform_matrix", NOT, 2), "has NaN or infinity"),
    "ragged": (("transform_matrix", [[1, 2], [3]], 2), "frame 2 tells no camera"),
    "flat": (("transform_matrix", [[1.0, 2.0]], 2), r"has the shape \(1, 2\), not 4 x 4"),
    "path": (("file_path", "../../secret.png", 0), "lies outside of it"),
    "number": (("file_path", 3, 0), "its file_path is no text"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_cannot_be_meant_is_refused_by_name_and_reason(
    tmp_path: Path, case: str
) -> None:
    (key, value, frame), why = HOSTILE[case]
    pictures(write(tmp_path, broken(nerf(some()), key, value, frame=frame)))
    with pytest.raises(BadInput, match=why) as caught:
        read_album(tmp_path)
    assert "transforms.json" in str(caught.value)


def test_no_json_no_folder_and_nothing_posed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no folder"):
        read_album(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"neither transforms.json nor .*no COLMAP model"):
        read_album(tmp_path)
    (tmp_path / "transforms.json").write_text("[" * 100_000)
    with pytest.raises(BadInput, match=r"transforms.json cannot be read .* JSON that lists frames"):
        read_album(tmp_path)


def test_a_damaged_photograph_is_refused_by_its_name(tmp_path: Path) -> None:
    pictures(write(tmp_path, nerf(some())))
    content = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match=r"2.png is not a picture that can be read"):
        develop(read_album(tmp_path))
    (tmp_path / "2.png").write_bytes(b"GIF89a")
    with pytest.raises(BadInput, match=r"2.png is not a picture that can be read"):
        read_album(tmp_path)


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_a_damaged_model_of_colmap_s_is_refused(tmp_path: Path, name: str) -> None:
    pictures(binary(tmp_path, some()) / "images")
    file = tmp_path / "sparse" / "0" / f"{name}.bin"
    content = file.read_bytes()
    for cut in (content[:5], content[:-3], struct.pack("<Q", 1 << 60) + content[8:]):
        file.write_bytes(cut)
        with pytest.raises(BadInput, match=f"{name}.bin is damaged"):
            read_album(tmp_path)


def test_a_lens_of_colmap_s_that_is_not_read_is_named_with_the_way_out(tmp_path: Path) -> None:
    pictures(colmap(tmp_path, some(), "FOV") / "images")
    with pytest.raises(BadInput, match="of the model FOV; read are SIMPLE_PINHOLE.*undistorter"):
        read_album(tmp_path)


def test_others_data_are_read() -> None:
    lego = read_album(shared_data("data", "posed", "lego200"))
    assert len(lego.photos) == 80 and sum(bool(p.held_out) for p in lego.photos) == 10
    assert lego.photos[0].lens.fx == pytest.approx(100 / 0.36, rel=1e-3)
    fox = read_album(shared_data("data", "posed", "fox"), hold_out=7)
    assert [p.name for p in fox.photos if p.held_out] == [
        "images/0003.jpg", "images/0025.jpg", "images/0045.jpg", "images/0084.jpg",
    ]  # fmt: skip
    assert fox.photos[0].lens.radial == (0.0578421, -0.0805099, 0.0)
