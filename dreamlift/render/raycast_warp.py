"""The fast twin of raycast.py: a bounding-volume hierarchy in Warp, on the CPU and on CUDA."""

# pyright: reportUntypedFunctionDecorator=false

from typing import no_type_check

import torch
import warp as wp
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.render.raycast import Hits
from dreamlift.render.start_warp import shared, start, stream

start()
wp.set_module_options({"enable_backward": False})


@no_type_check
@wp.kernel
def _cast(
    mesh: wp.uint64,
    origins: wp.array[wp.vec3],
    directions: wp.array[wp.vec3],
    first: wp.int32,
    face: wp.array[wp.int64],
    barycentric: wp.array[wp.vec3],
    distance: wp.array[wp.float32],
):
    i = first + wp.tid()
    hit = wp.mesh_query_ray(mesh, origins[i], directions[i], wp.inf)
    if hit.result:
        face[i] = wp.int64(hit.face)
        barycentric[i] = wp.vec3(hit.u, hit.v, 1.0 - hit.u - hit.v)
        distance[i] = hit.t


@torch.no_grad()
def raycast_warp(
    origins: Float[Tensor, "n 3"],
    directions: Float[Tensor, "n 3"],
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
) -> Hits:
    """Nearest hits in O(log f) a ray. On the CPU the rays are shared among torch's threads: a
    launch runs on one core and frees the interpreter."""
    n, device = len(origins), origins.device
    face = torch.full((n,), -1, dtype=torch.long, device=device)
    barycentric = origins.new_zeros(n, 3)
    distance = origins.new_full((n,), torch.inf)
    if n == 0 or len(faces) == 0:
        return Hits(face, barycentric, distance)
    with stream(device):
        place = wp.device_from_torch(device)
        points = wp.from_torch(vertices.detach().contiguous(), dtype=wp.vec3)
        mesh = wp.Mesh(points, wp.from_torch(faces.int().reshape(-1).contiguous()))
        o = wp.from_torch(origins.detach().contiguous(), dtype=wp.vec3)
        d = wp.from_torch(directions.detach().contiguous(), dtype=wp.vec3)
        out = [
            wp.from_torch(face),
            wp.from_torch(barycentric, dtype=wp.vec3),
            wp.from_torch(distance),
        ]

        def launch(first: int, count: int) -> None:
            wp.launch(_cast, dim=count, inputs=[mesh.id, o, d, first], outputs=out, device=place)

        wp.load_module(device=place)  # before threads want it, all at once
        shared(launch, n, device)
    return Hits(face, barycentric, distance)
