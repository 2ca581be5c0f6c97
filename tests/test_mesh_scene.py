"""Meshes in pictures: absolute conventions, closed forms, and other people's files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trimesh
from conftest import rng, shared_data
from torch import Tensor

from dreamlift.cameras import Cameras, orbit
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.placement import fitted
from dreamlift.io.images import load_image
from dreamlift.io.meshes import read_mesh
from dreamlift.lights import Light
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh, load_mesh

RED, GREEN, BLUE, WHITE = [
    torch.tensor(c) for c in ([0.9, 0.1, 0.1], [0.1, 0.8, 0.2], [0.1, 0.2, 0.9], [1.0, 1.0, 1.0])
]


def box(centre: list[float], half: list[float], color: Tensor = WHITE, name: str = "") -> Surface:
    """A box with its own corners for each side, so that its normals are its sides'."""
    vertices, faces = [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v, n = torch.eye(3)[[(axis + 1) % 3, (axis + 2) % 3, axis]]
            faces += [[len(vertices), len(vertices) + k, len(vertices) + k + 1] for k in (1, 2)]
            turn = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
            vertices += [a * u + b * v + sign * n for a, b in (turn if sign > 0 else turn[::-1])]
    points = torch.stack(vertices) * torch.tensor(half) + torch.tensor(centre)
    return Surface(points, torch.tensor(faces), color.expand(len(points), 3), name=name)


def square(texture: Tensor | None = None) -> Surface:
    """In the plane x = 0, a unit to each side, facing the front; uv as a picture has them."""
    corners = torch.tensor([[0.0, -1, -1], [0, 1, -1], [0, 1, 1], [0, -1, 1]])
    uv = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    return Surface(corners, faces, uv=uv, texture=texture)


def view(azimuth: float, elevation: float = 0.0, *, height: int = 40, width: int = 40) -> Cameras:
    return orbit(torch.tensor([azimuth]), torch.tensor([elevation])).resized(height, width)


def lamp(b: int, *, at: list[float], ambient: float, textureless: bool = False) -> Light:
    share = torch.full((b,), ambient)
    position = torch.tensor([at]).expand(b, 3)
    return Light(position, share, 1 - share, torch.full((b,), textureless))


def test_the_left_is_on_the_right_and_up_is_up():
    """From the front, what stands at +y is on the picture's right, what stands at +z on top."""
    parts = [
        box([0.0, 0.8, 0.0], [0.2, 0.2, 0.2], RED),
        box([0.0, 0.0, 0.8], [0.2, 0.2, 0.2], GREEN),
        box([0.5, 0.0, 0.0], [0.2, 0.2, 0.2], BLUE),
        box([-0.5, 0.0, 0.0], [0.2, 0.2, 0.2], WHITE),
    ]
    front = Mesh(parts).render(Shot(view(0.0))).color[0]
    for row, column, color in [(20, 33, RED), (7, 20, GREEN), (20, 20, BLUE)]:
        torch.testing.assert_close(front[row, column], color)
    left = Mesh(parts).render(Shot(view(90.0))).color[0]
    torch.testing.assert_close(left[20, 20], RED)
    torch.testing.assert_close(left[20, 12], BLUE)  # the front is picture-left


def test_a_square_covers_its_area():
    """The nearest side of a box, 3.5 away, is 0.5 x 4 / 3.5 of 1.25 high."""
    mesh = Mesh([box([0.0, 0.0, 0.0], [0.5, 0.5, 0.5])], samples=4)
    alpha = mesh.render(Shot(view(0.0, height=50, width=70))).alpha
    assert float(alpha.mean()) == pytest.approx((0.5 * 4 / 3.5 / 1.25) ** 2, rel=0.01)
    assert 0 < int(((alpha > 0) & (alpha < 1)).sum()) < 0.1 * alpha.numel()


def test_depth_runs_along_the_ray_and_normals_look_out():
    mesh = Mesh([box([0.0, 0.0, 0.0], [0.5, 0.5, 0.5])])
    cameras = view(0.0, height=60, width=40)
    seen = mesh.render(Shot(cameras))
    assert seen.depth is not None and seen.normal is not None
    _, directions = cameras.rays()
    for row, column in [(30, 20), (22, 13)]:
        along = 3.5 / -float(directions[0, row, column, 0])
        assert float(seen.depth[0, row, column]) == pytest.approx(along, rel=1e-3)
        torch.testing.assert_close(seen.normal[0, row, column], torch.tensor([1.0, 0.0, 0.0]))
    assert float(seen.depth[0, 0, 0]) == 0 and float(seen.normal[0, 0, 0].norm()) == 0


def test_light_falls_as_lambert_says():
    mesh = Mesh([box([0.0, 0.0, 0.0], [0.5, 0.5, 0.5], RED)])
    # The middle of the front side sees the light 60 degrees off its normal.
    at = [0.5 + 1.0, 3**0.5, 0.0]
    lit = mesh.render(Shot(view(0.0, height=41, width=41), lamp(1, at=at, ambient=0.3)))
    torch.testing.assert_close(lit.color[0, 20, 20], RED * (0.3 + 0.7 * 0.5), atol=1e-3, rtol=0)
    blank = lamp(1, at=at, ambient=0.3, textureless=True)
    plain = mesh.render(Shot(view(0.0, height=41, width=41), blank))
    torch.testing.assert_close(plain.color[0, 20, 20], WHITE * 0.65, atol=1e-3, rtol=0)


def test_each_picture_has_its_own_camera_and_light():
    mesh = Mesh([box([0.1, 0.2, -0.3], [0.5, 0.3, 0.4], RED), box([0, 0, 0.6], [0.1] * 3, BLUE)])
    cameras = orbit(torch.tensor([10.0, 130.0, -70.0]), torch.tensor([5.0, 40.0, -8.0]))
    cameras = cameras.resized(24, 36)
    light = Light(
        torch.randn(3, 3, generator=rng(4)) * 3,
        torch.tensor([0.2, 0.5, 0.9]),
        torch.tensor([0.8, 0.3, 0.1]),
        torch.tensor([False, True, False]),
    )
    together = mesh.render(Shot(cameras, light))
    for i in range(3):
        alone = mesh.render(Shot(cameras[slice(i, i + 1)], light[slice(i, i + 1)]))
        torch.testing.assert_close(together.color[i], alone.color[0])
        torch.testing.assert_close(together.alpha[i], alone.alpha[0])
    assert bool((together.color <= together.alpha + 1e-5).all())


def test_fragments_name_the_part_of_every_sample():
    mesh = Mesh(
        [box([0, 0.5, 0], [0.3] * 3, name="left"), box([0, -0.5, 0], [0.3] * 3, name="right")],
        samples=3,
    )
    seen = mesh.render(Shot(view(0.0, height=20, width=30)))
    assert mesh.names == ("left", "right")
    assert seen.aux.part.shape == (1, 60, 90)
    assert seen.aux.part[0, 30, [10, 25, 45, 65, 80]].tolist() == [-1, 1, -1, 0, -1]
    hit = seen.aux.face >= 0
    torch.testing.assert_close(hit.float().mean(), seen.alpha.mean())
    assert bool((mesh.part[seen.aux.face[hit]] == seen.aux.part[hit]).all())


def test_a_texture_stands_upright():
    """Row 0 of the texture is the top of the picture, column 0 its left."""
    texture = torch.stack([torch.stack([RED, GREEN]), torch.stack([BLUE, WHITE])])
    seen = Mesh([square(texture)]).render(Shot(view(0.0))).color[0]
    for row, column, color in [(12, 12, RED), (12, 28, GREEN), (28, 12, BLUE), (28, 28, WHITE)]:
        torch.testing.assert_close(seen[row, column], color, atol=0.06, rtol=0)


def test_colours_tint_a_texture():
    part = replace(square(torch.full((1, 1, 3), 0.5)), colors=RED.expand(4, 3))
    seen = Mesh([part]).render(Shot(view(0.0))).color[0, 20, 20]
    torch.testing.assert_close(seen, 0.5 * RED)


def test_parts_keep_their_own_textures():
    near = replace(
        square(GREEN[None, None]), vertices=square().vertices * 0.4 + torch.tensor([0.5, 0, 0])
    )
    parts = [square(RED[None, None]), near, box([0.7, 0, 0.9], [0.1] * 3, BLUE)]
    seen = Mesh(parts).render(Shot(view(0.0))).color[0]
    for row, column, color in [(20, 20, GREEN), (33, 20, RED), (2, 20, BLUE)]:
        torch.testing.assert_close(seen[row, column], color, atol=1e-4, rtol=0)


def test_the_back_of_a_triangle_is_lit_from_its_own_side():
    flat = Mesh([square()])
    behind = lamp(1, at=[-5.0, 0.0, 0.0], ambient=0.2)
    for azimuth, expected in [(180.0, 1.0), (0.0, 0.2)]:
        color = flat.render(Shot(view(azimuth), behind)).color[0, 20, 20]
        torch.testing.assert_close(color, torch.full((3,), expected), atol=1e-3, rtol=0)


def test_a_clockwise_file_is_lit_from_outside(tmp_path: Path):
    """Its normals say where outside is; without them nothing does, and the nearer side is lit."""
    ball = trimesh.creation.icosphere(2)
    pictures: list[Tensor] = []
    for turned in (False, True):
        for normals in (False, True):
            lines = [f"v {x} {y} {z}" for x, y, z in ball.vertices.tolist()]
            lines += [f"vn {x} {y} {z}" for x, y, z in ball.vertices.tolist() if normals]
            for face in (ball.faces[:, ::-1] if turned else ball.faces) + 1:
                lines.append("f " + " ".join(f"{k}//{k}" if normals else f"{k}" for k in face))
            (tmp_path / "ball.obj").write_text("\n".join(lines))
            light = lamp(1, at=[5.0, 0.0, 0.0], ambient=0.3)
            seen = load_mesh(tmp_path / "ball.obj").render(Shot(view(0.0), light))
            pictures.append(seen.color[0, 18:22, 18:22].detach())
    for picture in pictures:
        assert float(picture.min()) > 0.9


def test_normals_between_corners_are_smooth():
    """On a coarse ball the smooth normal is nearly radial, which no face's own is."""
    corners = torch.nn.functional.normalize(torch.randn(60, 3, generator=rng(5)), dim=-1)
    from scipy.spatial import ConvexHull

    faces = torch.from_numpy(ConvexHull(corners.numpy()).simplices).long()
    a, b, c = corners[faces].unbind(1)
    inward = (torch.cross(b - a, c - a, dim=-1) * a).sum(-1) < 0
    faces[inward] = faces[inward].flip(-1)
    part = Surface(corners, faces, normals=corners)
    seen = Mesh([part], samples=1).render(Shot(view(30.0, 20.0)))
    assert seen.normal is not None and seen.depth is not None
    origins, directions = view(30.0, 20.0).rays()
    points = origins + seen.depth * directions
    hit = seen.alpha[..., 0] > 0
    radial = torch.nn.functional.normalize(points[hit], dim=-1)
    assert float((seen.normal[hit] * radial).sum(-1).min()) > 0.97


def test_a_vertex_without_a_normal_borrows_the_face():
    part = replace(square(), normals=torch.zeros(4, 3))
    seen = Mesh([part]).render(Shot(view(0.0)))
    assert seen.normal is not None
    torch.testing.assert_close(seen.normal[0, 20, 20], torch.tensor([1.0, 0.0, 0.0]))


def test_gradients_reach_colours_and_texels_only():
    mesh = Mesh([square(torch.rand(4, 4, 3, generator=rng(6))), box([0, 0, 1.5], [0.3] * 3)])
    mesh.render(Shot(view(20.0, 10.0))).color.sum().backward()
    gradients = [p.grad for p in mesh.parameters() if p.requires_grad]
    assert len(gradients) == 2
    assert all(g is not None and bool((g != 0).any()) for g in gradients)


def test_meshes_that_are_none_are_refused():
    with pytest.raises(ValueError, match="at least one part"):
        Mesh([])
    with pytest.raises(ValueError, match="1 or more samples"):
        Mesh([square()], samples=0)


@pytest.mark.parametrize(
    "name",
    [
        "kaykit_city/car_sedan.gltf",
        "kaykit_furniture/lamp_table.gltf",
        "kenney_kits_platformer/character.glb",
        "kenney_kits_racing/vehicle-truck-red.glb",
        "kenney_market/ambulance.glb",
        "kenney_market/survivor-male.glb",
        "pytorch3d_cow/cow.glb",
        "trimesh_models/Duck.glb",
        "trimesh_models/monkey.glb",
        "trimesh_models/fuze.obj",
    ],
)
def test_other_peoples_files_give_pictures(name: str):
    path = shared_data("data", "meshes", *name.split("/"))
    mesh = Mesh(fitted(read_mesh(path)))
    cameras = orbit(torch.tensor([30.0, 210.0]), torch.tensor([10.0, 30.0]), size=48)
    with torch.no_grad():
        seen = mesh.render(Shot(cameras, lamp(2, at=[3.0, 2.0, 4.0], ambient=0.5)))
    assert 0.03 < float(seen.alpha.mean()) < 0.6
    assert bool(seen.color.isfinite().all()) and float(seen.color.max()) <= 1 + 1e-5
    inside = seen.color[seen.alpha[..., 0] > 0.99]
    assert float(inside.std()) > 0.02


def test_a_recoloured_building_keeps_its_shape():
    def seen(team: str) -> tuple[Tensor, Tensor]:
        name = f"building_home_A_{team}.gltf"
        path = shared_data("data", "meshes", "kaykit_medieval_recolour", name)
        with torch.no_grad():
            rendering = load_mesh(path).render(Shot(view(40.0, 30.0)))
        return rendering.alpha, rendering.color

    (alpha, red), (other, blue) = seen("red"), seen("blue")
    assert torch.equal(alpha, other)
    assert float((red - blue).abs().max()) > 0.2


def test_the_cow_stands_where_pytorch3d_draws_it():
    """Their camera is 2.7 behind the cow (they look at its face), 60 degrees high, 512 pixels."""
    picture: Path = shared_data(
        "data", "reference", "pytorch3d", "test_texture_map_front_MeshRasterizer.png"
    )
    expected = load_image(picture)[..., :3]
    mesh = load_mesh(shared_data("data", "meshes", "pytorch3d_cow", "cow.obj"))
    cameras = orbit(
        torch.tensor([180.0]), torch.zeros(1), distance=2.7, frame=2.7 / 3**0.5, size=512
    )
    with torch.no_grad():
        seen = mesh.render(Shot(cameras))
    theirs, ours = (expected < 0.99).any(-1), seen.alpha[0, ..., 0] > 0.5
    assert float((theirs & ours).sum() / (theirs | ours).sum()) > 0.97
    # Their light dims the sides and shines; colours still go together.
    both = theirs & ours
    pair = torch.stack([expected[both].flatten(), seen.color[0][both].flatten()])
    assert float(torch.corrcoef(pair)[0, 1]) > 0.8
