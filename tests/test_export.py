"""From a density to files and back: what was put in must be seen again."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from conftest import rng
from torch import Tensor

import dreamlift.export as subject
from dreamlift.cameras import Cameras, orbit
from dreamlift.convert.bake import shown
from dreamlift.convert.finish import Finish
from dreamlift.convert.volume_to_mesh import extract
from dreamlift.errors import BadInput
from dreamlift.export import FILES, Asset, check_same, export, write_asset
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.texels import sample
from dreamlift.geometry.uv import dilate, rasterise, unwrap
from dreamlift.geometry.volume import Volume
from dreamlift.io.images import load_image
from dreamlift.io.meshes import read_mesh
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.mesh import Mesh, load_mesh

QUICK = Finish(resolution=56, faces=3000, texture=192, frames=4, size=48)
TINY = Finish(resolution=32, faces=600, texture=64, frames=2, size=16)
COLORS = torch.tensor(
    [[0.9, 0.1, 0.1], [0.1, 0.7, 0.9], [0.2, 0.8, 0.2], [0.9, 0.8, 0.1], [0.5, 0.1, 0.6], [0.9] * 3]
)
"""For the sides +x, -x, +y, -y, +z, -z."""


@dataclass
class Ball:
    """A ball around a point of its own, one colour in front (+x), another behind."""

    centre: Tensor = field(default_factory=lambda: torch.tensor([0.1, -0.15, 0.2]))
    radius: float = 0.7
    thickness: float = 60.0
    bounds: Tensor = field(default_factory=lambda: torch.tensor([[-1.2] * 3, [1.2] * 3]))

    def density(self, points: Tensor) -> Tensor:
        inside = self.radius - (points - self.centre).norm(dim=-1)
        return self.thickness * (inside / 0.03 + 0.5).clamp(0, 1)

    def albedo(self, points: Tensor) -> Tensor:
        return torch.where(points[:, :1] > self.centre[0], COLORS[0], COLORS[1])


class Cube(Ball):
    """A cube with a colour for each side."""

    def density(self, points: Tensor) -> Tensor:
        return self.thickness * ((0.5 - points.abs().amax(-1)) / 0.03 + 0.5).clamp(0, 1)

    def albedo(self, points: Tensor) -> Tensor:
        axis = points.abs().argmax(-1)
        negative = points.gather(1, axis[:, None])[:, 0] < 0
        return COLORS[2 * axis + negative]


def true_ball(ball: Ball, cameras: Cameras) -> Tensor:
    """What cameras see of the ball, by intersecting rays with it."""
    origins, directions = cameras.rays()
    away = origins - ball.centre
    b = (away * directions).sum(-1)
    root = b**2 - away.square().sum(-1) + ball.radius**2
    points = origins + (-b - root.clamp_min(0).sqrt())[..., None] * directions
    color = ball.albedo(points.reshape(-1, 3)).reshape(points.shape)
    return torch.where((root > 0)[..., None], color, 0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """One export for the tests that only look at it."""
    return export(Cube(), tmp_path_factory.mktemp("cube"), finish=QUICK)


@pytest.mark.seconds
@pytest.mark.parametrize("name", ["asset.glb", "asset.obj"])
def test_every_side_of_a_cube_is_where_it_was(made: Asset, name: str):
    """From azimuth 0 the +x side is in front, +y on the right, +z on top; and all the way round."""
    mesh = load_mesh(made.folder / name)
    looks = [(0.0, 0.0, 0), (180.0, 0.0, 1), (90.0, 0.0, 2), (-90.0, 0.0, 3), (0.0, 89.9, 4)]
    for azimuth, elevation, side in looks:
        cameras = orbit(torch.tensor([azimuth]), torch.tensor([elevation]), size=33)
        with torch.no_grad():
            color = mesh.render(Shot(cameras)).color[0]
        torch.testing.assert_close(color[16, 16], COLORS[side], atol=0.02, rtol=0)
    corner = orbit(torch.tensor([30.0]), torch.tensor([30.0]), size=65)
    with torch.no_grad():
        color = mesh.render(Shot(corner)).color[0]
    for row, column, side in [(40, 26, 0), (38, 46, 2), (20, 32, 4)]:
        torch.testing.assert_close(color[row, column], COLORS[side], atol=0.02, rtol=0)


def outline(ball: Ball) -> float:
    """The radius of the ball's half-opaque outline: rays that pass it at all distances, summed."""
    aside = torch.linspace(0.65, 0.8, 301)
    along = torch.linspace(-0.8, 0.8, 4001)
    rays = torch.stack(torch.broadcast_tensors(aside[:, None], along, torch.zeros(())), -1)
    density = ball.density(rays.reshape(-1, 3) + ball.centre).reshape(301, 4001)
    opacity = 1 - (-density.sum(-1) * (1.6 / 4000)).exp()
    return float(aside[(opacity > 0.5).sum() - 1])


@pytest.mark.seconds
def test_the_asset_looks_like_the_field(tmp_path: Path):
    """Outline and colours, against rays that meet a ball of the field's own outline."""
    ball = Ball()
    asset = export(ball, tmp_path, finish=replace(QUICK, resolution=96, texture=256))
    away = (asset.parts()[0].vertices - ball.centre).norm(dim=-1)
    assert float(away.mean()) == pytest.approx(outline(ball), abs=0.006)  # a quarter cell
    cameras = orbit(torch.tensor([0.0, 75.0, 200.0]), torch.tensor([0.0, 40.0, -20.0]), size=96)
    with torch.no_grad():
        seen = load_mesh(asset.glb, samples=3).render(Shot(cameras)).color
    truth = true_ball(replace(ball, radius=outline(ball)), cameras.resized(288, 288))
    truth = truth.reshape(3, 96, 3, 96, 3, 3).mean((2, 4))
    assert float(-10 * (seen - truth).square().mean().log10()) > 32


def test_all_files_are_there_and_say_what_was_made(made: Asset):
    assert sorted(p.name for p in made.folder.iterdir()) == sorted([*FILES, "asset.png"])
    report = made.report
    assert report is not None and report.concern == ""
    assert report.components == 1 and report.dropped == 0
    assert report.faces == 3000 < report.faces_found
    assert str(report).startswith("one piece, 3000 triangles (")
    (part,) = made.parts()
    assert len(part.faces) == 3000 and part.texture is not None
    assert part.texture.shape == (192, 192, 3)
    low, high = part.vertices.amin(0), part.vertices.amax(0)
    # Softening rounds the edges, and the sides make up for it in the silhouette.
    torch.testing.assert_close(high, torch.full((3,), 0.52), atol=0.025, rtol=0)
    torch.testing.assert_close(low, -high, atol=0.01, rtol=0)
    assert load_image(made.contact_sheet).shape[1] == 6 * (48 + 4) + 4


def test_the_turntable_turns_toward_the_left_side(made: Asset):
    import av

    with av.open(str(made.turntable)) as film:
        frames = [torch.from_numpy(f.to_ndarray(format="rgb24")) for f in film.decode(video=0)]
    assert [tuple(f.shape) for f in frames] == [(48, 48, 3)] * 4
    middle = torch.stack([f[26, 24].float() for f in frames])
    for frame, side in enumerate([0, 2, 1, 3]):
        hue = torch.nn.functional.cosine_similarity(middle[frame][None], COLORS)
        assert int(hue.argmax()) == side


def test_an_export_is_the_same_twice(made: Asset, tmp_path: Path):
    again = export(Cube(), tmp_path, finish=QUICK)
    for name in ("asset.glb", "asset.obj", "contact_sheet.png"):
        assert (tmp_path / name).read_bytes() == (made.folder / name).read_bytes(), name
    assert again.parts()[0].name == "object"


def test_nothing_of_the_users_is_overwritten(tmp_path: Path):
    mine = tmp_path / "asset.obj"
    mine.write_text("mine")
    with pytest.raises(BadInput, match=r"asset\.obj exists; nothing was changed"):
        export(Cube(), tmp_path, finish=QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ["asset.obj"] and mine.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(subject, "bring_out", lambda *_: pytest.fail("it was cut"))
    (tmp_path / "file").touch()
    places = (
        tmp_path / "file" / "x.glb",
        tmp_path / "file" / "deep" / "x.png",
        Path("/proc/x.glb"),
        tmp_path / f"{'x' * 300}.glb",
    )
    for place in places:
        with pytest.raises(BadInput, match="cannot be written: "):
            subject.write(Cube(), place, finish=QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_export_is_made_again(
    made: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stop(path: Path, frames: Iterable[Tensor], *, fps: int = 24) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(subject, "save_mp4", stop)
        with pytest.raises(KeyboardInterrupt):
            export(Cube(), tmp_path, finish=TINY)
    assert not list(tmp_path.glob(".*")) and not (tmp_path / "turntable.mp4").exists()
    export(Cube(), tmp_path, finish=QUICK, replace=True)
    assert (tmp_path / "asset.glb").read_bytes() == made.glb.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*FILES, "asset.png"])


def test_no_object_leaves_no_files(tmp_path: Path):
    with pytest.raises(DegenerateError, match="degenerate object: empty"):
        export(Ball(thickness=0.1), tmp_path / "out", finish=QUICK)
    assert not (tmp_path / "out").exists()


def test_fog_is_exported_and_called_fog(tmp_path: Path):
    report = export(Ball(thickness=1.2), tmp_path, finish=TINY).report
    assert report is not None and "degenerate object: fog" in str(report)
    assert report.reach == pytest.approx(math.log(2) / 1.2, rel=0.01)


def test_the_baked_colour_is_what_a_camera_sees():
    """Red behind a thin veil of blue: by emission and absorption, hardly any blue."""

    class Veiled(Ball):
        def density(self, points: Tensor) -> Tensor:
            r = (points - self.centre).norm(dim=-1)
            return torch.where(r < 0.68, 200.0, torch.where(r < 0.7, 5.0, 0.0))

        def albedo(self, points: Tensor) -> Tensor:
            deep = (points - self.centre).norm(dim=-1, keepdim=True) < 0.68
            return torch.where(deep, torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9]))

    veiled = Veiled()
    outward = torch.nn.functional.normalize(torch.randn(50, 3, generator=rng(0)), dim=-1)
    color = shown(veiled, veiled.centre + 0.7 * outward, -outward, 0.02)
    blue = 1 - math.exp(-5.0 * 0.02)
    expected = torch.tensor([0.9 - 0.8 * blue, 0.1, 0.1 + 0.8 * blue]).expand(50, 3)
    torch.testing.assert_close(color, expected, atol=0.07, rtol=0)


@pytest.mark.parametrize(("flesh", "skin_seen"), [(0.58, 0.98), (0.684, 0.5)])
def test_the_skin_is_baked_and_not_the_flesh_nor_the_air(flesh: float, skin_seen: float):
    """A thick skin hides the flesh; one thinner than a cell still shows more of itself."""
    skin, inside, air = torch.eye(3)

    class Fruit(Ball):
        def albedo(self, points: Tensor) -> Tensor:
            r = (points - self.centre).norm(dim=-1, keepdim=True)
            return torch.where(r > 0.74, air, torch.where(r < flesh, inside, skin))

    surface, _, _ = extract(Fruit(), QUICK)
    assert surface.uv is not None and surface.texture is not None
    seen = sample(surface.texture, surface.uv[surface.faces].mean(1)).mean(0)
    assert float(seen[0]) > skin_seen and float(seen[2]) < 0.02


def test_a_field_is_a_volume():
    scene = Field(resolution=33, optical_depth=40.0, init="blob")
    assert isinstance(scene, Volume)
    surface, cut, _ = extract(scene, QUICK)
    assert cut.kept == 1
    # The Gaussian of density that a blob is: the outline in closed form, up to the grid.
    radius = 0.4 * math.sqrt(2 * math.log(40.0 / math.log(2)))
    away = surface.vertices.norm(dim=-1)
    assert float(away.mean()) == pytest.approx(min(radius, 1.2), abs=0.05)


def test_a_loss_on_the_way_is_noticed(made: Asset):
    (part,) = made.parts()
    check_same([part], [part])
    for other, said in [
        (replace(part, faces=part.faces[1:]), "other triangles"),
        (replace(part, vertices=part.vertices * 1.01), "another size"),
        (replace(part, texture=None), "texture of 'object' is lost"),
        (replace(part, texture=torch.zeros(8, 8, 3)), "texture of 'object' has another size"),
    ]:
        with pytest.raises(RuntimeError, match=said):
            check_same([part], [other])


def test_a_finished_mesh_is_written_with_its_parts(tmp_path: Path):
    corners = torch.eye(4, 3) * 0.8
    faces = torch.tensor([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    parts = [
        Surface(corners, faces, COLORS[0].expand(4, 3), name="hat"),
        Surface(corners - 0.5, faces, COLORS[1].expand(4, 3), name="head"),
    ]
    asset = write_asset(parts, tmp_path, finish=TINY)
    assert [part.name for part in asset.parts()] == ["hat", "head"]
    assert not (tmp_path / "asset.png").exists()


def test_an_asset_is_saved_elsewhere(made: Asset, tmp_path: Path):
    for suffix in ("glb", "mp4", "png"):
        made.save(tmp_path / f"deep/x.{suffix}")
    assert (tmp_path / "deep/x.glb").read_bytes() == made.glb.read_bytes()
    made.save(str(tmp_path / "y.obj"))
    (part,) = read_mesh(tmp_path / "y.obj")
    assert part.texture is not None
    with pytest.raises(BadInput, match="exists; nothing was changed"):
        made.save(tmp_path / "deep/x.glb")
    made.save(tmp_path / "deep/x.glb", replace=True)
    before = made.glb.read_bytes()
    assert made.save(made.glb, replace=True).read_bytes() == before, "itself"
    with pytest.raises(BadInput, match="save as .glb"):
        made.save(tmp_path / "x.docx")


def test_a_picture_of_many_parts_is_written_once(tmp_path: Path):
    texture = torch.rand(64, 64, 3, generator=rng(3))
    uv = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    face = Surface(torch.eye(3), torch.tensor([[0, 1, 2]]), uv=uv, texture=texture, name="p")
    parts = [replace(face, vertices=torch.eye(3) + k, name=f"p{k}") for k in range(8)]
    subject.write(Mesh(parts), tmp_path / "many.glb")
    subject.write(Mesh(parts[:1]), tmp_path / "one.glb")
    many, one = ((tmp_path / f"{name}.glb").stat().st_size for name in ("many", "one"))
    assert many < 1.5 * one


def test_a_sheet_may_be_called_in_capitals(made: Asset, tmp_path: Path):
    subject.write(Mesh(made.parts()), tmp_path / "s.PNG", finish=replace(QUICK, size=32))
    assert load_image(tmp_path / "s.PNG").shape[-1] == 3


def test_texels_lie_where_their_coordinates_say():
    """A texture that holds positions gives them back when it is looked up on the mesh."""
    surface, _, _ = extract(Ball(), QUICK)
    assert surface.uv is not None
    face, weight = rasterise(surface.uv, surface.faces, 192)
    known = face >= 0
    points = torch.zeros(192, 192, 3)
    corners = surface.faces[face[known]]
    points[known] = torch.einsum("nk,nkc->nc", weight[known], surface.vertices[corners])
    picks = torch.rand(400, 3, generator=rng(1)) + 0.1
    picks = picks / picks.sum(-1, keepdim=True)
    chosen = surface.faces[torch.randint(len(surface.faces), (400,), generator=rng(2))]
    uv = torch.einsum("nk,nkc->nc", picks, surface.uv[chosen])
    true = torch.einsum("nk,nkc->nc", picks, surface.vertices[chosen])
    apart = (sample(dilate(points, known), uv) - true).norm(dim=-1)
    assert float(apart.max()) < 0.05 and float(apart.mean()) < 0.005


def test_charts_do_not_overlap_and_keep_every_face():
    surface, _, _ = extract(Ball(), QUICK)
    flat = unwrap(surface.vertices, surface.faces, size=192)
    assert len(flat.faces) == len(surface.faces)
    torch.testing.assert_close(flat.source[flat.faces], surface.faces)
    assert float(flat.uv.min()) >= 0 and float(flat.uv.max()) <= 1
    a, b, c = flat.uv[flat.faces].unbind(1)
    area = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).abs().sum() / 2
    face, _ = rasterise(flat.uv, flat.faces, 192)
    assert float((face >= 0).float().mean()) == pytest.approx(float(area), rel=0.02)


def test_gaps_take_the_nearest_colour():
    texture = torch.zeros(5, 6, 3)
    texture[1, 1], texture[3, 4] = COLORS[0], COLORS[1]
    known = texture.sum(-1) > 0
    filled = dilate(texture, known)
    assert torch.equal(filled[0, 0], COLORS[0]) and torch.equal(filled[4, 5], COLORS[1])
    with pytest.raises(ValueError, match="No texel is known"):
        dilate(texture, known & False)


def test_a_mesh_can_be_shown_again(made: Asset):
    assert Mesh(made.parts()).names == ("object",)
