"""A triangle mesh whose vertices move, as a picture: rasterised, lit, its silhouettes smooth."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.geometry.hinges import Hinges
from dreamlift.geometry.mesh import face_cross, unit, vertex_normals
from dreamlift.lights import shade
from dreamlift.render.raster import Raster, image_points, interpolate, rasterise
from dreamlift.render.silhouette import antialias, crossings
from dreamlift.scene import Rendering, Shot


def draw(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    edges: Hinges,
    looks: Float[Tensor, "v c"],
    paint: Callable[
        [Float[Tensor, "b h w c"], Float[Tensor, "b v 3"], Raster], Float[Tensor, "b h w 3"]
    ],
    shot: Shot,
    *,
    samples: int = 1,
    soft: Int[Tensor, " v"] | None = None,
) -> Rendering[Raster]:
    """What the cameras see, differentiable in vertices and looks; depth is along the ray.

    `looks` are interpolated, and `paint` makes albedo of them (given the picture's points, in
    pixels, and the raster); without a light, that is what is seen. A picture is drawn `samples`
    times as high and wide, and averaged. `soft`: the vertex whose normal each shares, else its own.
    """
    s, h, w = samples, shot.cameras.height, shot.cameras.width
    cameras = shot.cameras.resized(h * s, w * s)
    points = image_points(vertices, cameras)
    raster = rasterise(points, faces, h * s, w * s)
    solid = (raster.face >= 0)[..., None].to(points)
    if soft is None:
        normals = vertex_normals(vertices, faces)
    else:
        normals = vertex_normals(vertices, soft[faces])[soft]
    held = torch.cat([vertices, normals, looks], -1)
    place, normal, look = interpolate(held, faces, raster).split((3, 3, looks.shape[1]), -1)
    color = paint(look, points, raster)
    away = place - cameras.position[:, None, None]
    normal = unit(normal)
    # The back of a triangle is a surface too, and it is lit from its own side.
    flat = face_cross(vertices.detach(), faces)[raster.face.clamp_min(0)]
    normal = torch.where((flat * away.detach()).sum(-1, keepdim=True) > 0, -normal, normal)
    if shot.light is not None:
        color = shade(color, normal, place, shot.light)
    depth = (away.square().sum(-1, keepdim=True) + 1 - solid).sqrt()
    drawn = torch.cat([color, torch.ones_like(solid), depth, normal], -1) * solid
    drawn = antialias(drawn, points, crossings(points, edges, raster))
    drawn = drawn.unflatten(2, (w, s)).unflatten(1, (h, s)).mean((2, 4))
    color, alpha, depth, normal = drawn.split((3, 1, 1, 3), -1)
    return Rendering(color, alpha, raster, depth, normal)
