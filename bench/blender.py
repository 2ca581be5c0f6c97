"""What Blender makes of exported files: their sizes and materials in its words, and pictures.

    pip install bpy     # Blender as a module: an environment of its own, Python 3.11
    python bench/blender.py OUT RUN/asset.glb cone.obj cone.usdz ...

A JSON line for each file, and OUT/NUMBER.png, by Cycles from the front right. Needs nothing of
dreamlift. Blender's z is up and it looks along +y, so that what faces -y faces it.
"""

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

SIDE, SAMPLES = 256, 16
EYE = (2.2, -3.2, 1.8)
NODES = ("TEX_IMAGE", "BSDF_PRINCIPLED")


def opened(bpy: Any, path: Path) -> list[Any]:
    """The meshes of a file in an otherwise empty Blender."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    read = {
        ".glb": bpy.ops.import_scene.gltf,
        ".obj": bpy.ops.wm.obj_import,
        ".usdz": bpy.ops.wm.usd_import,
        ".ply": bpy.ops.wm.ply_import,
        ".stl": bpy.ops.wm.stl_import,
    }
    read[path.suffix.lower()](filepath=str(path.resolve()))
    return [each for each in bpy.context.scene.objects if each.type == "MESH"]


def told(mesh: Any) -> dict[str, Any]:
    """Of one mesh."""
    corners = [mesh.matrix_world @ vertex.co for vertex in mesh.data.vertices]
    nodes = [n for m in mesh.data.materials if m for n in m.node_tree.nodes if n.type in NODES]
    return {
        "triangles": len(mesh.data.polygons),
        "low": [round(min(c[k] for c in corners), 3) for k in range(3)],
        "high": [round(max(c[k] for c in corners), 3) for k in range(3)],
        "textures": [list(n.image.size) for n in nodes if n.type == "TEX_IMAGE" and n.image],
        "colours": [layer.name for layer in mesh.data.color_attributes],
        "normals": mesh.data.has_custom_normals,
    }


def pictured(bpy: Any, path: Path) -> None:
    """The scene in grey surroundings, under a sun."""
    scene, vector = bpy.context.scene, import_module("mathutils").Vector
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location = EYE
    camera.rotation_euler = (-vector(EYE)).to_track_quat("-Z", "Y").to_euler()
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 2.5, (0.7, 0.2, 0.4)
    for each in (camera, sun):
        scene.collection.objects.link(each)
    scene.camera, scene.world = camera, bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs[0].default_value = (0.4, 0.4, 0.4, 1)
    scene.render.engine, scene.cycles.samples = "CYCLES", SAMPLES
    scene.render.resolution_x = scene.render.resolution_y = SIDE
    scene.view_settings.view_transform = "Standard"
    scene.render.filepath = str(path.resolve())
    bpy.ops.render.render(write_still=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Open exported files in Blender.")
    parser.add_argument("out", type=Path, help="folder of the pictures")
    parser.add_argument("files", type=Path, nargs="+")
    choices = parser.parse_args()
    choices.out.mkdir(parents=True, exist_ok=True)
    bpy = import_module("bpy")
    for number, path in enumerate(choices.files):
        meshes = opened(bpy, path)
        print(json.dumps({"file": path.name, "meshes": [told(m) for m in meshes]}), flush=True)
        pictured(bpy, choices.out / f"{number}.png")


if __name__ == "__main__":
    main()
