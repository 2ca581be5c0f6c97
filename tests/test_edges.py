"""Edges of renderers and geometry: nothing there, no area, straight up, one place covered twice."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.convert.finish import DRAFT
from dreamlift.convert.gaussians_to_mesh import cut_gaussians
from dreamlift.geometry.clouds import in_ball
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.geometry.hinges import hinges
from dreamlift.geometry.lens import Lens, bend
from dreamlift.geometry.mesh import unit, vertex_normals, welded
from dreamlift.geometry.smooth import normal_consistency
from dreamlift.geometry.tangents import tangents
from dreamlift.geometry.uv import rasterise
from dreamlift.lights import Light
from dreamlift.render.environment import environment
from dreamlift.scene import Shot
from dreamlift.scenes.densify import Densify
from dreamlift.scenes.field import Field
from dreamlift.scenes.frequencies import Frequencies
from dreamlift.scenes.gaussians import Cloud, Rates
from dreamlift.scenes.latent import LatentField
from dreamlift.scenes.particles import Particles
from dreamlift.scenes.restore import restored
from dreamlift.scenes.sdf import SDF
from dreamlift.step import Step

FRONT = Shot(orbit(torch.tensor([0.0]), torch.tensor([0.0]), size=16))


@pytest.mark.parametrize("lit", [False, True])
def test_a_cloud_that_loses_its_last_gaussian_goes_on_and_begins_again(lit: bool) -> None:
    faint = Densify(start=0, until=100, every=3, faintest=0.02, reset_every=None)
    cloud = Cloud(in_ball(50, rng(), opacity=0.01), densify=faint)
    adam, shot = torch.optim.Adam(Rates().groups(cloud), eps=1e-15), FRONT
    if lit:
        lamp = Light(torch.tensor([[4.0, 0, 0]]), torch.ones(1), torch.zeros(1),
                     torch.zeros(1, dtype=torch.bool))  # fmt: skip
        shot = replace(shot, light=lamp)
    for i in range(5):
        adam.zero_grad()
        view = cloud.render(shot)
        view.alpha.mean().backward()
        adam.step()
        cloud.adapt(Step(i, 100, rng()), view, adam)
    assert len(cloud) == 0 and not view.alpha.any()
    assert torch.equal(cloud.bounds, torch.zeros(2, 3))
    cloud.revive()
    assert len(cloud) == 1000


@pytest.mark.parametrize("logit", [1.5, 2.0, 3.0])
def test_a_faint_gaussian_is_cut_below_half_of_the_light(logit: float) -> None:
    one = Gaussians(torch.zeros(1, 3), torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), -2.8),
                    torch.tensor([logit]), torch.zeros(1, 1, 3))  # fmt: skip
    _, found = cut_gaussians(one, replace(DRAFT, resolution=32), dark=0.35)
    assert len(found.faces) > 0 and math.isfinite(found.reach)


def test_faces_without_an_area_pull_at_nothing() -> None:
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 1, 0]], requires_grad=True)
    faces = torch.tensor([[0, 1, 2], [0, 1, 3], [1, 2, 3]])
    normal_consistency(points, faces, hinges(faces)).backward()
    assert points.grad is not None and float(points.grad.abs().max()) < 10
    flat = torch.zeros(3, 3, requires_grad=True)
    vertex_normals(flat, torch.tensor([[0, 1, 2]])).sum().backward()
    assert flat.grad is not None and not flat.grad.any()
    some = torch.randn(20, 3, generator=rng(), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit, (some,))
    torch.testing.assert_close(unit(some), torch.nn.functional.normalize(some, dim=-1))


def test_rows_that_are_equal_are_the_first_of_them() -> None:
    rows = torch.tensor([[1.0, 2], [0, 0], [1, 2], [3, 0], [-0.0, 0]])
    assert welded(rows).tolist() == [0, 1, 0, 3, 1]


def test_a_lens_shows_nothing_beyond_its_fold() -> None:
    fold = Lens(500, 500, 750, 500, 1500, 1000, (-0.5, 0.1, 0.0))
    at = torch.tensor([[r, 0.0] for r in (0.5, 1.2, 1.45, 1.8)], dtype=torch.float64)
    known = bend(fold, at).isfinite().all(-1)
    assert known.tolist() == [True, False, False, False]
    eye = replace(fold, radial=(0.0, 0.0, 0.0), fisheye=(-0.8, 0.2, 0.0, 0.0))
    angle = torch.linspace(0.05, 1.5, 60, dtype=torch.float64)
    seen = bend(eye, torch.stack([angle.tan(), 0 * angle], -1))[:, 0]
    slope = 1 - 2.4 * angle**2 + angle**4
    first = int((slope <= 0).nonzero()[0])
    assert seen[:first].isfinite().all() and seen[first:].isnan().all()
    assert bool((slope[first:] > 0).any()), "where it rises again it is not known either"
    wide = replace(fold, radial=(0.1, 0.0, 0.0))
    assert bend(wide, at).isfinite().all()


def test_particles_that_begin_again_are_unlike_and_begin_their_clocks() -> None:
    particles = Particles([Field(resolution=33) for _ in range(3)])
    particles.taken += 77
    particles.revive()
    assert particles.taken.tolist() == [0, 0, 0]
    finest = [values[f"scenes.{k}.body.levels.2"] for k in range(3)
              for values in [particles.state_dict()]]  # fmt: skip
    assert torch.equal(finest[0][..., 0], finest[1][..., 0])
    assert not torch.equal(finest[1], finest[2]) and not torch.equal(finest[0], finest[1])


def test_a_network_begins_again_as_it_was_drawn() -> None:
    field, other = Field(body=Frequencies(seed=5)), Field(body=Frequencies(seed=5))
    with torch.no_grad():
        for weight in field.body.parameters():
            weight.add_(1)
    field.revive()
    for a, b in zip(field.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("x", [0.0, 1e-6, 1e-4, 3e-4, 1e-3, 0.1])
@pytest.mark.parametrize("z", [-1.0, 1.0])
def test_a_mirror_that_looks_straight_up_has_finite_gradients(x: float, z: float) -> None:
    sky = environment(torch.rand(16, 32, 3, generator=rng()))
    way = torch.tensor([[x, 0.0, z]], requires_grad=True)
    seen = sky.mirrored(unit(way), torch.tensor([0.3]))
    seen.sum().backward()
    assert way.grad is not None and bool(way.grad.isfinite().all())
    assert float(way.grad.abs().max()) < 1e4
    near = sky.mirrored(unit(torch.tensor([[2e-3, 0.0, z]])), torch.tensor([0.3]))
    if x < 1e-3:
        torch.testing.assert_close(seen.detach(), near, atol=0.05, rtol=0)


def test_a_texel_that_two_faces_cover_has_one_of_them_and_its_weights() -> None:
    uv = torch.tensor([[0.0, 0], [1, 0], [0, 1], [0.0, 0], [0, 1], [1, 0]])
    face, weight = rasterise(uv, torch.tensor([[0, 1, 2], [3, 4, 5]]), 256)
    assert set(face.unique().tolist()) == {-1, 1}, "the last one's"
    place = torch.einsum("hwk,kc->hwc", weight, uv[3:])[face >= 0]
    row, column = (face >= 0).nonzero(as_tuple=True)
    meant = torch.stack([(column + 0.5) / 256, 1 - (row + 0.5) / 256], -1)
    torch.testing.assert_close(place, meant, atol=1e-5, rtol=0)


def test_every_normal_has_a_tangent_where_a_texture_lies_nowhere() -> None:
    normals = torch.cat([torch.eye(3), -torch.eye(3)])
    vertices, faces = normals.clone(), torch.tensor([[0, 1, 2], [3, 4, 5]])
    found: Tensor = tangents(vertices, faces, normals, torch.zeros(6, 2))
    torch.testing.assert_close(found[:, :3].norm(dim=-1), torch.ones(6))
    assert float((found[:, :3] * normals).sum(-1).abs().max()) < 1e-6


def test_what_does_not_fit_is_refused_before_anything_is_drawn() -> None:
    one = Light(torch.zeros(1, 3), torch.ones(1), torch.zeros(1), torch.zeros(1, dtype=torch.bool))
    two = orbit(torch.tensor([0.0, 90.0]), torch.tensor([0.0, 0.0]), size=8)
    with pytest.raises(ValueError, match="2 cameras need as many lights, not 1"):
        Shot(two, one)
    for kind in (Field, SDF, LatentField):
        with pytest.raises(ValueError, match="Got 41; try 33, 65 or 129"):
            kind(resolution=41)
    with pytest.raises(ValueError, match="A field has 4 numbers at a vertex; here 5"):
        restored(LatentField(resolution=33).state_dict())
