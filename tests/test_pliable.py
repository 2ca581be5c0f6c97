"""A mesh whose vertices move: the pictures of the ray-cast one, and a sphere that becomes a toy."""

from dataclasses import replace

import pytest
import torch
from conftest import rng
from test_mesh_scene import GREEN, RED, box, lamp, square
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.convert.sdf_to_mesh import zero_level
from dreamlift.geometry.isosurface import grid_points
from dreamlift.geometry.mesh import Surface, vertex_normals
from dreamlift.geometry.pieces import is_closed
from dreamlift.geometry.smooth import laplacian, normal_consistency
from dreamlift.geometry.tets import marching_tets, tet_grid
from dreamlift.geometry.uv import unwrap
from dreamlift.grammar import parse
from dreamlift.lights import Light
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh
from dreamlift.scenes.pliable import PliableMesh
from dreamlift.toybox.scenes import toy_scene

VIEWS = orbit(torch.tensor([20.0, 230.0]), torch.tensor([15.0, -30.0]), size=40)
LIGHT = lamp(2, at=[2.0, 3.0, 1.5], ambient=0.3)


def sphere(resolution: int = 12, radius: float = 0.7) -> Surface:
    grid = tet_grid(resolution, 1.0)
    vertices, faces = marching_tets(grid, grid.vertices.norm(dim=-1) - radius)
    return Surface(vertices, faces, colors=torch.rand(len(vertices), 3, generator=rng(1)))


@pytest.mark.seconds
@pytest.mark.parametrize("lit", [False, True])
def test_it_looks_like_the_ray_cast_mesh(lit: bool) -> None:
    part = sphere()
    part = Surface(part.vertices * torch.tensor([1.0, 0.6, 0.8]), part.faces, part.colors)
    shot = Shot(VIEWS.resized(48, 40), LIGHT if lit else None)
    with torch.no_grad():
        ours, theirs = PliableMesh(part).render(shot), Mesh([part], samples=6).render(shot)
    assert ours.depth is not None and ours.normal is not None
    assert theirs.depth is not None and theirs.normal is not None
    for a, b, most in (
        (ours.alpha, theirs.alpha, 0.004),
        (ours.color, theirs.color, 0.012),
        (ours.depth, theirs.depth, 0.02),
        (ours.normal, theirs.normal, 0.012),
    ):
        assert float((a - b).abs().mean()) < most
    inside = theirs.alpha[..., 0] > 0.999
    # The mean over a pixel that is seen at a slant is not what its centre sees.
    apart = (ours.depth - theirs.depth)[inside].abs()
    assert float(apart.quantile(0.8)) < 4e-3


def test_a_texture_stands_upright_and_the_back_is_lit_from_its_side() -> None:
    texture = torch.stack([torch.stack([RED, GREEN]), torch.stack([GREEN, RED])])
    texture = texture.repeat_interleave(8, 0).repeat_interleave(8, 1)
    mesh = PliableMesh(square(texture))
    front = orbit(torch.tensor([0.0]), torch.zeros(1)).resized(40, 40)
    with torch.no_grad():
        seen = mesh.render(Shot(front)).color[0]
        for row, column, color in [(12, 12, RED), (12, 28, GREEN), (28, 28, RED)]:
            torch.testing.assert_close(seen[row, column], color, atol=0.02, rtol=0)
        behind = lamp(1, at=[-5.0, 0.0, 0.0], ambient=0.2, textureless=True)
        for azimuth, expected in [(180.0, 1.0), (0.0, 0.2)]:
            there = orbit(torch.tensor([azimuth]), torch.zeros(1)).resized(41, 41)
            color = mesh.render(Shot(there, behind)).color[0]
            torch.testing.assert_close(color[20, 20], torch.full((3,), expected), atol=1e-3, rtol=0)
            assert float(color[0, 0].norm()) == 0


@pytest.mark.parametrize("textured", [False, True])
def test_gradients_reach_vertices_and_colours(textured: bool) -> None:
    part = square(torch.rand(8, 8, 3, generator=rng(2))) if textured else sphere(6)
    mesh = PliableMesh(part, samples=2)
    seen = mesh.render(Shot(VIEWS, LIGHT))
    assert seen.color.shape == (2, 40, 40, 3) and seen.alpha.shape == (2, 40, 40, 1)
    assert seen.depth is not None and seen.normal is not None
    (seen.color.square().sum() + seen.depth.sum() + seen.normal[..., 0].sum()).backward()
    for parameter in mesh.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all()) and float(parameter.grad.norm()) > 0


def test_it_comes_back_as_the_surface_it_was() -> None:
    for part in (sphere(6), square(torch.rand(8, 8, 3, generator=rng(2)) * 0.9 + 0.05)):
        again = PliableMesh(part).surface()
        assert torch.equal(again.vertices, part.vertices) and torch.equal(again.faces, part.faces)
        given, back = (x.colors if x.texture is None else x.texture for x in (part, again))
        assert given is not None and back is not None
        torch.testing.assert_close(back, given, atol=0.011, rtol=0)
        assert again.uv is part.uv


def test_meshes_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="1 or more samples"):
        PliableMesh(box([0.0, 0, 0], [1.0, 1, 1]), samples=0)
    with pytest.raises(ValueError, match="no faces"):
        PliableMesh(Surface(torch.rand(3, 3), torch.empty(0, 3, dtype=torch.long)))


def overlap(a: Tensor, b: Tensor) -> float:
    """Intersection over union of two pictures of alpha."""
    return float(torch.minimum(a, b).sum() / torch.maximum(a, b).sum())


@pytest.mark.seconds
def test_a_sphere_takes_the_silhouette_of_a_toy() -> None:
    """Eight views; measured in eight others."""
    truth = toy_scene(parse("a red traffic cone"), seed=1)
    mesh = PliableMesh(sphere(14))
    around = torch.arange(8) * 45.0
    train = orbit(around, torch.tensor([35.0, -15.0]).repeat(4), size=48)
    held = orbit(around + 20, torch.tensor([10.0, 20.0]).repeat(4), size=48)
    with torch.no_grad():
        goal, other = (truth.render(Shot(cameras)) for cameras in (train, held))
        before = overlap(mesh.render(Shot(held)).alpha, other.alpha)
    optimizer = torch.optim.Adam(mesh.parameters(), lr=0.05, betas=(0.8, 0.95))
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=120)
    for step in range(120):
        some = torch.tensor([0, 1, 4, 5]) + 2 * (step % 2)
        seen = mesh.render(Shot(train[some]))
        fit = (seen.alpha - goal.alpha[some]).square().mean()
        fit = fit + (seen.color - goal.color[some]).square().mean()
        smooth = 10 * laplacian(mesh.vertices, mesh.hinges)
        smooth = smooth + 0.01 * normal_consistency(mesh.vertices, mesh.faces, mesh.hinges)
        optimizer.zero_grad()
        (fit + smooth).backward()
        optimizer.step()
        decay.step()
    with torch.no_grad():
        seen = mesh.render(Shot(held))
    after = overlap(seen.alpha, other.alpha)
    assert float((seen.color - other.color).square().mean()) < 0.006
    assert is_closed(mesh.faces)
    assert before < 0.4 and after > 0.93


def test_the_seams_of_a_texture_are_not_seen() -> None:
    """A box's rounded cut, unwrapped: drawn, lit and exported as the mesh without its cuts."""
    outside = (grid_points(20, 1.2).abs() - torch.tensor([0.6, 0.5, 0.7])).amax(-1)
    vertices, faces = zero_level(outside.reshape(20, 20, 20), 1.2)
    flat = unwrap(vertices, faces, size=128)
    assert flat.charts > 3
    normals = vertex_normals(vertices, faces)
    cut = Surface(vertices[flat.source], flat.faces, normals=normals[flat.source], uv=flat.uv,
                  texture=torch.ones(128, 128, 3))  # fmt: skip
    shot = Shot(orbit(torch.tensor([30.0]), torch.tensor([20.0]), size=64))
    shot = replace(shot, light=Light(torch.tensor([[4.0, 2, 2]]), *torch.tensor([[0.3], [0.7]]),
                                     torch.tensor([False])))  # fmt: skip
    whole = PliableMesh(Surface(vertices, faces, colors=torch.ones_like(vertices)))
    mesh = PliableMesh(cut)
    seen, meant = mesh.render(shot), whole.render(shot)
    torch.testing.assert_close(seen.color, meant.color, atol=2e-5, rtol=0)
    torch.testing.assert_close(seen.alpha, meant.alpha, atol=1e-6, rtol=0)
    assert mesh.surface().normals is not None
    torch.testing.assert_close(mesh.surface().normals, normals[flat.source], atol=1e-5, rtol=0)
    again = PliableMesh.of(mesh.state_dict())
    torch.testing.assert_close(again.surface().normals, normals[flat.source], atol=1e-5, rtol=0)


def test_creases_of_given_normals_stay() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]])
    faces = torch.tensor([[0, 1, 2], [3, 5, 4]])
    normals = torch.tensor([[0.0, 0, 1]] * 3 + [[0.0, -1, 0]] * 3)
    given = PliableMesh(Surface(vertices, faces, normals=normals)).surface().normals
    assert given is not None
    torch.testing.assert_close(given, normals)
    mesh = PliableMesh(Surface(vertices, faces, normals=normals))
    again = PliableMesh.of(mesh.state_dict()).surface().normals
    assert again is not None
    torch.testing.assert_close(again, normals)
    before = {
        name: value for name, value in mesh.state_dict().items() if name not in ("soft", "joined")
    }
    PliableMesh.of(before)
    soft = PliableMesh(Surface(vertices, faces)).surface().normals
    assert soft is not None
    torch.testing.assert_close(soft[0], soft[3])


def test_colours_beside_a_texture_are_refused() -> None:
    part = Surface(torch.eye(3), torch.tensor([[0, 1, 2]]), colors=torch.ones(3, 3),
                   uv=torch.zeros(3, 2), texture=torch.ones(4, 4, 3))  # fmt: skip
    with pytest.raises(ValueError, match="colours of vertices beside its texture"):
        PliableMesh(part)


def test_vertices_of_one_place_stay_together() -> None:
    square = torch.tensor([[0.0, -1, -1], [0, 1, -1], [0, 1, 1], [0, -1, 1]])
    vertices = square[[0, 1, 2, 0, 2, 3]]
    mesh = PliableMesh(Surface(0.5 * vertices, torch.tensor([[0, 1, 2], [3, 4, 5]])))
    shot = Shot(orbit(torch.tensor([0.0]), torch.tensor([0.0]), size=24))
    adam = torch.optim.Adam([mesh.vertices], lr=0.01)
    for _ in range(5):
        adam.zero_grad()
        (-mesh.render(shot).alpha.sum()).backward()
        adam.step()
    made = mesh.surface().vertices
    assert torch.equal(made[0], made[3]) and torch.equal(made[2], made[4])
    assert not torch.allclose(made[0], 0.5 * vertices[0], atol=1e-3)
    assert torch.equal(PliableMesh.of(mesh.state_dict()).surface().vertices, made)
