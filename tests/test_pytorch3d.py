"""Numbers and pictures that PyTorch3D's tests hold their renderer to, from ours."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from conftest import shared_data
from torch import Tensor

from dreamlift.cameras import Cameras, look_at
from dreamlift.geometry.mesh import face_cross, vertex_normals
from dreamlift.geometry.placement import from_y_up
from dreamlift.io.images import load_image
from dreamlift.render.raster import image_points, interpolate, rasterise

EYE, LAMP = torch.tensor([2.7, 0.0, 0.0]), torch.tensor([2.0, 0.0, 0.0])
"""Their camera at (0, 0, 2.7) and light at (0, 0, 2), in our axes."""


def rotation(vector: Tensor) -> Tensor:
    """Rodrigues' formula."""
    x, y, z = vector.tolist()
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=torch.float64)
    return torch.linalg.matrix_exp(cross)


def test_points_fall_where_opencv_projects_them() -> None:
    path = shared_data("data", "reference", "pytorch3d", "cv_project_points_precomputed.json")
    cases = json.loads(path.read_text())
    assert len(cases) > 3
    for case in cases:
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, :3] = rotation(torch.tensor(case["rvec"], dtype=torch.float64))
        pose[:3, 3] = torch.tensor(case["tvec"], dtype=torch.float64).reshape(3)
        K = torch.tensor(case["camera_matrix"], dtype=torch.float64)
        cameras = Cameras(pose[None], K[None], 16, 19)
        world = torch.tensor(case["pts"], dtype=torch.float64)
        expected = torch.tensor(case["pts_proj"], dtype=torch.float64)[None]
        points = image_points(world, cameras)
        for xy in (points[..., :2] / points[..., 2:], cameras.project(world)[0]):
            torch.testing.assert_close(xy, expected, atol=2e-6, rtol=1e-6)


def phong(point: Tensor, normal: Tensor) -> Tensor:
    """Their default light and material: ambient 0.5, diffuse 0.3, specular 0.2, shininess 64."""
    toward, view = F.normalize(LAMP - point, dim=-1), F.normalize(EYE - point, dim=-1)
    cosine = (normal * toward).sum(-1, keepdim=True)
    mirror = 2 * cosine * normal - toward
    shine = (view * mirror).sum(-1, keepdim=True).clamp_min(0) * (cosine > 0)
    return 0.5 + 0.3 * cosine.clamp_min(0) + 0.2 * shine**64


@pytest.mark.seconds
@pytest.mark.parametrize("how", ["flat", "gouraud", "phong"])
def test_a_sphere_is_shaded_as_theirs(how: str) -> None:
    """To one grey level of 255, three for flat faces, whose order is another's. They allow 0.05."""
    from trimesh.creation import icosphere

    name = f"test_simple_sphere_light_{how}_FoVPerspectiveCameras.png"
    expected = load_image(shared_data("data", "reference", "pytorch3d", name))[..., :3]
    ball = icosphere(subdivisions=5)
    vertices = from_y_up(F.normalize(torch.tensor(ball.vertices).float(), dim=-1))
    faces = torch.tensor(ball.faces).long()
    cameras = look_at(EYE[None], torch.zeros(1, 3), fov_y=torch.tensor([60.0]), size=512)
    raster = rasterise(image_points(vertices, cameras), faces, 512, 512)
    place, normal = vertices, vertex_normals(vertices, faces)
    seen = raster.face[0] >= 0
    if how == "flat":
        flat = phong(vertices[faces].mean(1), F.normalize(face_cross(vertices, faces), dim=-1))
        picture = flat[raster.face[0].clamp_min(0)]
    elif how == "gouraud":
        picture = interpolate(phong(place, normal), faces, raster)[0]
    else:
        held = interpolate(torch.cat([place, normal], -1), faces, raster)[0]
        picture = phong(held[..., :3], F.normalize(held[..., 3:], dim=-1))
    picture = picture * seen[..., None]
    apart = (picture - expected).abs().amax(-1)
    radius = 256 / math.tan(math.radians(30)) / math.sqrt(2.7**2 - 1)
    assert float(seen.sum()) == pytest.approx(math.pi * radius**2, rel=2e-3)
    assert float(apart.max()) < (0.013 if how == "flat" else 0.0045)
