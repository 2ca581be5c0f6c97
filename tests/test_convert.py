"""dreamlift/convert/: there and back again, on shapes whose volume and outline are known.

Tolerances: a silhouette's overlap (intersection over union, 96 pixels, five cameras) and a volume.
"""

import math
from dataclasses import dataclass, fields, replace

import pytest
import torch
import trimesh
from conftest import rng
from torch import Tensor
from toys import field, made, solids

from dreamlift.cameras import orbit
from dreamlift.convert.finish import Finish
from dreamlift.convert.gaussians_to_mesh import cut_gaussians, of_gaussians
from dreamlift.convert.mesh_to_sdf import distances
from dreamlift.convert.sdf_to_mesh import zero_level
from dreamlift.convert.volume_to_sdf import volume_distances
from dreamlift.geometry.gaussians import Gaussians, base_colors, harmonics_of, rotations
from dreamlift.geometry.isosurface import DegenerateError, grid_points
from dreamlift.geometry.mesh import Surface, volumes
from dreamlift.geometry.pieces import is_closed
from dreamlift.geometry.surfels import from_mesh
from dreamlift.geometry.tets import marching_tets, tet_grid
from dreamlift.geometry.texels import sample
from dreamlift.geometry.volume import Volume
from dreamlift.geometry.voxels import buried, voxelise
from dreamlift.grammar import parse
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.mesh import Mesh
from dreamlift.toybox.mesh import mesh as toy_mesh
from dreamlift.toybox.scenes import toy_scene

RED, BLUE = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.3, 0.8]])
FINISH = Finish(resolution=80, faces=6000, texture=128)


def turned(points: Tensor) -> Tensor:
    """About a slanting axis, and moved: nothing is symmetric in the grid."""
    a, b = math.radians(25.0), math.radians(40.0)
    z = torch.tensor([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    x = torch.tensor([[1.0, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    return points @ (z @ x).T + torch.tensor([0.08, -0.05, 0.11])


def shape(name: str) -> Surface:
    """A solid by trimesh, off the middle and askew; its sides in two colours."""
    solid = {
        "sphere": lambda: trimesh.creation.icosphere(subdivisions=3, radius=0.7),
        "box": lambda: trimesh.creation.box(extents=(1.1, 0.7, 0.9)).subdivide().subdivide(),
        "torus": lambda: trimesh.creation.torus(0.6, 0.22, major_sections=64, minor_sections=32),
    }[name]()
    vertices = turned(torch.from_numpy(solid.vertices.copy()).float())
    colors = torch.where(vertices[:, :1] > 0.1, RED, BLUE)
    return Surface(vertices, torch.from_numpy(solid.faces.copy()).long(), colors=colors, name=name)


def volume(parts: tuple[Surface, ...]) -> float:
    return sum(float(volumes(p.vertices.double(), p.faces).sum()) for p in parts)


CAMERAS = orbit(
    torch.tensor([20.0, 95.0, 170.0, 250.0, 310.0]), torch.tensor([10.0, -30, 55, 20, 80]), size=96
)


def overlap(a: Tensor, b: Tensor) -> float:
    a, b = a > 0.5, b > 0.5
    return float((a & b).sum() / (a | b).sum())


def alpha(parts: tuple[Surface, ...]) -> Tensor:
    with torch.no_grad():
        return Mesh(parts, samples=1).render(Shot(CAMERAS)).alpha


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("name", "alike", "thicker"),
    [("sphere", 0.96, 0.05), ("box", 0.95, 0.1), ("torus", 0.93, 0.12)],
)
def test_a_mesh_is_its_gaussians_mesh(name: str, alike: float, thicker: float) -> None:
    """Up to the Gaussians' own width: what a splat hides is wider than what it was put on."""
    one = shape(name)
    _, cut = cut_gaussians(from_mesh([one], 30_000, rng(0)), replace(FINISH, resolution=128))
    found = Surface(cut.vertices, cut.faces)
    assert is_closed(cut.faces) and cut.kept == 1
    assert overlap(alpha((one,)), alpha((found,))) > alike
    assert 0 < volume((found,)) / volume((one,)) - 1 < thicker


@pytest.mark.seconds
@pytest.mark.parametrize(("name", "alike"), [("sphere", 0.995), ("box", 0.96), ("torus", 0.99)])
def test_a_mesh_is_its_distances_mesh(name: str, alike: float) -> None:
    one = shape(name)
    sdf = distances([one], grid_points(56, 1.1)).reshape(56, 56, 56)
    found = Surface(*zero_level(sdf, 1.1))
    assert is_closed(found.faces)
    assert overlap(alpha((one,)), alpha((found,))) > alike
    assert volume((found,)) == pytest.approx(volume((one,)), rel=0.01)


@pytest.mark.seconds
def test_a_toy_is_its_distances_mesh() -> None:
    """Parts that go into one another are one solid, against the toy's own exact distance."""
    built = made("a corgi wearing a hat")
    scene = toy_scene(parse("a corgi wearing a hat"), 0)
    parts = toy_mesh(built, scene.coat, resolution=40)
    points = grid_points(56, 1.15)
    sdf = distances(parts, points)
    true = field(solids(built), points)
    clear = true.abs() > 0.01
    assert float(((sdf < 0) == (true < 0))[clear].float().mean()) > 0.9995
    found = Surface(*zero_level(sdf.reshape(56, 56, 56), 1.15))
    seen = scene.render(Shot(CAMERAS)).alpha
    assert overlap(seen, alpha((found,))) > 0.95  # a cell is 1.6 pixels
    inside = float((true < 0).float().mean()) * (2 * 1.15 * 56 / 55) ** 3
    assert volume((found,)) == pytest.approx(inside, rel=0.06)


@dataclass(frozen=True)
class Ring:
    """A torus of soft density, in two colours, askew."""

    major: float = 0.6
    minor: float = 0.25

    @property
    def bounds(self) -> Tensor:
        return torch.tensor([[-1.2] * 3, [1.2] * 3])

    def distance(self, points: Tensor) -> Tensor:
        x, y, z = points.unbind(-1)
        return torch.hypot(torch.hypot(x - 0.05, z) - self.major, y + 0.07) - self.minor

    def density(self, points: Tensor) -> Tensor:
        return 60 * (0.5 - self.distance(points) / 0.03).clamp(0, 1)

    def albedo(self, points: Tensor) -> Tensor:
        return torch.where(points[:, :1] > 0, RED, BLUE)


def test_a_volume_has_the_distances_of_its_surface() -> None:
    ring = Ring()
    assert isinstance(ring, Volume)
    points = 2 * torch.rand(500, 3, generator=rng(2)) - 1
    found = volume_distances(ring, points, FINISH)
    # Its half-opaque outline is outside of where its density halves (test_export.outline).
    apart = found - ring.distance(points)
    assert float(apart.mean().abs()) < 0.015 and float(apart.std()) < 0.01


@pytest.mark.seconds
def test_a_field_becomes_distances_and_these_a_mesh_whose_vertices_have_gradients() -> None:
    """Field -> SDF on tetrahedra -> mesh, as stages of a mesh begin; outline in closed form."""
    scene = Field(resolution=33, optical_depth=40.0, init="blob")
    radius = 0.4 * math.sqrt(2 * math.log(40.0 / math.log(2)))
    grid = tet_grid(20, 1.3)
    sdf = volume_distances(scene, grid.vertices, FINISH).requires_grad_()
    vertices, faces = marching_tets(grid, sdf)
    away = vertices.norm(dim=-1)
    assert is_closed(faces)
    assert float(away.detach().mean()) == pytest.approx(min(radius, 1.2), abs=0.05)
    assert float(away.detach().std()) < 0.03
    away.mean().backward()
    assert sdf.grad is not None and float(sdf.grad.sum()) == pytest.approx(-1, abs=0.05)


def single(opacity: float, color: list[float], mean: list[float]) -> Gaussians:
    """One askew Gaussian of three different deviations."""
    return Gaussians(
        means=torch.tensor([mean]),
        quaternions=torch.tensor([[0.9, 0.1, -0.3, 0.5]]),
        log_scales=torch.tensor([[0.12, 0.2, 0.3]]).log(),
        opacity_logits=torch.tensor([opacity]).logit(),
        harmonics=harmonics_of(torch.tensor([color])),
    )


def test_a_ray_through_a_gaussians_thin_axis_is_stopped_by_its_opacity() -> None:
    one = single(0.7, [0.9, 0.2, 0.1], [0.05, -0.1, 0.02])
    voxels = voxelise(one, 96, reach=1.0)
    thin = rotations(one.quaternions)[0, :, 0]
    along = torch.linspace(-0.8, 0.8, 3201)[:, None] * thin + one.means
    stopped = 1 - float((-voxels.density(along).sum() * (1.6 / 3200)).exp())
    # Three deviations of the integral are there; the widening makes it no weaker.
    assert stopped == pytest.approx(0.7, abs=0.004)
    torch.testing.assert_close(voxels.albedo(along), base_colors(one).expand(3201, 3))
    assert float(voxels.density(torch.tensor([[0.0, 1.2, 0.0]]))[0]) == 0


def test_densities_add_up_and_colours_are_their_means() -> None:
    a = single(0.7, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    b = single(0.4, [0.0, 0.0, 1.0], [0.05, 0.1, 0.0])
    both = Gaussians(
        *(torch.cat([getattr(a, f.name), getattr(b, f.name)]) for f in fields(Gaussians))
    )
    points = 0.25 * torch.randn(60, 3, generator=rng(4))
    one, two, sum_ = (voxelise(g, 64, reach=1.0) for g in (a, b, both))
    expected = one.density(points) + two.density(points)
    torch.testing.assert_close(sum_.density(points), expected, rtol=1e-4, atol=1e-6)
    clear = expected > 0.01
    share = (one.density(points) / expected.clamp_min(1e-9))[clear]
    torch.testing.assert_close(sum_.albedo(points)[clear, 0], share, atol=2e-3, rtol=0)


def test_a_hollow_shell_is_dark_inside_and_thin_from_every_side() -> None:
    n, cell = 49, 0.05
    points = grid_points(n, 1.2).reshape(n, n, n, 3) - torch.tensor([0.1, -0.05, 0.15])
    r = points.norm(dim=-1)
    shell = torch.where((r - 0.7).abs() < 0.06, 60.0, 0.0)
    dark = buried(shell, cell)
    assert float(dark[r < 0.6].min()) > 0.98
    assert float(dark[r > 0.82].max()) == 0  # no shadow of what stands beside it
    cup = torch.where(points[..., 2] > 0.3, 0.0, shell)  # open above, so open inside
    assert float(buried(cup, cell)[points.abs().amax(-1) < 0.2].max()) < 0.01


def test_half_of_the_light_passes_half_of_a_slab() -> None:
    """Along an axis, in closed form: exp(-density x depth)."""
    slab = torch.zeros(9, 11, 10)[:9, :9, :9].clone()
    slab[:, :, :4] = 3.0
    dark = buried(slab, 0.1)
    depth = torch.tensor([3.5, 2.5, 1.5, 0.5]) * 0.1
    open_below = torch.tensor([0.5, 1.5, 2.5, 3.5]) * 0.1
    expected = 1 - (-3.0 * torch.minimum(depth, open_below)).exp()
    torch.testing.assert_close(dark[4, 4, :4], expected)


def test_gaussians_have_their_own_colours_on_their_mesh() -> None:
    one = shape("sphere")
    surface, _, _ = of_gaussians(from_mesh([one], 6000, rng(1)), replace(FINISH, faces=1500))
    assert surface.uv is not None and surface.texture is not None
    seen = sample(surface.texture, surface.uv[surface.faces].mean(1))
    x = surface.vertices[surface.faces].mean(1)[:, :1]
    clear = (x - 0.1).abs()[:, 0] > 0.08
    expected = torch.where(x > 0.1, RED, BLUE)
    assert float((seen - expected)[clear].abs().mean()) < 0.01


def test_a_surface_is_evened_out_as_often_as_asked() -> None:
    """A sphere of Gaussians that stray from it is lumpy; evened out, its radius is more of one
    length, for little of its volume."""
    cloud = from_mesh([shape("sphere")], 6000, rng(1))
    astray = cloud.means + 0.02 * torch.randn(cloud.means.shape, generator=rng(2))

    def sphere(even: int) -> tuple[float, float]:
        found, _, _ = of_gaussians(replace(cloud, means=astray), FINISH, even=even)
        radius = (found.vertices - turned(torch.zeros(1, 3))).norm(dim=-1)
        return float(radius.std() / radius.mean()), float(radius.mean())

    (rough, far), (smooth, near) = sphere(0), sphere(40)
    assert smooth < 0.6 * rough
    assert 0.97 < near / far < 1


def test_what_hides_less_lies_further_out() -> None:
    cloud = from_mesh([shape("sphere")], 6000, rng(1))
    (_, half), (_, third) = (cut_gaussians(cloud, FINISH, dark=share) for share in (0.5, 0.35))
    assert half.vertices.norm(dim=-1).mean() < third.vertices.norm(dim=-1).mean()


def test_fog_of_gaussians_is_no_mesh() -> None:
    with pytest.raises(DegenerateError, match="fog, no Gaussians hide what is behind"):
        cut_gaussians(single(0.3, [0.5] * 3, [0.0] * 3), FINISH)
