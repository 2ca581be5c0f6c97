"""The fast twin of distance.py: a bounding-volume hierarchy in Warp, on the CPU and on CUDA.

Winding numbers of far triangles are taken together, as of dipoles (Barill et al., "Fast winding
numbers for soups and clouds").
"""

# pyright: reportUntypedFunctionDecorator=false

from typing import no_type_check

import torch
import warp as wp
from jaxtyping import Float, Int
from torch import Tensor

from dreamlift.render.start_warp import shared, start, stream

start()
wp.set_module_options({"enable_backward": False})

ACCURACY = wp.constant(2.0)
"""A group of triangles is one dipole from this many of its radii away."""


@no_type_check
@wp.kernel
def _measure(
    mesh: wp.uint64, points: wp.array[wp.vec3], first: wp.int32, out: wp.array[wp.float32]
):
    i = first + wp.tid()
    p = points[i]
    found = wp.mesh_query_point_sign_winding_number(mesh, p, 1.0e30, ACCURACY, 0.5)
    if found.result:
        foot = wp.mesh_eval_position(mesh, found.face, found.u, found.v)
        out[i] = found.sign * wp.length(p - foot)


@torch.no_grad()
def signed_distance_warp(
    points: Float[Tensor, "n 3"], vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]
) -> Float[Tensor, " n"]:
    """In O(log f) a point; on the CPU the points are shared among torch's threads."""
    n, device = len(points), points.device
    out = points.new_full((n,), torch.inf)
    if n == 0 or len(faces) == 0:
        return out
    with stream(device):
        place = wp.device_from_torch(device)
        mesh = wp.Mesh(
            wp.from_torch(vertices.detach().contiguous(), dtype=wp.vec3),
            wp.from_torch(faces.int().reshape(-1).contiguous()),
            support_winding_number=True,
        )
        p = wp.from_torch(points.detach().contiguous(), dtype=wp.vec3)
        found = wp.from_torch(out)

        def launch(first: int, count: int) -> None:
            wp.launch(
                _measure, dim=count, inputs=[mesh.id, p, first], outputs=[found], device=place
            )

        wp.load_module(device=place)  # before threads want it, all at once
        shared(launch, n, device)
    return out
