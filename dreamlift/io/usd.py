"""USDZ out: a USD stage and its pictures in one file, as Apple's and Blender's viewers open it.

Written by Pixar's own library (usd-core), which is an extra. +y up, facing +z, metres; materials
are UsdPreviewSurface, whose colours are linear; texture coordinates grow upward, as ours.
"""

# What is in usd-core's compiled modules no type checker sees, nor the package where it is absent.
# pyright: reportAttributeAccessIssue=false, reportMissingImports=false

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface, vertex_normals
from dreamlift.geometry.placement import to_y_up
from dreamlift.geometry.srgb import to_linear
from dreamlift.io.atomic import atomic
from dreamlift.io.images import save_png


def check_usd() -> None:
    """BadInput, with the way out, where usd-core is not installed."""
    try:
        import pxr  # pyright: ignore[reportMissingImports, reportUnusedImport] # noqa: F401
    except ImportError as error:
        raise BadInput(
            "USDZ needs Pixar's usd-core, which is not installed: pip install usd-core, or "
            'pip install "dreamlift[usd]". A .glb needs nothing, and holds the same.'
        ) from error


def write_usdz(path: Path, parts: Sequence[Surface]) -> None:
    """Write the parts of an object (our axes) as one USDZ, a mesh and a material for each."""
    if not parts or any(len(part.faces) == 0 for part in parts):
        raise ValueError("Every part that is written has at least one triangle.")
    check_usd()
    from pxr import Usd, UsdGeom, UsdUtils

    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stage: Any = Usd.Stage.CreateNew(str(folder / "asset.usdc"))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        root = UsdGeom.Xform.Define(stage, "/asset")
        stage.SetDefaultPrim(root.GetPrim())
        stage.SetMetadata("comment", "dreamlift: +y up, facing +z")
        shown: dict[int, str] = {}  # which file a picture, by its identity, became
        for i, part in enumerate(parts):
            _mesh(stage, f"/asset/part{i}", part)
            _material(stage, f"/asset/part{i}", part, folder, shown)
        stage.GetRootLayer().Save()
        package = folder / "asset.usdz"
        if not UsdUtils.CreateNewUsdzPackage(str(folder / "asset.usdc"), str(package)):
            raise RuntimeError(f"usd-core wrote no package for {path}.")
        with atomic(path) as file:
            shutil.copyfile(package, file)


def _mesh(stage: Any, place: str, part: Surface) -> None:
    """Triangles, normals, and the colours and coordinates that there are."""
    from pxr import Gf, Sdf, UsdGeom, Vt

    mesh: Any = UsdGeom.Mesh.Define(stage, place)
    mesh.GetPrim().SetDisplayName(part.name or place.rpartition("/")[2])
    points, normals = to_y_up(part.vertices), part.normals
    normals = vertex_normals(part.vertices, part.faces) if normals is None else normals

    def vectors(values: Tensor) -> Any:
        return Vt.Vec3fArray.FromNumpy(values.detach().cpu().float().contiguous().numpy())

    mesh.CreatePointsAttr(vectors(points))
    low, high = points.amin(0).tolist(), points.amax(0).tolist()
    mesh.CreateExtentAttr([Gf.Vec3f(*low), Gf.Vec3f(*high)])
    mesh.CreateFaceVertexCountsAttr([3] * len(part.faces))
    mesh.CreateFaceVertexIndicesAttr(part.faces.reshape(-1).tolist())
    mesh.CreateNormalsAttr(vectors(to_y_up(normals)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    variables = UsdGeom.PrimvarsAPI(mesh)
    if part.colors is not None:
        mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex).Set(vectors(to_linear(part.colors)))
    if part.uv is not None:
        kind = Sdf.ValueTypeNames.TexCoord2fArray
        st: Any = variables.CreatePrimvar("st", kind, UsdGeom.Tokens.vertex)
        st.Set(Vt.Vec2fArray.FromNumpy(part.uv.detach().cpu().float().contiguous().numpy()))


def _material(stage: Any, place: str, part: Surface, folder: Path, shown: dict[int, str]) -> None:
    """UsdPreviewSurface of the part's colours and maps."""
    from pxr import Sdf, UsdShade

    kinds: Any = Sdf.ValueTypeNames
    where = f"{place}_material"
    material: Any = UsdShade.Material.Define(stage, where)
    surface: Any = UsdShade.Shader.Define(stage, f"{where}/surface")
    surface.CreateIdAttr("UsdPreviewSurface")
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    reader: Any = UsdShade.Shader.Define(stage, f"{where}/st")
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", kinds.String).Set("st")

    def picture(name: str, key: Tensor, pixels: Float[Tensor, "h w 3"], space: str) -> Any:
        if id(key) not in shown:
            shown[id(key)] = f"{len(shown)}.png"
            save_png(folder / shown[id(key)], pixels)
        shader: Any = UsdShade.Shader.Define(stage, f"{where}/{name}")
        shader.CreateIdAttr("UsdUVTexture")
        shader.CreateInput("file", kinds.Asset).Set(f"./{shown[id(key)]}")
        shader.CreateInput("sourceColorSpace", kinds.Token).Set(space)
        for side in ("wrapS", "wrapT"):
            shader.CreateInput(side, kinds.Token).Set("repeat")
        shader.CreateInput("st", kinds.Float2).ConnectToSource(reader.ConnectableAPI(), "result")
        return shader

    def connect(name: str, kind: Any, source: Any, output: str) -> None:
        surface.CreateInput(name, kind).ConnectToSource(source.ConnectableAPI(), output)

    of = part.material
    if part.texture is not None:
        base = picture("base", part.texture, part.texture, "sRGB")
        if part.colors is not None:  # they multiply; the format has one factor for all corners
            tint = to_linear(part.colors).mean(0).tolist()
            base.CreateInput("scale", kinds.Float4).Set((*tint, 1.0))
        connect("diffuseColor", kinds.Color3f, base, "rgb")
    elif part.colors is not None:
        colors: Any = UsdShade.Shader.Define(stage, f"{where}/colors")
        colors.CreateIdAttr("UsdPrimvarReader_float3")
        colors.CreateInput("varname", kinds.String).Set("displayColor")
        connect("diffuseColor", kinds.Color3f, colors, "result")
    else:
        surface.CreateInput("diffuseColor", kinds.Color3f).Set((1.0, 1.0, 1.0))
    if of.gloss is None:
        surface.CreateInput("roughness", kinds.Float).Set(of.roughness)
        surface.CreateInput("metallic", kinds.Float).Set(of.metallic)
    else:
        pixels = torch.cat([torch.ones_like(of.gloss[..., :1]), of.gloss], -1)
        gloss = picture("gloss", of.gloss, pixels, "raw")
        gloss.CreateInput("scale", kinds.Float4).Set((1.0, of.roughness, of.metallic, 1.0))
        connect("roughness", kinds.Float, gloss, "g")
        connect("metallic", kinds.Float, gloss, "b")
    if of.bumps is not None:
        bumps = picture("bumps", of.bumps, of.bumps, "raw")
        bumps.CreateInput("scale", kinds.Float4).Set((2.0, 2.0, 2.0, 1.0))
        bumps.CreateInput("bias", kinds.Float4).Set((-1.0, -1.0, -1.0, 0.0))
        connect("normal", kinds.Normal3f, bumps, "rgb")
    UsdShade.MaterialBindingAPI.Apply(stage.GetPrimAtPath(place)).Bind(material)
