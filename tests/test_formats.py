"""Files as strangers read them: trimesh, plyfile and usd-core find the same shape and colours."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
import trimesh
from conftest import rng
from crowd import crowd, single
from plyfile import PlyData
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.convert.finish import Finish
from dreamlift.errors import BadInput
from dreamlift.export import FILES, Asset, bring_out, export, format_of, stage, write
from dreamlift.films import pictures
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.geometry.mesh import Material, Surface, vertex_normals
from dreamlift.geometry.srgb import to_linear
from dreamlift.geometry.surfels import from_mesh
from dreamlift.geometry.tangents import tangents
from dreamlift.io.images import load_image
from dreamlift.io.mesh_files import write_mesh
from dreamlift.io.meshes import read_mesh
from dreamlift.io.splats import read_splats
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.gaussians import Cloud
from dreamlift.scenes.mesh import Mesh
from dreamlift.scenes.pliable import PliableMesh
from dreamlift.scenes.restore import restored
from dreamlift.scenes.sdf import SDF

TINY = Finish(resolution=40, faces=600, texture=64, frames=2, size=16)
RED, BLUE = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.3, 0.8]])


def painted() -> Surface:
    """A lopsided ball, red in front and blue behind, by vertex colours."""
    solid = trimesh.creation.icosphere(subdivisions=2, radius=0.6)
    stretch = torch.tensor([1.2, 0.7, 0.9])
    vertices = torch.from_numpy(solid.vertices.copy()).float() * stretch + 0.1
    colors = torch.where(vertices[:, :1] > 0.1, RED, BLUE)
    return Surface(vertices, torch.from_numpy(solid.faces.copy()).long(), colors, name="ball")


def glossy() -> Surface:
    """A patch with every map: colours, roughness, metallic and bumps that lean along u and v."""
    vertices = torch.tensor([[0.0, -0.5, -0.4], [0, 0.5, -0.4], [0, 0.5, 0.4], [0, -0.5, 0.4]])
    uv = torch.tensor([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])
    texture = torch.rand(8, 16, 3, generator=rng(1))
    material = Material(
        roughness=0.9,
        metallic=0.8,
        gloss=torch.rand(8, 16, 2, generator=rng(2)),
        bumps=0.5 + 0.5 * torch.tensor([0.6, 0.0, 0.8]).expand(8, 16, 3),
    )
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    return Surface(vertices, faces, uv=uv, texture=texture, name="patch", material=material)


def cloud() -> Cloud:
    return Cloud(from_mesh([painted()], 1500, rng(3), degree=1))


def load(path: Path) -> trimesh.Trimesh:
    found = trimesh.load(path, force="mesh", process=False)
    assert isinstance(found, trimesh.Trimesh)
    return found


def upright(points: np.ndarray) -> Tensor:
    """From a +y up file's axes to ours, by hand: z, x, y."""
    return torch.from_numpy(np.stack([points[:, 2], points[:, 0], points[:, 1]], 1)).float()


def test_a_stranger_reads_our_stl(tmp_path: Path) -> None:
    part = painted()
    write_mesh(tmp_path / "a.stl", [part, glossy()])
    found = load(tmp_path / "a.stl")
    corners = torch.cat([p.vertices[p.faces] for p in (part, glossy())])
    torch.testing.assert_close(torch.from_numpy(found.triangles.copy()).float(), corners)
    assert (tmp_path / "a.stl").stat().st_size == 84 + 50 * len(corners)
    outward = (found.face_normals[:-2] * (found.triangles_center[:-2] - 0.1)).sum(1)
    assert (outward > 0).all()


def test_a_stranger_reads_our_ply_of_a_mesh(tmp_path: Path) -> None:
    part = painted()
    write_mesh(tmp_path / "a.ply", [part])
    found = load(tmp_path / "a.ply")
    torch.testing.assert_close(torch.from_numpy(found.vertices.copy()).float(), part.vertices)
    assert np.array_equal(found.faces, part.faces.numpy())
    seen = torch.from_numpy(found.visual.vertex_colors[:, :3].copy()).float() / 255
    assert part.colors is not None
    torch.testing.assert_close(seen, part.colors, atol=0.51 / 255, rtol=0)
    table = PlyData.read(str(tmp_path / "a.ply"))["vertex"]
    np.testing.assert_allclose(
        np.stack([table[k] for k in ("nx", "ny", "nz")], 1),
        vertex_normals(part.vertices, part.faces).numpy(),
        atol=1e-6,
    )
    (again,) = read_mesh(tmp_path / "a.ply", up="z")
    assert again.colors is not None
    torch.testing.assert_close(again.vertices, part.vertices)
    torch.testing.assert_close(again.colors, part.colors, atol=0.51 / 255, rtol=0)


def test_a_stranger_reads_our_glb_with_its_material(tmp_path: Path) -> None:
    part = glossy()
    write_mesh(tmp_path / "a.glb", [part])
    found = load(tmp_path / "a.glb")
    torch.testing.assert_close(upright(found.vertices), part.vertices)
    material = found.visual.material
    assert (material.roughnessFactor, material.metallicFactor) == (0.9, 0.8)
    of = part.material
    assert of.gloss is not None and of.bumps is not None and part.texture is not None
    ones = torch.ones_like(of.gloss[..., :1])
    for picture, expected in (
        (material.baseColorTexture, part.texture),
        (material.metallicRoughnessTexture, torch.cat([ones, of.gloss], -1)),
        (material.normalTexture, of.bumps),
    ):
        seen = torch.from_numpy(np.array(picture.convert("RGB"))).float() / 255
        torch.testing.assert_close(seen, expected, atol=0.51 / 255, rtol=0)


@pytest.mark.seconds
def test_a_material_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    part = glossy()
    write_mesh(tmp_path / "a.glb", [part, painted()])
    again, plain = read_mesh(tmp_path / "a.glb")
    assert plain.material.plain and not again.material.plain
    assert again.material.roughness == pytest.approx(0.9)
    assert again.material.metallic == pytest.approx(0.8)
    for one, other in (
        (again.texture, part.texture),
        (again.material.gloss, part.material.gloss),
        (again.material.bumps, part.material.bumps),
    ):
        assert one is not None and other is not None
        torch.testing.assert_close(one, other, atol=0.51 / 255, rtol=0)
    cameras = orbit(torch.tensor([20.0]), torch.tensor([10.0]), size=24)
    looks = torch.stack([next(pictures(stage([p]), cameras)) for p in (part, again)])
    torch.testing.assert_close(looks[0], looks[1], atol=0.02, rtol=0)


def test_tangents_follow_u_and_know_on_which_side_v_is() -> None:
    part = glossy()
    normals = vertex_normals(part.vertices, part.faces)
    assert part.uv is not None
    found = tangents(part.vertices, part.faces, normals, part.uv)
    torch.testing.assert_close(found, torch.tensor([[0.0, 1.0, 0.0, 1.0]]).expand(4, 4))
    mirrored = part.uv * torch.tensor([-1.0, 1.0])
    found = tangents(part.vertices, part.faces, normals, mirrored)
    torch.testing.assert_close(found, torch.tensor([[0.0, -1.0, 0.0, -1.0]]).expand(4, 4))
    nowhere = tangents(part.vertices, part.faces, normals, torch.zeros(4, 2))
    torch.testing.assert_close(nowhere[:, :3].norm(dim=-1), torch.ones(4))


def test_a_stranger_reads_our_usdz(tmp_path: Path) -> None:
    usd = pytest.importorskip("pxr.Usd", reason="usd-core is not installed")
    from pxr import UsdGeom, UsdShade

    ball, patch = painted(), glossy()
    write_mesh(tmp_path / "a.usdz", [ball, patch])
    opened = usd.Stage.Open(str(tmp_path / "a.usdz"))
    assert UsdGeom.GetStageUpAxis(opened) == "Y" and opened.GetDefaultPrim().GetName() == "asset"
    meshes = [UsdGeom.Mesh(p) for p in opened.Traverse() if p.IsA(UsdGeom.Mesh)]
    assert [m.GetPrim().GetDisplayName() for m in meshes] == ["ball", "patch"]
    for mesh, part in zip(meshes, (ball, patch), strict=True):
        torch.testing.assert_close(upright(np.array(mesh.GetPointsAttr().Get())), part.vertices)
        assert list(mesh.GetFaceVertexIndicesAttr().Get()) == part.faces.reshape(-1).tolist()
        assert mesh.GetSubdivisionSchemeAttr().Get() == "none"
    assert ball.colors is not None and patch.uv is not None
    seen = np.array(meshes[0].GetDisplayColorAttr().Get())
    torch.testing.assert_close(torch.from_numpy(seen), to_linear(ball.colors))
    st = np.array(UsdGeom.PrimvarsAPI(meshes[1]).GetPrimvar("st").Get())
    torch.testing.assert_close(torch.from_numpy(st), patch.uv)
    material = UsdShade.MaterialBindingAPI(meshes[1]).ComputeBoundMaterial()[0]
    surface = material.ComputeSurfaceSource()[0]
    outputs: dict[str, tuple[str, Tensor]] = {}
    for name in ("diffuseColor", "roughness", "metallic", "normal"):
        source, output, _ = surface.GetInput(name).GetConnectedSource()
        shader = UsdShade.Shader(source.GetPrim())
        asset = shader.GetInput("file").Get().path
        with ZipFile(tmp_path / "a.usdz") as package:
            (inside,) = [n for n in package.namelist() if n.endswith(asset.removeprefix("./"))]
            (tmp_path / "t.png").write_bytes(package.read(inside))
        outputs[name] = str(output), load_image(tmp_path / "t.png")
        space = "sRGB" if name == "diffuseColor" else "raw"
        assert shader.GetInput("sourceColorSpace").Get() == space
    assert [outputs[k][0] for k in outputs] == ["rgb", "g", "b", "rgb"]
    assert patch.texture is not None and patch.material.gloss is not None
    close = {"atol": 0.51 / 255, "rtol": 0}
    torch.testing.assert_close(outputs["diffuseColor"][1], patch.texture, **close)
    torch.testing.assert_close(outputs["roughness"][1][..., 1:], patch.material.gloss, **close)


def test_a_colour_multiplies_the_picture_in_usdz(tmp_path: Path) -> None:
    usd = pytest.importorskip("pxr.Usd", reason="usd-core is not installed")
    from pxr import UsdShade

    red = torch.tensor([0.8, 0.2, 0.1])
    write_mesh(tmp_path / "a.usdz", [replace(glossy(), colors=red.expand(4, 3))])
    opened = usd.Stage.Open(str(tmp_path / "a.usdz"))
    shaders = [UsdShade.Shader(p) for p in opened.Traverse() if p.GetName() == "base"]
    scale = torch.tensor(list(shaders[0].GetInput("scale").Get()))
    torch.testing.assert_close(scale[:3], to_linear(red))


def test_without_usd_core_usdz_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(BadInput, match="pip install usd-core"):
        write(Mesh([painted()]), tmp_path / "a.usdz")
    assert not list(tmp_path.iterdir())


def test_a_mesh_exports_itself(tmp_path: Path) -> None:
    part = painted()
    for name, scene in (("mesh", Mesh([part])), ("pliable", PliableMesh(part))):
        asset = export(scene, tmp_path / name, finish=TINY)
        assert sorted(p.name for p in asset.folder.iterdir()) == sorted(FILES)
        assert asset.report is not None and asset.report.faces == len(part.faces)
        assert asset.report.components == 1 and asset.report.concern == ""
        found = load(asset.glb)
        torch.testing.assert_close(upright(found.vertices), part.vertices, atol=1e-5, rtol=0)
        # trimesh shows a GLB's material and not its COLOR_0, so its colours come by another file.
        dyed = load(asset.save(tmp_path / f"{name}.ply")).visual.vertex_colors[:, :3]
        assert part.colors is not None
        seen = torch.from_numpy(dyed.copy()).float() / 255
        torch.testing.assert_close(seen, part.colors, atol=0.011, rtol=0)
        (again,) = asset.parts()
        assert again.colors is not None
        torch.testing.assert_close(again.colors, part.colors, atol=0.005, rtol=0)


def test_a_mesh_gives_back_its_parts_with_textures_shared_as_they_were() -> None:
    one, two = glossy(), painted()
    three = replace(one, vertices=one.vertices + 0.5, name="other")
    parts = Mesh([one, two, three]).surfaces()
    assert [p.name for p in parts] == ["patch", "ball", "other"]
    assert parts[0].texture is parts[2].texture and parts[1].texture is None
    for before, after in zip((one, two, three), parts, strict=True):
        assert torch.equal(before.vertices, after.vertices)
        assert torch.equal(before.faces, after.faces)
    assert one.texture is not None and parts[0].texture is not None
    torch.testing.assert_close(parts[0].texture, one.texture)
    assert two.colors is not None and parts[1].colors is not None
    torch.testing.assert_close(parts[1].colors, two.colors)


def test_a_mesh_that_fell_apart_is_degenerate() -> None:
    part = painted()
    bad = replace(part, vertices=part.vertices * math.nan)
    with pytest.raises(DegenerateError, match="NaN"):
        bring_out(PliableMesh(bad), TINY)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    return export(cloud(), tmp_path_factory.mktemp("cloud"), finish=TINY)


def test_gaussians_export_themselves_and_a_mesh(made: Asset, tmp_path: Path) -> None:
    names = [*FILES, "asset.ply", "asset.png"]
    assert sorted(p.name for p in made.folder.iterdir()) == sorted(names)
    before = cloud().gaussians()
    table = PlyData.read(str(made.splats))["vertex"]
    assert sum(p.name.startswith("f_rest_") for p in table.properties) == 9  # degree 1
    # +y down, facing +z, as viewers of this layout want it: -(y), -(z), x of ours.
    means = torch.from_numpy(np.stack([table["z"], -table["x"], -table["y"]], 1))
    torch.testing.assert_close(means, before.means, atol=1e-6, rtol=0)
    np.testing.assert_allclose(table["opacity"], before.opacity_logits.detach(), atol=1e-6)
    size = load(made.glb).extents
    true = (painted().vertices.amax(0) - painted().vertices.amin(0))[[1, 2, 0]]
    assert np.abs(size - true.numpy()).max() < 0.15  # 40 samples a side
    for form in ("splat", "spz"):
        path = made.save(tmp_path / f"a.{form}")
        again = read_splats(path)
        assert len(again) == len(before)
        # SPZ's fixed point: half of 1/4096 along each axis.
        exact = "donot_use_mm_for_euclid_dist"
        apart = torch.cdist(before.means.detach(), again.means, compute_mode=exact).amin(1)
        assert float(apart.max()) < 0.866 / 4096 + 1e-6
    copied = made.save(tmp_path / "b.ply")
    assert copied.read_bytes() == made.splats.read_bytes()
    mesh = made.save(tmp_path / "c.ply", format="ply")
    assert len(load(mesh).faces) == len(load(made.glb).faces)


def test_the_films_of_gaussians_show_the_gaussians(made: Asset) -> None:
    """Its first picture, off the sheet, is the splats' own rendering, unlit."""
    cameras = orbit(torch.tensor([0.0]), torch.tensor([15.0]), size=16)
    with torch.no_grad():
        view = cloud().render(Shot(cameras))
    expected = view.over(torch.full((1, 1, 1, 3), 0.85)).clamp(0, 1)[0]
    sheet = load_image(made.contact_sheet)
    windows = sheet.unfold(0, 16, 1).unfold(1, 16, 1).permute(0, 1, 3, 4, 2)
    assert float((windows - expected).abs().amax((2, 3, 4)).min()) < 0.51 / 255


def test_one_file_of_gaussians_needs_no_mesh(tmp_path: Path) -> None:
    """Fog has no mesh, and is still a cloud."""
    g = single(crowd(20, degree=2))
    fog = Cloud(replace(g, opacity_logits=torch.full((20,), -3.0)))
    for name, form in (("a.ply", None), ("b.ply", "splat-ply"), ("c.splat", None), ("d.spz", None)):
        assert len(read_splats(write(fog, tmp_path / name, format=form))) == 20
    write(fog, tmp_path / "e.png", finish=TINY)
    with pytest.raises(DegenerateError):
        write(fog, tmp_path / "f.glb", finish=TINY)
    with pytest.raises(BadInput, match="exists; nothing was changed"):
        write(fog, tmp_path / "a.ply")


@pytest.mark.parametrize("form", ["splat-ply", "splat", "spz"])
def test_what_is_no_cloud_is_refused_as_one(tmp_path: Path, form: str) -> None:
    scenes = (Field(resolution=33), Mesh([painted()]), PliableMesh(painted()))
    for scene in scenes:
        with pytest.raises(BadInput, match=r"no Gaussians in it .*from_mesh"):
            write(scene, tmp_path / f"a.{form.removeprefix('splat-')}", format=form)
    assert not list(tmp_path.iterdir())


def test_a_path_says_what_it_holds() -> None:
    assert format_of(Path("a.ply"), splats=False) == "ply"
    assert format_of(Path("a.PLY"), splats=True) == "splat-ply"
    assert format_of(Path("a.glb"), splats=True) == "glb"
    with pytest.raises(BadInput, match=r"a\.glb is no \.ply file"):
        format_of(Path("a.glb"), "splat-ply", splats=True)
    with pytest.raises(BadInput, match=r"save as \.glb, \.obj, \.stl"):
        format_of(Path("a.fbx"), splats=False)


def test_a_scene_is_restored_from_its_state_alone() -> None:
    points = 2 * torch.rand(50, 3, generator=rng(5)) - 1
    field = Field(resolution=33, init="blob").finer()
    again = restored(field.state_dict())
    assert isinstance(again, Field)
    torch.testing.assert_close(again.density(points), field.density(points))
    deep = SDF(resolution=33, radius=0.5, widths=(0.07, 0.01))
    same = restored(deep.state_dict())
    assert isinstance(same, SDF)
    torch.testing.assert_close(same.density(points), deep.density(points))
    g: Gaussians = single(crowd(7, degree=2))
    other = restored(Cloud(g).state_dict())
    assert isinstance(other, Cloud) and torch.equal(other.gaussians().harmonics, g.harmonics)
    for part in (painted(), replace(glossy(), material=Material())):
        mesh = PliableMesh(part)
        third = restored(mesh.state_dict())
        assert isinstance(third, PliableMesh)
        assert torch.equal(third.logits, mesh.logits) and torch.equal(third.faces, mesh.faces)
    with pytest.raises(ValueError, match="No scene has a state of a"):
        restored({"a": torch.zeros(1)})
